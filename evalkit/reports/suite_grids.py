"""The table of a suite: a row a dataset, a column a reranker, the average below, and what is missing."""

from collections.abc import Mapping, Sequence

from evalkit.config.suites import Suite, Summary, summarise
from evalkit.reports.grid import Cell, Column, Grid
from evalkit.results import Evaluation
from evalkit.results.labels import legend, names

_Reported = Mapping[str, Sequence[tuple[Evaluation, list[str]]]]  # dataset -> evaluations, with reported measures


def suite_grids(suite: Suite, evaluations: _Reported, *, partial: bool) -> list[Grid]:
    """One table a measure; where datasets have measures of their own, one table with the first of each.

    Args:
        suite: which datasets.
        evaluations: dataset as it is chosen -> its evaluations, each with the measures it reports.
        partial: whether to average although datasets are missing.
    """
    asked = [measures for found in evaluations.values() for _, measures in found]
    if not asked:
        return []
    averaged = all(measures == asked[0] for measures in asked)
    if averaged:
        titles = {f"suite={suite.name}: {measure}": dict.fromkeys(evaluations, measure) for measure in asked[0]}
    else:
        first = {dataset: found[0][1][0] for dataset, found in evaluations.items() if found}
        titles = {f"suite={suite.name}: the first measure of each dataset": first}
    differ = [dataset for dataset, found in evaluations.items() if any(_differs(one) for one, _ in found)]
    differing = [f"not the published datasets: {', '.join(differ)}"] if differ else []
    grids = []
    for title, measures in titles.items():
        systems = _systems(evaluations, measures)
        summaries = {name: summarise(suite, values, partial=partial) for name, values in systems.items()}
        notes = _notes(suite, systems, summaries, averaged=averaged) + differing + legend(_with_stages(evaluations)[1])
        grids.append(_grid(suite, title, summaries, {} if averaged else measures, notes))
    return grids


def _differs(evaluation: Evaluation) -> bool:
    return bool(evaluation.result.manifest.get("dataset", {}).get("differences"))


def _systems(evaluations: _Reported, measures: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """First stages and rerankers over them, by the heading of their column -> dataset -> value."""
    chosen, all_systems = _with_stages(evaluations)
    systems: dict[str, dict[str, float]] = {}
    for dataset, name, one in zip(chosen, names(all_systems), all_systems, strict=True):
        systems.setdefault(name, {})[dataset] = one.result.manifest["measures"][measures[dataset]]
    return systems


def _with_stages(evaluations: _Reported) -> tuple[list[str], list[Evaluation]]:
    """Every evaluation after its first stage, which comes once, and the dataset of each as it is chosen."""
    chosen: list[str] = []
    found: list[Evaluation] = []
    for dataset, own in evaluations.items():
        seen = set[str]()
        for one, _ in own:
            stage = Evaluation(one.candidates, one.candidates)
            if (token := str(one.candidates.folder)) not in seen:
                seen.add(token)
                chosen, found = [*chosen, dataset], [*found, stage]
            if not one.is_first_stage:
                chosen, found = [*chosen, dataset], [*found, one]
    return chosen, found


def _grid(
    suite: Suite, title: str, summaries: Mapping[str, Summary], own: Mapping[str, str], notes: Sequence[str]
) -> Grid:
    """The table; `own` holds the measure of each dataset where these differ, and then nothing is averaged."""
    columns = [Column("dataset"), *([Column("measure")] if own else []), *(Column(name, ".4f") for name in summaries)]
    rows: list[list[Cell]] = []
    for row, (name, datasets) in enumerate(suite.entries.items()):
        label = name if datasets == (name,) else f"{name} (mean of {len(datasets)})"
        measure = [own.get(datasets[0])] if own else []
        rows.append([label, *measure, *(summary.entries[row].value for summary in summaries.values())])
    if own:
        return Grid(title, columns, rows, notes)
    strong = frozenset((len(rows), column) for column in range(len(columns)))
    rows.append(["average", *(summary.mean for summary in summaries.values())])
    return Grid(title, columns, rows, notes, frozenset({len(rows) - 1}), strong)


def _notes(
    suite: Suite, systems: Mapping[str, Mapping[str, float]], summaries: Mapping[str, Summary], *, averaged: bool
) -> list[str]:
    notes = []
    for name, summary in summaries.items():
        missing = [dataset for dataset in suite.datasets if dataset not in systems[name]]
        if missing:
            notes.append(f"{name}: missing are {', '.join(missing)}")
        notes += [
            f"{name}: {one.name} has {one.present} of {one.total} datasets"
            for one in summary.entries
            if 0 < one.present < one.total
        ]
        if averaged and missing and summary.mean is not None:
            notes.append(f"{name}: average of {len(summary.averaged)} of {len(summary.entries)} entries only")
    if not averaged:
        return [*notes, "no average: the datasets have measures of their own"]
    if any(summary.mean is None for summary in summaries.values()):
        notes.append("no average where an entry is missing; partial_average=true averages what is there")
    return [*notes, f"the average is of {len(suite.entries)}: {', '.join(suite.entries)}"]
