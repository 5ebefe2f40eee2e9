"""`evalkit evaluate`: compose the settings with Hydra, run, print the table.

Hydra's own error reports span many lines; `legal.one_line` turns them into one that lists what is legal.
"""

import logging
import os
import shlex
import sys
from dataclasses import asdict
from typing import Any

from evalkit.commands.arguments import normalise
from evalkit.commands.legal import one_line
from evalkit.config import SCHEMAS, EvaluateConfig
from evalkit.errors import ConfigError, EvalkitError, report, report_os_error
from evalkit.pipeline import evaluate
from evalkit.report.table import console, show, show_all
from evalkit.resources import shipped
from evalkit.results import Evaluation


def main(arguments: list[str]) -> int:
    """Run one evaluation, or with `-m` or a suite every combination."""
    # Full errors: Hydra raises instead of printing its own report and leaving with exit code 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    sys.argv = ["evalkit evaluate", *normalise(arguments)]
    register_schemas()
    _log_warnings()
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


def register_schemas() -> None:
    """Make the dataclasses known to Hydra under the names that the `defaults` lists use."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    store.store(group="schema", name="evaluate", node=EvaluateConfig, provider="evalkit")
    for group, schemas in SCHEMAS.items():
        for name, schema in schemas.items():
            store.store(group=f"schema/{group}", name=name, node=schema, provider="evalkit")


def to_config(settings: Any) -> EvaluateConfig:
    """Checked dataclasses from what Hydra composed."""
    from omegaconf import OmegaConf

    config = OmegaConf.to_object(settings)
    assert isinstance(config, EvaluateConfig)
    _refuse_added_keys("", OmegaConf.to_container(settings), asdict(config))
    return config


def _refuse_added_keys(prefix: str, given: Any, known: dict[str, Any]) -> None:
    """`+key=value` gets past the schema, but nothing would read it."""
    for key, value in given.items():
        if key not in known:
            raise ConfigError(f"{prefix}{key} is not a setting. Legal beside it are: {', '.join(sorted(known))}.")
        if isinstance(value, dict) and isinstance(known[key], dict):
            _refuse_added_keys(f"{prefix}{key}.", value, known[key])


def _log_warnings() -> None:
    """Warnings of evalkit on stderr, one line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("evalkit: %(levelname)s: %(message)s"))
    logger = logging.getLogger("evalkit")
    logger.handlers[:] = [handler]
    logger.propagate = False
