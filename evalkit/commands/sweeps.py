"""What the evaluations of a sweep tell the command that started them, whichever processes a launcher runs them in.

Each leaves a file in a folder that they share. A launcher that runs everything in one process does it the same way.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evalkit import results
from evalkit.folders import atomic_write
from evalkit.results import Evaluation

_FOLDER = "EVALKIT_SWEEP"  # an environment variable, which Hydra sets for the time of a job
_FAILED = "failed-"
_SETTING = re.compile(r"[+~]{0,2}[\w./@:]+=")


@dataclass(frozen=True)
class Done:
    """An evaluation of a sweep.

    Attributes:
        number: its place in the sweep.
        evaluation: what it gave.
        dataset: its name.
        measures: that were asked for.
        partial_average: whether a suite is averaged although datasets of it are missing.
        overrides: settings that were typed.
        suite: that it belongs to.
        ablation: likewise.
    """

    number: int
    evaluation: Evaluation
    dataset: str
    measures: list[str]
    partial_average: bool
    overrides: list[str]
    suite: str | None
    ablation: str | None


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A folder for the time of a sweep."""
    folder = Path(tempfile.mkdtemp(prefix="evalkit-sweep-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def told(arguments: list[str], folder: Path) -> list[str]:
    """The arguments, and one by which Hydra tells every evaluation of the folder, in whichever process.

    It stands beside the other settings: Hydra's parser takes none between flags.
    """
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    own = f"+hydra.job.env_set.{_FOLDER}='{quoted}'"
    first = next((place for place, text in enumerate(arguments) if _SETTING.match(text)), len(arguments))
    return [*arguments[:first], own, *arguments[first:]]


def note(one: Done) -> None:
    """Tell of an evaluation."""
    stages = (one.evaluation.result.folder, one.evaluation.candidates.folder)
    fields = {**one.__dict__, "evaluation": [str(folder.resolve()) for folder in stages]}
    atomic_write(Path(os.environ[_FOLDER]) / f"{one.number:06d}.json", json.dumps(fields))


def note_failure(number: int) -> None:
    """Tell that an evaluation failed; its message was printed."""
    (Path(os.environ[_FOLDER]) / f"{_FAILED}{number:06d}").touch()


def done(folder: Path) -> list[Done]:
    """The evaluations that were done, in the order of the sweep."""
    found = []
    for path in sorted(folder.glob("*.json")):
        fields = json.loads(path.read_text(encoding="utf-8"))
        result, candidates = (results.read(Path(stage)) for stage in fields.pop("evaluation"))
        found.append(Done(evaluation=Evaluation(result, candidates), **fields))
    return found


def failed(folder: Path) -> bool:
    """Whether one failed."""
    return any(folder.glob(f"{_FAILED}*"))
