"""`evalkit.measure`, `evalkit.compare` and `evalkit.report`: what the commands of these names do, for Python objects.

    evalkit.compare({"bm25": run, "mine": {"q1": {"d1": 0.9}}}, qrels="qrels.tsv").pairs

A system is a result (what `evalkit.evaluate` returns, or a folder) or a run (a file, a `Run`, a dict, a table). Runs
need judgments; results have their own.
"""

import io
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from evalkit.analysis.findings import Finding, findings
from evalkit.analysis.overall import Overall, left_out, overall
from evalkit.analysis.pairwise import DIFFERENT_DOCUMENTS, Comparison, Pairing, Settings, System, require_pairs
from evalkit.analysis.pairwise import compare as compare_evaluations
from evalkit.config.limits import at_least
from evalkit.errors import ConfigError
from evalkit.measures.significance import CORRECTIONS
from evalkit.reports import comparison
from evalkit.reports.grid import show
from evalkit.reports.outputs import Outputs, as_markdown
from evalkit.reports.overview import Overview, overview
from evalkit.reports.overview_grids import grids
from evalkit.reports.page import page
from evalkit.reports.sentences import sentence, shown
from evalkit.results.gather import measure_of
from evalkit.results.judged_runs import RunResult
from evalkit.results.own_systems import RunSettings, a_path, brief, explained_errors, names_of, require_flag, systems_of

if TYPE_CHECKING:
    import pandas as pd

_WIDTH = 160  # characters of a table


@dataclass(frozen=True, repr=False)
class Compared:
    """Systems compared on one dataset or several; printed, it is the tables of `evalkit compare`.

    Attributes:
        datasets: the comparison on each dataset.
        over_datasets: systems over all datasets; None for a single one.
        settings: how they were compared.
        notes: what is odd about the runs, and what averages leave out.
        findings: what was found, in sentences.
    """

    datasets: tuple[Comparison, ...]
    over_datasets: Overall | None
    settings: Settings
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def systems(self) -> tuple[System, ...]:
        """Mean, 95 % interval and letters of every system, best first; of one dataset after the other."""
        return tuple(system for each in self.datasets for system in each.systems)

    @property
    def pairs(self) -> tuple[Pairing, ...]:
        """Every two systems, the better one first; of one dataset after the other."""
        return tuple(pair for each in self.datasets for pair in each.pairings)

    def to_dataframe(self, rows: str = "pairs") -> "pd.DataFrame":
        """One row a pair, or a system.

        Args:
            rows: `pairs` or `systems`.

        Raises:
            ConfigError: `rows` is something else.
        """
        import pandas as pd

        if not isinstance(rows, str) or rows not in ("pairs", "systems"):
            raise ConfigError(f"rows is {brief(rows)}, expected 'pairs' or 'systems'.")
        if rows == "systems":
            found = [{"dataset": each.dataset, **system._asdict()} for each in self.datasets for system in each.systems]
            return pd.DataFrame(found)
        alpha = self.settings.alpha
        return pd.DataFrame(
            {"dataset": each.dataset, **pair._asdict(), "equal": pair.is_equal, "real": pair.is_real(alpha)}
            for each in self.datasets
            for pair in each.pairings
        )

    def __repr__(self) -> str:
        found = comparison.grids(self.datasets, self.over_datasets, self.settings)
        return _printed(found, self.notes, self.findings)


def compare(
    results: Any,
    qrels: Any = None,
    *,
    measure: str = "nDCG@10",
    allow_different_candidates: bool = False,
    correction: str = CORRECTIONS[0],
    alpha: float = Settings().alpha,
    seed: int = 0,
    samples: int = Settings().samples,
    **of_runs: Unpack[RunSettings],
) -> Compared:
    """Is one system better than another, or is it chance? Paired tests over queries.

    Args:
        results: results or runs: a list, a dict by name, or a folder of results.
        qrels: judgments of runs: `{query: {document: grade}}`, a table, or a file. Results have their own, which
            also judge the runs given with them.
        measure: what is compared.
        allow_different_candidates: whether to compare results over different candidates, as runs are.
        correction: of the p-values for the number of pairs: `holm` or `none`.
        alpha: a difference with a lower p-value is called real.
        seed: of all draws.
        samples: draws of bootstrap and test.
        of_runs: settings of runs, such as `common_queries=True`; see `RunSettings`.

    Raises:
        EvalkitError: a setting, a run or a result is not as it should be, or there are no two systems.
    """
    with explained_errors():
        require_flag("allow_different_candidates", allow_different_candidates)
        settings = _settings(measure, correction, seed=seed, alpha=alpha, samples=samples)
        evaluations, notes = systems_of(results, qrels, [settings.measure], of_runs)
        are_runs = any(isinstance(given.result, RunResult) for given in evaluations)
        same = not (allow_different_candidates or are_runs)
        settings = settings._replace(measure=measure_of(evaluations, settings.measure), same_candidates=same)
        found = compare_evaluations(evaluations, settings)
        require_pairs(found)
        notes += [DIFFERENT_DOCUMENTS] if are_runs and found[0].ceiling is None else []
        total = overall(found, settings)
        sentences = tuple(findings(found, total, settings))
        return Compared(tuple(found), total, settings, (*notes, *left_out(found)), sentences)


