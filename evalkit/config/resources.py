"""The files that ship with evalkit: configuration, instructions, bundled collections. Nothing else reads `conf/`.

In a wheel they lie inside the package; in a checkout `conf/` and `instructions.json` lie at its top level.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from evalkit.config import families
from evalkit.config.registry import installed_settings, taken_by
from evalkit.errors import ConfigError
from evalkit.system.lookalikes import did_you_mean, nearest

_OF_OBJECTS = ("dataset", "retriever", "reranker")
_MOST_BESIDE = 8  # choices that are listed behind a proposal, which a long list would hide

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
    shipped_names, others = _shipped_names(shipped("conf") / group) | members(group).keys(), installed_settings(group)
    if taken := sorted(shipped_names & others.keys()):
        raise taken_by(group, taken[0])
    return sorted({*shipped_names, *others, *(_names_below(own / group) if own else ())})


def members(group: str) -> Mapping[str, families.Member]:
    """The choices of a group that share a file with others of their family."""
    return families.members(shipped("conf") / "family") if group == "dataset" else {}


@cache
def _shipped_names(folder: Path) -> frozenset[str]:
    return _names_below(folder)


def _names_below(folder: Path) -> frozenset[str]:
    return frozenset(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def address_hint(group: str, name: str) -> str:
    """How to choose an object of the user's own, for a name such as `my_module:NAME`; empty for another."""
    from evalkit.system.own_code import is_address  # not at start-up, for an error

    if not is_address(name) or group not in _OF_OBJECTS:
        return ""
    return f"For an object of your own: {group}=python {group}.object={name}."


def choices_instead(group: str, name: str, names: Sequence[str], near: str = "") -> str:
    """The end of an error about a choice: a proposal and the nearest choices, or all where nothing can be proposed.

    `near` is a proposal in place of the names that are like it.
    """
    near = near or did_you_mean(name, names)
    shown = nearest(name, names, _MOST_BESIDE) if near else list(names)
    kind = group if group in {"candidates", "compute", "published"} else f"{group}s"
    more = f" and {len(names) - len(shown)} more: `evalkit list {kind}`" if len(names) > len(shown) else ""
    return f"{near}Legal are: {', '.join(shown)}{more}."


def config_text(group: str, name: str, own: Path | None = None) -> str:
    """The YAML of one of the `config_names` of a group, comments included, whoever ships it."""
    if name not in (names := config_names(group, own)):
        raise ConfigError(
            f"{group}={name} is not a choice. {address_hint(group, name) or choices_instead(group, name, names)}"
        )
    for base in (shipped("conf"), own):
        if base and (path := base / group / f"{name}.yaml").is_file():
            return path.read_text(encoding="utf-8")
    return member.text if (member := members(group).get(name)) else installed_settings(group)[name]


def read_config(group: str, name: str, own: Path | None = None) -> dict[str, Any]:
    """The settings of a choice; its schema is in `defaults`."""
    import yaml

    if member := members(group).get(name):
        return member.card
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a tenth of the time, where PyYAML was built with it
    return dict(yaml.load(config_text(group, name, own), Loader=fast) or {})  # noqa: S506 - safe, both of them


def choices_of(group: str, model: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and settings of every choice of a group that is of a hub id."""
    for name in config_names(group):
        if f"model: {model}\n" in config_text(group, name):
            yield name, read_config(group, name)


def schema_name(settings: Mapping[str, Any]) -> str:
    """The schema that the settings of a choice fill in: `minicpm` of `/schema/reranker/minicpm@_here_`."""
    return str(settings["defaults"][0]).rsplit("/", 1)[-1].removesuffix("@_here_")
