"""Everything a report shows, from results on disk: comparisons, curves, speeds, published cells, queries, remarks.

A system is a reranker or a first stage, as in `compare`; first stages are always included.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evalkit.analysis.differences import falls
from evalkit.analysis.findings import Finding, findings
from evalkit.analysis.flags import Flag
from evalkit.analysis.moves import Listing, widest
from evalkit.analysis.one_pass import DEPTHS, Analysis, AtDepth, analyse
from evalkit.analysis.overall import Overall, left_out, overall
from evalkit.analysis.pairwise import Comparison, Settings, compare
from evalkit.analysis.published.tables import Published, load_published
from evalkit.analysis.published.verdicts import NOT_RUN, Cell, reproduce
from evalkit.config.resources import config_names
from evalkit.errors import EvalkitError
from evalkit.results import Evaluation
from evalkit.results.gather import dataset_of
from evalkit.results.judged_runs import RunResult
from evalkit.types import Dataset


class SystemView(NamedTuple):
    """Facts about a system on a dataset, besides its place in the comparison.

    Attributes:
        evaluation: its result.
        speed: pairs/s, as `Evaluation.rate` has it; None where nothing was scored.
        curve: by depth; empty for a first stage, and where there is none.
        no_curve: why a reranker has no curve; empty where it has one, and for a first stage.
        flags: what to look at.
    """

    evaluation: Evaluation
    speed: float | None
    curve: tuple[AtDepth, ...]
    no_curve: str
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class DatasetView:
    """One dataset.

    Attributes:
        comparison: of its systems.
        systems: in the comparison's order.
        listings: the queries on which the systems differ most.
        remark: why texts and curves are absent; empty where they are not.
    """

    comparison: Comparison
    systems: tuple[SystemView, ...]
    listings: tuple[Listing, ...]
    remark: str


@dataclass(frozen=True)
class Overview:
    """Everything.

    Attributes:
        settings: of the comparisons.
        datasets: in the order of their results.
        total: over the datasets; None for one, and where no two systems are on all.
        left_out: systems and datasets that the averages leave out, and why.
        findings: what was found, in sentences.
        published: tables with at least one number that was run here, and their cells.
    """

    settings: Settings
    datasets: tuple[DatasetView, ...]
    total: Overall | None
    left_out: tuple[str, ...]
    findings: tuple[Finding, ...]
    published: tuple[tuple[Published, tuple[Cell, ...]], ...]


def overview(
    evaluations: Sequence[Evaluation],
    settings: Settings,
    *,
    queries: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Overview:
    """The overview of these evaluations, which may have several first stages.

    Args:
        evaluations: of any datasets.
        settings: of the comparisons.
        queries: how many of each dataset are listed with their rankings.
        advance: called with the number of systems just finished.

    Raises:
        ResultError: results under one name are of different datasets, or damaged.
    """
    comparisons = compare(evaluations, settings._replace(same_candidates=False))
    views = tuple(_view(one, settings, queries, advance) for one in comparisons)
    total = overall(comparisons, settings)
    absent, found = tuple(left_out(comparisons)), tuple(findings(comparisons, total, settings))
    return Overview(settings, views, total, absent, found, tuple(_published(evaluations)))


def _view(comparison: Comparison, settings: Settings, queries: int, advance: Callable[[int], None]) -> DatasetView:
    dataset, remark = _dataset(comparison.evaluations[0])
    systems, fell = [], falls(comparison, settings)
    for one in comparison.evaluations:
        analysis = None
        if dataset is not None and (not one.is_first_stage or isinstance(one.result, RunResult)):
            analysis = analyse(one, dataset, settings.measure, DEPTHS, fall=fell.get(one.result.folder))
        systems.append(_system(one, analysis, remark))
        advance(1)
    listings = widest(comparison.evaluations, comparison.query_ids, comparison.values, count=queries, dataset=dataset)
    return DatasetView(comparison, tuple(systems), tuple(listings), remark)


def _dataset(evaluation: Evaluation) -> tuple[Dataset | None, str]:
    try:
        return dataset_of(evaluation.result), ""
    except EvalkitError as error:
        return None, f"without texts, judgments and curves: {error}"


def _system(evaluation: Evaluation, analysis: Analysis | None, remark: str) -> SystemView:
    return SystemView(
        evaluation,
        evaluation.rate.value if evaluation.rate else None,
        analysis.curve if analysis else (),
        analysis.no_curve if analysis else "" if evaluation.is_first_stage else remark,
        analysis.flags if analysis else (),
    )


def _published(evaluations: Sequence[Evaluation]) -> list[tuple[Published, tuple[Cell, ...]]]:
    # Of a run alone nobody knows the conditions.
    evaluations = [one for one in evaluations if not isinstance(one.result, RunResult)]
    found = []
    for name in config_names("published"):
        published = load_published(name)
        cells = tuple(reproduce(published, evaluations))
        if any(not cell.verdict.startswith(NOT_RUN) for cell in cells):
            found.append((published, cells))
    return found
