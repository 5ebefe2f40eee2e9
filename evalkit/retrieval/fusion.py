"""Fusion of first stages: reciprocal ranks or weighted scores over saved runs and other retrievers."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit import retrieval
from evalkit.config import ComputeConfig, DatasetConfig
from evalkit.config.choices import chosen
from evalkit.config.limits import at_least, one_of
from evalkit.config.resources import config_names
from evalkit.config.retriever import RetrieverConfig
from evalkit.errors import ConfigError
from evalkit.formats.notes import counted
from evalkit.inference.workers import together
from evalkit.retrieval.first_stage import FirstStage
from evalkit.run import Run
from evalkit.store import Store
from evalkit.system.files import expanded
from evalkit.system.lookalikes import instead
from evalkit.system.stages import Stages
from evalkit.types import Dataset, Identity

_METHODS = ("rrf", "weighted")
_NORMALIZATIONS = ("min_max", "none")
_K = 60  # Cormack, Clarke and Buettcher 2009
_OF = "retriever.of"
_LEAST_RANGE = 1e-9  # of the scores of one query, as ranx has it: where all are equal, they become 0
_MOST = 100  # characters of a name


@dataclass
class FusionConfig(RetrieverConfig):
    """Several first stages as one."""

    implementation: ClassVar[str] = "evalkit.retrieval.fusion:FusionRetriever"
    name: str = ""
    """Its name in tables and in the folder of results; those of its parts when not set."""
    of: list[Any] = field(default_factory=list)
    """Its parts: names of retrievers, run files, or settings such as {retriever: dense, model: DIR}."""
    method: str = "rrf"
    """`rrf`, the sum of weight / (k + rank); or `weighted`, the sum of weight x score."""
    weights: list[float] = field(default_factory=list)
    """One number a part, in the order of `of`; 1 each when empty."""
    k: int | None = None
    """Of rrf: how little the first ranks count more than later ones; 60 when not set."""
    normalize: str | None = None
    """Of weighted: `min_max` scales each part's scores of a query to 0..1, `none` leaves them; min_max when not set."""
    part_depth: int | None = None
    """How many documents of each part are fused; as many as the run passes on (`depth`) when not set."""

    def __post_init__(self) -> None:
        """Check, and look the parts up."""
        if len(self.of) < 2:  # noqa: PLR2004
            named = counted(len(self.of), "first stage")
            raise ConfigError(f"{_OF} names {named}. A fusion needs two or more, such as {_OF}=[bm25,run.trec].")
        self.of = [_plain(given) for given in self.of]  # as a manifest can hold it
        self.parts = [_part(given) for given in self.of]
        self.name = self.name or "+".join(part.name for part in self.parts).replace("/", "_")[:_MOST]
        super().__post_init__()
        one_of("retriever.method", self.method, _METHODS)
        one_of("retriever.normalize", self.normalize or _NORMALIZATIONS[0], _NORMALIZATIONS)
        at_least("retriever.k", self.k, 0)
        at_least("retriever.part_depth", self.part_depth, 1)
        for weight in self.weights:
            at_least("retriever.weights", weight, 0)
        if self.weights and (len(self.weights) != len(self.of) or not any(self.weights)):
            raise ConfigError(
                f"retriever.weights={self.weights}, but {_OF} has {len(self.of)} parts. Give one number for each, not "
                "all of them 0."
            )
        for key, value, method in (("k", self.k, "rrf"), ("normalize", self.normalize, "weighted")):
            if value is not None and self.method != method:
                raise ConfigError(f"retriever.{key}={value} is of retriever.method={method}. Remove one of them.")


def _plain(given: Any) -> Any:
    """The same with paths as texts."""
    if isinstance(given, Mapping):
        return {key: _plain(value) for key, value in given.items()}
    return os.fspath(given) if isinstance(given, os.PathLike) else given


def _part(given: Any) -> RetrieverConfig:
    """The settings of a part.

    Raises:
        ConfigError: there is no such retriever, file or setting.
    """
    settings = dict(given) if isinstance(given, Mapping) else {}
    name = settings.pop("retriever", None) if isinstance(given, Mapping) else given
    if isinstance(given, Mapping) and not isinstance(name, str):
        raise ConfigError(f"{_OF}: {given} does not say which retriever. Write {{retriever: NAME, ...}}.")
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{_OF}: {name!r} is neither a name, a run file nor settings.")
    names = config_names("retriever")
    if name not in names:
        if not expanded(name).is_file():
            raise ConfigError(f"{_OF}: {name} is neither a run file nor a retriever. {instead(name, names)}")
        name, settings = "saved", {"path": name, **settings}
    try:
        found: RetrieverConfig = chosen("retriever", name, settings, retrieval.RETRIEVERS)
    except ConfigError as error:
        raise ConfigError(f"{_OF}, {name}: {error}") from error
    return found


