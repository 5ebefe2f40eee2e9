"""How long work takes on a machine: one that is described, or this one, by what it reached before or by its peak.

What a stage reached is kept in the store after each run, as operations a second of one kind of model; so the next plan
on this machine rests on measurement. Constants for what Python does are of two cores of an AMD EPYC.
"""

import math
import os
import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError
from evalkit.models.arithmetic import device_name, hardware
from evalkit.models.shape import Shape
from evalkit.store import Store
from evalkit.store.artefact import RATES
from evalkit.store.journal import Journal

_FORMAT = 2  # of rates; a higher number makes old ones be measured again
_RATE = "rate.log"
_RECORD = struct.Struct("<2d")  # operations, seconds
_CPU_SHARE = 0.6  # of the peak of matrix multiplication that the engine reaches on a CPU, all in all
_TOKENS_A_CORE = 4e5  # tokenised a second
_SECONDS_A_TEXT = 3e-5
_SEARCH_SHARE = 0.3
_PRODUCTS = 3e8  # of a query and a document, looked at a second
_JSON_BYTES = 40e6  # read, checked and converted a second
_CHECKED_BYTES = 1e9  # a second
_IMPORT_SECONDS = 4.0
_ROWS = {"measure": 6e5, "write": 2.7e5, "read candidates": 4e5}  # candidates a second
_TERA = 1e12


class Seconds(NamedTuple):
    """How long something takes.

    Attributes:
        value: seconds.
        source: where the rate is from.
    """

    value: float
    source: str


