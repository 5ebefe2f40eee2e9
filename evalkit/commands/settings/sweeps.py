"""How the evaluations of a sweep report to the command that started them, whichever processes a launcher runs them in.

Each leaves a file in a folder that they share. A launcher that runs everything in one process does it the same way.
Jobs on other machines see no temporary folder of this one, so for them it lies with the results.
"""

import importlib.util
import json
import math
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit import results
from evalkit.errors import ConfigError, MissingExtra
from evalkit.results import Evaluation
from evalkit.system.files import atomic_write, expanded, temporary_folder
from evalkit.system.terminal import tell

_FAILED = "failed-"
_ONE_MACHINE = ("basic", "joblib")  # launchers
_SUBMITIT = ("hydra-submitit-launcher", "hydra_submitit_launcher", "slurm")
_PACKAGES = {  # launcher -> package, its module, and the extra that installs it
    "joblib": ("hydra-joblib-launcher", "hydra_joblib_launcher", "parallel"),
    "slurm": _SUBMITIT,
    "submitit_local": _SUBMITIT,
    "submitit_slurm": _SUBMITIT,
}
_ESCAPED = re.compile(r"\\([\\()\[\]{}:=, \t])")  # in values without quotes
_SECONDS = 2.0  # between two looks at what is done


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
        swept: whether it is one of a sweep.
    """

    number: int
    evaluation: Evaluation
    dataset: str
    measures: list[str]
    partial_average: bool
    overrides: list[str]
    swept: bool


def require_launcher(arguments: Sequence[str]) -> None:
    """Refuse a launcher whose package is absent; Hydra would only say that there is no such choice.

    Raises:
        MissingExtra: the message holds the install command.
    """
    launcher = _given("hydra/launcher", arguments)
    package, module, extra = _PACKAGES.get(str(launcher), ("", "", ""))
    if module and (
        importlib.util.find_spec("hydra_plugins") is None or importlib.util.find_spec(f"hydra_plugins.{module}") is None
    ):
        raise MissingExtra(package, extra=extra, purpose=f"hydra/launcher={launcher}")


@contextmanager
def shared_folder(arguments: Sequence[str]) -> Iterator[Path]:
    """A folder for the time of a sweep with these arguments, which all its jobs see."""
    elsewhere = are_elsewhere(arguments)
    parent, prefix = Path(tempfile.gettempdir()), "evalkit-sweep-"
    if elsewhere:
        results_dir = _given("results_dir", arguments) or "results"
        if any(letter in results_dir for letter in "$,"):
            raise ConfigError(f"results_dir={results_dir}: give one plain folder where jobs run on other machines.")
        parent, prefix = expanded(results_dir).absolute(), ".sweep-"
        parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(parent, prefix) as folder, _telling(folder) if elsewhere else nullcontext():
        yield folder


def are_elsewhere(arguments: Sequence[str]) -> bool:
    """Whether the evaluations of a sweep may run on other machines, and write into logs."""
    return _given("hydra/launcher", arguments) not in {None, *_ONE_MACHINE}


def size(arguments: Sequence[str]) -> int | None:
    """How many evaluations these arguments make, as Hydra's own sweeper counts them; None where they cannot be read."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if not {"-m", "--multirun", "hydra.mode=MULTIRUN"} & {*arguments}:
        return 1
    typed, parser = [text for text in arguments if not text.startswith("-")], OverridesParser.create()
    try:
        found = parser.parse_overrides(typed)
        params = [one.value() for one in found if one.key_or_group == "hydra.sweeper.params"]
        preset = [value for value in params if isinstance(value, dict)]
        found += parser.parse_overrides([f"{key}={value}" for some in preset for key, value in some.items()])
    except (HydraException, ValueError):
        return None
    return math.prod(len(list(one.sweep_string_iterator())) for one in found if one.is_sweep_override())


def _given(key: str, arguments: Sequence[str]) -> str | None:
    """The last value that was typed for a setting, without quotes."""
    values = [text.partition("=")[2] for text in arguments if text.lstrip("+").partition("=")[0] == key]
    return values[-1].strip("'\"") if values else None


@contextmanager
def _telling(folder: Path) -> Iterator[None]:
    """Name each finished evaluation on stderr where its own output is in a log elsewhere."""
    stop, seen = threading.Event(), set[str]()

    def look() -> None:
        for path in sorted(folder.iterdir()):
            if path.name not in seen and not path.name.startswith("."):
                seen.add(path.name)
                word = "failed" if path.name.startswith(_FAILED) else "done"
                overrides = json.loads(path.read_text(encoding="utf-8"))["overrides"]
                tell(f"{word}: {' '.join(overrides)}")

    def watch() -> None:
        while not stop.wait(_SECONDS):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        look()


def note(folder: Path, one: Done) -> None:
    """Report an evaluation."""
    stages = (one.evaluation.result, one.evaluation.candidates)
    fields = {**one.__dict__, "evaluation": [str(stage.folder.resolve()) for stage in stages]}
    atomic_write(folder / f"{one.number:06d}.json", json.dumps(fields))


def note_failure(folder: Path, number: int, message: str, overrides: Sequence[str]) -> None:
    """Report that an evaluation failed, and how."""
    record = {"message": message, "overrides": [as_typed(override) for override in overrides]}
    atomic_write(folder / f"{_FAILED}{number:06d}.txt", json.dumps(record))


def as_typed(override: str) -> str:
    """An override without the backslashes that Hydra's sweeper puts before colons and the like."""
    key, equals, value = override.partition("=")
    return override if value[:1] in {"'", '"'} else key + equals + _ESCAPED.sub(r"\1", value)


def is_noted(folder: Path, message: str) -> bool:
    """Whether another evaluation failed with these very words."""
    return any(record["message"] == message for record in _failed(folder))


def failures(folder: Path) -> list[str]:
    """Errors of failed evaluations, each with the evaluation's own settings."""
    return [f"{' '.join(record['overrides'])}: {record['message']}" for record in _failed(folder)]


def _failed(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(f"{_FAILED}*.txt"))]


def done(folder: Path) -> list[Done]:
    """The evaluations that were done, in the order of the sweep."""
    found = []
    for path in sorted(folder.glob("*.json")):
        fields = json.loads(path.read_text(encoding="utf-8"))
        result, candidates = (results.read(Path(stage)) for stage in fields.pop("evaluation"))
        found.append(Done(evaluation=Evaluation(result, candidates), **fields))
    return found
