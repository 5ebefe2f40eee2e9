"""`evalkit evaluate`: compose the settings with Hydra, run, print the table.

Hydra's own error reports span many lines; `legal.one_line` turns them into one that lists what is legal.
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.commands.evaluate_end import summary_of, write_end
from evalkit.commands.evaluate_help import help_text
from evalkit.commands.options import IN_MARKDOWN, Parser, put_summary, require_one_form
from evalkit.commands.settings import sweeps
from evalkit.commands.settings.arguments import normalise
from evalkit.commands.settings.compose import prepare, run_jobs, to_config
from evalkit.commands.settings.legal import one_line
from evalkit.commands.settings.presets import Presets, expand
from evalkit.commands.settings.sweeps import Done
from evalkit.config import EvaluateConfig
from evalkit.errors import ConfigError, DataError, EvalkitError
from evalkit.measures import canonical
from evalkit.pipeline import evaluate
from evalkit.reports.evaluation_grids import evaluation_grid
from evalkit.reports.grid import write
from evalkit.retrieval.own_candidates import settled
from evalkit.system.files import expanded
from evalkit.system.reporting import report, report_any
from evalkit.system.running import recorded
from evalkit.system.terminal import say

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(arguments: list[str]) -> int:
    """Run one evaluation, or with `-m` or a suite every combination.

    Returns:
        0, or 2 if an evaluation of a sweep failed.
    """
    parser = Parser(prog="evalkit evaluate", add_help=False, allow_abbrev=False)
    parser.add_format()
    parser.add_summary()
    options, settings = parser.parse_known_args(arguments)
    if {"-h", "--help"} & {*settings}:
        return _help([text for text in settings if text not in {"-h", "--help", "-m", "--multirun"}])
    require_one_form(options)
    presets = expand(normalise(settings, options=parser.names))
    given = presets.arguments
    sweeps.require_launcher(given)
    prepare()
    with sweeps.shared_folder(given) as folder:
        of = sweeps.size(given)

        def job(settings: "DictConfig") -> None:
            run_one(settings, of, folder, "" if options.summary == IN_MARKDOWN else options.format)

        try:
            run_jobs(job, given, prog="evalkit evaluate")
        finally:
            # Also when a later run of a sweep failed: the earlier ones are complete.
            failures = sweeps.failures(folder)
            _end(sweeps.done(folder), presets, failures, options)
        if failures and sweeps.are_elsewhere(given):  # what they printed is in a log
            for message in failures:
                report(DataError(message))
        return 2 if failures else 0


def _end(done: list[Done], presets: Presets, failures: list[str], options: Any) -> None:
    if options.summary and (done or failures):
        put_summary(options.summary, summary_of(done, presets, failures))
    if options.summary != IN_MARKDOWN and done:
        write_end(done, presets, options.format, failed=bool(failures))


def _help(settings: list[str]) -> int:
    given = [*expand(normalise(settings)).arguments, "hydra.mode=RUN"]
    prepare()
    run_jobs(lambda composed: say(help_text(composed)), given, prog="evalkit evaluate")
    return 0


def run_one(settings: "DictConfig", of: int | None, folder: Path, form: str) -> None:
    """One evaluation of a sweep, or the only one; a launcher may run it in a process of its own.

    An evaluation of a sweep that cannot be made, such as one of a dataset that is not there, is reported, and the
    others are made.

    Args:
        settings: composed.
        of: how many the sweep has; None where nobody knows.
        folder: where the evaluations of the sweep leave their reports.
        form: of the tables; empty for none.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    prepare()  # a launcher's process has not
    hydra_config = HydraConfig.get()
    try:
        sweeps.note(folder, _run(settings, hydra_config, of, form))
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


def _run(settings: "DictConfig", hydra_config: Any, of: int | None, form: str) -> Done:
    """One evaluation, shown when it is done; of a sweep only the terminal gets a table for each."""
    overrides = [text.removeprefix("++") for text in hydra_config.overrides.task]  # which `normalise` adds
    config = settled(to_config(settings, overrides))
    command = " ".join(["evalkit evaluate", *map(shlex.quote, overrides)])
    swept = bool(hydra_config.mode) and hydra_config.mode.name == "MULTIRUN"
    place = {"number": hydra_config.job.get("num", 0), "of": of}
    with recorded(expanded(config.results_dir), _facts(config, overrides), place, keep=swept):
        evaluation = evaluate(config, command=command)
    measures = canonical(config.measures, level=config.dataset.relevance_level)
    if form == "table" or (form and not swept):
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


def _facts(config: EvaluateConfig, overrides: list[str]) -> dict[str, Any]:
    """What `evalkit watch` says of an evaluation."""
    names = {"dataset": config.dataset.name, "reranker": config.reranker.name}
    stage = {"first_stage": f"{config.retriever.name}-{config.depth}", "overrides": overrides}
    return {**names, **stage}
