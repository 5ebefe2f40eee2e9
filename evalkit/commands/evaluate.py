"""`evalkit evaluate`: compose the settings with Hydra, run, print the table.

Hydra's own error reports span many lines; `legal.one_line` turns them into one that lists what is legal.
"""

import shlex
from typing import TYPE_CHECKING, Any

from evalkit.analysis.ablation import Ablation, ablate, left_out
from evalkit.analysis.pairwise import Settings
from evalkit.commands.settings import sweeps
from evalkit.commands.settings.arguments import normalise
from evalkit.commands.settings.compose import prepare, run_jobs, to_config
from evalkit.commands.settings.legal import one_line
from evalkit.commands.settings.presets import Presets, expand
from evalkit.commands.settings.sweeps import Done
from evalkit.errors import ConfigError, DataError, EvalkitError, report, report_any
from evalkit.measures import canonical
from evalkit.pipeline import evaluate, settled
from evalkit.report.ablation_grid import ablation_grid
from evalkit.report.grid import write
from evalkit.report.suite import show_suite
from evalkit.report.table import console, show, show_all

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(arguments: list[str]) -> int:
    """Run one evaluation, or with `-m` or a suite every combination.

    Returns:
        0, or 2 if a dataset of a sweep could not be evaluated.
    """
    presets = expand(normalise(arguments))
    given = presets.arguments
    sweeps.require_launcher(given)
    prepare()
    with sweeps.shared_folder(given) as folder:
        try:
            run_jobs(
                run_one,
                sweeps.told(given, folder, ablation=presets.ablation is not None),
                prog="evalkit evaluate",
            )
        finally:
            # Also when a later run of a sweep failed: the earlier ones are done and kept.
            _show_sweep(sweeps.done(folder), presets)
        failures = sweeps.failures(folder)
        if failures and sweeps.are_elsewhere(given):  # what they printed is in a log
            for message in failures:
                report(DataError(message))
        return 2 if failures else 0


def run_one(settings: "DictConfig") -> None:
    """One evaluation of a sweep, or the only one; perhaps in a process of its own, as the launcher has it."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    prepare()  # a launcher's process has not
    hydra_config = HydraConfig.get()
    try:
        sweeps.note(_run(settings, hydra_config))
    except EvalkitError as error:
        # One dataset that is not there need not keep the others of a sweep from being evaluated, nor one value
        # that a checkpoint cannot take the others of an ablation.
        choices = hydra_config.runtime.choices
        apart = choices.get("hydra/launcher") != "basic"  # others are at work already
        one_of_many = apart or isinstance(error, DataError) or sweeps.is_ablation()
        if hydra_config.mode != RunMode.MULTIRUN or not one_of_many:
            raise SystemExit(report(error)) from None
        report(error)
        sweeps.note_failure(hydra_config.job.num, str(error), hydra_config.overrides.task)
    except OmegaConfBaseException as error:
        raise SystemExit(report(ConfigError(one_line(error)))) from None
    except Exception as error:  # Hydra would print a report of its own first
        code = report_any(error)
        if code is None:
            raise
        raise SystemExit(code) from None


def _run(settings: "DictConfig", hydra_config: Any) -> Done:
    """One evaluation, shown when it is done."""
    overrides = list(hydra_config.overrides.task)
    config = settled(to_config(settings, overrides))
    command = " ".join(["evalkit evaluate", *map(shlex.quote, overrides)])
    evaluation = evaluate(config, command=command)
    measures = canonical(config.measures, level=config.dataset.relevance_level)
    show(evaluation, measures, console())
    return Done(
        number=hydra_config.job.get("num", 0) if hydra_config.mode and hydra_config.mode.name == "MULTIRUN" else 0,
        evaluation=evaluation,
        dataset=config.dataset.name,
        measures=measures,
        partial_average=config.partial_average,
        overrides=overrides,
    )


def _show_sweep(done: list[Done], presets: Presets) -> None:
    out = console()
    if len(done) > 1:
        asked = dict.fromkeys(name for one in done for name in one.measures)
        common = set.intersection(*(set(one.overrides) for one in done))
        named = ("dataset=", "retriever=", "reranker=")
        settings = [
            " ".join(
                override for override in one.overrides if override not in common and not override.startswith(named)
            )
            for one in done
        ]
        show_all([one.evaluation for one in done], list(asked), out, settings=settings)
    if done and (suite := presets.suite):
        found = {
            dataset: [(one.evaluation, one.measures) for one in done if one.dataset == dataset]
            for dataset in suite.datasets
        }
        show_suite(suite, found, out, partial=done[0].partial_average)
    if len(done) > 1 and presets.ablation:
        _show_ablation(done, presets.ablation)


def _show_ablation(done: list[Done], ablation: Ablation) -> None:
    """What every value of the setting does, in one table."""
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
    grid = ablation_grid(ablation, ablate(results, settings), settings, left_out(results))
    write([grid], "table", console())
