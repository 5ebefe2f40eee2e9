"""The table of a suite: a row a dataset, a column a reranker, the average below, and what is missing."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evalkit.config.suites import Entry, Suite, Summary, summarise
from evalkit.results import Evaluation

_ABSENT = "—"


class Column(NamedTuple):
    """A first stage or a reranker over it, with its value for each dataset."""

    title: str
    values: Mapping[str, float]


def show_suite(
    suite: Suite, evaluations: Mapping[str, Sequence[tuple[Evaluation, list[str]]]], out: Console, *, partial: bool
) -> None:
    """One table a measure; where datasets have measures of their own, one table with the first of each.

    Args:
        suite: which datasets.
        evaluations: dataset as it is chosen -> its evaluations, each with the measures it reports.
        out: where to.
        partial: whether to average although datasets are missing.
    """
    asked = [tuple(measures) for found in evaluations.values() for _, measures in found]
    if not asked:
        return
    if any(_twice([evaluation for evaluation, _ in found]) for found in evaluations.values()):
        out.print(f"{suite.name}: no table of the suite, since its columns stand for several settings under one name")
        return
    names = [dataset for dataset, found in evaluations.items() if any(_differs(one) for one, _ in found)]
    differing = [f"not the published datasets: {', '.join(names)}"] if names else []
    if len(set(asked)) == 1:
        for measure in asked[0]:
            chosen = dict.fromkeys(evaluations, measure)
            _show_one(
                suite,
                f"{suite.name}: {measure}",
                _columns(evaluations, chosen),
                out,
                partial=partial,
                differing=differing,
            )
        return
    first = {dataset: found[0][1][0] for dataset, found in evaluations.items() if found}
    title = f"{suite.name}: the first measure of each dataset"
    _show_one(suite, title, _columns(evaluations, first), out, partial=partial, differing=differing, measures=first)


def _differs(evaluation: Evaluation) -> bool:
    return bool(evaluation.result.manifest.get("dataset", {}).get("differences"))


def _twice(evaluations: Sequence[Evaluation]) -> bool:
    """Whether two evaluations of a dataset have the same names."""
    names = [(one.first_stage, one.result.manifest["reranker"]["name"]) for one in evaluations]
    return len(set(names)) < len(names)


def _columns(
    evaluations: Mapping[str, Sequence[tuple[Evaluation, list[str]]]], measures: Mapping[str, str]
) -> list[Column]:
    several = len({one.first_stage for found in evaluations.values() for one, _ in found}) > 1
    columns: dict[str, dict[str, float]] = {}
    for dataset, found in evaluations.items():
        for evaluation, _ in found:
            label, measure = evaluation.first_stage, measures[dataset]
            columns.setdefault(label, {})[dataset] = evaluation.candidates.manifest["measures"][measure]
            if not evaluation.is_first_stage:
                name = evaluation.result.manifest["reranker"]["name"]
                title = f"{label} + {name}" if several else name
                columns.setdefault(title, {})[dataset] = evaluation.result.manifest["measures"][measure]
    return [Column(title, values) for title, values in columns.items()]


def _show_one(
    suite: Suite,
    title: str,
    columns: Sequence[Column],
    out: Console,
    *,
    partial: bool,
    differing: Sequence[str],
    measures: Mapping[str, str] | None = None,
) -> None:
    summaries = [summarise(suite, column.values, partial=partial) for column in columns]
    out.print(title, style="bold", markup=False, highlight=False)
    table = Table()
    for name in ("dataset", *(["measure"] if measures else [])):
        table.add_column(name, overflow="fold")
    for column in columns:
        table.add_column(escape(column.title), justify="right", overflow="fold")
    for row, (name, datasets) in enumerate(suite.entries.items()):
        own = [measures.get(datasets[0], "")] if measures else []
        table.add_row(_label(name, datasets), *own, *(_cell(summary.entries[row]) for summary in summaries))
    if not measures:
        table.add_section()
        table.add_row("average", *(_number(summary.mean) for summary in summaries), style="bold")
    out.print(table)
    for line in [*_remarks(suite, columns, summaries, averaged=not measures), *differing]:
        out.print(line, style="dim", highlight=False, markup=False)


def _label(name: str, datasets: Sequence[str]) -> str:
    return escape(name if datasets == (name,) else f"{name} (mean of {len(datasets)})")


def _cell(entry: Entry) -> str:
    if 0 < entry.present < entry.total:
        return f"{entry.present} of {entry.total}" + (f": {_number(entry.value)}" if entry.value is not None else "")
    return _number(entry.value)


def _number(value: float | None) -> str:
    return _ABSENT if value is None else f"{value:.4f}"


def _remarks(suite: Suite, columns: Sequence[Column], summaries: Sequence[Summary], *, averaged: bool) -> list[str]:
    remarks = []
    for column, summary in zip(columns, summaries, strict=True):
        missing = [dataset for dataset in suite.datasets if dataset not in column.values]
        if missing:
            remarks.append(f"{column.title}: missing are {', '.join(missing)}")
        if averaged and missing and summary.mean is not None:
            remarks.append(f"{column.title}: average of {len(summary.averaged)} of {len(summary.entries)} entries only")
    if averaged and any(summary.mean is None for summary in summaries):
        remarks.append("no average where an entry is missing; partial_average=true averages what is there")
    if averaged:
        remarks.append(f"the average is of {len(suite.entries)}: {', '.join(suite.entries)}")
    else:
        remarks.append("no average: the datasets have measures of their own")
    return remarks
