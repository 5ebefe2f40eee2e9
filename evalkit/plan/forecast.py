"""The stages of an evaluation before it runs: texts, tokens, operations and seconds of each, and what they keep."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from evalkit.config import DenseConfig, EvaluateConfig, LateInteractionConfig, PairRerankerConfig
from evalkit.config.instructions import query_instruction
from evalkit.inference.room import room
from evalkit.plan.already import Kept
from evalkit.plan.machine import Machine, Seconds
from evalkit.plan.reading import Lengths, Reader, compressed
from evalkit.plan.sample import Sample, pairs_of
from evalkit.rerank import instruction_of
from evalkit.rerank.texts import PAIRS_PER_WINDOW
from evalkit.retrieval.bm25 import BM25Config
from evalkit.system.memory import GIB
from evalkit.system.stages import LOADING, Rate, rate

_BYTES_A_SCORE = 60  # with its key, its record's share of the head, and a line of the run
_BYTES_A_CANDIDATE = 20  # a line of the run, compressed
_BASE_GIB = {"cpu": 0.7, "cuda": 3.0}  # libraries, and a CUDA context
_BM25_TERMS = 60  # distinct ones of a passage, of eight bytes each in the index
_BM25_BYTES = 4.5e6  # of text, analysed and indexed a second
_BM25_SCORES = 2e8  # of a query and a document, a second


class Stage(NamedTuple):
    """One stage.

    Attributes:
        name: as in manifests.
        texts: that it reads, or pairs, or candidates.
        tokens: that a model reads.
        flops: operations of a model.
        seconds: for all of it.
        source: where the rate is from.
        done: share that is in the store.
        unit: what `texts` counts, where the work has a speed.
    """

    name: str
    texts: float
    tokens: float = 0.0
    flops: float = 0.0
    seconds: float = 0.0
    source: str = ""
    done: float = 0.0
    unit: str = ""

    @property
    def rate(self) -> Rate | None:
        """The speed that is reckoned with."""
        return rate({"seconds": self.seconds, self.unit: self.texts}, self.unit) if self.unit else None

    @property
    def left(self) -> float:
        """Seconds that are still to be spent."""
        return self.seconds * (1 - self.done)


@dataclass(frozen=True)
class Forecast:
    """An evaluation before it runs.

    Attributes:
        config: its settings.
        sample: its dataset in small.
        stages: in their order; those of the first stage, then those of the reranker.
        first: how many of them are the first stage's.
        pairs: candidates.
        disk: bytes that are kept, beside what is there.
        host: bytes of memory of one process.
        device: bytes of memory of one device; 0 on a CPU.
        assumed: what is not counted but assumed.
        checking: seconds of `load` once another evaluation has converted the corpus.
    """

    config: EvaluateConfig
    sample: Sample
    stages: tuple[Stage, ...]
    first: int
    pairs: float
    disk: float
    host: float
    device: float
    assumed: tuple[str, ...]
    checking: float

    @property
    def tokens(self) -> float:
        """That models read."""
        return sum(stage.tokens for stage in self.stages)

    @property
    def flops(self) -> float:
        """Of models."""
        return sum(stage.flops for stage in self.stages)

    @property
    def seconds(self) -> float:
        """That are left to be spent."""
        return sum(stage.left for stage in self.stages)


def forecast(config: EvaluateConfig, sample: Sample, machine: Machine, kept: Kept | None = None) -> Forecast:
    """What an evaluation takes.

    Args:
        config: its settings.
        sample: of its dataset.
        machine: where it is to run.
        kept: what there is of it already.

    Raises:
        ModelError: a model is not on disk, and nothing is known of its size.
    """
    return _Forecaster(config, sample, machine, kept or Kept()).made()


class _Forecaster:
    def __init__(self, config: EvaluateConfig, sample: Sample, machine: Machine, kept: Kept) -> None:
        self._config, self._sample, self._machine, self._kept = config, sample, machine, kept
        depth = min(config.depth, sample.documents)
        self._pairs = float(kept.candidates if kept.candidates is not None else sample.queries * depth)
        self._weights = 0.0
        self._disk = sample.document_bytes if sample.dataset is None else 0.0
        self._assumed: list[str] = [] if sample.dataset is not None else ["lengths of texts after the dataset's card"]

    def made(self) -> Forecast:
        first = [self._load(), *self._first_stage(), *self._rows("measure", "write")]
        if self._kept.candidates is not None:
            first = [stage._replace(done=1.0) for stage in first[1:]]
            first.insert(0, self._load())
        rest = [*self._rows("read candidates"), *self._reranking(), *self._rows("measure", "write")]
        if self._kept.result:
            rest = [stage._replace(done=1.0) for stage in rest]
        on_cuda = self._config.compute.device == "cuda"
        room = (self._config.compute.memory_gib or 2.0) * GIB
        index = _BM25_TERMS * 8.0 * self._sample.documents if isinstance(self._config.retriever, BM25Config) else 0.0
        return Forecast(
            self._config,
            self._sample,
            tuple(first + rest),
            len(first),
            self._pairs,
            self._disk,
            host=(_BASE_GIB["cuda"] * GIB if on_cuda else max(_BASE_GIB["cpu"] * GIB, room) + 1.3 * self._weights)
            + index,
            device=1.2 * self._weights + 4 * GIB if on_cuda and self._weights else 0.0,
            assumed=tuple(dict.fromkeys(self._assumed)),
            checking=self._machine.load(self._sample.document_bytes, converted=True).value,
        )

    def _load(self) -> Stage:
        found = self._machine.load(self._sample.document_bytes, converted=self._sample.dataset is not None)
        return Stage("load", self._sample.documents, seconds=found.value, source=found.source)

    def _rows(self, *names: str) -> list[Stage]:
        self._disk += _BYTES_A_CANDIDATE * self._pairs * ("write" in names)
        return [
            Stage(name, self._pairs, seconds=found.value, source=found.source)
            for name in names
            for found in [self._machine.rows(name, self._pairs)]
        ]

    def _first_stage(self) -> list[Stage]:
        config, sample = self._config.retriever, self._sample
        if isinstance(config, BM25Config):
            indexing = sample.document_bytes / _BM25_BYTES
            searching = sample.documents * sample.queries / _BM25_SCORES
            return [
                Stage("index", sample.documents, seconds=indexing, source="assumed", unit="documents"),
                Stage("search", sample.queries, seconds=searching, source="assumed", unit="queries"),
            ]
        if not isinstance(config, DenseConfig):
            return []
        reader = self._reader(config)
        documents = reader.documents(sample.document_texts)
        queries = reader.queries(sample.query_texts, query_instruction(config, self._config.dataset))
        width = reader.shape.hidden
        found = self._machine.search(documents=sample.documents, queries=sample.queries, width=width)
        flops = 2.0 * sample.documents * sample.queries * width
        self._disk += (1 - self._kept.vectors) * sample.documents * width * np.dtype(config.embedding_dtype).itemsize
        encoded = self._read("encode documents", "encode", reader, [(documents, float(sample.documents))])
        asked = self._read("encode queries", "encode", reader, [(queries, float(sample.queries))])
        return [
            self._loading("retriever", reader),
            encoded._replace(done=self._kept.vectors, unit="documents"),
            asked._replace(unit="queries"),
            Stage("search", sample.documents, flops=flops, seconds=found.value, source=found.source, unit="documents"),
        ]

    def _loading(self, model: str, reader: Reader, *, libraries: bool = True) -> Stage:
        libraries = libraries and not self._kept.libraries
        found = self._machine.weights(reader.weights(self._config.compute.dtype), libraries=libraries)
        return Stage(f"{LOADING} {model}", 0, seconds=found.value, source=found.source)

    def _reranking(self) -> list[Stage]:
        config = self._config.reranker
        if not isinstance(config, LateInteractionConfig | PairRerankerConfig):
            return []
        reader, sample = self._reader(config), self._sample
        self._disk += (1 - self._kept.scores) * _BYTES_A_SCORE * self._pairs
        if isinstance(config, LateInteractionConfig):
            of_documents, of_queries = reader.documents(sample.document_texts), reader.queries(sample.query_texts)
            parts = [(of_documents, self._distinct()), (of_queries, float(sample.queries))]
        else:
            # Those that were retrieved are of other lengths than any: better to count them, where they are known.
            pairs = list(self._kept.pairs) or pairs_of(sample)
            parts = [(reader.pairs(pairs, instruction_of(config, self._config.dataset)), self._pairs)]
        stage = self._read("rerank", "score", reader, parts)
        retrieves = isinstance(self._config.retriever, DenseConfig) and self._kept.candidates is None
        all_kept = float(self._kept.scores >= 1.0)  # then the model is not needed
        return [
            self._loading("reranker", reader, libraries=not retrieves)._replace(done=all_kept),
            stage._replace(texts=self._pairs, done=self._kept.scores, unit="pairs"),
        ]

    def _distinct(self) -> float:
        """Documents that late interaction encodes: each once a window, which holds that many pairs."""
        most = room(self._config.compute).count(int(self._pairs), least=PAIRS_PER_WINDOW)
        windows = max(self._pairs / most, 1.0)
        in_one = min(self._pairs, most)
        documents = float(self._sample.documents)
        return float(windows * documents * -np.expm1(in_one * np.log1p(-1 / documents))) if documents > 1 else windows

    def _reader(self, config: Any) -> Reader:
        reader = Reader(config, made_up=self._sample.dataset is None)
        if reader.assumed and self._sample.dataset is not None:
            self._assumed.append(f"tokens of {config.name}, which is not on disk")
        self._weights = max(self._weights, float(reader.weights(self._config.compute.dtype)))
        return reader

    def _read(self, name: str, kind: str, reader: Reader, parts: list[tuple[Lengths, float]]) -> Stage:
        """A stage in which a model reads so many texts of some lengths."""
        tokens = sum(lengths.tokens(count) for lengths, count in parts)
        squares = sum(lengths.squares(count) for lengths, count in parts)
        count, shape = sum(count for _, count in parts), reader.shape
        flops = shape.flops(tokens, squares)
        share = compressed(reader.config, flops, shape.layers) / flops if flops else 1.0
        found: Seconds = self._machine.model(kind, shape, tokens=tokens, squares=squares, texts=count)
        return Stage(name, count, tokens, flops * share, found.value * share, found.source)
