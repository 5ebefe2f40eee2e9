"""Rerankers over several first stages: how each does over each, and which cannot be told apart over all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evalkit.analysis.differences import Difference, difference
from evalkit.analysis.overall import Overall, as_one, by_entry
from evalkit.analysis.pairwise import Comparison, Settings, bounds, differences, groups, pairings
from evalkit.config.suites import macro_average
from evalkit.measures.significance import Values
from evalkit.results.labels import stages as named_stages

ALONE = ""
"""The reranker of a first stage's own order."""


class OverStage(NamedTuple):
    """A reranker over a first stage.

    Attributes:
        mean: of the measure; macro average of several datasets.
        over: its difference to the first stage as `compare` has it; None for the first stage, and where untested.
    """

    mean: float
    over: Difference | None


class OverAll(NamedTuple):
    """A reranker over all first stages.

    Attributes:
        name: its name; `ALONE` for the first stages themselves.
        cells: one for each first stage; None where a dataset lacks it.
        mean: mean of the cells; None where one is missing.
        groups: letters; two with a letter in common cannot be told apart over all first stages.
    """

    name: str
    cells: tuple[OverStage | None, ...]
    mean: float | None
    groups: str


@dataclass(frozen=True)
class OverStages:
    """Rerankers by first stages.

    Attributes:
        stages: names of the first stages.
        ceilings: ceiling of each one's candidates; None where it was not measured.
        rows: highest mean first, and those without one last.
        count: how many queries, or datasets where there are several, the letters rest on.
        unit: which of these.
        comparisons: number of pairs that were tested together.
    """

    stages: tuple[str, ...]
    ceilings: tuple[float | None, ...]
    rows: tuple[OverAll, ...]
    count: int
    unit: str
    comparisons: int


_Columns = dict[tuple[str, str], dict[str, int]]  # first stage and reranker -> dataset -> column of its values


def over_stages(comparisons: Sequence[Comparison], total: Overall | None, settings: Settings) -> OverStages | None:
    """The table; None without two first stages that a reranker was run over.

    A reranker is tested by its mean over the first stages: of each query, or of each entry where there are several
    datasets, as `overall` does it.
    """
    columns = _columns(comparisons)
    stages = [stage for stage, reranker in columns if reranker == ALONE]
    rerankers = [*dict.fromkeys(reranker for _, reranker in columns if reranker != ALONE), ALONE]
    used = {stage for stage, reranker in columns if reranker != ALONE}
    stages = [stage for stage in stages if stage in used]
    if len(stages) < 2:  # noqa: PLR2004 - nothing to be over
        return None
    everywhere = {one.dataset for one in comparisons}
    whole = [name for name in rerankers if all(columns.get((s, name), {}).keys() == everywhere for s in stages)]
    tested = _tested(comparisons, columns, stages, whole, settings._replace(verdicts_only=True))
    rows = []
    for name in rerankers:
        cells = [_cell(comparisons, total, columns, (stage, name), settings) for stage in stages]
        rows.append(_row(name, cells, tested.letters.get(name, "")))
    rows.sort(key=lambda row: -row.mean if row.mean is not None else np.inf)
    ceilings = [_ceiling(comparisons, columns[stage, ALONE], settings.measure) for stage in stages]
    return OverStages(tuple(stages), tuple(ceilings), tuple(rows), tested.count, tested.unit, tested.comparisons)


def _columns(comparisons: Sequence[Comparison]) -> _Columns:
    named = named_stages([evaluation for one in comparisons for evaluation in one.evaluations])
    places = [(one.dataset, place) for one in comparisons for place in range(len(one.evaluations))]
    found: _Columns = {}
    for parts, (dataset, place) in zip(named, places, strict=True):
        found.setdefault(parts, {})[dataset] = place
    return found


@dataclass(frozen=True)
class _Tested:
    letters: dict[str, str]
    count: int
    unit: str
    comparisons: int


def _tested(
    comparisons: Sequence[Comparison],
    columns: _Columns,
    stages: Sequence[str],
    names: Sequence[str],
    settings: Settings,
) -> _Tested:
    """Letters of the rerankers that all first stages have on all datasets."""
    if len(names) < 2:  # noqa: PLR2004 - nothing to compare
        return _Tested({}, 0, "queries", 0)
    entries = by_entry({one.dataset: _over_all(one, columns, stages, names) for one in comparisons})
    several = len(entries) > 1
    means = [np.mean([own.mean(axis=0) for own in some], axis=0) for some in entries.values()]
    rows = np.array(means) if several else as_one(next(iter(entries.values())))
    order = np.argsort(-rows.mean(axis=0), kind="stable")
    labels = [names[place] for place in order]
    between = differences(rows[:, order])
    pairs = pairings(labels, between, bounds([between], settings), settings)
    letters = dict(zip(labels, groups(labels, pairs, settings.alpha), strict=True))
    return _Tested(letters, len(rows), "datasets" if several else "queries", len(pairs))


def _over_all(one: Comparison, columns: _Columns, stages: Sequence[str], names: Sequence[str]) -> Values:
    """Mean over the first stages of each reranker and query, shape (queries, rerankers)."""
    return np.column_stack(
        [one.values[:, [columns[stage, name][one.dataset] for stage in stages]].mean(axis=1) for name in names]
    )


def _cell(
    comparisons: Sequence[Comparison],
    total: Overall | None,
    columns: _Columns,
    parts: tuple[str, str],
    settings: Settings,
) -> OverStage | None:
    own = columns.get(parts, {})
    if any(one.dataset not in own for one in comparisons):
        return None
    mean = macro_average({one.dataset: one.systems[own[one.dataset]].mean for one in comparisons})
    first = comparisons[0]
    tested = total.pairings if total else first.pairings if len(comparisons) == 1 else ()
    stage = columns[parts[0], ALONE][first.dataset]
    names = first.names[own[first.dataset]], first.names[stage]
    return OverStage(mean, None if parts[1] == ALONE else difference(tested, *names, settings.alpha))


def _row(name: str, cells: Sequence[OverStage | None], letters: str) -> OverAll:
    means = [cell.mean for cell in cells if cell is not None]
    mean = float(np.mean(means)) if len(means) == len(cells) else None
    return OverAll(name, tuple(cells), mean, letters)


def _ceiling(comparisons: Sequence[Comparison], places: dict[str, int], measure: str) -> float | None:
    found: dict[str, float] = {}
    for one in comparisons:
        if one.dataset in places:
            best = one.evaluations[places[one.dataset]].candidates.manifest["ceiling"].get(measure)
            found |= {} if best is None else {one.dataset: best}
    return macro_average(found) if len(found) == len(comparisons) else None
