"""What of a published table was not run: evaluations to make, cheapest first. Prints nothing."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from evalkit.analysis.published.tables import Column, Published, Row
from evalkit.analysis.published.verdicts import choose
from evalkit.config.resources import config_names, read_config
from evalkit.results import Evaluation


class Planned(NamedTuple):
    """An evaluation to make.

    Attributes:
        dataset: `dataset=`.
        retriever: `retriever=`.
        reranker: `reranker=`.
        settings: other overrides.
        documents: that the first stage encodes before; 0 where an earlier run has done it; None where not known.
        pairs: that the reranker scores; None where not known.
    """

    dataset: str
    retriever: str
    reranker: str
    settings: tuple[str, ...]
    documents: int | None
    pairs: int | None

    @property
    def overrides(self) -> list[str]:
        """As `evalkit evaluate` takes them."""
        stages = [f"dataset={self.dataset}", f"retriever={self.retriever}", f"reranker={self.reranker}"]
        return [*stages, *self.settings]

    @property
    def texts(self) -> float:
        """Documents and pairs that models read, the measure of cheapness; unknown ones come last."""
        return float("inf") if self.documents is None or self.pairs is None else self.documents + self.pairs


def missing(
    published: Published, evaluations: Sequence[Evaluation], *, table: str | None, limit: float = float("inf")
) -> list[Planned]:
    """Evaluations that the cells of a table lack, the one with the fewest texts first.

    Args:
        published: the tables.
        evaluations: what there is.
        table: only this one.
        limit: of pairs and documents; larger runs are left out.
    """
    wanted: dict[tuple[str, ...], Planned] = {}
    for each in published.tables:
        if table not in {None, each.name}:
            continue
        for row in each.rows:
            for column, value in zip(each.columns, row.values, strict=True):
                # A first stage without a configuration is a run that the user brings.
                if value is not None and column.retriever in config_names("retriever"):
                    for run in _of_cell(published, row, column, evaluations):
                        wanted[tuple(run.overrides)] = run
    return [run for run in _cheapest_first(list(wanted.values()), evaluations) if run.texts <= limit]


def _of_cell(published: Published, row: Row, column: Column, evaluations: Sequence[Evaluation]) -> list[Planned]:
    there = {one.dataset for one in choose(published, row, column, evaluations)}
    return [
        _run(published, row, column.retriever, dataset) for dataset in column.suite.datasets if dataset not in there
    ]


def _run(published: Published, row: Row, retriever: str, dataset: str) -> Planned:
    settings = [f"reranker.{key}={_typed(value)}" for key, value in row.settings.items()]
    if row.reranker != "none":
        settings.append(f"reranker.max_length={published.max_length}")
    settings.append(f"depth={published.depth}")
    expected = _expected(dataset)
    queries = expected.get("queries")
    pairs = 0 if row.reranker == "none" else None if queries is None else queries * published.depth
    return Planned(dataset, retriever, row.reranker, tuple(settings), expected.get("documents"), pairs)


def _typed(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _expected(dataset: str) -> dict[str, int]:
    return dict(read_config("dataset", dataset).get("expected") or {})


def _cheapest_first(runs: list[Planned], evaluations: Sequence[Evaluation]) -> list[Planned]:
    """Each the one with the fewest texts then; a first stage reads its documents for the first of its runs only."""
    done = {(one.dataset, one.result.manifest["retriever"]["name"]) for one in evaluations}
    waiting, ordered = list(runs), []
    while waiting:
        priced = [run._replace(documents=0) if (run.dataset, run.retriever) in done else run for run in waiting]
        place = min(range(len(priced)), key=lambda number: priced[number].texts)
        ordered.append(priced[place])
        done.add((priced[place].dataset, priced[place].retriever))
        del waiting[place]
    return ordered
