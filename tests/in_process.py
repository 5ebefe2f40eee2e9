"""`evalkit` as a user types it, in the process of the test, so that torch and Hydra are imported once."""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

from evalkit.cli import main


def evalkit(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """What a process would have returned; an error that evalkit does not explain is raised."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.dict(os.environ, environment or {}),
        patch.object(sys, "argv", list(sys.argv)),
        patch.object(logging.getLogger("evalkit"), "handlers", []),
    ):
        code = main(list(arguments))
    return CompletedProcess(["evalkit", *arguments], code, out.getvalue(), err.getvalue())
