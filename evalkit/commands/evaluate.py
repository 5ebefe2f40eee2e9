"""`evalkit evaluate`: compose the settings with Hydra, run, print the table.

Hydra's own error reports span many lines; `legal.one_line` turns them into one that lists what is legal.
"""

import shlex
import sys
from typing import Any, NamedTuple

from evalkit.commands.arguments import normalise
from evalkit.commands.compose import prepare, to_config
from evalkit.commands.legal import one_line
from evalkit.config import EvaluateConfig
from evalkit.errors import ConfigError, DataError, EvalkitError, report, report_os_error
from evalkit.pipeline import evaluate
from evalkit.report.suite import show_suite
from evalkit.report.table import console, show, show_all
from evalkit.resources import shipped
from evalkit.results import Evaluation
from evalkit.suites import load_suite


class _Done(NamedTuple):
    """An evaluation of a sweep."""

    config: EvaluateConfig
    evaluation: Evaluation
    overrides: list[str]
    suite: str | None


def main(arguments: list[str]) -> int:
    """Run one evaluation, or with `-m` or a suite every combination.

    Returns:
        0, or 2 if a dataset of a sweep could not be evaluated.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    sys.argv = ["evalkit evaluate", *normalise(arguments)]
    prepare()
    done: list[_Done] = []
    failures: list[EvalkitError] = []

    def run_one(settings: DictConfig) -> None:
        hydra_config = HydraConfig.get()
        try:
            done.append(_run(settings, hydra_config))
        except DataError as error:
            # One dataset that is not there need not keep the others of a sweep from being evaluated.
            if hydra_config.mode != RunMode.MULTIRUN:
                raise SystemExit(report(error)) from None
            report(error)
            failures.append(error)
        except EvalkitError as error:
            raise SystemExit(report(error)) from None
        except OmegaConfBaseException as error:
            raise SystemExit(report(ConfigError(one_line(error)))) from None
        except OSError as error:  # Hydra would print a report of its own first
            raise SystemExit(report_os_error(error)) from None

    try:
        hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="evaluate")(run_one)()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(one_line(error)) from error
    finally:
        # Also when a later run of a sweep failed: the earlier ones are done and kept.
        _show_sweep(done)
    return 2 if failures else 0


def _run(settings: Any, hydra_config: Any) -> _Done:
    """One evaluation, shown when it is done."""
    config = to_config(settings)
    overrides = list(hydra_config.overrides.task)
    command = " ".join(["evalkit evaluate", *map(shlex.quote, overrides)])
    evaluation = evaluate(config, command=command)
    show(evaluation, config.measures, console())
    return _Done(config, evaluation, overrides, hydra_config.runtime.choices.get("suite"))


def _show_sweep(done: list[_Done]) -> None:
    out = console()
    if len(done) > 1:
        asked = dict.fromkeys(name for one in done for name in one.config.measures)
        common = set.intersection(*(set(one.overrides) for one in done))
        named = ("dataset=", "retriever=", "reranker=")
        settings = [
            " ".join(
                override for override in one.overrides if override not in common and not override.startswith(named)
            )
            for one in done
        ]
        show_all([one.evaluation for one in done], list(asked), out, settings=settings)
    if done and done[0].suite:
        suite = load_suite(done[0].suite)
        found = {
            dataset: [(one.evaluation, one.config.measures) for one in done if one.config.dataset.name == dataset]
            for dataset in suite.datasets
        }
        show_suite(suite, found, out, partial=done[0].config.partial_average)
