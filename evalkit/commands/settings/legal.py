"""Hydra's and OmegaConf's errors as one line that says what was found and what is legal."""

import dataclasses
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from evalkit.config import ROOTS
from evalkit.config.resources import address_hint, choices_instead, config_names
from evalkit.errors import ConfigError
from evalkit.system.lookalikes import instead, lookalikes, proposal

_EXPECTED = {"Integer": "Give a whole number.", "Float": "Give a number.", "bool": "Give true or false."}
GROUPS = ("dataset", "retriever", "reranker", "compute", "suite", "ablation")
_HYDRA_GROUPS = ("hydra/launcher", "hydra/sweeper", "hydra/job_logging", "hydra/hydra_logging", "hydra/help")


def top_settings(verb: str) -> tuple[str, ...]:
    """Legal first parts of a setting where `conf/<verb>.yaml` is composed, apart from Hydra's own."""
    own = [field.name for field in dataclasses.fields(ROOTS[verb])]
    beside = {"evaluate": GROUPS, "fetch": ("suite",)}.get(verb, ())
    return tuple(dict.fromkeys([*beside, *own]))


def one_line(error: BaseException, groups: Sequence[str] = GROUPS, *, remedy: str = "") -> str:
    """The mistake behind an error of Hydra or OmegaConf, with the legal keys or choices.

    The innermost error knows the key and the schema; the outer ones know which file or override it came from. `remedy`
    is said where a choice lacks a setting that others of its group have.
    """
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, MissingConfigException) and link.missing_cfg_file:
            return _missing_config(str(link.missing_cfg_file), link.options or ())
        if isinstance(link, OverrideParseException):
            return _unread(str(link.override))
    for link in reversed(chain):
        # OmegaConf's innermost errors may still hold the placeholders of their message; the one around them does not.
        if not isinstance(link, OmegaConfBaseException) or "$" in _first_line(link):
            continue
        if isinstance(link, ConfigAttributeError | ConfigKeyError):
            return _unknown_key(link, remedy)
        key = link.full_key or _overridden_key(chain)
        return f"{key}: {_first_line(link)}.{_hint(link)}" if key else f"{_first_line(link)}.{_hint(link)}"
    return _unknown_group(_first_line(error), groups)


def _hint(error: BaseException) -> str:
    """Advice on what to type instead of a value of the wrong type."""
    if "ListConfig" in str(error):
        return " A list is written [a,b]."
    wanted = re.search(r"could not be converted to (\w+)|is not a valid (bool)", str(error))
    return f" {_EXPECTED[wanted[1] or wanted[2]]}" if wanted and (wanted[1] or wanted[2]) in _EXPECTED else ""


def unknown_setting(
    key: str, legal: Collection[str], *, lead: str = "Other legal settings are", choice: str = "", remedy: str = ""
) -> str:
    """That there is no such setting, or that this choice lacks it; which one may have been meant, or the remedy."""
    above, dot, name = key.rpartition(".")
    exact = homes(name)
    if key in exact:
        of = f"the {above} {choice}" if choice else f"this {above}"
        advice = f" {remedy}" if choice and remedy else ""
        return f"{key} is not a setting of {of}. {_takers(above, name)}{lead}: {', '.join(sorted(legal))}.{advice}"
    near = exact or [f"{above}{dot}{one}" for one in lookalikes(name, sorted(legal))]
    return f"{key} is not a setting. {proposal(near)}{lead}: {', '.join(sorted(legal))}."


def other_stage(key: str, legal: Collection[str], elsewhere: str) -> str:
    """That the verb has no such stage and `elsewhere` says which has it; and which setting of this verb is so named."""
    near = [home for home in homes(key.partition(".")[2]) if home.partition(".")[0] in legal]
    return f"{key} is not a setting here. {proposal(near)}{elsewhere} Legal are: {', '.join(sorted(legal))}."


def _takers(group: str, name: str) -> str:
    """A sentence with up to three choices of a group that have a setting; empty where none has its kind's name."""
    from evalkit.load import usable_schemas

    kinds = usable_schemas().get(group, {}).items()
    having = {kind for kind, schema in kinds if any(field.name == name for field in dataclasses.fields(schema))}
    found = [f"{group}={choice}" for choice in config_names(group) if choice in having][:3] if having else []
    return f"{' and '.join(found)} {'has' if len(found) == 1 else 'have'} it. " if found else ""


