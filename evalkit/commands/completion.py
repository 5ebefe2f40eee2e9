"""`evalkit -sc install=bash`: the Tab key completes commands, options and settings, in bash, zsh and fish.

The installed shell function asks `evalkit -sc query=SHELL` with the line in `COMP_LINE`. Hydra completes keys and
values, `conf/` has the names of choices, and every verb lists its own options.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import fields
from importlib import import_module
from io import StringIO

from evalkit.commands.settings.arguments import PATHS
from evalkit.commands.settings.legal import GROUPS, top_settings
from evalkit.config import ROOTS
from evalkit.config.resources import config_names
from evalkit.errors import ConfigError
from evalkit.system.files import expanded
from evalkit.system.lookalikes import instead
from evalkit.system.terminal import say

_CONFIGS = {  # verbs that take settings, and the files under `conf/` that these are composed from
    **{verb: verb for verb in ("evaluate", "score", "embed", "doctor", "prompt", "fetch")},
    "plan": "evaluate",
    "reproduce": "evaluate",
}
_FILES = "measure analyse analyze compare report table gate export convert cache score embed"

# zsh runs it through bashcompinit. Bash ends words at = and :, so what it has of the word already is left out.
_BASH = """\
_evalkit() {
    local line=${COMP_LINE:0:$COMP_POINT} shell=bash choice
    [ -n "$ZSH_VERSION" ] && shell=zsh
    local word=${line##*[[:space:]]}
    local known=${word%"$2"}
    COMPREPLY=()
    while IFS= read -r choice; do
        [ -n "$choice" ] && COMPREPLY+=("${choice#"$known"}")
    done <<< "$(COMP_LINE=$line "${1/#\\~/$HOME}" -sc query=$shell 2> /dev/null)"
    if [ "${#COMPREPLY[@]}" -eq 1 ] && [ $shell = bash ]; then
        case "$word ${COMPREPLY[*]}" in
            *=* | *. | */) ;;
            *) compopt +o nospace 2> /dev/null ;;
        esac
    fi
}
complete -o nospace -o default -F _evalkit evalkit
"""
_ZSH = f"""\
(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit -i; }}
autoload -Uz bashcompinit && bashcompinit
{_BASH}"""
_FISH = f"""\
function __evalkit_choices
    set -lx COMP_LINE (commandline -cp)
    eval (commandline -cpo)[1] -sc query=fish 2> /dev/null
end
function __evalkit_needs_no_file
    not string match -q '*=*' -- (commandline -ct)
    and not __fish_seen_subcommand_from {_FILES}
