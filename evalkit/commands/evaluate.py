"""`evalkit evaluate`: compose the settings with Hydra, run, print the table.

Hydra's own error reports span many lines; `legal.one_line` turns them into one that lists what is legal.
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.analysis.ablation import Ablation, ablate, left_out
from evalkit.analysis.pairwise import Settings
from evalkit.commands.evaluate_help import help_text
from evalkit.commands.options import Parser
from evalkit.commands.settings import sweeps
from evalkit.commands.settings.arguments import normalise
from evalkit.commands.settings.compose import prepare, run_jobs, to_config
from evalkit.commands.settings.legal import one_line
from evalkit.commands.settings.presets import Presets, expand
from evalkit.commands.settings.sweeps import Done
from evalkit.errors import ConfigError, DataError, EvalkitError
from evalkit.measures import canonical
from evalkit.pipeline import evaluate
from evalkit.reports.ablation_grid import ablation_grid
from evalkit.reports.evaluation_grids import evaluation_grid, runs_grid
from evalkit.reports.grid import Grid, write
from evalkit.reports.suite_grids import suite_grids
from evalkit.retrieval.own_candidates import settled
from evalkit.system.reporting import report, report_any
from evalkit.system.terminal import say, tell

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(arguments: list[str]) -> int:
    """Run one evaluation, or with `-m` or a suite every combination.

    Returns:
        0, or 2 if an evaluation of a sweep failed.
    """
    parser = Parser(prog="evalkit evaluate", add_help=False, allow_abbrev=False)
    parser.add_format()
    options, settings = parser.parse_known_args(arguments)
    if {"-h", "--help"} & {*settings}:
        return _help([text for text in settings if text not in {"-h", "--help", "-m", "--multirun"}])
    presets = expand(normalise(settings, options=parser.names))
    given = presets.arguments
    sweeps.require_launcher(given)
    prepare()
    with sweeps.shared_folder(given) as folder:

        def job(settings: "DictConfig") -> None:
            run_one(settings, folder, options.format)

        try:
            run_jobs(job, given, prog="evalkit evaluate")
        finally:
            # Also when a later run of a sweep failed: the earlier ones are complete.
            failures = sweeps.failures(folder)
            if grids := _sweep_grids(sweeps.done(folder), presets, options.format, failed=bool(failures)):
                write(grids, options.format)
        if failures and sweeps.are_elsewhere(given):  # what they printed is in a log
            for message in failures:
                report(DataError(message))
        return 2 if failures else 0


def _help(settings: list[str]) -> int:
    given = [*expand(normalise(settings)).arguments, "hydra.mode=RUN"]
    prepare()
    run_jobs(lambda composed: say(help_text(composed)), given, prog="evalkit evaluate")
    return 0


def run_one(settings: "DictConfig", folder: Path, form: str) -> None:
    """One evaluation of a sweep, or the only one; a launcher may run it in a process of its own.

    An evaluation of a sweep that cannot be made, such as one of a dataset that is not there, is reported, and the
    others are made.

    Args:
        settings: composed.
        folder: where the evaluations of the sweep leave their reports.
        form: of the tables.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    prepare()  # a launcher's process has not
    hydra_config = HydraConfig.get()
    try:
        sweeps.note(folder, _run(settings, hydra_config, form))
    except (EvalkitError, OmegaConfBaseException) as raised:
        error = raised if isinstance(raised, EvalkitError) else ConfigError(one_line(raised))
        if hydra_config.mode != RunMode.MULTIRUN:
            raise SystemExit(report(error)) from None
        if not sweeps.is_noted(folder, str(error)):  # a mistake in what all have in common is one line
            report(error)
        sweeps.note_failure(folder, hydra_config.job.num, str(error), hydra_config.overrides.task)
    except Exception as error:  # Hydra would print a report of its own first
        code = report_any(error)
        if code is None:
            raise
        raise SystemExit(code) from None


def _run(settings: "DictConfig", hydra_config: Any, form: str) -> Done:
    """One evaluation, shown when it is done; of a sweep only the terminal gets a table for each."""
    overrides = [text.removeprefix("++") for text in hydra_config.overrides.task]  # which `normalise` adds
    config = settled(to_config(settings, overrides))
    command = " ".join(["evalkit evaluate", *map(shlex.quote, overrides)])
    evaluation = evaluate(config, command=command)
    measures = canonical(config.measures, level=config.dataset.relevance_level)
    swept = bool(hydra_config.mode) and hydra_config.mode.name == "MULTIRUN"
    if form == "table" or not swept:
        write([evaluation_grid(evaluation, measures)], form)
    return Done(
        number=hydra_config.job.get("num", 0) if swept else 0,
        evaluation=evaluation,
        dataset=config.dataset.name,
        measures=measures,
        partial_average=config.partial_average,
        overrides=overrides,
        swept=swept,
    )


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
