"""`evalkit plan`: what an evaluation, a sweep or a suite takes, before it runs; with the settings of `evaluate`."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from evalkit import datasets
from evalkit.commands.options import Parser
from evalkit.commands.settings.arguments import normalise
from evalkit.commands.settings.compose import prepare, run_jobs, to_config
from evalkit.commands.settings.presets import expand
from evalkit.config import EvaluateConfig
from evalkit.errors import EvalkitError
from evalkit.pipeline import settled
from evalkit.plan.already import kept_of
from evalkit.plan.forecast import Forecast, forecast
from evalkit.plan.machine import Machine
from evalkit.plan.order import cheapest_first
from evalkit.plan.pilot import measure_rates
from evalkit.plan.sample import Sample, sample_from_card, sample_of
from evalkit.report.grid import write
from evalkit.report.plan_grids import evaluations_grid, stages_grid
from evalkit.store import Store, open_store
from evalkit.system.network import warn_once
from evalkit.system.progress import progress
from evalkit.system.reporting import report

if TYPE_CHECKING:
    from omegaconf import DictConfig

_LAUNCHER = re.compile(r"\+?hydra/launcher=|\+?hydra\.launcher\.")


def main(arguments: list[str]) -> int:
    """Print the plan.

    Returns:
        0, or 2 if a dataset could not be planned.
    """
    parser = _parser()
    options, settings = parser.parse_known_args(arguments)
    return show_plan(_composed(settings, parser.names), measure=not options.assume, form=options.format)


def show_plan(configs: Sequence[EvaluateConfig], *, measure: bool, form: str) -> int:
    """Print what evaluations take, in a table for each machine.

    Args:
        configs: of each.
        measure: whether rates of this machine that are not known are measured.
        form: `table`, or one of `FORMATS`.

    Returns:
        0, or 2 if one could not be planned.
    """
    warn_once("What was not downloaded is planned after its card and its published size.")
    planner, grids = _Planner(measure=measure), []
    for some in _by_machine(configs):
        machine = Machine(some[0].compute, open_store(some[0].cache_dir))
        ready = [config for config in some if planner.prepare(config)]  # has bars of its own
        with progress("planning", len(ready), "evaluations") as advance:
            forecasts = [one for config in ready if (one := planner.forecast(config, advance)) is not None]
        if forecasts:
            planned = cheapest_first(forecasts)
            grids.append(stages_grid(planned[0], machine) if len(some) == 1 else evaluations_grid(planned, machine))
    if grids:
        write(grids, form)
    return 2 if planner.failed else 0


def _by_machine(configs: Sequence[EvaluateConfig]) -> list[list[EvaluateConfig]]:
    """Evaluations on the same machine, used in the same way, together; machines in the order in which they come."""
    found: dict[str, list[EvaluateConfig]] = {}
    for config in configs:
        found.setdefault(repr(config.compute), []).append(config)
    return list(found.values())


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit plan",
        config="evaluate",
        usage="evalkit plan [--format FORMAT] [--assume] [-m] [SETTING=VALUE ...]",
        description="Documents, queries, pairs, tokens, operations, time, energy, disk and memory of evaluations, "
        "before anything runs, and what of them is in the store; several in the order in which they cost least. Takes "
        "the settings of `evalkit evaluate`. Datasets on disk are read for it, others are planned after their cards.",
        epilog="examples: evalkit plan; evalkit plan suite=beir retriever=bge_large_en_v1_5 reranker=minicpm_reranker "
        "compute=h200 compute.machine.devices=8; evalkit plan -m dataset=scifact,fiqa reranker=none,bge_reranker_v2_m3 "
        "compute=a100",
    )
    parser.add_format()
    parser.add_argument(
        "--assume", action="store_true", help="take rates that are not known yet as assumed; do not measure for seconds"
    )
    return parser


def _composed(arguments: Sequence[str], options: Sequence[str] = ()) -> list[EvaluateConfig]:
    """The settings of every evaluation, as `evaluate` would run them.

    Raises:
        ConfigError: a setting is unknown, absent, or of the wrong type.
    """
    from hydra.core.hydra_config import HydraConfig

    found: list[EvaluateConfig] = []
    faults: list[EvalkitError] = []

    def collect(settings: "DictConfig") -> None:
        try:
            found.append(settled(to_config(settings, HydraConfig.get().overrides.task)))
        except EvalkitError as error:  # Hydra would make a report of its own of it
            faults.append(error)

    prepare()
    # Whoever will run it: it is planned here.
    given = normalise([text for text in arguments if not _LAUNCHER.match(text)], options=options)
    run_jobs(collect, expand(given).arguments, prog="evalkit plan")
    if faults:
        raise faults[0]
    return found


class _Planner:
    """Plans one evaluation after another; a dataset that cannot be planned keeps no other from it."""

    def __init__(self, *, measure: bool) -> None:
        self._measure = measure
        self._samples: dict[str, Sample] = {}
        self.failed = 0

    def prepare(self, config: EvaluateConfig) -> bool:
        """Read the dataset of an evaluation, and measure its models; False where it cannot be planned."""
        store = open_store(config.cache_dir)
        try:
            sample = self._sample(config, store)
            if self._measure and not (machine := Machine(config.compute, store)).described:
                measure_rates(config, sample, machine)
        except EvalkitError as error:
            self.failed = report(error)
            return False
        return True

    def forecast(self, config: EvaluateConfig, advance: Callable[[float], None]) -> Forecast | None:
        """Of one evaluation that was prepared; None where it cannot be planned."""
        store = open_store(config.cache_dir)
        try:
            sample = self._sample(config, store)
            kept = kept_of(config, sample.dataset, store) if sample.dataset is not None else None
            return forecast(config, sample, Machine(config.compute, store), kept)
        except EvalkitError as error:
            self.failed = report(error)
            return None
        finally:
            advance(1)

    def _sample(self, config: EvaluateConfig, store: Store) -> Sample:
        key = repr(config.dataset)
        if key not in self._samples:
            here = datasets.loader(config.dataset, store).is_here()
            self._samples[key] = (
                sample_of(datasets.load(config.dataset, store)) if here else sample_from_card(config.dataset)
            )
        return self._samples[key]