@dataclass(frozen=True, repr=False)
class Report:
    """A report and the files that it was written to; printed, it is the summary.

    Attributes:
        overview: everything that the page shows.
        files: what was written.
    """

    overview: Overview
    files: tuple[Path, ...]

    @property
    def html(self) -> str:
        """The page."""
        return page(self.overview)

    @property
    def markdown(self) -> str:
        """What was found, then every table."""
        return as_markdown(self.overview)

    def __repr__(self) -> str:
        written = [f"written: {path}" for path in self.files]
        return _printed(grids(self.overview)[:1], written, self.overview.findings)


def report(
    results: Any,
    html: str | PathLike[str] | None = None,
    qrels: Any = None,
    *,
    markdown: str | PathLike[str] | None = None,
    figures: str | PathLike[str] | None = None,
    measure: str = "nDCG@10",
    queries: int | None = None,
    correction: str = CORRECTIONS[0],
    seed: int = 0,
    **of_runs: Unpack[RunSettings],
) -> Report:
    """One page about results or runs, and their tables and figures.

    Args:
        results: results or runs: a list, a dict by name, or a folder of results.
        html: file of the page.
        qrels: judgments of runs, as for `compare`.
        markdown: file of all tables.
        figures: folder of the charts.
        measure: what is shown.
        queries: how many queries of each dataset can be browsed; None for 30, and fewer for many datasets.
        correction: of the p-values for the number of pairs: `holm` or `none`.
        seed: of all draws.
        of_runs: settings of runs, such as `corpus=FILE` for their texts; see `RunSettings`.

    Raises:
        EvalkitError: a setting, a run or a result is not as it should be, or a file cannot be written.
    """
    with explained_errors():
        paths = {"html": html, "markdown": markdown, "figures": figures}
        outputs = Outputs(*(None if path is None else a_path(name, path) for name, path in paths.items()))
        outputs.require_possible()
        settings = _settings(measure, correction, seed=seed)
        shown = None if queries is None else _whole("queries", queries, 0)
        evaluations, _ = systems_of(results, qrels, [settings.measure], of_runs)
        settings = settings._replace(measure=measure_of(evaluations, settings.measure))
        found = overview(evaluations, settings, queries=shown)
        return Report(found, tuple(outputs.write(found)))


def _settings(measure: Any, correction: str, *, seed: Any, alpha: Any = None, samples: Any = None) -> Settings:
    """Settings of a comparison, checked; None is the default."""
    if not isinstance(correction, str) or correction not in CORRECTIONS:
        raise ConfigError(f"correction is {brief(correction)}, expected {' or '.join(CORRECTIONS)}.")
    alpha, samples = (Settings().alpha if alpha is None else alpha), Settings().samples if samples is None else samples
    if isinstance(alpha, bool) or not isinstance(alpha, Real) or not 0 < float(alpha) < 1:
        raise ConfigError(f"alpha is {brief(alpha)}, expected a number between 0 and 1.")
    if isinstance(measure, list | tuple):
        raise ConfigError(f"measure is {brief(measure)}, expected one name, such as 'nDCG@10'.")
    return Settings(
        names_of(measure)[0], correction, float(alpha), _whole("seed", seed, 0), _whole("samples", samples, 1)
    )


def _whole(name: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError as error:
        raise ConfigError(f"{name} is {brief(value)}, expected a whole number.") from error
    at_least(name, number, least)
    return number


def _printed(tables: Any, notes: Sequence[str], found: Sequence[Finding]) -> str:
    from rich.console import Console

    out = io.StringIO()
    # Jupyter would be shown the tables apart, and sets FORCE_COLOR.
    show(tables, Console(file=out, emoji=False, width=_WIDTH, force_jupyter=False, force_terminal=False))
    above, below = ("".join(f"{line}\n" for line in lines) for lines in (map(sentence, shown(found)), notes))
    return f"{above}{out.getvalue()}{below}"
