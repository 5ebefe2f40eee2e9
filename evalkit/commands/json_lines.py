"""Code that `score` and `embed` share: which argument is the file, and lines of JSON on stdout."""

import argparse
import json
import re
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from evalkit.errors import ConfigError
from evalkit.formats.jsonl import STDIN
from evalkit.system.terminal import say

_SETTING = re.compile(r"[+~]{0,2}[A-Za-z_][\w.@]*=")  # a file of such a name is `./a=b.jsonl`


def split_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> tuple[argparse.Namespace, list[str], str]:
    """(options, settings, the one file) of a command line; standard input when it names no file.

    Raises:
        ConfigError: several files.
    """
    parser.add_argument("arguments", nargs="*", default=[], metavar="SETTING=VALUE | FILE")
    options = parser.parse_intermixed_args(arguments)
    settings = [text for text in options.arguments if _SETTING.match(text)]
    files = [text for text in options.arguments if text not in settings]
    if len(files) > 1:
        raise ConfigError(f"{len(files)} files were given: {', '.join(files)}. Give one, or none for standard input.")
    if not files and (sys.stdin is None or sys.stdin.isatty()):
        raise ConfigError("no file was given, and nothing is piped in. Name a file of JSON lines.")
    return options, settings, files[0] if files else STDIN


def write_line(fields: Mapping[str, Any]) -> None:
    """One JSON object as a line on stdout, which any encoding of the terminal can hold."""
    plain = str(sys.stdout.encoding).lower().replace("-", "") != "utf8"
    say(json.dumps(fields, ensure_ascii=plain, allow_nan=False) + "\n")


def shortest(values: Any) -> Any:
    """Float32 numbers as Python ones whose text is the shortest that reads back as the same float32."""
    array = np.asarray(values, dtype=np.float32)
    if array.ndim:
        return [shortest(value) for value in array]
    return float(str(array))
