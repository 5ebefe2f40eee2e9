"""A reranker of the user's own as a `Reranker`: `reranker=python`, and objects given to `evalkit.evaluate`.

`own_forms.py` knows which objects can score, and how each is called.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig
from evalkit.config.instructions import PER_QUERY
from evalkit.config.limits import one_of
from evalkit.config.python_object import UNIQUE, PythonModel
from evalkit.config.reranker import RerankerConfig
from evalkit.errors import ConfigError, ObjectError
from evalkit.formats.python_objects import run_object
from evalkit.formats.runfile import ORDERS
from evalkit.rerank import library_forms, own_forms
from evalkit.rerank.own_forms import Form
from evalkit.rerank.own_scores import checked_scores
from evalkit.rerank.passthrough import MISSING_SCORES, Replay
from evalkit.rerank.seam import Reranker, lists_of
from evalkit.retrieval.own_searches import is_run
from evalkit.system.own_code import call
from evalkit.system.reporting import shown
from evalkit.types import Dataset, Identity, Pair, Scored

logger = logging.getLogger(__name__)

_PAIRS_PER_CALL = 256  # of a function that takes pairs: what a kill may lose


_EXPECTED = (
    "A reranker is a function f(query, documents) or f(pairs) that returns a score for each document or pair, an "
    "object with such a method `score`, or with `predict(pairs)` or `compute_score(pairs)`, an evalkit.Reranker, a "
    "CrossEncoder of sentence-transformers, a reranker of "
    "beir or mteb, an object with `transform` as PyTerrier's, or a run, which is replayed"
)


@dataclass
class PythonRerankerConfig(PythonModel, RerankerConfig):
    """A reranker of your own: a function or an object in Python."""

    implementation: ClassVar[str] = "evalkit.rerank.own_reranker:PythonReranker"
    group: ClassVar[str] = "reranker"
    reads_instructions: ClassVar[bool] = True
    instructions: str = "none"
    """What its parameter `instruction` is given: `none`, `query` for that of each query, a text, or as for others."""
    missing: str = "error"
    """Of a run, for a candidate that it lacks: `error`, or rank it `below` all others; see `reranker=replay`."""
    order: str | None = None
    """Which decides the order of a run if ranks and scores disagree: `score` or `rank`."""

    def __post_init__(self) -> None:
        """Check ranges and choices."""
        super().__post_init__()
        if self.name == "none":
            raise ConfigError("a reranker is called none, as the first stage alone is. Set reranker.name=NAME.")
        one_of("reranker.missing", self.missing, MISSING_SCORES)
        if self.order is not None:
            one_of("reranker.order", self.order, ORDERS)


class PythonReranker(Reranker):
    """Scores with an object of the user's, in this process.

    Args:
        config: name, identity, and whether there are instructions.
        thing: the object.
        instruction: of queries that have none of their own.

    Raises:
        ObjectError: it is not a reranker, or has no place for instructions.
    """

    is_foreign = True

    def __init__(self, config: PythonRerankerConfig, thing: Any, instruction: str = "") -> None:
        self.name, self._config, self._thing, self._instruction = config.name, config, thing, instruction
        self._form = form_of(thing, config.name)
        self.by_query, self.reads_instructions = self._form.by_query, self._form.takes_instruction
        if config.instructions != "none" and not self.reads_instructions:
            raise ObjectError(
                f"reranker.instructions={config.instructions}, but {self.name} has no place for one. Give it a "
                "parameter called instruction, as in f(query, documents, instruction)."
            )

    @classmethod
    def from_config(  # type: ignore[override]
        cls, config: PythonRerankerConfig, compute: ComputeConfig, *, instruction: str, weights: bool
    ) -> "Reranker | Replay":
        """See `Reranker`; an object that is one is taken as it is, and a run as a file of scores."""
        del weights
        thing = config.get()
        if isinstance(thing, Reranker):
            return _whole(thing, config)
        if is_run(thing):
            if config.instructions != "none":
                raise ConfigError(f"reranker.instructions is set, but {config.name} is a run, which reads no texts.")
            return Replay(config, given=run_object(thing, config.name, order=config.order))
        if compute.backend != "local":
            logger.warning(
                "%s is an object of Python, so it runs in this process; compute.backend is not used.", config.name
            )
        return cls(config, thing, instruction)

    @cached_property
    def identity(self) -> Identity:
        """The identity that was given, or that its library knows; else one that no other object has."""
        said = {"instruction": self._instruction} if self._instruction else {}
        return self._config.identity_of(self._thing, self._form.identity, {**self._form.facts, **said})

    @property
    def has_identity(self) -> bool:  # type: ignore[override]
        """See `Reranker`."""
        return UNIQUE not in self.identity

    def facts(self) -> Mapping[str, object]:
        """See `Reranker`."""
        return {"by_query": self.by_query}

    def begin(self, dataset: Dataset) -> None:
        """See `Reranker`."""
        if self._form.begin:
            call(self.name, self._form.begin, dataset)

    def stream(self, pairs: Sequence[Pair], known: NDArray[np.bool_]) -> Iterator[Scored]:
        """See `Reranker`."""
        for rows in self._calls(pairs):
            left = rows if self.by_query else rows[~known[rows]]
            if not known[rows].all():
                scores = self._scores([self._asked(pairs[row]) for row in left])
                yield Scored(left, scores, np.zeros(len(left), dtype=bool))

    def _calls(self, pairs: Sequence[Pair]) -> Iterator[NDArray[np.int64]]:
        """The rows of each call."""
        if self.by_query:
            yield from lists_of(pairs)
        else:
            for start in range(0, len(pairs), _PAIRS_PER_CALL):
                yield np.arange(start, min(start + _PAIRS_PER_CALL, len(pairs)))

    def _asked(self, pair: Pair) -> Pair:
        if not self._instruction or pair.instruction is not None:
            return pair
        return pair._replace(instruction=self._instruction)

    def _scores(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        returned = call(self.name, self._form.score, pairs)
        # It may be a generator, which runs now.
        scores: NDArray[np.float32] = call(self.name, checked_scores, returned, pairs, self.name)
        return scores


def form_of(thing: Any, name: str) -> Form:
    """The way in which an object scores.

    Raises:
        ObjectError: its kind is unknown.
    """
    for kind in (*library_forms.KINDS, *own_forms.KINDS):
        if found := call(name, kind, thing, name):  # which looks at attributes of the user's
            return found  # type: ignore[no-any-return]
    raise ObjectError(f"{name} is {shown(thing)}, which cannot rerank. {_EXPECTED}.")


def _whole(reranker: Reranker, config: PythonRerankerConfig) -> Reranker:
    """A reranker that was given, if manifests can say what it is.

    Raises:
        ConfigError: its identity lacks its kind, or another one was set, or an instruction that pairs do not bring.
    """
    if config.instructions not in ("none", PER_QUERY):
        raise ConfigError(
            f"reranker.instructions={config.instructions}, but {config.name} is an evalkit.Reranker, which is given "
            "those of queries alone. Set reranker.instructions=query or none."
        )
    if config.identity:
        raise ConfigError(f"reranker.identity is set, but {config.name} is an evalkit.Reranker and has its own.")
    if not isinstance(call(config.name, getattr, reranker, "identity").get("kind"), str):
        raise ConfigError(f"{config.name}.identity has no kind. Return a dict such as {{'kind': {config.name!r}}}.")
    return reranker
