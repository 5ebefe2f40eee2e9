"""The stages of an evaluation before it runs: texts, tokens, operations and seconds of each, and disk and memory."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from evalkit.config import DenseConfig, EvaluateConfig, RetrieverConfig
from evalkit.config.instructions import query_instruction
from evalkit.inference.room import room
from evalkit.plan.already import Already
from evalkit.plan.machine import READ_BYTES, Machine
from evalkit.plan.reading import Reader, TokenLengths, compressed
from evalkit.plan.sample import TextSample, pairs_of
from evalkit.rerank import instruction_of
from evalkit.rerank.families.jina_listwise import JinaListwiseConfig
from evalkit.rerank.late_interaction import LateInteractionConfig
from evalkit.rerank.pair_reranker import PairRerankerConfig
from evalkit.rerank.passthrough import KeepOrderConfig, ReplayConfig
from evalkit.rerank.texts import PAIRS_PER_WINDOW
from evalkit.retrieval.bm25 import BM25Config
from evalkit.retrieval.fusion import FusionConfig
from evalkit.retrieval.own_candidates import OwnConfig
from evalkit.retrieval.saved import SavedConfig
from evalkit.retrieval.splade import SpladeConfig
from evalkit.system.memory import GIB
from evalkit.system.stages import LOADING, Rate, rate

UNKNOWN = "not known"
"""Source of the seconds of a stage that another package does."""
_BYTES_A_SCORE = 60  # with its key, its record's share of the head, and a line of the run
_BYTES_A_CANDIDATE = 20  # a line of the run, compressed
_BASE_GIB = {"cpu": 0.7, "cuda": 3.0}  # libraries, and a CUDA context
_JSON_BYTES = 40e6  # read, checked and converted a second
_IMPORT_SECONDS = 4.0  # of torch and transformers
_ROWS = {"measure": 6e5, "write": 2.7e5, "read candidates": 4e5}  # candidates a second
_BM25_TERMS = 60  # distinct ones of a passage, of eight bytes each in the index
_BM25_BYTES = 4.5e6  # of text, analysed and indexed a second
_BM25_SCORES = 2e8  # of a query and a document, a second
_SPARSE_WEIGHTS = 150  # of a document, eight bytes each; a guess, since only the model knows
_SPARSE_TIMES = 3  # the index in memory: while it is put in order
_SPARSE_PRODUCTS = 3.6e7  # of a query and a document, a second: with 144 weights a document, 2.4 of them in a query


class PlannedStage(NamedTuple):
    """One stage of an evaluation.

    Attributes:
        name: as in manifests.
        texts: how many texts, pairs or candidates it reads.
        tokens: how many a model reads.
        flops: operations of a model.
        seconds: for all of it.
        source: what the seconds are computed from.
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
        """The speed that the seconds come from."""
        return rate({"seconds": self.seconds, self.unit: self.texts}, self.unit) if self.unit else None

    def left(self, name: str) -> float:
        """The part of `seconds`, `tokens` or `flops` that is still to be done."""
        return float(getattr(self, name)) * (1 - self.done)


@dataclass(frozen=True)
class Forecast:
    """An evaluation before it runs.

    Attributes:
        config: its settings.
        sample: its dataset in small.
        stages: in their order; those of the first stage, then those of the reranker.
        first: how many of them are the first stage's.
        pairs: candidates.
        disk: bytes that it adds to the disk.
        host: bytes of memory of one process.
        device: bytes of memory of one device; 0 on a CPU.
        assumed: what is assumed rather than counted.
    """

    config: EvaluateConfig
    sample: TextSample
    stages: tuple[PlannedStage, ...]
    first: int
    pairs: float
    disk: float
    host: float
    device: float
    assumed: tuple[str, ...]

    def left(self, name: str) -> float:
        """The part of `seconds`, `tokens` or `flops` that is still to be done."""
        return sum(stage.left(name) for stage in self.stages)


def forecast(config: EvaluateConfig, sample: TextSample, machine: Machine, already: Already | None = None) -> Forecast:
    """The cost of an evaluation.

    Args:
        config: its settings.
        sample: of its dataset.
        machine: where it is to run.
        already: what an earlier run left.

    Raises:
        ModelError: a model is not on disk, and nothing is known of its size.
    """
    return _Forecaster(config, sample, machine, already or Already()).forecast()


def _pairs(config: EvaluateConfig, sample: TextSample) -> int:
    """How many candidates there will be: those that the dataset brings, where it or its card says how many."""
    most = int(sample.queries * min(config.depth, sample.documents))
    if not isinstance(config.retriever, OwnConfig):
        return most
    own = sample.dataset.candidates if sample.dataset is not None else None
    if own is not None:
        return int(np.minimum(np.diff(own.offsets), config.depth).sum())
    return min(most, config.dataset.expected.candidates or most)


