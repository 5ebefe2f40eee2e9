"""Settings from files of other people, as `--config-dir` has Hydra read them: looked through before Hydra does.

Hydra makes objects of whatever a `_target_` names, copies an alias wherever it stands, and loads a pickle to run again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from evalkit.errors import ConfigError
from evalkit.system.files import expanded
from evalkit.system.reporting import reason

_LARGEST = 1_000_000  # bytes of a file of settings
_ROOTS = ("--config-path", "-cp", "--config-name", "-cn", "--experimental-rerun")


def require_harmless(arguments: list[str]) -> None:
    """Look through what these arguments have Hydra read."""
    for argument in arguments:
        flag = argument.partition("=")[0]
        # Argparse takes any beginning of a long flag that is of no other.
        short = len(flag) > len("--") and flag.startswith("--") and not "--config-dir".startswith(flag)
        if flag in _ROOTS or (short and any(root.startswith(flag) for root in _ROOTS)):
            raise ConfigError(f"{flag} is not for evalkit. Settings of your own go into groups below --config-dir DIR.")
        if argument.lstrip("+").startswith("hydra.searchpath="):
            raise ConfigError("hydra.searchpath is not for evalkit. Give the folder as --config-dir DIR.")
    if folder := config_dir(arguments):
        # Other folders than the groups are not read.
        for path in sorted(folder.glob("*/**/*.yaml")):
            if wrong := _fault(path):
                raise ConfigError(f"{path}: {wrong}")


def config_dir(arguments: Sequence[str]) -> Path | None:
    """The folder that `--config-dir` names."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--config-dir", "-cd")
    folder = parser.parse_known_args(arguments)[0].config_dir
    return expanded(folder) if folder else None


def _fault(path: Path) -> str | None:
    """The fault of a file of settings."""
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if not path.is_file() or path.stat().st_size > _LARGEST:
        return f"is not a file of settings of at most {_LARGEST:,} bytes."
    try:
        for event in yaml.parse(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader):
            # Before it is loaded: a few lines of aliases are as much as one likes.
            if isinstance(event, yaml.AliasEvent):
                return f"has the alias *{event.anchor}. Write what it stands for, or ${{NAME.OF.THE.SETTING}}."
            if isinstance(event, yaml.ScalarEvent) and event.value == "_target_":
                return "has a _target_, which names an object of Python. Settings are texts, numbers and lists."
        OmegaConf.load(path)
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError, OSError) as error:
        return f"cannot be read as YAML ({reason(error)})."
    return None
