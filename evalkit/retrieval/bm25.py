"""BM25 with bm25s, over terms from the analyser of the dataset's language."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evalkit.config.limits import at_least, one_of
from evalkit.config.retriever import RetrieverConfig
from evalkit.errors import ConfigError
from evalkit.formats.notes import Note
from evalkit.retrieval.candidates import candidates_from_scores
from evalkit.retrieval.first_stage import FirstStage
from evalkit.retrieval.words import Analyser, analyser, remark
from evalkit.run import Run
from evalkit.system.progress import progress
from evalkit.system.stages import LOADING, Meter, Stages
from evalkit.system.versions import version
from evalkit.types import Dataset, Identity

_DOCUMENTS_PER_WINDOW = 10_000
_MODEL = "retriever"
# bm25s also has bm25l and bm25+, but these score every document above 0, so that all of them would be candidates.
BM25_METHODS = ("lucene", "robertson", "atire")


@dataclass
class BM25Config(RetrieverConfig):
    """Lexical retrieval with bm25s."""

    implementation: ClassVar[str] = "evalkit.retrieval.bm25:BM25Retriever"
    method: str = "lucene"
    """Formula of BM25."""
    k1: float = 1.5
    """How soon further occurrences of a word stop counting."""
    b: float = 0.75
    """How much long documents are penalised: 0 not at all, 1 in full."""

    def __post_init__(self) -> None:
        """Check ranges and choices."""
        super().__post_init__()
        one_of("retriever.method", self.method, BM25_METHODS)
        at_least("retriever.k1", self.k1, 0)
        if not 0 <= self.b <= 1:
            raise ConfigError(f"retriever.b={self.b} is out of range. Legal are numbers from 0 to 1.")


class BM25Retriever(FirstStage):
    """Lexical retrieval. Documents without a term of the query are left out, so a query may have no candidates."""

    stages: Stages

    def __init__(self, config: BM25Config) -> None:
        self.config = config
        self.stages = Stages()

    @property
    def identity(self) -> Identity:
        """Formula, parameters, and the packages that split words."""
        packages = ("bm25s", "PyStemmer", "rjieba")
        return {
            "kind": "bm25",
            "method": self.config.method,
            "k1": self.config.k1,
            "b": self.config.b,
            "packages": {name: version(name) for name in packages},
        }

    def retrieve(self, dataset: Dataset, depth: int) -> Run:
        """The `depth` documents with the highest BM25 score above 0."""
        self.stages = Stages()
        self.notes = tuple(_notes(dataset))
        with self.stages.timed(f"{LOADING} {_MODEL}"):
            import bm25s  # noqa: F401 - indexing is not charged for it

            analyse = analyser(dataset.language)
        vocabulary: dict[str, int] = {}
        index = self._index(dataset, analyse, vocabulary)
        if index is None:
            return Run.from_dict({})

        def scores(text: str) -> NDArray[np.float32]:
            terms = [vocabulary[term] for term in analyse(text) if term in vocabulary]
            found: NDArray[np.float32] = index.get_scores_from_ids(terms) if terms else np.empty(0, dtype=np.float32)
            return found

        with progress("searching", len(dataset.queries), "queries") as meter:
            candidates = candidates_from_scores(dataset, map(scores, dataset.queries.values()), depth, meter)
        self.stages.take("search", meter, model=_MODEL)
        return candidates

    def _index(self, dataset: Dataset, analyse: Analyser, vocabulary: dict[str, int]) -> Any:
        """The index, or None for a corpus without a single term; the vocabulary is filled in."""
        import bm25s

        # bm25s has its logger tell each step, also where the root logger's level is higher.
        logging.getLogger("bm25s").setLevel(logging.WARNING)
        index = bm25s.BM25(method=self.config.method, k1=self.config.k1, b=self.config.b)
        with progress("indexing", len(dataset.documents), "documents") as meter:
            terms = list(_term_ids(dataset, analyse, vocabulary, meter))
            if vocabulary:
                index.index((terms, vocabulary), show_progress=False)  # its bar would land between ours
        self.stages.take("index", meter, model=_MODEL)
        return index if vocabulary else None


def _notes(dataset: Dataset) -> Iterator[Note]:
    if text := remark(dataset.language):
        yield Note("no_stemmer", text, {"language": dataset.language})
    asked, language = dataset.query_language or dataset.language, dataset.language
    if asked != language:
        text = f"queries are in {asked} and documents in {language}, and BM25 finds only words that both have"
        yield Note("languages_differ", text, {"queries": asked, "documents": language})


def _term_ids(
    dataset: Dataset, analyse: Analyser, vocabulary: dict[str, int], meter: Meter
) -> Iterator[NDArray[np.int32]]:
    """Ids of every document's terms; new terms are added to the vocabulary."""
    total = len(dataset.documents)
    for start in range(0, total, _DOCUMENTS_PER_WINDOW):
        texts = dataset.documents.texts(range(start, min(start + _DOCUMENTS_PER_WINDOW, total)))
        for text in texts:
            yield np.array([vocabulary.setdefault(term, len(vocabulary)) for term in analyse(text)], dtype=np.int32)
        meter(len(texts))
