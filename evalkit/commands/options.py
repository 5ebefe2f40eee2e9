"""Options, which begin with dashes: how verbs read theirs, and the error for one that does not exist.

Settings have no dashes. People who come from other tools often type them with dashes.
"""

import argparse
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

from evalkit.commands.settings.legal import homes, top_settings
from evalkit.errors import ConfigError
from evalkit.system.files import naming
from evalkit.system.lookalikes import instead, lookalikes, proposal
from evalkit.system.terminal import say

IN_MARKDOWN = "markdown"
"""The value of `--summary` that prints it."""


def require_place(option: str, where: str | Path | None) -> None:
    """Refuse an output file whose folder does not exist, before the work whose result it is to hold.

    Raises:
        ConfigError: the folder does not exist.
    """
    if where and where != IN_MARKDOWN and not (folder := Path(where).absolute().parent).is_dir():
        raise ConfigError(f"{option} {where}: the folder {folder} does not exist. Make it, or choose another place.")


def require_one_form(options: argparse.Namespace) -> None:
    """Refuse a form of the tables beside the summary that is printed instead of them.

    Raises:
        ConfigError: both are asked for.
    """
    if options.summary == IN_MARKDOWN and options.format != "table":
        raise ConfigError(
            f"--summary {IN_MARKDOWN} is printed instead of what --format {options.format} asks for. Leave one out, or "
            "give --summary a file."
        )


def put_summary(where: str, text: str) -> None:
    """Print a summary, or append it to a file.

    Raises:
        OSError: the file cannot be written.
    """
    if where == IN_MARKDOWN:
        say(text)
        return
    with naming(Path(where)), Path(where).open("a", encoding="utf-8") as out:
        out.write(text)


class _ListOptions(argparse.Action):
    """`--list-options`, for completion: every option of the verb."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        assert isinstance(parser, Parser)
        say("".join(f"{name}\n" for name in parser.names))
        parser.exit()


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are one line, with what was probably meant.

    Args:
        prog: as typed, such as `evalkit score`.
        config: the file under `conf/` whose settings the verb takes besides its options; None where it takes none.
        options: of `ArgumentParser`.
    """

    def __init__(self, prog: str, *, config: str | None = None, **options: Any) -> None:
        if config and config != "evaluate":
            options.setdefault("epilog", "`evalkit evaluate --help` explains the settings.")
        super().__init__(prog=prog, **options)
        self.add_argument("--list-options", action=_ListOptions, nargs=0, help=argparse.SUPPRESS)
        self._settings = top_settings(config) if config else ()

    @property
    def names(self) -> list[str]:
        """Every option, as typed."""
        return [name for one in self._actions if one.help != argparse.SUPPRESS for name in one.option_strings]

    def add_format(self, *, json_help: str = "") -> None:
        """Add `--format`, the form in which the verb writes its tables.

        Args:
            json_help: of `--json`, short for `--format json`; there is no such option where this is empty.
        """
        from evalkit.reports.grid import FORMATS

        self.add_argument("--format", choices=("table", *FORMATS), default="table", help="default: table")
        if json_help:
            self.add_argument("--json", dest="format", action="store_const", const="json", help=json_help)

    def add_summary(self) -> None:
        """Add `--summary`, a short text in Markdown."""
        self.add_argument(
            "--summary",
            metavar="markdown|FILE",
            help="`markdown`: instead of tables print a summary for a comment on a pull request; a file: append it "
            "there, as to $GITHUB_STEP_SUMMARY",
        )

    def parse_args(self, args: Sequence[str], namespace: Any = None) -> Any:  # type: ignore[override]
        """See `ArgumentParser`."""
        options, unknown = self.parse_known_args(args, namespace)
        self._refuse(unknown, args)
        return options

    def parse_intermixed_args(self, args: Sequence[str], namespace: Any = None) -> Any:  # type: ignore[override]
        """See `ArgumentParser`."""
        options, unknown = self.parse_known_intermixed_args(args, namespace)
        self._refuse(unknown, args)
        return options

    def error(self, message: str) -> NoReturn:
        """See `ArgumentParser`, which would print how the verb is used, and leave."""
        raise ConfigError(f"{message}. See `{self.prog} --help`.")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            name = f"{action.option_strings[-1]} {value}" if action.option_strings else repr(value)
            raise ConfigError(f"{name} is not a choice. {instead(str(value), list(map(str, action.choices)))}")

    def _refuse(self, unknown: Sequence[str], args: Sequence[str]) -> None:
        if unknown:
            if not unknown[0].startswith("-"):
                self.error(f"unexpected argument {unknown[0]!r}")
            raise ConfigError(unknown_option(unknown[0], args, self.names, self._settings))


# Options of some verbs -> the option by which others do it, and how that is typed.
_ELSEWHERE = {"json": ("format", "--format json"), "summary": ("markdown", "--markdown FILE")}


def unknown_option(option: str, arguments: Sequence[str], names: Collection[str], settings: Collection[str]) -> str:
    """The error for an option that does not exist: the setting that was meant, or the legal options.

    Args:
        option: as typed, such as `--reranker=none`.
        arguments: all that was typed; the value in `--reranker none` is the argument after it.
        names: options of the verb.
        settings: of the verb, up to their first dot.
    """
    name, equals, value = option.partition("=")
    long = {one.lstrip("-"): one for one in names if one.startswith("--")}
    first, dot, rest = name.lstrip("-").replace("-", "_").partition(".")
    below = [one for one in homes(first) if one.partition(".")[0] in settings]
    near = [first] if first in settings else below or lookalikes(first, [*long, *settings])
    if meant := [one for one in near if one not in long]:
        value = value if equals else _value_behind(option, arguments)
        found = proposal([shlex.quote(f"{one}{dot}{rest}={value}") for one in meant])
        return f"{name} is not an option. {found}Settings have no dashes."
    other, instead_of = _ELSEWHERE.get(first, ("", ""))
    if other in long:
        return f"{name} is not an option. Use {instead_of}."
    return f"{name} is not an option. {proposal([long[one] for one in near])}Legal are: {', '.join(long.values())}."


def _value_behind(option: str, arguments: Sequence[str]) -> str:
    behind = arguments[list(arguments).index(option) + 1 :]
    return behind[0] if behind and not behind[0].startswith("-") and "=" not in behind[0] else "VALUE"