class Machine:
    """Rates of one machine.

    Args:
        compute: which, and how it is used.
        store: where rates of this machine are kept.

    Raises:
        ConfigError: it has no device that is asked for, or no rate in the dtype.
    """

    def __init__(self, compute: ComputeConfig, store: Store) -> None:
        self._compute, self._store = compute, store
        self.described = bool(compute.machine.name)
        if self.described and compute.dtype not in compute.machine.tflops:
            raise ConfigError(
                f"compute.machine.tflops has no {compute.dtype}. Add +compute.machine.tflops.{compute.dtype}=RATE, or "
                f"set compute.dtype to one of {', '.join(compute.machine.tflops)}."
            )

    @property
    def name(self) -> str:
        """What a table calls it."""
        if not self.described:
            return f"this machine ({self._hardware}, {self._cores} cores)"
        count = self._compute.machine.devices
        return f"{count} x {self._compute.machine.name}"

    @property
    def devices(self) -> int:
        """How many share the work of models."""
        return self._compute.machine.devices if self.described else 1

    @property
    def _hardware(self) -> str:
        return hardware(self._compute)

    @property
    def _cores(self) -> int:
        compute = self._compute
        if self.described:
            return compute.machine.cores or os.cpu_count() or 1
        return compute.threads or os.cpu_count() or 1

    def model(self, kind: str, shape: Shape, *, tokens: float, squares: float, texts: float) -> Seconds:
        """Of a model that reads texts.

        Args:
            kind: `encode` or `score`.
            shape: of the model.
            tokens: of all texts.
            squares: of the tokens of each text, summed up.
            texts: how many, or pairs.
        """
        flops, compute = shape.flops(tokens, squares), self._compute
        if self.described:
            reached = compute.machine.tflops[compute.dtype] * _TERA * compute.machine.utilisation * self.devices
            of_host = tokens / (_TOKENS_A_CORE * self._cores * self.devices)
            share = f"{compute.machine.utilisation:g} of {compute.machine.tflops[compute.dtype]:g} TFLOP/s (assumed)"
            return Seconds(max(flops / reached, of_host), share if flops / reached > of_host else "tokenising")
        if kept := self._kept(kind, shape):
            return Seconds(flops / kept, f"{kept / _TERA:.3g} TFLOP/s, as measured here")
        peak = _peak(shape, compute.dtype, device_name(compute))
        seconds = flops / (peak * _CPU_SHARE) + tokens / (_TOKENS_A_CORE * self._cores) + texts * _SECONDS_A_TEXT
        return Seconds(seconds, f"{_CPU_SHARE:g} of {peak / _TERA:.3g} TFLOP/s (assumed)")

    def search(self, *, documents: float, queries: float, width: int) -> Seconds:
        """Of exact search."""
        flops, compute = 2.0 * documents * queries * width, self._compute
        if self.described:
            reached = compute.machine.tflops[compute.dtype] * _TERA * _SEARCH_SHARE * self.devices
            # Vectors come from the disk once, whatever the number of queries.
            return Seconds(max(flops / reached, 2 * documents * width / _CHECKED_BYTES), "disk or device (assumed)")
        square = Shape(hidden=max(width, 64), inner=2048, layers=1, attention=1, parameters=1, causal=False)
        peak = _peak(square, "float32", device_name(compute))
        return Seconds(flops / (peak * _SEARCH_SHARE) + documents * queries / _PRODUCTS, "assumed")

    def load(self, text_bytes: float, *, converted: bool) -> Seconds:
        """Of a corpus that is read, or of one that is only checked."""
        return Seconds(text_bytes / (_CHECKED_BYTES if converted else _JSON_BYTES), "assumed")

    def weights(self, size: float, *, libraries: bool) -> Seconds:
        """Of a model that is loaded.

        Args:
            size: bytes of all parameters.
            libraries: whether torch and transformers are imported for it.
        """
        return Seconds(size / _CHECKED_BYTES + _IMPORT_SECONDS * libraries, "assumed")

    def rows(self, stage: str, rows: float) -> Seconds:
        """Of what is done to candidates without a model: `measure`, `write`, `read candidates`."""
        return Seconds(rows / _ROWS[stage], "assumed")

    def kilowatt_hours(self, seconds: float) -> float | None:
        """Of all devices; None where that is not known."""
        watts = self._compute.machine.watts if self.described else None
        return None if watts is None else watts * self.devices * seconds / 3.6e6

    def keep(self, kind: str, shape: Shape, read: Mapping[str, float], seconds: float) -> None:
        """Remember what a model reached on this machine; `read` is what `Usage.read` gives."""
        tokens, squares = read.get("tokens", 0.0), read.get("squared_tokens", 0.0)
        if tokens and seconds > 0 and not self.described:
            folder = self._store.growing(
                RATES, self._facts(kind, shape), label=f"{kind}: {shape.parameters:,} weights", needed=False
            )
            _journal(folder).append(_RECORD.pack(shape.flops(tokens, squares), seconds))

    def knows(self, kind: str, shape: Shape) -> bool:
        """Whether it was measured what a model of this size reaches here."""
        return self._kept(kind, shape) is not None

    def _kept(self, kind: str, shape: Shape) -> float | None:
        records = _journal(self._store.peek(RATES, self._facts(kind, shape))).fresh()
        if not records:
            return None
        flops, seconds = _RECORD.unpack(records[-1])
        return float(flops / seconds)

    def _facts(self, kind: str, shape: Shape) -> dict[str, Any]:
        compute = self._compute
        return {
            "format": _FORMAT,
            "kind": kind,
            "shape": list(shape),
            **compute.arithmetic,
            "hardware": self._hardware,
            "cores": self._cores,
            "backend": compute.backend,
            "workers": compute.workers,
            **({"devices": compute.devices} if compute.devices != "1" else {}),
            **({"processes": compute.processes_per_device} if compute.processes_per_device > 1 else {}),
        }


def _journal(folder: Path) -> Journal:
    """What a model reached, the last record last."""
    return Journal(folder / _RATE, head=folder.name.encode(), fits=_is_rate)


def _is_rate(record: bytes) -> bool:
    return len(record) == _RECORD.size and all(0 < one < math.inf for one in _RECORD.unpack(record))


@cache
def _peak(shape: Shape, dtype: str, device: str) -> float:
    from evalkit.plan.peak import matmul_peak

    return max(matmul_peak(shape, dtype, device).values())
