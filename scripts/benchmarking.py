"""What the benchmarks share: contenders, meters and interleaved rounds.

Contenders of one benchmark run in one process, in a shuffled order in every round, over the same texts; a round has
texts of its own. So a machine that slows down slows all of them, and no contender gains from a lucky sample.
"""

import contextlib
import gc
import importlib.util
import io
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.errors import ConfigError, EvalkitError
from evalkit.system.reporting import reason

DTYPES = ("float32", "bfloat16", "float16")
OURS = "evalkit"

Scores = NDArray[np.float32]
Score = Callable[[Any, int], Scores]
"""A sample's items and a batch size -> a number each."""


class Sample(NamedTuple):
    """What every contender does in one round.

    Attributes:
        items: the texts, as the benchmark's contenders take them.
        lengths: shape (sequences,), tokens as the model reads them.
        count: how many texts or pairs there are, where that is not the number of sequences.
    """

    items: Any
    lengths: NDArray[np.int64]
    count: int | None = None

    @property
    def texts(self) -> int:
        """How many texts or pairs there are."""
        return len(self.lengths) if self.count is None else self.count


class Usage(NamedTuple):
    """What a contender spent, where that is known.

    Attributes:
        executed: tokens through the model, padding and repetitions included.
        tokenizing: seconds in which texts were made into tokens.
    """

    executed: int | None
    tokenizing: float | None


class Meter(Protocol):
    """**Protocol:** reads what a contender spends."""

    def start(self) -> None:
        """From here on."""
        ...

    def read(self, sample: Sample) -> Usage:
        """What was spent since the start, for this sample."""
        ...


@dataclass
class Contender:
    """One way to get the numbers.

    Attributes:
        package: whose code it is.
        setting: how it is used, such as `batch 32`.
        dtype: of weights and activations.
        prepare: a sample's items -> a call that does the work and gives one row a text.
        meter: reads what the work takes.
    """

    package: str
    setting: str
    dtype: str
    prepare: Callable[[Any], Callable[[], NDArray[np.float32]]]
    meter: Meter

    @property
    def name(self) -> str:
        """As in tables."""
        return f"{self.package}, {self.setting}" if self.setting else self.package


class ForwardMeter:
    """Counts the tokens that enter a torch model, and times what happens before it.

    Args:
        model: is called with `input_ids`, or with a mapping that holds them.
    """

    def __init__(self, model: Any) -> None:
        self.executed = 0
        self.tokenizing = 0.0
        self._started = 0.0
        self._until_forward: float | None = None
        model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, _: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        # Sizes alone: reading a mask would make a GPU wait.
        if self._until_forward is None:
            self._until_forward = time.perf_counter() - self._started
        first = arguments[0] if arguments else None
        ids = (first if isinstance(first, Mapping) else named).get("input_ids")
        self.executed += int(ids.numel()) if ids is not None else 0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose time counts as tokenising."""

        def call(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.tokenizing += time.perf_counter() - start

        return call

    def start(self) -> None:
        """See `Meter`."""
        self.executed, self.tokenizing, self._until_forward = 0, 0.0, None
        self._started = time.perf_counter()

    def read(self, sample: Sample) -> Usage:
        """See `Meter`. Where nothing was timed, all before the first forward pass is tokenising."""
        del sample
        return Usage(self.executed or None, self.tokenizing or self._until_forward)


class EngineMeter:
    """Reads evalkit's own counts.

    Args:
        owner: has `usage` with `tokens`, `computed_tokens` and `tokenizing_seconds`, which accumulate.
        tokenize: a sample's items -> tokens; timed alone where the engine does not say.
    """

    def __init__(self, owner: Any, tokenize: Callable[[Any], object]) -> None:
        self._owner = owner
        self._tokenize = tokenize
        self._before: tuple[int, float] = (0, 0.0)

    def _totals(self) -> tuple[int, float] | None:
        usage = getattr(self._owner, "usage", None)
        return None if usage is None else (int(usage.computed_tokens), float(usage.tokenizing_seconds))

    def start(self) -> None:
        """See `Meter`."""
        self._before = self._totals() or (0, 0.0)

    def read(self, sample: Sample) -> Usage:
        """See `Meter`. Without counts, a packed model computes what it is given; of a padded one nothing is known."""
        totals = self._totals()
        if totals is not None:
            # Late interaction does not note how long it tokenises.
            return Usage(totals[0] - self._before[0], totals[1] - self._before[1] or None)
        start = time.perf_counter()
        self._tokenize(sample.items)
        seconds = time.perf_counter() - start
        packed = self._owner.compute.attention == "packed"
        return Usage(int(sample.lengths.sum()) if packed else None, seconds)


@dataclass
class Timing:
    """One contender in one round.

    Attributes:
        seconds: of wall time.
        processor_seconds: of all cores.
        usage: what was spent.
        output: one row a text.
    """

    seconds: float
    processor_seconds: float
    usage: Usage
    output: NDArray[np.float32]


@dataclass
class Field:
    """The contenders that can run, and why the others cannot.

    Attributes:
        contenders: in the order of the table.
        skipped: name -> reason.
    """

    contenders: list[Contender] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, package: str, load: Callable[[], list[Contender]]) -> None:
        """Load a peer, or write down why not. A peer's failure is its own, whatever its class."""
        if importlib.util.find_spec(package) is None:
            self.skipped[name] = "not installed"
            return
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                self.contenders += load()
        except Exception as error:  # noqa: BLE001
            self.skipped[name] = f"cannot load this model ({type(error).__name__}: {reason(error)})"

    def drop(self, contender: Contender, error: Exception) -> None:
        """Leave out a peer that fails on the first texts."""
        self.contenders.remove(contender)
        name = f"{contender.name}, {contender.dtype}"
        self.skipped[name] = f"cannot run this model ({type(error).__name__}: {reason(error)})"


