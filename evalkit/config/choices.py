"""The settings of a choice by name, with some replaced, checked by its schema."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from evalkit.config.resources import read_config, schema_name
from evalkit.errors import ConfigError
from evalkit.system.lookalikes import instead
from evalkit.system.reporting import reason


def chosen(group: str, name: str, settings: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """The settings in `conf/<group>/<name>.yaml`, with some replaced.

    Args:
        group: such as `retriever`.
        name: a choice of the group.
        settings: what to replace.
        schemas: the classes of the group, by the names that files under `conf/` write.

    Raises:
        ConfigError: there is no such choice or setting.
    """
    stored = read_config(group, name)
    schema = schema_among(schemas, group, stored)
    del stored["defaults"]
    return checked(schema, group, {**stored, **settings})


def schema_among(schemas: Mapping[str, Any], group: str, settings: Mapping[str, Any]) -> Any:
    """The class that checks the settings of a choice.

    Raises:
        ConfigError: the package that has it cannot be used, or there is none of this name.
    """
    name = schema_name(settings)
    if name not in schemas:
        raise ConfigError(f"there is no schema '{group}/{name}'. {instead(name, sorted(schemas))}")
    return schemas[name]


def checked(schema: type, group: str, settings: Mapping[str, Any]) -> Any:
    """Settings as an object of their schema.

    Raises:
        ConfigError: one of them is not a setting, or has a value that is not legal.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    legal = {field.name for field in fields(schema)}
    for key in settings:
        if key not in legal:
            raise ConfigError(
                f"{group}.{key} is not a setting. {instead(str(key), sorted(legal), 'Other legal settings are')}"
            )
    plain = {key: str(value) if hasattr(value, "__fspath__") else value for key, value in settings.items()}
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), plain))
    except OmegaConfBaseException as error:
        place = ".".join(filter(None, (group, getattr(error, "full_key", ""))))
        first = str(error).partition("\n")[0].rstrip(".")  # the other lines are for OmegaConf's own users
        raise ConfigError(f"{place}: {first or reason(error)}.") from error
