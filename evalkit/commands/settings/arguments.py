"""Arguments as people type them, rewritten for Hydra's grammar; what it would misread is refused.

Hydra reads `dataset.path=~/数据 (1)` as a broken expression, and a suite's datasets as replaceable by `dataset=`.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any

from evalkit.commands.options import unknown_option
from evalkit.commands.settings.foreign import require_harmless
from evalkit.commands.settings.legal import not_set, other_stage, top_settings, unknown_setting
from evalkit.errors import ConfigError
from evalkit.system.terminal import tell

EVALUATE = top_settings("evaluate")
# Values that are paths, where any character is legal.
PATHS = re.compile(r"(\w+\.)?((\w+_)?path|model|projection|results_dir|cache_dir)")
# Values that are texts, prompts above all.
_TEXTS = re.compile(
    r"(retriever|reranker|dataset)\.((\w+_)?(instructions?|instructed_query|prompt|prefix|separator|template|positive|negative)|maxp)"
)
# Settings that objects of the user's own are made with; no schema has their keys.
_OPEN = re.compile(r"(retriever|reranker|dataset)\.settings(\.\w+)*")
_ESCAPE = re.compile(r"\\([\\nt])")
_ESCAPED = {"n": "\n", "t": "\t", "\\": "\\"}
_OF_HYDRA = re.compile(r"\\[()\[\]{}:=, ]")  # what its grammar has escaped in a text without quotes
_UNQUOTED = re.compile(r"[A-Za-z0-9_/\\.+$%*@?|:-]*")
_NEEDED = {"dataset": "", "retriever": "", "reranker": ", or reranker=none", "compute": ""}  # and how to have none
_STAGES = {"retriever", "reranker"}
_MEASURES = {"measures", "dataset.measures"}
_WITH_PARAMETERS = re.compile(r"(?<!['\"\w-])[^\W\d][\w-]*('|'?\([^()]*\))(@\w+)?")
_SWEEP = {"-m", "--multirun"}
_WITH_VALUE = {"--config-dir", "-cd", "--cfg", "-c", "--package", "-p"}  # unless it is joined with =
# Of Hydra. Any beginning of a long one will do, as argparse has it.
_FLAGS = (
    *("-h", "-c", "-p", "-r", "-m", "-sc", "-cd", "-i", "--help", "--hydra-help", "--version", "--cfg", "--resolve"),
    *("--package", "--run", "--multirun", "--shell-completion", "--config-dir", "--info"),
)


def normalise(
    arguments: list[str], *, settings: Collection[str] = EVALUATE, options: Sequence[str] = (), elsewhere: str = ""
) -> list[str]:
    """The arguments with paths and texts quoted, single measures listed, and flags first.

    A setting that was typed with several values is noted, as only the last counts. `elsewhere` is a sentence for
    settings of a stage that the verb does not have: which verb has it.
    """
    for argument in arguments:
        if argument.startswith("="):
            raise ConfigError(f"cannot read the argument {argument!r}. Arguments are SETTING=VALUE.")
    _refuse_contradictions(arguments)
    require_harmless(arguments)
    _refuse_unknown(arguments, settings, options, elsewhere)
    _tell_of_repeated(arguments)
    sweep = any(argument in _SWEEP for argument in arguments)
    # Hydra's parser wants flags before settings; people append -m to a command that worked.
    flags: list[str] = []
    others: list[str] = []
    for place, argument in enumerate(arguments):
        is_flag = argument.startswith("-") or (place > 0 and arguments[place - 1] in _WITH_VALUE)
        (flags if is_flag else others).append(argument)
    return flags + [_normalise_one(argument, sweep=sweep) for argument in others]


def refuse_two_stages(verb: str, arguments: Sequence[str]) -> None:
    """Refuse settings of a reranker beside those of a retriever, and of one that is not chosen.

    Raises:
        ConfigError: there are such settings.
    """
    keys = {argument.lstrip("+").partition("=")[0] for argument in arguments}
    typed = sorted({key.partition(".")[0] for key in keys} & _STAGES)
    if len(typed) > 1:
        raise ConfigError(
            f"`evalkit {verb}` takes one model at a time: give reranker= or retriever=, and the other in a second "
            "command."
        )
    if typed and typed[0] not in keys:
        raise ConfigError(not_set(typed[0]))


def last_of_each(arguments: Sequence[str]) -> list[str]:
    """The arguments without those that a later one of the same setting replaces, as Hydra reads them."""
    return list({argument.lstrip("+").partition("=")[0]: argument for argument in arguments}.values())


def _tell_of_repeated(arguments: Sequence[str]) -> None:
    typed: dict[str, list[str]] = {}
    for argument in arguments:
        key, equals, _ = argument.lstrip("+").partition("=")
        if equals and not key.startswith(("-", "~")):
            typed.setdefault(key, []).append(argument)
    for key, given in typed.items():
        if len(set(given)) > 1:
            tell(f"{key} is given {len(given)} times. The last counts: {given[-1]}, not {', '.join(given[:-1])}.")


def _refuse_unknown(
    arguments: Sequence[str], settings: Collection[str], options: Sequence[str], elsewhere: str
) -> None:
    """Refuse flags that Hydra would explain with all of its own, and keys of no setting."""
    for argument in arguments:
        if argument.startswith("-") and not _is_flag(argument.partition("=")[0]):
            raise ConfigError(unknown_option(argument, arguments, [*options, *_FLAGS], settings))
        if argument.startswith("~") and argument[1:].partition("=")[0] in _NEEDED:
            group = argument[1:].partition("=")[0]
            raise ConfigError(
                f"{argument}: an evaluation needs a {group}. Choose one with {group}=NAME{_NEEDED[group]}."
            )
        # What is added with a + may be a group below --config-dir.
        key, equals, _ = argument.removeprefix("~").partition("=")
        first = re.split(r"[./@:]", key)[0]
        if equals and first.isidentifier() and first not in {*settings, "hydra"}:
            if first in _STAGES and elsewhere:
                raise ConfigError(other_stage(key, settings, elsewhere))
            raise ConfigError(unknown_setting(first, settings, lead="Legal are"))


def _is_flag(name: str) -> bool:
    return name in _FLAGS or (name.startswith("--") and any(flag.startswith(name) for flag in _FLAGS))


def _normalise_one(argument: str, *, sweep: bool) -> str:
    key, equals, value = argument.partition("=")
    if not equals or not value or value[0] in "'\"":
        return argument
    if _OPEN.fullmatch(key):
        return f"++{argument}"
    if key in _MEASURES:  # Hydra would take R(rel=2) for a call of a function
        value = _WITH_PARAMETERS.sub(lambda found: _quoted(found[0]), value)
        return f"{key}={value}" if "[" in value else f"{key}=[{value}]"
    if _TEXTS.fullmatch(key) and not _OF_HYDRA.search(value):
        # In a sweep a comma separates choices; a text with a comma in it is then for the user to quote.
        pieces = [piece.lstrip() for piece in value.split(",")] if sweep and "," in value else [value]
        return f"{key}={','.join(_quoted(piece) if _is_plain_text(piece) else piece for piece in pieces)}"
    # In a sweep a comma separates choices; there a path with odd characters is for the user to quote.
    legal = _UNQUOTED.fullmatch(value.replace(",", "") if sweep else value)
    if PATHS.fullmatch(key) and not legal and not (sweep and "," in value):
        return f"{key}={_quoted(value)}"
    return argument


def _is_plain_text(text: str) -> bool:
    """Whether Hydra might read a text otherwise than it was typed."""
    return "\\" in text or not _UNQUOTED.fullmatch(text)


def _quoted(text: str) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()


def unescape(config: Any, overrides: Sequence[str]) -> None:
    r"""Make a newline of every `\n` in the texts that were typed, in place; likewise of `\t` and of two backslashes.

    A shell hands `\n` on as two characters. Files of settings, and Python, have newlines of their own.
    """
    for key in {override.lstrip("+").partition("=")[0] for override in overrides}:
        group, _, name = key.partition(".")
        value = getattr(getattr(config, group, None), name, None) if _TEXTS.fullmatch(key) else None
        if isinstance(value, str) and not (name == "instructions" and value.endswith(".json")):
            setattr(getattr(config, group), name, _ESCAPE.sub(lambda found: _ESCAPED[found[1]], value))


def _refuse_contradictions(arguments: list[str]) -> None:
    given = dict(argument.lstrip("+").partition("=")[::2] for argument in arguments if "=" in argument)
    suite = "" if given.get("suite") == "null" else given.get("suite", "")
    if "," in suite:
        raise ConfigError(f"suite={suite} are several suites. Run them one at a time.")
    if suite and "dataset" in given:
        raise ConfigError(f"suite={suite} chooses the datasets. Remove dataset={given['dataset']}, or the suite.")
    several = bool(suite) or "," in given.get("dataset", "")
    for key in ("dataset.path", "dataset.name", "dataset.language"):
        if several and key in given and "${" not in given[key]:
            raise ConfigError(
                f"{key} is of one dataset, and several are chosen. Run them one at a time, or write ${{dataset.name}} "
                "for the name of each, such as 'dataset.path=DIR/${dataset.name}'."
            )
