"""A worker for tests of pools, importable where it is unpickled."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from evalkit.errors import ModelError
from evalkit.inference.budget import Budget
from evalkit.inference.usage import Usage


class Adder:
    """Adds one to numbers, two at a time; notes each shard that it begins in a folder, and may be made to fail."""

    overlaps, budget = True, None

    def __init__(self, folder, *, dies_at=(), fails_at=None, unlike=False, pause=0.0, takes_to_load=0.0):
        self.folder, self.dies_at, self.fails_at, self.unlike, self.pause = (
            Path(folder),
            dies_at,
            fails_at,
            unlike,
            pause,
        )
        self.usage, self.loads, self.takes_to_load = Usage(), 0, takes_to_load

    def facts(self):
        return {"kind": f"cpu {os.getpid()}" if self.unlike else "cpu"}

    def load(self):
        self.loads += 1
        time.sleep(self.takes_to_load)

    def prepare(self, payload):
        shard = payload[0]
        (self.folder / f"{shard}-{time.time_ns()}").touch()
        if shard == self.fails_at:
            raise ModelError(f"no such shard as {shard}.")
        return payload

    def work(self, prepared):
        shard, numbers, known = prepared
        for start in range(0, len(numbers), 2):
            rows = np.arange(start, min(start + 2, len(numbers)))
            rows = rows[~known[rows]]
            if shard in self.dies_at and start and len(list(self.folder.glob(f"{shard}-*"))) <= self.dies_at[shard]:
                time.sleep(0.2)  # what was given back is under way
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(self.pause)
            if len(rows):
                self.usage.tokens += len(rows)
                self.usage.batches += 1
                yield rows, numbers[rows] + 1

    def spent(self):
        return self.usage


class Threads(Adder):
    """Tells how many threads its process is to have."""

    def facts(self):
        return {"kind": f"{os.environ['OMP_NUM_THREADS']} {os.environ['RAYON_NUM_THREADS']}"}


class Probing(Adder):
    """Finds a budget at its first shard, another in each process; what it adds is the budget that it works with."""

    def __init__(self, folder, **settings):
        super().__init__(folder, **settings)
        self.budget = Budget()

    def __reduce__(self):
        return Probing, (self.folder,)

    def work(self, prepared):
        _, numbers, known = prepared
        yield np.flatnonzero(~known), numbers[~known] + self.budget.settle(os.getpid)