def time_once(contender: Contender, sample: Sample, *, device: str, threads: int) -> Timing:
    """One contender over one sample; on CUDA until the device is done."""
    torch.set_num_threads(threads)  # a contender before may have changed it
    with contextlib.redirect_stderr(io.StringIO()):
        work = contender.prepare(sample.items)
    gc.collect()
    synchronise(device)
    contender.meter.start()
    processor, start = time.process_time(), time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):  # peers' progress bars
        output = work()
    synchronise(device)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    return Timing(seconds, processor, contender.meter.read(sample), np.asarray(output, dtype=np.float32))


def warm_up(found: Field, sample: Sample, *, device: str, threads: int) -> list[NDArray[np.float32]]:
    """What every contender gives for a sample that is not counted; peers that fail are dropped."""
    outputs = []
    for contender in list(found.contenders):
        try:
            outputs.append(time_once(contender, sample, device=device, threads=threads).output)
        except Exception as error:
            if contender.package == OURS:
                raise
            found.drop(contender, error)
    return outputs


def run_rounds(
    contenders: Sequence[Contender], samples: Sequence[Sample], *, seed: int, device: str, threads: int
) -> Iterator[list[Timing]]:
    """The timings of each round, in the order of the contenders; run in an order that the seed shuffles anew."""
    order = random.Random(seed)  # noqa: S311 - an order, not a secret
    for number, sample in enumerate(samples, start=1):
        places = list(range(len(contenders)))
        order.shuffle(places)
        timings: dict[int, Timing] = {}
        for done, place in enumerate(places, start=1):
            name = f"{contenders[place].name} ({contenders[place].dtype})"
            sys.stderr.write(f"round {number}/{len(samples)}, {done}/{len(places)}: {name}\n")
            timings[place] = time_once(contenders[place], sample, device=device, threads=threads)
        yield [timings[place] for place in range(len(contenders))]


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, extremes and all values, in the order of the rounds."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "rounds": list(values)}


def synchronise(device: str) -> None:
    """Wait until the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()


def chosen(texts: Sequence[str], legal: Sequence[str], option: str) -> list[str]:
    """What was asked for in one or several comma-separated lists, each once.

    Raises:
        ConfigError: one is not legal.
    """
    names = list(dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip()))
    for name in names:
        if name not in legal:
            raise ConfigError(f"{option} {name} is not a choice. Legal are: {', '.join(legal)}.")
    return names


def write_json(file: Path, report: dict[str, Any]) -> None:
    """A report, as a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def stop(error: EvalkitError | str) -> int:
    """Say in one line what is wrong with the measurement; exit code 1."""
    sys.stderr.write(f"evalkit: {error}\n")
    return 1
