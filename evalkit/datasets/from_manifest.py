"""Settings of a dataset as a manifest keeps them, as objects again."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_origin

from evalkit.config.dataset import DatasetConfig, ExpectedCounts, TextLengths
from evalkit.datasets import DATASETS
from evalkit.errors import ConfigError


def dataset_config(settings: Mapping[str, Any]) -> DatasetConfig | None:
    """Settings as a manifest keeps them, as the class that has these fields; None where no class has.

    A field that is newer than the manifest has its default.

    Raises:
        ConfigError: a value is not legal any more, or is of another type.
    """
    names = {kind: {field.name for field in fields(kind)} for kind in DATASETS.usable().values()}
    fitting = [kind for kind in names if "expected" in settings and settings.keys() <= names[kind]]
    if not fitting:
        return None
    kind = min(fitting, key=lambda one: len(names[one]))
    nested = {
        "expected": _typed(ExpectedCounts, settings["expected"]),
        "lengths": _typed(TextLengths, settings.get("lengths", {})),
    }
    found: DatasetConfig = _typed(kind, {**settings, **nested})
    return found


def _typed(kind: Any, settings: Mapping[str, Any]) -> Any:
    """An object of a schema; Hydra looks at types by itself, a dataclass does not."""
    types: dict[str, Any] = {one.name: list if get_origin(one.type) is list else one.type for one in fields(kind)}
    for name, value in settings.items():
        if not isinstance(value, types[name]):
            raise ConfigError(f"dataset.{name}={value!r} is of another type than that setting is.")
    return kind(**settings)
