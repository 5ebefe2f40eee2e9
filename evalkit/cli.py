"""The command line: a table of verbs. Imports a verb's module only when that verb is typed."""

import importlib
import io
import os
import signal
import sys
import threading
from types import FrameType

from evalkit.errors import ConfigError
from evalkit.system.lookalikes import instead
from evalkit.system.reporting import leave, report_any
from evalkit.system.terminal import open_streams, say, tell, writable

GROUPS = {
    "Evaluate": {
        "evaluate": "retrieve, rerank, measure, and save the result",
        "watch": "evaluations while they run: stages, rate, time left, what failed",
        "measure": "measures of a run file against judgments; no model, no config",
        "score": "a reranker's logits for any pairs of texts, as JSON lines",
        "embed": "a retriever's vectors for any texts, as JSON lines",
    },
    "Look at results": {
        "compare": "is one reranker better than another, or is it chance?",
        "analyse": "depth curve, headroom, ties, judged@10 and flags; no model",
        "report": "a page to look at, and figures and tables for papers",
        "table": "systems by datasets for a paper: averages, best in bold, significance",
        "reproduce": "a published table next to your results: delta, ceiling, verdict",
        "export": "results for other tools: TREC runs, mteb results and predictions",
    },
    "Check": {
        "doctor": "is this model's checkpoint loaded correctly? before a long run",
        "prompt": "what a model reads of a dataset's texts, and where they are cut",
        "gate": "did a number fall? results against a baseline, for CI",
    },
    "Prepare": {
        "list": "what can be chosen: datasets, retrievers, rerankers, suites, ...",
        "convert": "any collection, judgments or run in BEIR layout or as TREC files",
        "fetch": "download datasets for use without a network, and check them",
        "plan": "tokens, time, energy, disk and memory of evaluations, before they run",
        "cache": "what is stored between runs: list it, verify it, remove what is old",
    },
}
"""Verbs by purpose: name -> a line of help. `evalkit/commands/<name>.py` holds the verb."""

COMMANDS = {verb: line for verbs in GROUPS.values() for verb, line in verbs.items()}

_COMPLETION = ("-sc", "--shell-completion")  # as Hydra has it
_SPELLINGS = {"analyze": "analyse"}


def help_text() -> str:
    """The text of `evalkit --help`."""
    groups = "\n".join(
        f"{heading}:\n" + "".join(f"  {verb:10} {line}\n" for verb, line in verbs.items())
        for heading, verbs in GROUPS.items()
    )
    return f"""Evaluate retrieval and reranking on BEIR and C-MTEB.

Usage: evalkit COMMAND [ARGUMENTS]

{groups}
`evalkit evaluate` with no arguments runs offline, in seconds. `evalkit help COMMAND` explains one command.
eval "$(evalkit -sc install=bash)" has the Tab key complete commands, options and settings; also zsh and fish.
"""


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a cluster sends it before a job's time is up."""


_INTERRUPTED = {KeyboardInterrupt: 128 + signal.SIGINT, Terminated: 128 + signal.SIGTERM}


def program() -> None:
    """`evalkit` as a program: `main`, and out.

    Threads that tokenise or compute cannot be interrupted, and Python would wait for them, so that Ctrl-C would be
    needed twice. Everything that is saved is on disk by then.
    """
    code = leave(main())
    if code in _INTERRUPTED.values():
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def main(arguments: list[str] | None = None) -> int:
    """Run a verb.

    Exit codes: 0 done, 2 a mistake that the one-line message explains, 130 interrupted, 143 terminated; 1 where `gate`,
    `doctor` or `cache verify` found a fault.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return _do(arguments)
    except KeyboardInterrupt as error:
        _ignore_signals()
        tell("interrupted. Finished work is saved: run the same command again to resume.")
        return _INTERRUPTED[type(error)]
    except SystemExit as left:  # argparse and jobs of Hydra
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException as error:  # a panic of Rust is not an Exception
        code = report_any(error)
        if code is None:
            raise
        return code


def _do(arguments: list[str]) -> int:
    _prepare_process()
    _refuse_unwritable(arguments)
    if not arguments or arguments[0] in {"-h", "--help"}:
        say(help_text())
        return 0
    if arguments[0] in {"-V", "--version"}:
        from importlib.metadata import version

        say(f"evalkit {version('evalkit')}\n")
        return 0
    if asked := [place for place in (0, 1) if arguments[place : place + 1] in ([flag] for flag in _COMPLETION)]:
        from evalkit.commands import completion

        return completion.main(arguments[asked[0] + 1 :], COMMANDS)
    if arguments[0] == "help":
        return _do([*arguments[1:2], "--help"])
    verb = _SPELLINGS.get(arguments[0], arguments[0])
    if verb not in COMMANDS:
        raise ConfigError(_unknown_command(arguments))
    return int(importlib.import_module(f"evalkit.commands.{verb}").main(arguments[1:]))


def _unknown_command(arguments: list[str]) -> str:
    """The error for a first argument that is not a command; options and settings come after one."""
    first = arguments[0]
    if first.startswith("-"):
        from evalkit.commands.options import unknown_option
        from evalkit.commands.settings.legal import top_settings

        message = unknown_option(first, arguments, ("--help", "--version"), top_settings("evaluate"))
        return f"{message} A command comes first, as in `evalkit evaluate`: {', '.join(COMMANDS)}."
    if "=" in first:
        return f"no command was given. Did you mean `evalkit evaluate {first}`? Legal are: {', '.join(COMMANDS)}."
    return f"unknown command {first!r}. {instead(first, COMMANDS)}"


def _ignore_signals() -> None:
    """Let nothing interrupt the last line."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _terminate(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise Terminated


def _refuse_unwritable(arguments: list[str]) -> None:
    """Refuse what no record of a run can hold: bytes that are not UTF-8, and NUL, which no file name holds."""
    for argument in arguments:
        if "\0" in argument or not writable(argument):
            raise ConfigError(f"the argument {argument!r} is not UTF-8. If it is the name of a file, rename the file.")


def _prepare_process() -> None:
    """Make SIGTERM clean up as Ctrl-C does, and let any text be printed in any locale."""
    open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
