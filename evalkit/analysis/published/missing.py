"""The evaluations that a published table still needs, cheapest first. Prints nothing."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from evalkit.analysis.published.tables import Published, PublishedColumn, PublishedRow
from evalkit.analysis.published.verdicts import choose, part_of
from evalkit.config.resources import config_names, read_config
from evalkit.results import Evaluation


class MissingRun(NamedTuple):
    """An evaluation to make.

    Attributes:
        settings: other overrides.
        documents: documents for the first stage to encode; 0 if an earlier run encodes them, None if unknown.
        pairs: pairs for the reranker to score; None if unknown.
    """

    dataset: str
    retriever: str
    reranker: str
    settings: tuple[str, ...]
    documents: int | None
    pairs: int | None

    @property
    def overrides(self) -> list[str]:
        """The overrides of `evalkit evaluate`."""
        stages = [f"dataset={self.dataset}", f"retriever={self.retriever}", f"reranker={self.reranker}"]
        return [*stages, *self.settings]

    @property
    def texts(self) -> float:
        """Documents and pairs that models read, as a price; unknown ones come last."""
        return float("inf") if self.documents is None or self.pairs is None else self.documents + self.pairs


class Unconfigured(NamedTuple):
    """Missing numbers that cannot be run by name, since their first stage or reranker has no configuration here.

    Attributes:
        numbers: how many.
        retrievers: names of these first stages; a run file of each can be given.
        rerankers: names of these rerankers; likewise.
    """

    numbers: int
    retrievers: tuple[str, ...]
    rerankers: tuple[str, ...]


def missing(
    published: Published, evaluations: Sequence[Evaluation], *, table: str | None, limit: float = float("inf")
) -> list[MissingRun]:
    """Evaluations that the cells of a table (of all when None) lack, the one with the fewest texts first.

    `limit` is the maximum number of pairs and documents of a run.
    """
    wanted = {
        tuple(run.overrides): run
        for each in published.tables
        if table in {None, each.name}
        for row, column, _ in each.cells()
        for run in _of_cell(published, row, column, evaluations)
    }
    return [run for run in _cheapest_first(list(wanted.values()), evaluations) if run.texts <= limit]


def unconfigured(published: Published, evaluations: Sequence[Evaluation], *, table: str | None) -> Unconfigured:
    """The missing numbers of a table (of all when None) that `missing` has no evaluation for."""
    numbers, retrievers, rerankers = 0, dict[str, None](), dict[str, None]()
    for each in published.tables:
        for row, column, _ in each.cells() if table in {None, each.name} else ():
            stages = {stage for stage, _ in _lacking(published, row, column, evaluations)}
            unknown = sorted(stages - set(config_names("retriever")))
            retrievers.update(dict.fromkeys(unknown))
            lacks_reranker = bool(stages) and row.reranker not in config_names("reranker")
            rerankers.update({row.reranker: None} if lacks_reranker else {})
            numbers += bool(unknown) or lacks_reranker
    return Unconfigured(numbers, tuple(retrievers), tuple(rerankers))


def _lacking(
    published: Published, row: PublishedRow, column: PublishedColumn, evaluations: Sequence[Evaluation]
) -> list[tuple[str, str]]:
    """First stage and dataset of each part of a number that has no result."""
    present = {part_of(evaluation) for evaluation in choose(published, row, column, evaluations)}
    return [part for part in column.parts if part not in present]


def _of_cell(
    published: Published, row: PublishedRow, column: PublishedColumn, evaluations: Sequence[Evaluation]
) -> Iterator[MissingRun]:
    for stage, dataset in _lacking(published, row, column, evaluations):
        # A first stage or reranker without a configuration is a run file of the user's.
        if stage in config_names("retriever") and row.reranker in config_names("reranker"):
            yield _run(published, row, stage, dataset)


def _run(published: Published, row: PublishedRow, retriever: str, dataset: str) -> MissingRun:
    settings = [f"reranker.{key}={_typed(value)}" for key, value in row.settings.items()]
    if not row.is_first_stage and row.max_length is not None:
        settings.append(f"reranker.max_length={row.max_length}")
    settings.append(f"depth={published.depth}")
    expected = _expected(dataset)
    queries = expected.get("queries")
    pairs = 0 if row.is_first_stage else None if queries is None else queries * published.depth
    return MissingRun(dataset, retriever, row.reranker, tuple(settings), expected.get("documents"), pairs)


def _typed(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _expected(dataset: str) -> dict[str, int]:
    return dict(read_config("dataset", dataset).get("expected") or {})


def _cheapest_first(runs: list[MissingRun], evaluations: Sequence[Evaluation]) -> list[MissingRun]:
    """Each the one with the fewest texts then; a first stage encodes its documents only for the first of its runs."""
    sharing: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, run in enumerate(runs):
        sharing[run.dataset, run.retriever].append(number)
    done = {(evaluation.dataset, evaluation.result.manifest["retriever"]["name"]) for evaluation in evaluations}
    priced = [run._replace(documents=0) if (run.dataset, run.retriever) in done else run for run in runs]
    waiting = [(run.texts, number) for number, run in enumerate(priced)]
    heapify(waiting)
    ordered: dict[int, MissingRun] = {}
    while waiting:
        _, number = heappop(waiting)
        if number in ordered:
            continue
        chosen = ordered[number] = priced[number]
        for other in sharing.pop((chosen.dataset, chosen.retriever), ()):
            if other not in ordered and priced[other].documents != 0:
                priced[other] = priced[other]._replace(documents=0)
                heappush(waiting, (priced[other].texts, other))
    return list(ordered.values())
