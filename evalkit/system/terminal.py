"""Printing on stdout and stderr: harmless to a terminal, also where stdout is closed, full, or read by nobody.

Ids, texts and names of files hold any character, and some of them move a terminal's cursor or change its title. What
programs read keeps every character: only where stdout is a terminal are they written as escapes.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from evalkit.errors import ConfigError

# Control characters but tab and line feed; what breaks lines besides; what turns the direction of writing.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """A text of any lines and columns whose other control characters are written as escapes."""
    return _UNSAFE.sub(lambda found: _escape(found[0]), text)


def unturned(text: str) -> str:
    """A text in which what turns the direction of writing, and could turn what stands around, is written as escapes."""
    return TURNING.sub(lambda found: _escape(found[0]), text)


def measurable(text: str) -> str:
    """A text of lines whose width is the same everywhere: what has none, or turns its neighbours round, as escapes.

    Terminals and rich agree on letters, also wide and combining ones, but not on joiners, soft hyphens, marks of
    direction, or characters that Unicode has not assigned: in a table these would move the borders.
    """
    return "".join(
        one if one.isprintable() or one in "\n\t" or (one.isspace() and not _UNSAFE.match(one)) else _escape(one)
        for one in text
    )


def printable(text: str) -> str:
    """A text of one line for a terminal: whatever would move its cursor or change its colours becomes an escape."""
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")


def writable(text: str) -> bool:
    """Whether a text can be encoded as UTF-8, that is, holds no lone surrogate."""
    return not any("\ud800" <= one <= "\udfff" for one in text)


@contextmanager
def naming_stdout() -> Iterator[None]:
    """Name stdout in the errors of a `with` block that writes to it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, "stdout") from error


def say(text: str) -> None:
    """Write to stdout."""
    with naming_stdout():
        sys.stdout.write(harmless(text) if sys.stdout.isatty() else text)


def tell(text: str) -> None:
    """Write a line on stderr. A closed stderr does not stop the command."""
    with suppress(OSError):
        sys.stderr.write(f"evalkit: {printable(text)}\n")


def open_streams() -> None:
    """Reopen a closed stdin or stderr, so that no file takes its number.

    Raises:
        ConfigError: stdout is closed, so results would be lost.
    """
    has_stdout = sys.stdout is not None
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for as long as the process is
    if not has_stdout:
        sys.stdout = sys.stderr
        raise ConfigError("stdout is closed, so nothing can be printed. Write it to a file or to /dev/null: > FILE.")


def stop_telling() -> None:
    """Discard further output; Python would try to write it again at exit, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