def homes(name: str) -> list[str]:
    """The settings of exactly this name: `compute.dtype` of `dtype`."""
    from evalkit.load import usable_schemas

    return [
        f"{group}.{name}"
        for group, schemas in usable_schemas().items()
        if any(field.name == name for schema in schemas.values() for field in dataclasses.fields(schema))
    ]


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def _overridden_key(chain: list[BaseException]) -> str:
    """The setting that Hydra was merging when it failed."""
    found = (re.search(r"Error merging override ([^=\s]+)=", str(link)) for link in chain)
    return next((match[1] for match in found if match), "")


def _missing_config(name: str, options: Sequence[str]) -> str:
    """That a group has no such choice; `options` are those that Hydra found, of the shipped and the user's files."""
    from evalkit.load import FOLDERS

    name = name.removesuffix(".yaml")
    # `hydra/launcher/slurm`, but `dataset/cqadupstack/unix`
    group, _, choice = name.rpartition("/") if name.startswith("hydra/") else name.partition("/")
    if not choice and group not in GROUPS:
        return f"there is no configuration {name!r}."
    if group == "schema":
        return _missing_schema(name)
    legal = sorted({*options, *config_names(group)})
    others = [f"{other}={choice}" for other in GROUPS if group in GROUPS and choice in config_names(other)]
    if not choice:
        return f"{group}= names nothing. Legal are: {', '.join(legal)}."
    if hint := address_hint(group, choice):
        return f"{group}={choice} is not a choice. {hint}"
    near = proposal(others)
    if group in FOLDERS and (choice.startswith(("/", "./", "../", "~")) or Path(choice).exists()):
        reader, setting = FOLDERS[group]
        near = f"To read {choice}, set {group}={reader} {group}.{setting}={choice}. "
    return f"{group}={choice} is not a choice. {choices_instead(group, choice, legal, near)}"


def _unread(argument: str) -> str:
    key, equals, value = argument.partition("=")
    if not equals or not value:
        return f"cannot read the argument {argument!r}. Arguments are SETTING=VALUE, such as reranker=none."
    from hydra.core.override_parser.types import Quote, QuotedString

    quoted = QuotedString(value, Quote.double).with_quotes()
    return f"cannot read the value of {argument!r}. Put it in two kinds of quotes: '{key}={quoted}'."


def _missing_schema(name: str) -> str:
    """Why there is no class of the name in a `defaults` list: its package cannot be used, or none has that name."""
    from evalkit.load import SCHEMAS

    place, _, kind = name.rpartition("/")
    schemas = SCHEMAS.get(place.removeprefix("schema/"), {})
    try:
        schemas[kind]
    except ConfigError as error:
        return str(error)
    except KeyError:
        pass
    return f"there is no schema {name!r}, which a file of settings names in defaults. {instead(kind, sorted(schemas))}"


def _unknown_key(error: BaseException, remedy: str) -> str:
    key = str(getattr(error, "full_key", "") or getattr(error, "key", ""))
    schema = getattr(error, "object_type", None)
    if key.startswith("hydra/"):
        return f"{key} is not a setting. {instead(key, _HYDRA_GROUPS)}"
    if dataclasses.is_dataclass(schema):
        choice = _choice_of(error, key.partition(".")[0], schema)
        return unknown_setting(key, [field.name for field in dataclasses.fields(schema)], choice=choice, remedy=remedy)
    return f"{key} is not a setting: {_first_line(error)}."


def _choice_of(error: BaseException, group: str, schema: Any) -> str:
    """The name of the choice that lacks a setting, or of its kind where it has none; empty where neither is known."""
    from evalkit.load import usable_schemas

    settings: Any = getattr(error, "parent_node", None)
    own = settings.get("name") if hasattr(settings, "get") else None
    kinds = (kind for kind, known in usable_schemas().get(group, {}).items() if known is schema)
    return str(own or next(kinds, ""))


def _unknown_group(message: str, groups: Sequence[str]) -> str:
    """Hydra reports `rerankr=none` as a group that is not in the defaults list."""
    absent = re.match(r"You must specify '(\w+)'", message)
    if absent:
        return not_set(absent[1])
    several = re.match(r"Ambiguous value for argument '([^']*)'", message)
    if several:
        return (
            f"{several[1]} has several values. Put a list in brackets, [a,b]; `evalkit evaluate -m` runs each of them."
        )
    found = re.search(r"Could not (?:override|delete from config\.) '([^']*)'", message)
    if found:
        return f"{found[1]} is not a setting. {instead(found[1], groups).rstrip('.')}, and the keys below them."
    return message


def not_set(group: str) -> str:
    """That a choice of a group has to be made, and which there are."""
    return f"{group} is not set. Choose one with {group}=NAME: {', '.join(config_names(group))}."


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