class _Forecaster:
    def __init__(self, config: EvaluateConfig, sample: TextSample, machine: Machine, already: Already) -> None:
        self._config, self._sample, self._machine, self._already = config, sample, machine, already
        self._pairs = float(already.candidates if already.candidates is not None else _pairs(config, sample))
        self._weights = self._index = 0.0  # bytes of memory
        self._imported = False  # torch and transformers, by a first stage
        self._disk = sample.document_bytes if sample.dataset is None else 0.0
        self._assumed: list[str] = [] if sample.dataset is not None else ["lengths of texts after the dataset's card"]

    def forecast(self) -> Forecast:
        first = [*self._retrieving(self._config.retriever, self._already.vectors), *self._rows("measure", "write")]
        if self._already.candidates is not None:
            first = [stage._replace(done=1.0) for stage in first]
        first.insert(0, self._load())
        rest = [*self._rows("read candidates"), *self._reranking(), *self._rows("measure", "write")]
        if self._already.result:
            rest = [stage._replace(done=1.0) for stage in rest]
        stages, assumed = tuple(first + rest), tuple(dict.fromkeys(self._assumed))
        host, device = self._memory()
        return Forecast(self._config, self._sample, stages, len(first), self._pairs, self._disk, host, device, assumed)

    def _memory(self) -> tuple[float, float]:
        """Bytes of one process, and of one device."""
        compute = self._config.compute
        if compute.device == "cuda":
            return _BASE_GIB["cuda"] * GIB + self._index, 1.2 * self._weights + 4 * GIB if self._weights else 0.0
        texts = max(_BASE_GIB["cpu"], compute.memory_gib or 2.0) * GIB
        return texts + 1.3 * self._weights + self._index, 0.0

    def _load(self) -> PlannedStage:
        # A corpus on disk was converted already, and is only checked.
        rate = READ_BYTES if self._sample.dataset is not None else _JSON_BYTES
        return _assumed("load", self._sample.documents, self._sample.document_bytes / rate)

    def _rows(self, *names: str) -> list[PlannedStage]:
        self._disk += _BYTES_A_CANDIDATE * self._pairs * ("write" in names)
        return [_assumed(name, self._pairs, self._pairs / _ROWS[name]) for name in names]

    def _retrieving(self, config: RetrieverConfig, done: float) -> list[PlannedStage]:
        """The stages of a first stage, of whose documents a share is encoded."""
        sample = self._sample
        if isinstance(config, FusionConfig):
            shares = self._already.parts or [0.0] * len(config.parts)
            parts = [(part, self._retrieving(part, share)) for part, share in zip(config.parts, shares, strict=True)]
            return [stage._replace(name=f"{stage.name} ({part.name})") for part, stages in parts for stage in stages]
        if isinstance(config, BM25Config):
            self._index += _BM25_TERMS * 8.0 * sample.documents
            return [
                _assumed("index", sample.documents, sample.document_bytes / _BM25_BYTES, "documents"),
                _assumed("search", sample.queries, sample.documents * sample.queries / _BM25_SCORES, "queries"),
            ]
        if isinstance(config, OwnConfig | SavedConfig):
            return []
        if not isinstance(config, DenseConfig | SpladeConfig):
            return [self._unknown("retrieve", config.name, sample.queries)]
        reader = self._reader(config)
        if reader.is_table and reader.width is None:
            return [self._unknown("retrieve", config.name, sample.queries)]
        asks = reader.of_queries
        self._count(reader, *([asks] if asks is not reader else []))
        instruction = query_instruction(config, self._config.dataset) if isinstance(config, DenseConfig) else None
        documents, queries = reader.documents(sample.document_texts), asks.queries(sample.query_texts, instruction)
        encoded = self._read("encode documents", reader, [(documents, float(sample.documents))])
        table = reader.has_query_table
        asked = self._read("encode queries", asks, [(queries, float(sample.queries))], by_table=table)
        search = self._sparse() if isinstance(config, SpladeConfig) else self._search(int(reader.width or 0))
        self._disk += (1 - done) * sample.documents * _bytes_encoded(config, int(reader.width or 0))
        loading = self._loading("retriever", reader, libraries=not self._imported)
        self._imported = True
        return [loading, encoded._replace(done=done, unit="documents"), asked._replace(unit="queries"), search]

    def _search(self, width: int) -> PlannedStage:
        """Of vectors."""
        documents, queries = self._sample.documents, self._sample.queries
        found = self._machine.search(documents=documents, queries=queries, width=width)
        return PlannedStage("search", documents, 0.0, 2.0 * documents * queries * width, *found, unit="documents")

    def _sparse(self) -> PlannedStage:
        """Search of an inverted index, which is in memory."""
        self._index += _SPARSE_TIMES * _SPARSE_WEIGHTS * 8.0 * self._sample.documents
        products = float(self._sample.documents) * self._sample.queries
        return _assumed("search", self._sample.queries, products / _SPARSE_PRODUCTS, "queries")

    def _loading(self, model: str, reader: Reader, *, libraries: bool = True) -> PlannedStage:
        seconds = reader.weights(self._config.compute.dtype) / READ_BYTES + _IMPORT_SECONDS * libraries
        return _assumed(f"{LOADING} {model}", 0, seconds)

    def _reranking(self) -> list[PlannedStage]:
        config = self._config.reranker
        if isinstance(config, KeepOrderConfig | ReplayConfig):
            return []
        if not isinstance(config, LateInteractionConfig | PairRerankerConfig | JinaListwiseConfig):
            return [self._unknown("rerank", config.name, self._pairs)._replace(done=self._already.scores)]
        reader, sample = self._reader(config), self._sample
        self._count(reader)
        self._disk += (1 - self._already.scores) * _BYTES_A_SCORE * self._pairs
        if isinstance(config, LateInteractionConfig):
            of_documents, of_queries = reader.documents(sample.document_texts), reader.queries(sample.query_texts)
            parts = [(of_documents, self._distinct()), (of_queries, float(sample.queries))]
        else:
            parts = [self._of_pairs(reader)]
        stage = self._read("rerank", reader, parts)
        retrieves = self._imported and self._already.candidates is None
        all_kept = float(self._already.scores >= 1.0)  # then the model is not needed
        return [
            self._loading("reranker", reader, libraries=not retrieves)._replace(done=all_kept),
            stage._replace(texts=self._pairs, done=self._already.scores, unit="pairs"),
        ]

    def _of_pairs(self, reader: Reader) -> tuple[TokenLengths, float]:
        """Lengths and number of the pairs, or of the prompts of all documents of a query."""
        # Retrieved documents differ in length from the others, so they are counted where they are known.
        pairs, queries = list(self._already.pairs) or pairs_of(self._sample), self._sample.queries
        instruction = instruction_of(self._config.reranker, self._config.dataset)
        if not isinstance(self._config.reranker, JinaListwiseConfig):
            return reader.pairs(pairs, instruction), self._pairs
        lengths, prompts = reader.lists(pairs, round(self._pairs / max(queries, 1)), instruction)
        return lengths, queries * prompts

    def _unknown(self, stage: str, name: str, texts: float) -> PlannedStage:
        self._assumed.append(f"that {name} takes no time, since its speed is not known")
        return PlannedStage(stage, texts, source=UNKNOWN)

    def _distinct(self) -> float:
        """Documents that late interaction encodes: each once in every window of pairs that it is in."""
        most = room(self._config.compute).count(int(self._pairs), least=PAIRS_PER_WINDOW)
        windows = max(self._pairs / most, 1.0)
        in_one = min(self._pairs, most)
        documents = float(self._sample.documents)
        return float(windows * documents * -np.expm1(in_one * np.log1p(-1 / documents))) if documents > 1 else windows

    def _reader(self, config: Any) -> Reader:
        return Reader(config, made_up=self._sample.dataset is None)

    def _count(self, *readers: Reader) -> None:
        """Count the memory of models that are loaded together, and note what is assumed of them."""
        for reader in readers:
            if reader.assumed and self._sample.dataset is not None:
                why = "counted by letters" if reader.is_table else "which is not on disk"
                self._assumed.append(f"tokens of {reader.config.name}, {why}")
        together = sum(float(reader.weights(self._config.compute.dtype)) for reader in readers)
        self._weights = max(self._weights, together)

    def _read(
        self, name: str, reader: Reader, parts: list[tuple[TokenLengths, float]], *, by_table: bool = False
    ) -> PlannedStage:
        """A stage in which a model reads texts: lengths of a sample, and how many texts it stands for.

        `by_table` has numbers looked up in a table, and no layers computed.
        """
        by_table = by_table or reader.is_table
        tokens = sum(lengths.tokens(count) for lengths, count in parts)
        squares = sum(lengths.squares(count) for lengths, count in parts)
        count, shape = sum(count for _, count in parts), reader.shape
        flops = 0.0 if by_table else shape.flops(tokens, squares)
        share = compressed(reader.config, flops, shape.layers) / flops if flops else 1.0
        found = (
            self._machine.table(tokens=tokens, width=int(reader.width or 0) if reader.is_table else 1, texts=count)
            if by_table
            else self._machine.model(shape, tokens=tokens, squares=squares, texts=count)
        )
        return PlannedStage(name, count, tokens, flops * share, found.value * share, found.source)


def _bytes_encoded(config: DenseConfig | SpladeConfig, width: int) -> float:
    """Bytes of disk of what is made of one document."""
    return (
        _SPARSE_WEIGHTS * 8.0 if isinstance(config, SpladeConfig) else width * np.dtype(config.embedding_dtype).itemsize
    )


def _assumed(name: str, texts: float, seconds: float, unit: str = "") -> PlannedStage:
    return PlannedStage(name, texts, 0.0, 0.0, seconds, "assumed", unit=unit)
