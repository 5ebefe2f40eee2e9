"""What the parts of gpu_check share: options, checks, and pairs of texts."""

import argparse
import contextlib
import gc
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import full_size  # first, since it makes the tests' modules importable
import numpy as np
import torch
from benchmark_inputs import Groups
from tiny_tokenizers import SENTENCES

from evalkit.config import ComputeConfig
from evalkit.types import Pair

_MEAN_TOKENS, _SPREAD, _FEWEST, _MOST = 187, 0.6, 12, 480  # of a pair, log-normal, as of BEIR's
_WORDS = [word for sentence in SENTENCES if " " in sentence for word in sentence.split()]


class Check(NamedTuple):
    """One thing that was looked at.

    Attributes:
        name: what.
        ok: whether it is as it should be; None where there is nothing to judge, or it was left out.
        says: one line.
        figures: for the JSON.
    """

    name: str
    ok: bool | None
    says: str
    figures: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Options:
    """How everything is run.

    Attributes:
        device: `cuda` or `cpu`.
        dtype: of speeds, memory and kills.
        tiny: sizes that take a moment on a CPU.
        scratch: folder for checkpoints.
        models: names of `full_size.SIZES`.
        batch_tokens: budgets to compare.
        seconds: that each measurement takes, roughly.
        kills: how many evaluations are killed.
        until: no further model is begun after this, of `time.monotonic`.
        compute: more settings of compute.
    """

    device: str
    dtype: str
    tiny: bool
    scratch: Path
    models: tuple[str, ...]
    batch_tokens: tuple[int, ...]
    seconds: float
    kills: int
    until: float = float("inf")
    compute: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, **own: Any) -> ComputeConfig:
        """Settings of compute on this device."""
        return ComputeConfig(**{"device": self.device, "dtype": self.dtype, **self.compute, **own})

    def checkpoint(self, name: str) -> Path:
        """A model of full size, written for the first part that asks."""
        size = full_size.SIZES[name]
        return full_size.write(size.tiny() if self.tiny else size, self.scratch / name, device=self.device)

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.until


def groups_of(count: int, tokens_per_word: float, *, seed: int, depth: int = 50) -> Groups:
    """Random pairs, `depth` to a query, of lengths as in BEIR."""
    random = np.random.default_rng(seed)

    def text(tokens: float) -> str:
        return " ".join(random.choice(_WORDS, max(int(tokens / tokens_per_word), 1)).tolist())

    found: Groups = []
    for start in range(0, count, depth):
        query = text(random.integers(6, 20))
        drawn = random.lognormal(np.log(_MEAN_TOKENS) - _SPREAD**2 / 2, _SPREAD, min(depth, count - start))
        found.append([Pair(query, text(tokens)) for tokens in np.clip(drawn, _FEWEST, _MOST)])
    return found


@contextlib.contextmanager
def emptied(device: str) -> Iterator[None]:
    """Afterwards memory of models that are gone is free."""
    try:
        yield
    finally:
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()


def parse(arguments: list[str] | None, parts: list[str], description: str | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", metavar="PART[,...]", help=f"of {', '.join(parts)}; all by default")
    parser.add_argument("--models", action="append", metavar="MODEL[,...]", help=f"of {', '.join(full_size.SIZES)}")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16", help="of speed, memory and kills")
    parser.add_argument("--tiny", action="store_true", help="miniatures, to try the script itself")
    parser.add_argument("--batch-tokens", default="8192,16384,32768,65536", metavar="N[,...]")
    parser.add_argument("--compute", action="append", default=[], metavar="KEY=VALUE", help="more settings of compute")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement, roughly")
    parser.add_argument("--minutes", type=float, default=9.0, help="of a part, after which it begins no other model")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="keeps the checkpoints, 22 GB; a temporary folder by default")
    parser.add_argument("--json", type=Path, help="also a file, written after each part")
    return parser.parse_args(arguments)
