"""Everything a report shows, from results on disk: comparisons, curves, speeds, published cells, queries, remarks.

A system is a reranker or a first stage, as in `compare`; first stages are always included.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from evalkit.analysis.differences import baselines, falls
from evalkit.analysis.findings import Finding, findings
from evalkit.analysis.flags import Flag
from evalkit.analysis.moves import Listing, first_pair, widest
from evalkit.analysis.one_pass import DEPTHS, Analysis, AtDepth, analyse
from evalkit.analysis.overall import Overall, left_out, overall
from evalkit.analysis.pairwise import Comparison, Settings, compare
from evalkit.analysis.published.tables import Published, load_published
from evalkit.analysis.published.verdicts import NOT_RUN, Cell, part_of, reproduce
from evalkit.analysis.score_bins import ScoreBins, score_bins
from evalkit.analysis.shared_facts import SharedFacts, pairs_among
from evalkit.config.resources import config_names
from evalkit.errors import EvalkitError
from evalkit.measures.significance import one_thread
from evalkit.results import Evaluation
from evalkit.results.gather import dataset_of
from evalkit.results.judged_runs import RunResult

_LISTED, _FEWEST_LISTED = 30, 5  # queries of a dataset
_ALL_LISTED = 150  # queries of all datasets


class SystemView(NamedTuple):
    """Facts about a system on a dataset, besides its place in the comparison.

    Attributes:
        evaluation: its result.
        speed: pairs/s, as `Evaluation.rate` has it; None where nothing was scored.
        analysis: everything else about it; None for a first stage, and where the collection is not at hand.
        bins: its scores by what judges said; None likewise.
        curve: by depth; empty for a first stage, and where there is none.
        no_curve: why a reranker has no curve; empty where it has one, and for a first stage.
        flags: what to look at.
    """

    evaluation: Evaluation
    speed: float | None
    analysis: Analysis | None
    bins: ScoreBins | None
    curve: tuple[AtDepth, ...]
    no_curve: str
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class DatasetView:
    """One dataset.

    Attributes:
        comparison: of its systems.
        systems: in the comparison's order.
        listings: the queries on which the systems, and those of the first pair, differ most.
        cut: query and document of the pairs of these queries that were truncated, one set a system.
        remark: why texts and curves are absent; empty where they are not.
    """

    comparison: Comparison
    systems: tuple[SystemView, ...]
    listings: tuple[Listing, ...]
    cut: tuple[frozenset[tuple[str, str]], ...]
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
        baseline: system that differences are to; empty for each one's own first stage.
    """

    settings: Settings
    datasets: tuple[DatasetView, ...]
    total: Overall | None
    left_out: tuple[str, ...]
    findings: tuple[Finding, ...]
    published: tuple[tuple[Published, tuple[Cell, ...]], ...]
    baseline: str = ""


def overview(
    evaluations: Sequence[Evaluation],
    settings: Settings,
    *,
    queries: int | None = None,
    baseline: str = "",
    advance: Callable[[int], None] = lambda _: None,
) -> Overview:
    """The overview of these evaluations, which may have several first stages.

    Args:
        evaluations: of any datasets.
        settings: of the comparisons.
        queries: how many of each dataset are listed with their rankings; None for 30, and fewer for many datasets.
        baseline: name of the system that differences are to; empty for each one's own first stage.
        advance: called with the number of systems just finished.

    Raises:
        ConfigError: no system has the name of the baseline.
        ResultError: results under one name are of different datasets, or damaged.
    """
    comparisons = compare(evaluations, settings._replace(same_candidates=False))
    baselines(comparisons, baseline)  # refuses a name before anything takes time
    if queries is None:
        queries = min(_LISTED, max(_ALL_LISTED // len(comparisons), _FEWEST_LISTED))
    with one_thread(), ThreadPoolExecutor(2) as beside:  # its draws, and reading, leave Python to the views
        averaging = beside.submit(overall, comparisons, settings)
        views = tuple(_view(one, settings, queries, advance, beside) for one in comparisons)
        total = averaging.result()
    absent, found = tuple(left_out(comparisons)), tuple(findings(comparisons, total, settings))
    return Overview(settings, views, total, absent, found, tuple(_published(evaluations)), baseline)


def _view(
    comparison: Comparison, settings: Settings, queries: int, advance: Callable[[int], None], beside: Executor
) -> DatasetView:
    dataset, remark = None, ""
    try:
        dataset = dataset_of(comparison.evaluations[0].result)
    except EvalkitError as error:
        remark = f"without texts, judgments and curves: {error}"
    systems, fell = [], falls(comparison, settings)
    shared = None if dataset is None else SharedFacts.of(dataset, comparison, settings.measure)
    if shared is not None:
        results = (result for one in comparison.evaluations for result in (one.candidates, one.result))
        shared.read_ahead({result.folder: result for result in results}.values(), beside)
    for one in comparison.evaluations:
        analysis = None
        if dataset is not None and (not one.is_first_stage or isinstance(one.result, RunResult)):
            analysis = analyse(one, dataset, settings.measure, DEPTHS, fall=fell.get(one.result.folder), shared=shared)
        bins = None
        if analysis is not None and shared is not None and not one.is_first_stage:
            bins = score_bins(shared.run(one.result).scores, shared.grades(one.result), shared.level)
        systems.append(_system(one, analysis, bins, remark))
        advance(1)
    of_all = comparison.evaluations, comparison.query_ids, comparison.values
    read = shared.run if shared else lambda result: result.read_run()
    pair = first_pair(comparison.evaluations)
    listings = widest(*of_all, count=queries, dataset=dataset, pair=pair, read=read)
    chosen = pa.array([one.query_id for one in listings], pa.string())
    tables = (shared.truncated(one.result) if shared else one.result.read_truncated() for one in comparison.evaluations)
    cut = tuple(frozenset() if some is None else pairs_among(some, "query_id", chosen) for some in tables)
    return DatasetView(comparison, tuple(systems), tuple(listings), cut, remark)


def _system(evaluation: Evaluation, analysis: Analysis | None, bins: ScoreBins | None, remark: str) -> SystemView:
    return SystemView(
        evaluation,
        evaluation.rate.value if evaluation.rate else None,
        analysis,
        bins,
        analysis.curve if analysis else (),
        analysis.no_curve if analysis else "" if evaluation.is_first_stage else remark,
        analysis.flags if analysis else (),
    )


def _published(evaluations: Sequence[Evaluation]) -> list[tuple[Published, tuple[Cell, ...]]]:
    # Of a run alone nobody knows the conditions.
    evaluations = [one for one in evaluations if not isinstance(one.result, RunResult)]
    here, found = set(map(part_of, evaluations)), []
    for published in map(load_published, config_names("published")):
        if here.isdisjoint(part for table in published.tables for column in table.columns for part in column.parts):
            continue
        cells = tuple(reproduce(published, evaluations))
        if any(not cell.verdict.startswith(NOT_RUN) for cell in cells):
            found.append((published, cells))
    return found
