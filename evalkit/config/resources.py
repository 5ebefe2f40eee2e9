"""The files that ship with evalkit: configuration, instructions, bundled collections. Nothing else reads `conf/`.

In a wheel they lie inside the package; in a checkout `conf/` and `instructions.json` lie at its top level.
"""

from pathlib import Path
from typing import Any

from evalkit.errors import ConfigError
from evalkit.system.lookalikes import instead

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


def config_names(group: str, own: Path | None = None) -> list[str]:
    """Names in a configuration group, as they are typed: `config_names("dataset")` -> `["folder", "mini", ...]`.

    Args:
        group: a folder below `conf/`.
        own: a user's folder with more groups, as given by `--config-dir`.
    """
    folders = [base / group for base in (shipped("conf"), own) if base]
    return sorted({path.relative_to(at).with_suffix("").as_posix() for at in folders for path in at.rglob("*.yaml")})


def config_text(group: str, name: str, own: Path | None = None) -> str:
    """The text of `conf/<group>/<name>.yaml`, comments included.

    Raises:
        ConfigError: there is no such file; the message lists the names there are.
    """
    if name not in (names := config_names(group, own)):
        raise ConfigError(f"{group}={name} is not a choice. {instead(name, names)}")
    paths = [base / group / f"{name}.yaml" for base in (shipped("conf"), own) if base]
    return next(path for path in paths if path.is_file()).read_text(encoding="utf-8")


def read_config(group: str, name: str, own: Path | None = None) -> dict[str, Any]:
    """The settings in `conf/<group>/<name>.yaml`; its schema is in `defaults`.

    Raises:
        ConfigError: there is no such file.
    """
    import yaml

    return dict(yaml.safe_load(config_text(group, name, own)) or {})
