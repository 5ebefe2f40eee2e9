"""`suite=NAME` and `ablation=NAME`: lists under `conf/` that one evaluation becomes several by. Hydra knows neither."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evalkit.analysis.ablation import Ablation, load_ablation
from evalkit.commands.settings.foreign import config_dir
from evalkit.config.suites import Suite, load_suite
from evalkit.errors import ConfigError


class Presets(NamedTuple):
    """The chosen presets, and the arguments that run them."""

    suite: Suite | None
    ablation: Ablation | None
    arguments: list[str]


def expand(arguments: Sequence[str]) -> Presets:
    """Replace a suite and an ablation by the sweep of Hydra that they stand for."""
    chosen, others = {"suite": "", "ablation": ""}, []
    for argument in arguments:
        key, equals, value = argument.lstrip("+").partition("=")
        if equals and key in chosen:
            chosen[key] = "" if value == "null" else value.strip("'\"")
        elif argument in {"~suite", "~ablation"}:
            chosen[argument[1:]] = ""
        else:
            others.append(argument)
    own = config_dir(arguments)
    suite = load_suite(chosen["suite"], own) if chosen["suite"] else None
    ablation = _load_ablation(chosen["ablation"], others, own) if chosen["ablation"] else None
    swept = [f"dataset:'{','.join(suite.datasets)}'"] if suite else []
    swept += [f"{ablation.setting}:'{','.join(ablation.values)}'"] if ablation else []
    # As settings of Hydra rather than as typed with -m, which cannot be combined with --help and --cfg.
    own_sweep = ["hydra.mode=MULTIRUN", f"+hydra.sweeper.params={{{','.join(swept)}}}"] if swept else []
    return Presets(suite, ablation, [*others, *own_sweep])


def _load_ablation(name: str, others: Sequence[str], own: Path | None) -> Ablation:
    if "," in name:
        raise ConfigError(f"ablation={name} are several ablations. Run them one at a time.")
    ablation = load_ablation(name, own)
    given = dict(argument.lstrip("+").partition("=")[::2] for argument in others)
    if ablation.setting in given:
        raise ConfigError(
            f"ablation={name} varies {ablation.setting}. Remove {ablation.setting}={given[ablation.setting]}, or the "
            f"ablation. Values of your own: -m {ablation.setting}=A,B."
        )
    return ablation
