"""Where the files that ship with evalkit are: configuration, instructions, bundled collections.

In a wheel they lie inside the package; in a checkout `conf/` and `instructions.json` lie at its top level. Knows
nothing of what the files say.
"""

from pathlib import Path

from evalkit.config.registry import installed_settings
from evalkit.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped(name: str) -> Path:
    """Path of a shipped file or folder, such as `conf` or `instructions.json`.

    Raises:
        ConfigError: the installation lacks it.
    """
    for base in (_PACKAGE, _PACKAGE.parent):
        candidate = base / name
        if candidate.exists():
            return candidate
    raise ConfigError(f"{name} is missing from this installation of evalkit ({_PACKAGE}). Install it again.")


def config_names(group: str) -> list[str]:
    """Names in a configuration group, as they are typed: `config_names("dataset")` -> `["folder", "mini", ...]`.

    Raises:
        ConfigError: another package adds a name that evalkit has.
    """
    folder = shipped("conf") / group
    own = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")}
    others = installed_settings(group)
    if taken := sorted(own & others.keys()):
        raise ConfigError(f"an installed package adds a {group} named {taken[0]}, which evalkit has. Remove it.")
    return sorted([*own, *others])


def config_text(group: str, name: str) -> str:
    """The YAML of one of the `config_names` of a group, whether evalkit or another package ships it."""
    path = shipped("conf") / group / f"{name}.yaml"
    return path.read_text(encoding="utf-8") if path.is_file() else installed_settings(group)[name]