end
complete -c evalkit -e
complete -c evalkit -f -n __evalkit_needs_no_file
complete -c evalkit -a '(__evalkit_choices)'
"""
_INSTALL = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
_ACTIONS = ("install", "query")


def main(arguments: Sequence[str], commands: Iterable[str]) -> int:
    """Print a script for a shell, or the completions at the cursor.

    Args:
        arguments: `install=SHELL`, or `query=SHELL` with the line up to the cursor in `COMP_LINE`.
        commands: verbs.

    Raises:
        ConfigError: the arguments are others.
    """
    action, _, shell = " ".join(arguments).partition("=")
    if action not in _ACTIONS:
        raise ConfigError(f"-sc {action} is not a choice. {instead(action, [f'{one}=SHELL' for one in _ACTIONS])}")
    if shell not in _INSTALL:
        raise ConfigError(f"-sc {action}={shell} is not a choice. {instead(shell, list(_INSTALL))}")
    if action != "query":
        say(_INSTALL[shell])
        return 0
    found = choices(os.environ.get("COMP_LINE", ""), commands, files=shell == "zsh")
    say("".join(f"{choice}\n" for choice in found))
    return 0


def choices(line: str, commands: Iterable[str], *, files: bool = False) -> list[str]:
    """Completions of the last word of a line, sorted.

    Args:
        line: up to the cursor, with the program's name.
        commands: verbs.
        files: whether to complete files too, where a setting is a path; bash and fish do that by themselves.
    """
    before = line.split()[1:]
    word = before.pop() if before and not line[-1:].isspace() else ""
    key, equals, value = word.partition("=")
    found: Iterable[str]
    if not before:
        found = commands
    elif before[0] not in {*commands, "analyze"}:
        found = commands if before == ["help"] else ()
    elif word.startswith("-"):
        found = _options(before[0])
    elif before[0] in _CONFIGS and equals and PATHS.fullmatch(key):
        return [f"{key}={path}" for path in _paths(value)] if files else []
    else:
        typed = [text for text in before if "=" in text and not text.startswith("-")]
        nouns = _nouns(before[0]) if len(before) == 1 else ()
        found = [*nouns, *(_settings(_CONFIGS[before[0]], typed, word) if before[0] in _CONFIGS else ())]
    return sorted({choice for choice in found if choice.startswith(word)})


def _options(verb: str) -> list[str]:
    """The options of a verb, as it lists them."""
    with redirect_stdout(StringIO()) as listed, suppress(SystemExit):
        import_module(f"evalkit.commands.{verb.replace('analyze', 'analyse')}").main(["--list-options"])
    return listed.getvalue().split() + (["--config-dir", "--multirun"] if verb in {"evaluate", "plan"} else [])


def _nouns(verb: str) -> Sequence[str]:
    """The legal first arguments of a verb, if they are a few names."""
    match verb:
        case "list":
            from evalkit.commands.list import KINDS

            return KINDS
        case "reproduce":
            return config_names("published")
    return ("list", "verify", "prune") if verb == "cache" else ()


def _settings(config: str, typed: Sequence[str], word: str) -> list[str]:
    """Settings that begin with a word, or their values, which may be separated by commas."""
    key, equals, value = word.partition("=")
    top = top_settings(config)
    if equals and key in GROUPS and key in top:
        first = value[: value.rfind(",") + 1]
        return [f"{key}={first}{name}" for name in config_names(key)]
    groups = [f"{name}=" for name in top if name in GROUPS and not equals]
    return [*groups, *_of_hydra(config, typed, word, top)]


def _of_hydra(config: str, typed: Sequence[str], word: str, top: Sequence[str]) -> list[str]:
    """Keys that begin with a word and values of a key, as Hydra completes them."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.plugins.completion_plugin import DefaultCompletionPlugin

    from evalkit.commands.settings.compose import prepare
    from evalkit.config.resources import shipped

    prepare()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(shipped("conf"))):
        plugin = DefaultCompletionPlugin(GlobalHydra.instance().config_loader())
        try:
            found = plugin._query(config_name=config, line=" ".join([*typed, word]) or " ")  # noqa: SLF001
        except Exception:  # noqa: BLE001 - what was typed so far may be anything, and nobody reads a message here
            return []
    wanted = {*top, "hydra"} if word else set(top)
    return [_as_typed(one) for one in found if _first(one) in wanted and any(mark in one for mark in "=./")]


def _as_typed(choice: str) -> str:
    """A list is written whole, `measures=[A,B]`, where Hydra would go on to the number of an entry."""
    from evalkit.load import usable_schemas

    schemas = [*ROOTS.values(), *(schema for group in usable_schemas().values() for schema in group.values())]
    key = choice.removesuffix(".")
    name = key.rpartition(".")[2]
    kinds = {str(field.type) for schema in schemas for field in fields(schema) if field.name == name}
    return f"{key}=" if key != choice and any(kind.startswith("list[") for kind in kinds) else choice


def _first(choice: str) -> str:
    return choice.partition("=")[0].partition(".")[0].partition("/")[0]


def _paths(start: str) -> list[str]:
    """Files and folders whose names begin as typed, folders with a slash."""
    folder, slash, name = start.rpartition("/")
    found = (path for path in expanded(folder + slash or ".").glob("*") if path.name.startswith(name))
    return [f"{folder}{slash}{path.name}{'/' if path.is_dir() else ''}" for path in sorted(found)]