class FusionRetriever(FirstStage):
    """Retrieves with each part and ranks all that they find together.

    Args:
        config: method and weights.
        parts: the first stages.
    """

    def __init__(self, config: FusionConfig, parts: Sequence[FirstStage]) -> None:
        self.config, self.parts = config, parts

    @classmethod
    def build(
        cls, config: FusionConfig, *, compute: ComputeConfig, store: Store, dataset: DatasetConfig | None, weights: bool
    ) -> "FusionRetriever":
        """See `FirstStage`."""
        parts = [retrieval.build(part, compute, store, dataset=dataset, weights=weights) for part in config.parts]
        return cls(config, parts)

    @property
    def identity(self) -> Identity:
        """The parts and how they are fused."""
        rrf = self.config.method == "rrf"
        return {
            "kind": "fusion",
            "method": self.config.method,
            **({"k": self._k} if rrf else {"normalize": self.config.normalize or _NORMALIZATIONS[0]}),
            "weights": self._weights,
            "part_depth": self.config.part_depth,
            "parts": [part.identity for part in self.parts],
        }

    @property
    def _weights(self) -> list[float]:
        return self.config.weights or [1.0] * len(self.parts)

    @property
    def _k(self) -> int:
        return _K if self.config.k is None else self.config.k

    def retrieve(self, dataset: Dataset, depth: int) -> Run:
        """The `depth` documents with the highest fused scores."""
        self.stages, runs, workers = Stages(), list[Run](), list[Mapping[str, object]]()
        self.usage, self.notes = None, ()
        for config, part in zip(self.config.parts, self.parts, strict=True):
            found = retrieval.apply(part, dataset, self.config.part_depth or depth)
            runs.append(found.run)
            workers.append(found.workers or {})
            self.stages.join({f"{stage} ({config.name})": facts for stage, facts in found.stages.items()})
            self.notes += tuple(note._replace(text=f"{config.name}: {note.text}") for note in found.notes)
            if found.usage is not None:
                self.usage = found.usage if self.usage is None else self.usage + found.usage
        self.workers = together(*workers)
        return fused(runs, [self._scores(run) for run in runs], self._weights).top(depth)

    def _scores(self, run: Run) -> NDArray[np.float64]:
        """The number of each row of a part's run that is weighted."""
        if self.config.method == "rrf":
            return 1 / (self._k + run.positions + 1)
        return run.scores.astype(np.float64) if self.config.normalize == "none" else min_max(run)


def min_max(run: Run) -> NDArray[np.float64]:
    """Shape (rows,): scores scaled to 0..1 within each query; 0 where all scores of a query are equal."""
    if not len(run):
        return np.empty(0)
    counts, scores = np.diff(run.offsets), run.scores.astype(np.float64)
    best, worst = scores[run.offsets[:-1]], scores[run.offsets[1:] - 1]
    span = np.maximum(best - worst, _LEAST_RANGE)
    scaled: NDArray[np.float64] = (scores - np.repeat(worst, counts)) / np.repeat(span, counts)
    return scaled


def fused(runs: Sequence[Run], scores: Sequence[NDArray[np.float64]], weights: Sequence[float]) -> Run:
    """All documents of each query by the weighted sum of their scores; 0 is added where a run lacks a document.

    Args:
        runs: in the order in which they are summed.
        scores: one number for each row of each run.
        weights: one for each run.
    """
    query_ids = sorted({query_id for run in runs for query_id in run.query_ids})
    doc_ids = pc.unique(pa.chunked_array([run.doc_ids for run in runs], pa.string()))
    places, code_of = {query_id: place for place, query_id in enumerate(query_ids)}, list[NDArray[np.int64]]()
    for run in runs:
        queries = np.array([places[query_id] for query_id in run.query_ids], dtype=np.int64)[run.row_queries]
        documents = pc.index_in(run.doc_ids, value_set=doc_ids).to_numpy(zero_copy_only=False)[run.codes]
        code_of.append(queries * max(len(doc_ids), 1) + documents)
    weighted = np.concatenate([weight * values for weight, values in zip(weights, scores, strict=True)])
    pairs, row_of = np.unique(np.concatenate(code_of), return_inverse=True)
    queries, documents = np.divmod(pairs, max(len(doc_ids), 1))
    sums: NDArray[np.float64] = np.bincount(row_of, weights=weighted, minlength=len(pairs)).astype(np.float64)
    return Run.rank(query_ids, doc_ids, queries=queries, documents=documents, scores=sums, source="fusion")
