"""Where the files that ship with evalkit are: configuration, instructions, bundled collections.

In a wheel they lie inside the package; in a checkout `conf/` and `instructions.json` lie at its top level. Knows
nothing of what the files say.
"""

from pathlib import Path

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
    """Names in a configuration group, as they are typed: `config_names("dataset")` -> `["folder", "mini", ...]`."""
    folder = shipped("conf") / group
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))
