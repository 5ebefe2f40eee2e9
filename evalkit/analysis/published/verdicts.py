"""Published numbers and ours: which were reproduced, which are off, which conditions differ. Prints nothing."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from evalkit.analysis.published.tables import Published, PublishedColumn, PublishedRow, Table
from evalkit.results import Evaluation

TOLERANCE = 0.3  # points; two harnesses over the same first stage are up to so far apart without a cause
NEAR_TIMES = 3  # the tolerance
_ROUNDING = 0.005  # of numbers published with two digits
_CLOSER = "another result is closer to the published conditions"
REPRODUCED, NEAR, OFF, NOT_RUN = "reproduced", "near", "off", "not run"


class Cell(NamedTuple):
    """One published number.

    Attributes:
        published: the number, in points.
        ours: our number, in points; None without results.
        ceiling: ceiling of our candidates, in points.
        verdict: `reproduced`, `near`, `off`, or `not run`, with the share of a suite that has results.
        conditions: those that differ, and how.
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

    Within `tolerance` points a number counts as reproduced, within three times as many as near.
    """
    return [
        _cell(published, table, row, column, value, evaluations, tolerance)
        for table in published.tables
        for row, column, value in table.cells()
    ]


def unused(published: Published, evaluations: Sequence[Evaluation]) -> dict[str, list[Evaluation]]:
    """Reason -> the evaluations that occur in no cell."""
    cells = [(row, column) for table in published.tables for row, column, _ in table.cells()]
    used = {
        (row.is_first_stage, (chosen.candidates if row.is_first_stage else chosen.result).folder)
        for row, column in cells
        for chosen in choose(published, row, column, evaluations)
    }
    found: dict[str, list[Evaluation]] = defaultdict(list)
    for evaluation in evaluations:
        is_stage = evaluation.is_first_stage
        if (is_stage, (evaluation.candidates if is_stage else evaluation.result).folder) in used:
            continue
        wrong = [
            _mismatch(evaluation, row, column)
            for row, column in cells
            if evaluation.dataset in column.suite.datasets and row.is_first_stage == is_stage
        ]
        has_dataset = any(evaluation.dataset in column.suite.datasets for _, column in cells)
        default = (0, f"the tables do not have the {'reranker' if has_dataset else 'dataset'}")
        found[max(wrong, default=default)[1]].append(evaluation)  # the reason of the cell that it is closest to
    return dict(found)


def _cell(
    published: Published,
    table: Table,
    row: PublishedRow,
    column: PublishedColumn,
    value: float,
    evaluations: Sequence[Evaluation],
    tolerance: float,
) -> Cell:
    chosen = choose(published, row, column, evaluations)
    points, best = {}, {}
    for found in chosen:
        result = found.candidates if row.is_first_stage else found.result
        points[part_of(found)] = 100 * float(result.manifest["measures"][column.measure])
        best[part_of(found)] = 100 * found.candidates.manifest["ceiling"][column.measure]
    ours, ceiling = (column.mean(values) for values in (points, best))
    differing = dict.fromkeys(text for found in chosen for text in conditions(published, row, found))
    part = f" ({len(chosen)} of {len(column.parts)})" if chosen else ""
    text = f"{NOT_RUN}{part}" if ours is None else verdict(value, ours, tolerance)
    return Cell(table.name, row.name, column.name, value, ours, ceiling, text, tuple(differing))


def choose(
    published: Published, row: PublishedRow, column: PublishedColumn, evaluations: Sequence[Evaluation]
) -> list[Evaluation]:
    """The result of each part of a cell with the fewest conditions that differ, where there is one."""
    found: dict[tuple[str, str], list[Evaluation]] = {part: [] for part in column.parts}
    for evaluation in evaluations:
        if part_of(evaluation) in found and _mismatch(evaluation, row, column)[1] == _CLOSER:
            found[part_of(evaluation)].append(evaluation)
    return [min(some, key=lambda each: len(conditions(published, row, each))) for some in found.values() if some]


def part_of(evaluation: Evaluation) -> tuple[str, str]:
    """First stage and dataset, as in `PublishedColumn.parts`."""
    return evaluation.result.manifest["config"]["retriever"]["name"], evaluation.dataset


def verdict(published: float, ours: float, tolerance: float) -> str:
    """In words; a number published with two digits may be 0.005 off by rounding alone."""
    apart = abs(ours - published) - _ROUNDING
    return REPRODUCED if apart <= tolerance else NEAR if apart <= NEAR_TIMES * tolerance else OFF


def _mismatch(evaluation: Evaluation, row: PublishedRow, column: PublishedColumn) -> tuple[int, str]:
    """Why an evaluation of a cell's dataset is not in the cell; a higher number means that it is closer."""
    settings = evaluation.result.manifest["config"]
    own = settings["reranker"]
    if settings["dataset"].get("sample") is not None:
        return 1, "a sample of the queries (dataset.sample)"
    if settings["retriever"]["name"] not in column.first_stages:
        return 2, "the tables do not have the first stage"
    if column.measure not in evaluation.result.manifest["measures"]:
        return 4, f"{column.measure} was not measured"
    if not row.is_first_stage:  # a first stage fits whatever the reranker
        if evaluation.is_first_stage or own["name"] != row.reranker:
            return 3, "the tables do not have the reranker"
        if any(own.get(key) != value for key, value in row.settings.items()):
            return 5, "the tables do not have the reranker with these settings"
    return 6, _CLOSER


def conditions(published: Published, row: PublishedRow, evaluation: Evaluation) -> list[str]:
    """Conditions of a result that differ from the published ones."""
    manifest, settings = evaluation.result.manifest, evaluation.result.manifest["config"]
    found = []
    depth = evaluation.candidates.manifest["retriever"]["depth"]
    if depth != published.depth:
        found.append(f"depth {depth}, published {published.depth}")
    max_length = settings["reranker"].get("max_length")
    if not row.is_first_stage and None not in (max_length, row.max_length) and max_length != row.max_length:
        found.append(f"max_length {max_length}, published {row.max_length}")
    for name, text in manifest["dataset"].get("differences", {}).items():
        found.append(f"{evaluation.dataset}: {name} {text}")
    return found
