"""`evalkit plan`: what an evaluation, a sweep or a suite takes, before it runs; with the settings of `evaluate`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit import datasets
from evalkit.commands.options import Parser
from evalkit.commands.settings.arguments import normalise
from evalkit.commands.settings.compose import prepare, run_jobs, to_config
from evalkit.commands.settings.presets import expand
from evalkit.config import EvaluateConfig
from evalkit.errors import EvalkitError
from evalkit.plan.already import already_done
from evalkit.plan.forecast import Forecast, forecast
from evalkit.plan.machine import Machine
from evalkit.plan.reading import FROM_CARDS
from evalkit.plan.sample import TextSample, sample_from_card, sample_of
from evalkit.reports.grid import write
from evalkit.reports.plan_grids import evaluations_grid, stages_grid
from evalkit.retrieval.own_candidates import settled
from evalkit.store import open_store
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
    return show_plan(_composed(settings, parser.names), form=options.format)


def show_plan(configs: Sequence[EvaluateConfig], *, form: str) -> int:
    """Print what evaluations take, in a table for each machine.

    Args:
        configs: settings of each evaluation.
        form: `table`, or one of `FORMATS`.

    Returns:
        0, or 2 if one could not be planned.
    """
    planner, grids = _Planner(), []
    for group in _by_machine(configs):
        machine = Machine(group[0].compute)
        ready = [config for config in group if planner.load(config)]  # has bars of its own
        with progress("planning", len(ready), "evaluations") as advance:
            forecasts = [made for config in ready if (made := planner.forecast(config, machine, advance)) is not None]
        if forecasts:
            single = len(group) == 1
            grids.append(stages_grid(forecasts[0], machine) if single else evaluations_grid(forecasts, machine))
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
        usage="evalkit plan [--format FORMAT] [-m] [SETTING=VALUE ...]",
        description="Documents, queries, pairs, tokens, operations, time, energy, disk and memory of evaluations, "
        "before anything runs, and the share that is in the store. Takes the settings of `evalkit evaluate`. Datasets "
        "on disk are read for it, others are planned after their cards. Hours on this machine come from a matrix "
        "multiplication that is timed for a second, and from the share of its rate that models reach.",
        epilog="examples: evalkit plan; evalkit plan suite=beir retriever=bge_large_en_v1_5 reranker=minicpm_reranker "
        "compute=h200 compute.machine.devices=8; evalkit plan -m dataset=scifact,fiqa reranker=none,bge_reranker_v2_m3 "
        "compute=a100",
    )
    parser.add_format()
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
            config = settled(to_config(settings, HydraConfig.get().overrides.task))
            found.append(replace(config, reranker=config.reranker.settled(weights=False)))
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
    """Plans one evaluation after another; a dataset that cannot be planned does not stop the others."""

    def __init__(self) -> None:
        self._samples: dict[str, TextSample] = {}
        self.failed = 0

    def load(self, config: EvaluateConfig) -> bool:
        """Read the dataset of an evaluation; False where it cannot be planned."""
        key, store = repr(config.dataset), open_store(config.cache_dir)
        try:
            if key not in self._samples:
                if not (here := datasets.loader(config.dataset, store).is_here()):
                    warn_once(FROM_CARDS)
                self._samples[key] = (
                    sample_of(datasets.load(config.dataset, store)) if here else sample_from_card(config.dataset)
                )
        except EvalkitError as error:
            self.failed = report(error)
            return False
        return True

    def forecast(self, config: EvaluateConfig, machine: Machine, advance: Callable[[float], None]) -> Forecast | None:
        """The forecast of an evaluation whose dataset is loaded; None where it cannot be planned."""
        sample = self._samples[repr(config.dataset)]
        try:
            already = already_done(config, sample.dataset, open_store(config.cache_dir)) if sample.dataset else None
            return forecast(config, sample, machine, already)
        except EvalkitError as error:
            self.failed = report(error)
            return None
        finally:
            advance(1)
