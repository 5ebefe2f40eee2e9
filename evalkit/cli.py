"""The command line: a table of verbs. Imports a verb's module only when that verb is typed."""

import importlib
import io
import os
import signal
import sys
import threading
from types import FrameType
from typing import NamedTuple

from evalkit.errors import ConfigError
from evalkit.system.lookalikes import instead
from evalkit.system.reporting import leave, report_any
from evalkit.system.terminal import open_streams, say, tell, writable


class Command(NamedTuple):
    """A verb: the module that does it, a line of help, and whether models are loaded for it."""

    module: str
    help: str
    models: bool = False


COMMANDS = {
    "evaluate": Command("evalkit.commands.evaluate", "retrieve, rerank, measure, and keep the result", models=True),
    "score": Command(
        "evalkit.commands.score", "a reranker's logits for any pairs of texts, as JSON lines", models=True
    ),
    "embed": Command("evalkit.commands.embed", "a retriever's vectors of any texts, as JSON lines", models=True),
    "prompt": Command(
        "evalkit.commands.prompt", "what a reranker reads of a dataset's pairs, and where it is cut", models=True
    ),
    "doctor": Command(
        "evalkit.commands.doctor", "is this checkpoint wired as it should be? before a long run", models=True
    ),
    "measure": Command("evalkit.commands.measure", "measures of a run file against judgments; no model, no config"),
    "analyse": Command("evalkit.commands.analyse", "depth curve, headroom, ties, judged@10 and flags; no model"),
    "compare": Command("evalkit.commands.compare", "is one reranker better than another, or is it chance?"),
    "reproduce": Command("evalkit.commands.reproduce", "a published table beside our results: delta, ceiling, verdict"),
    "report": Command("evalkit.commands.report", "a page to look at, and figures and tables for papers"),
    "gate": Command("evalkit.commands.gate", "did a number fall? results against a baseline, for CI"),
    "export": Command("evalkit.commands.export", "results for other tools: TREC runs, mteb results and predictions"),
    "plan": Command(
        "evalkit.commands.plan", "tokens, time, energy, disk and memory of evaluations, before they run", models=True
    ),
    "fetch": Command("evalkit.commands.fetch", "download datasets for use without a network, and check them"),
    "cache": Command(
        "evalkit.commands.cache", "what is kept between runs: list it, verify it, remove what is not needed"
    ),
    "list": Command("evalkit.commands.list", "what can be chosen: datasets, retrievers, rerankers, suites, ..."),
}

_ROOM = 3 << 30  # bytes of addresses, of libraries that are loaded and threads that wait
_COMPLETION = ("-sc", "--shell-completion")  # as Hydra has it
_SPELLINGS = {"analyze": "analyse"}


def help_text() -> str:
    """What `evalkit --help` prints."""
    verbs = "\n".join(f"  {name:10} {command.help}" for name, command in COMMANDS.items())
    return f"""Evaluate retrieval and reranking on BEIR and C-MTEB.

Usage: evalkit COMMAND [ARGUMENTS]

{verbs}

  evalkit COMMAND --help says more. `evalkit evaluate` with no arguments runs offline, in seconds.
  eval "$(evalkit -sc install=bash)" has the Tab key complete commands and settings; also install=zsh, install=fish.
"""


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a cluster sends it before a job's time is up."""


_INTERRUPTED = {KeyboardInterrupt: 128 + signal.SIGINT, Terminated: 128 + signal.SIGTERM}


def program() -> None:
    """`evalkit` as a program: `main`, and out.

    Threads that tokenise or compute cannot be interrupted, and Python would wait for them, so that Ctrl-C would be
    needed twice. What is kept is on the disk by then.
    """
    try:
        code = main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    code = leave(code)
    if code in _INTERRUPTED.values():
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def main(arguments: list[str] | None = None) -> int:
    """Run a verb.

    Exit codes: 0 done, 2 a mistake that the one-line message explains, 130 interrupted, 143 terminated. Of `gate`,
    `doctor` and `cache verify` 1: what was looked for was found.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return _do(arguments)
    except KeyboardInterrupt as error:
        _ignore_signals()
        tell("interrupted. What was finished is kept: run the same command again.")
        return _INTERRUPTED[type(error)]
    except SystemExit:  # argparse and Hydra
        raise
    except BaseException as error:  # a panic of Rust is no Exception
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
    command = COMMANDS.get(_SPELLINGS.get(arguments[0], arguments[0]))
    if command is None:
        raise ConfigError(_unknown_command(arguments))
    if command.models:
        _require_room()
    return int(importlib.import_module(command.module).main(arguments[1:]))


def _unknown_command(arguments: list[str]) -> str:
    """What to say of a first argument that is no command: options and settings come behind one."""
    first = arguments[0]
    if first.startswith("-"):
        from evalkit.commands.options import unknown_option
        from evalkit.commands.settings.legal import top_settings

        told = unknown_option(first, arguments, ("--help", "--version"), top_settings("evaluate"))
        return f"{told} A command comes first, as in `evalkit evaluate`: {', '.join(COMMANDS)}."
    if "=" in first:
        return f"no command was given. Did you mean `evalkit evaluate {first}`? Legal are: {', '.join(COMMANDS)}."
    return f"unknown command {first!r}. {instead(first, COMMANDS)}"


def _require_room() -> None:
    """Refuse an address space that torch does not fit into: its libraries hang or abort there, and say nothing."""
    import resource

    room = resource.getrlimit(resource.RLIMIT_AS)[0]
    if 0 <= room < _ROOM:
        raise ConfigError(
            f"memory is limited to {room >> 20:,} MiB of addresses, and torch alone takes {_ROOM >> 20:,}. Raise the "
            "limit: ulimit -v unlimited. To limit what is resident, set compute.memory_gib."
        )


def _ignore_signals() -> None:
    """Let nothing interrupt the last line."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _terminate(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise Terminated


def _refuse_unwritable(arguments: list[str]) -> None:
    """Refuse what no record of a run can hold: bytes that are no UTF-8, and NUL, which no file's name holds."""
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
