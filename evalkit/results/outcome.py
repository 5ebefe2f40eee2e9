"""The values that the two stages of an evaluation hand to the recorder: `Retrieved` and `Reranked`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa

from evalkit.formats.notes import Note
from evalkit.inference.usage import Usage
from evalkit.run import Run


class Retrieved(NamedTuple):
    """Candidates as a first stage made them.

    Attributes:
        run: the candidates.
        seconds: seconds of work, without loading a model.
        usage: what the engine took; None where there is none.
        workers: what a manifest should say of those that did the work.
        notes: what was odd about a file that candidates came from.
        stages: what the parts took.
    """

    run: Run
    seconds: float
    usage: Usage | None = None
    workers: Mapping[str, object] | None = None
    notes: Sequence[Note] = ()
    stages: Mapping[str, Mapping[str, float]] = MappingProxyType({})


class Reranked(NamedTuple):
    """Candidates in a reranker's order.

    Attributes:
        run: the same pairs with new scores.
        truncated: how many pairs were cut to fit the model; None where no text was read.
        unscored: how many candidates have no score of the reranker's and were ranked below all others.
        cut: columns `query_id` and `doc_id` of the pairs that were cut; None where no text was read.
        kept: how many scores were made by an earlier run and only read.
        by_query: whether a score may depend on the other candidates of the query.
        usage: what the engine took; None where there is none.
        workers: what a manifest should say of those that did the work.
        notes: what was odd about a file that scores came from.
        stages: what they took.
    """

    run: Run
    truncated: int | None
    unscored: int = 0
    cut: pa.Table | None = None
    kept: int = 0
    by_query: bool = False
    usage: Usage | None = None
    workers: Mapping[str, object] | None = None
    notes: Sequence[Note] = ()
    stages: Mapping[str, Mapping[str, float]] = MappingProxyType({})


def engine_facts(usage: Usage | None, workers: Mapping[str, object] | None) -> dict[str, Any]:
    """Resources that the inference engine used, and its workers, as far as they are known."""
    spent = {name: value for name, value in asdict(usage or Usage()).items() if value != ""}
    engine = {"engine": spent} if usage is not None and usage.batches else {}
    return {**engine, **({"workers": dict(workers)} if workers else {})}
