"""`evalkit evaluate`: compose the settings with Hydra, run, print the table.

Hydra's own error reports span many lines; `legal.one_line` turns them into one that lists what is legal.
"""

import shlex
import sys

from evalkit.commands.arguments import normalise
from evalkit.commands.compose import prepare, to_config
from evalkit.commands.legal import one_line
from evalkit.errors import ConfigError, EvalkitError, report, report_os_error
from evalkit.pipeline import evaluate
from evalkit.report.table import console, show, show_all
from evalkit.resources import shipped
from evalkit.results import Evaluation


def main(arguments: list[str]) -> int:
    """Run one evaluation, or with `-m` or a suite every combination."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    sys.argv = ["evalkit evaluate", *normalise(arguments)]
    prepare()
    out = console()
    done: list[tuple[Evaluation, list[str]]] = []

    def run_one(settings: DictConfig) -> None:
        try:
            config = to_config(settings)
            overrides = HydraConfig.get().overrides.task
            command = " ".join(["evalkit evaluate", *(shlex.quote(override) for override in overrides)])
            evaluation = evaluate(config, command=command)
            show(evaluation, config.measures, out)
        except EvalkitError as error:
            raise SystemExit(report(error)) from None
        except OmegaConfBaseException as error:
            raise SystemExit(report(ConfigError(one_line(error)))) from None
        except OSError as error:  # Hydra would print a report of its own first
            raise SystemExit(report_os_error(error)) from None
        done.append((evaluation, config.measures))

    try:
        hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="evaluate")(run_one)()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(one_line(error)) from error
    finally:
        # Also when a later run of a sweep failed: the earlier ones are done and kept.
        if len(done) > 1:
            asked = dict.fromkeys(name for _, measures in done for name in measures)
            show_all([evaluation for evaluation, _ in done], list(asked), out)
    return 0
