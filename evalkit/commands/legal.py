"""Hydra's and OmegaConf's errors as one line that says what was found and what is legal."""

import dataclasses
import re
from collections.abc import Sequence

from evalkit.resources import config_names

GROUPS = ("dataset", "retriever", "reranker", "compute", "suite", "ablation")


def one_line(error: BaseException, groups: Sequence[str] = GROUPS) -> str:
    """The mistake behind an error of Hydra or OmegaConf, with the legal keys or choices.

    Args:
        error: as raised.
        groups: the top-level settings of the verb.

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
    for link in reversed(chain):
        # OmegaConf's innermost errors may still hold the placeholders of their message; the one around them does not.
        if not isinstance(link, OmegaConfBaseException) or "$" in _first_line(link):
            continue
        if isinstance(link, ConfigAttributeError | ConfigKeyError):
            return _unknown_key(link)
        key = link.full_key or _overridden_key(chain)
        hint = " A list is written [a,b]." if "ListConfig" in str(link) else ""
        return f"{key}: {_first_line(link)}.{hint}" if key else f"{_first_line(link)}."
    return _unknown_group(_first_line(error), groups)


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def _overridden_key(chain: list[BaseException]) -> str:
    """The setting that Hydra was merging when it failed."""
    found = (re.search(r"Error merging override ([^=\s]+)=", str(link)) for link in chain)
    return next((match[1] for match in found if match), "")


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


def _unknown_group(message: str, groups: Sequence[str]) -> str:
    """Hydra reports `rerankr=none` as a group that is not in the defaults list."""
    absent = re.match(r"You must specify '(\w+)'", message)
    if absent:
        return f"{absent[1]} is not set. Choose one with {absent[1]}=NAME: {', '.join(config_names(absent[1]))}."
    several = re.match(r"Ambiguous value for argument '([^']*)'", message)
    if several:
        return (
            f"{several[1]} has several values. Put a list in brackets, [a,b]; `evalkit evaluate -m` runs each of them."
        )
    found = re.search(r"Could not override '([^']*)'", message)
    if found:
        return f"{found[1]} is not a setting. Legal are: {', '.join(groups)}, and the keys below them."
    return message


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
