"""What `evalkit evaluate` prints when all evaluations are done: tables of a sweep, what was found, a short summary."""

from collections.abc import Sequence

from evalkit.analysis.ablation import Ablation, ablate, left_out
from evalkit.analysis.findings import SUSPICIOUS
from evalkit.analysis.pairwise import Settings
from evalkit.commands.settings import sweeps
from evalkit.commands.settings.presets import Presets
from evalkit.commands.settings.sweeps import Done
from evalkit.formats.notes import counted
from evalkit.reports.ablation_grid import ablation_grid
from evalkit.reports.after_evaluation import Ended, ended
from evalkit.reports.evaluation_grids import evaluation_grid, runs_grid
from evalkit.reports.grid import Grid, write
from evalkit.reports.pull_request import summary
from evalkit.reports.sentences import bullets, markdown_list, write_findings
from evalkit.reports.suite_grids import suite_grids
from evalkit.system.terminal import tell


def write_end(done: list[Done], presets: Presets, form: str, *, failed: bool) -> None:
    """Print the tables of a sweep and, where tables are for people, what was found."""
    grids = _sweep_grids(done, presets, form, failed=failed)
    found = Ended([], []) if form == "csv" else _ended(done)
    if grids or found.grids:
        write([*grids, *found.grids], form)
    if form in {"table", "markdown"}:
        # The notes below the table of each evaluation have said what is suspicious.
        write_findings([one for one in found.findings if one.kind != SUSPICIOUS], form)


def summary_of(done: list[Done], presets: Presets, failures: Sequence[str]) -> str:
    """For a comment on a pull request."""
    failed = f", {len(failures)} failed" if failures else ""
    if not done:
        return summary(f"evalkit evaluate: nothing was evaluated{failed}", bullets(failures), None)
    found = _ended(done)
    tables = [evaluation_grid(one.evaluation, one.measures) for one in done]
    if done[0].swept:
        tables = [*found.grids, *_sweep_grids(done, presets, "table", failed=bool(failures))] or tables
    words = counted(len(done), "evaluation") if done[0].swept else tables[0].title
    sentences = markdown_list(found.findings) + bullets(failures)
    return summary(f"evalkit evaluate: {words}{failed}", sentences, tables[0], tables[1:], "All numbers")


def _ended(done: Sequence[Done]) -> Ended:
    return ended([one.evaluation for one in done], done[0].measures[0])


def _sweep_grids(done: list[Done], presets: Presets, form: str, *, failed: bool) -> list[Grid]:
    """The tables at the end of a sweep: all runs, the suite's, and what each value of an ablation does.

    CSV is a single table, of the ablation or else of the runs: rows of averages among them would be counted twice. The
    averages of a suite are on stderr then.
    """
    if not done or not done[0].swept:
        return []
    grids = []
    if len(done) > 1 or failed or form != "table":
        asked = dict.fromkeys(name for one in done for name in one.measures)
        common = set.intersection(*(set(one.overrides) for one in done))
        named = ("dataset=", "retriever=", "reranker=")
        settings = [
            " ".join(
                sweeps.as_typed(override)
                for override in one.overrides
                if override not in common and not override.startswith(named)
            )
            for one in done
        ]
        grids.append(runs_grid([one.evaluation for one in done], list(asked), settings))
    if suite := presets.suite:
        found = {
            dataset: [(one.evaluation, one.measures) for one in done if one.dataset == dataset]
            for dataset in suite.datasets
        }
        of_suite = suite_grids(suite, found, partial=done[0].partial_average)
        grids += of_suite
        if form == "csv":
            _tell_averages(of_suite)
    if len(done) > 1 and presets.ablation:
        grids.append(_ablation_grid(done, presets.ablation))
        return grids[-1:] if form == "csv" else grids
    return grids[:1] if form == "csv" else grids


def _tell_averages(of_suite: list[Grid]) -> None:
    for grid in of_suite:
        systems = [column.name for column in grid.columns[1:]]
        for row in grid.sections:
            label, *texts = grid.texts()[row]
            values = ", ".join(f"{name} {text}" for name, text in zip(systems, texts, strict=True))
            tell(f"{grid.title}, {label}: {values}. It has no row in CSV; --format json has the table of the suite.")
    for note in dict.fromkeys(note for grid in of_suite for note in grid.notes):
        tell(note)


def _ablation_grid(done: list[Done], ablation: Ablation) -> Grid:
    varied = f"{ablation.setting}="
    results = [
        (override.removeprefix(varied), one.evaluation)
        for one in done
        for override in one.overrides
        if override.startswith(varied)
    ]
    order = {value: place for place, value in enumerate(ablation.values)}
    results.sort(key=lambda one: order.get(one[0], len(order)))
    settings = Settings(done[0].measures[0])
    return ablation_grid(ablation, ablate(results, settings), settings, left_out(results))
