"""Settings of a dataset as a manifest keeps them, as objects again."""

from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from evalkit.config.dataset import BundledDatasetConfig, DatasetConfig, ExpectedCounts, TextLengths
from evalkit.config.resources import config_names, read_config, schema_name
from evalkit.datasets import DATASETS
from evalkit.errors import ConfigError


def dataset_config(settings: Mapping[str, Any]) -> DatasetConfig | None:
    """Settings as a manifest keeps them, as the class that has these fields; None where no class has.

    A field that is newer than the manifest has its default.

    Raises:
        ConfigError: a value is not legal any more, or is of another type.
    """
    refusals = []
    for kind in _kinds(settings):
        nested = {
            "expected": _typed(ExpectedCounts, settings["expected"]),
            "lengths": _typed(TextLengths, settings.get("lengths", {})),
        }
        try:
            found: DatasetConfig = _typed(kind, {**settings, **nested})
        except ConfigError as error:
            refusals.append(error)
        else:
            return found
    if refusals:
        raise refusals[0]
    return None


def _kinds(settings: Mapping[str, Any]) -> list[type[DatasetConfig]]:
    """The classes that may have made these settings, the likeliest first.

    A manifest does not name its class, and that of a package may have the very fields of one of evalkit's. So the
    dataset's name decides where it is a choice, else the class with the fewest fields beyond those of the manifest.
    """
    usable = DATASETS.usable()
    names = {kind: {field.name for field in fields(kind)} for kind in usable.values()}
    fitting = [kind for kind in names if "expected" in settings and settings.keys() <= names[kind]]
    if not fitting:
        return []
    named = None
    if (name := settings.get("name")) in config_names("dataset"):
        named = usable.get(schema_name(read_config("dataset", str(name))))
    fewest = min(len(names[kind]) for kind in fitting)
    others = [kind for kind in fitting if len(names[kind]) == fewest and kind is not BundledDatasetConfig]
    return [kind for kind in fitting if kind is named] + [kind for kind in others if kind is not named]


def _typed(kind: Any, settings: Mapping[str, Any]) -> Any:
    """An object of a schema; Hydra looks at types by itself, a dataclass does not."""
    hints = get_type_hints(kind)
    for name, value in settings.items():
        if not isinstance(value, _classes(hints[name])):
            raise ConfigError(f"dataset.{name}={value!r} is of another type than that setting is.")
    return kind(**settings)


def _classes(hint: Any) -> tuple[type, ...]:
    """The classes that a value of a type may have: list and NoneType of `list[str] | None`."""
    parts = get_args(hint) if isinstance(hint, UnionType) or get_origin(hint) is Union else (hint,)
    return tuple(object if part is Any else get_origin(part) or part for part in parts)
