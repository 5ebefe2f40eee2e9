"""Published numbers beside ours: which were reproduced, which are off, which conditions differ. Prints nothing."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from evalkit.analysis.published.tables import Column, Published, Row, Table
from evalkit.config.suites import summarise
from evalkit.results import Evaluation

TOLERANCE = 0.3  # points; two harnesses over the same first stage are up to so far apart without a cause
NEAR_TIMES = 3  # the tolerance
_ROUNDING = 0.005  # of numbers published with two digits
_CLOSER = "another result is closer to the published conditions"
REPRODUCED, NEAR, OFF, NOT_RUN = "reproduced", "near", "off", "not run"


class Cell(NamedTuple):
    """One published number.

    Attributes:
        table: its name.
        system: as published.
        column: as published.
        published: in points.
        ours: in points; None where it was not run.
        ceiling: of our candidates, in points.
        verdict: `reproduced`, `near`, `off`, or `not run`, with how much of a suite there is.
        conditions: which of ours differ, and how.
    """

    table: str
    system: str
    column: str
    published: float
    ours: float | None
    ceiling: float | None
    verdict: str
    conditions: tuple[str, ...]


def reproduce(published: Published, evaluations: Sequence[Evaluation], *, tolerance: float = TOLERANCE) -> list[Cell]:
    """Every published number, in the order of its table.

    Args:
        published: tables.
        evaluations: ours.
        tolerance: points within which a number counts as reproduced; three times as many are near.
    """
    return [
        _cell(published, table, row, column, value, evaluations, tolerance)
        for table in published.tables
        for row in table.rows
        for column, value in zip(table.columns, row.values, strict=True)
        if value is not None
    ]


def unused(published: Published, evaluations: Sequence[Evaluation]) -> dict[str, list[Evaluation]]:
    """Why -> the evaluations that no cell is made of."""
    cells = [
        (row, column)
        for table in published.tables
        for row in table.rows
        for column, value in zip(table.columns, row.values, strict=True)
        if value is not None
    ]
    stages = {
        one.candidates.folder
        for row, column in cells
        if row.reranker == "none"
        for one in choose(published, row, column, evaluations)
    }
    reranked = {
        one.result.folder
        for row, column in cells
        if row.reranker != "none"
        for one in choose(published, row, column, evaluations)
    }
    found: dict[str, list[Evaluation]] = defaultdict(list)
    for one in evaluations:
        if one.candidates.folder in stages if one.is_first_stage else one.result.folder in reranked:
            continue
        wrong = [
            _mismatch(one, row, column)
            for row, column in cells
            if one.dataset in column.suite.datasets and (row.reranker == "none") == one.is_first_stage
        ]
        has_dataset = any(one.dataset in column.suite.datasets for _, column in cells)
        default = (0, f"the tables do not have the {'reranker' if has_dataset else 'dataset'}")
        found[max(wrong, default=default)[1]].append(one)  # the cell that it comes closest to says most
    return dict(found)


def _cell(
    published: Published,
    table: Table,
    row: Row,
    column: Column,
    value: float,
    evaluations: Sequence[Evaluation],
    tolerance: float,
) -> Cell:
    chosen = choose(published, row, column, evaluations)
    ours = _average(column, {one.dataset: _points(one, column, row) for one in chosen})
    best = _average(column, {one.dataset: 100 * one.candidates.manifest["ceiling"][column.measure] for one in chosen})
    differing = dict.fromkeys(text for one in chosen for text in conditions(published, row, one))
    part = f" ({len(chosen)} of {len(column.suite.datasets)})" if chosen else ""
    told = f"{NOT_RUN}{part}" if ours is None else verdict(value, ours, tolerance)
    return Cell(table.name, row.name, column.name, value, ours, best, told, tuple(differing))


def choose(published: Published, row: Row, column: Column, evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Of each dataset of a cell the result that comes closest to the published conditions, where there is one."""
    found = [_best(published, row, column, dataset, evaluations) for dataset in column.suite.datasets]
    return [one for one in found if one is not None]


def _points(evaluation: Evaluation, column: Column, row: Row) -> float:
    result = evaluation.candidates if row.reranker == "none" else evaluation.result
    return 100 * float(result.manifest["measures"][column.measure])


def _average(column: Column, values: dict[str, float]) -> float | None:
    return summarise(column.suite, values).mean


def verdict(published: float, ours: float, tolerance: float) -> str:
    """In words; a number published with two digits may be 0.005 off by rounding alone."""
    apart = abs(ours - published) - _ROUNDING
    return REPRODUCED if apart <= tolerance else NEAR if apart <= NEAR_TIMES * tolerance else OFF


def _best(
    published: Published, row: Row, column: Column, dataset: str, evaluations: Sequence[Evaluation]
) -> Evaluation | None:
    """The result for a dataset with the fewest conditions that differ."""
    matching = [one for one in evaluations if one.dataset == dataset and _matches(one, row, column)]
    return min(matching, key=lambda one: len(conditions(published, row, one)), default=None)


def _matches(evaluation: Evaluation, row: Row, column: Column) -> bool:
    return _mismatch(evaluation, row, column)[1] == _CLOSER


def _mismatch(evaluation: Evaluation, row: Row, column: Column) -> tuple[int, str]:
    """Why an evaluation of a cell's dataset is not in the cell, the later the closer it comes to being so."""
    settings = evaluation.result.manifest["config"]
    own = settings["reranker"]
    if settings["dataset"].get("sample") is not None:
        return 1, "a sample of the queries (dataset.sample)"
    if settings["retriever"]["name"] != column.retriever:
        return 2, "the tables do not have the first stage"
    if column.measure not in evaluation.result.manifest["measures"]:
        return 4, f"{column.measure} was not measured"
    if row.reranker != "none":  # a first stage is there beside any reranker
        if evaluation.is_first_stage or own["name"] != row.reranker:
            return 3, "the tables do not have the reranker"
        if any(own.get(key) != value for key, value in row.settings.items()):
            return 5, "the tables do not have the reranker with these settings"
    return 6, _CLOSER


def conditions(published: Published, row: Row, evaluation: Evaluation) -> list[str]:
    """Which conditions of a result differ from the published ones."""
    manifest, settings = evaluation.result.manifest, evaluation.result.manifest["config"]
    found = []
    depth = evaluation.candidates.manifest["retriever"]["depth"]
    if depth != published.depth:
        found.append(f"depth {depth}, published {published.depth}")
    max_length = settings["reranker"].get("max_length")
    if row.reranker != "none" and max_length is not None and max_length != published.max_length:
        found.append(f"max_length {max_length}, published {published.max_length}")
    for name, text in manifest["dataset"].get("differences", {}).items():
        found.append(f"{evaluation.dataset}: {name} {text}")
    return found
