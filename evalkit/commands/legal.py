"""Hydra's and OmegaConf's errors as one line that says what was found and what is legal."""

import dataclasses
import re

from evalkit.resources import config_names


def one_line(error: BaseException) -> str:
    """The mistake behind an error of Hydra or OmegaConf, with the legal keys or choices.

    The innermost error knows the key and the schema; the outer ones know which file or override it came from.
    """
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, MissingConfigException) and link.missing_cfg_file:
            return _missing_config(str(link.missing_cfg_file))
        if isinstance(link, OverrideParseException):
            return f"cannot read the argument {link.override!r}. Arguments are SETTING=VALUE, such as reranker=none."
    innermost = next((link for link in reversed(chain) if isinstance(link, OmegaConfBaseException)), chain[-1])
    if isinstance(innermost, ConfigAttributeError | ConfigKeyError):
        return _unknown_key(innermost)
    if isinstance(innermost, OmegaConfBaseException):
        key = getattr(innermost, "full_key", None) or ""
        return f"{key}: {_first_line(innermost)}." if key else f"{_first_line(innermost)}."
    return _unknown_group(_first_line(error))


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def _missing_config(name: str) -> str:
    group, _, choice = name.removesuffix(".yaml").rpartition("/")
    group = group.split("/", 1)[0] if group else group
    choice = name.removesuffix(".yaml").removeprefix(f"{group}/")
    if not group or group == "schema":
        return f"there is no configuration {name!r}."
    return f"{group}={choice} is not a choice. Legal are: {', '.join(config_names(group))}."


def _unknown_key(error: BaseException) -> str:
    key = str(getattr(error, "full_key", "") or getattr(error, "key", ""))
    schema = getattr(error, "object_type", None)
    if dataclasses.is_dataclass(schema):
        legal = ", ".join(sorted(field.name for field in dataclasses.fields(schema)))
        return f"{key} is not a setting. Legal beside it are: {legal}."
    return f"{key} is not a setting: {_first_line(error)}."


def _unknown_group(message: str) -> str:
    """Hydra reports `rerankr=none` as a group that is not in the defaults list."""
    found = re.search(r"Could not override '([^']*)'", message)
    if found:
        return f"{found[1]} is not a setting. Legal are: dataset, retriever, reranker, compute, suite, and the keys below them."
    return message


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
