"""How long work takes on a machine: one that is described, or this one, whose matrix multiplication is timed now.

Constants for what Python does are of two cores of an AMD EPYC.
"""

import os
from typing import NamedTuple

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError
from evalkit.models.arithmetic import device_name, hardware
from evalkit.models.shape import Shape

UTILISATION = {"cpu": 0.8, "cuda": 0.4}
"""Share of this machine's matrix multiplication that models reach.

On a CPU about the median, .83, of six measurements in results/benchmarks (encode_scifact, rerank_dl19, its XLM-R;
float32 and bfloat16), which reach .62 to 1.17 of torch.matmul. On CUDA it is the share that described machines assume,
and was not measured.
"""
_TOKENS_A_CORE = 4e5  # tokenised a second
_SECONDS_A_TEXT = 3e-5
_AVERAGED = 2e8  # values of a table's rows, a second
_SEARCH_SHARE = 0.3
_PRODUCTS = 3e8  # of a query and a document, looked at a second
READ_BYTES = 1e9  # from a disk, a second
_TERA = 1e12


class Seconds(NamedTuple):
    """How long something takes.

    Attributes:
        value: the seconds.
        source: what they are computed from.
    """

    value: float
    source: str


class Machine:
    """Rates of one machine.

    Args:
        compute: which machine, and how it is used.

    Raises:
        ConfigError: a described machine has no rate in the dtype.
        ModelError: this machine lacks a device that is asked for.
    """

    def __init__(self, compute: ComputeConfig) -> None:
        self._compute = compute
        self.described = bool(compute.machine.name)
        if self.described and compute.dtype not in compute.machine.tflops:
            raise ConfigError(
                f"compute.machine.tflops has no {compute.dtype}. Add +compute.machine.tflops.{compute.dtype}=RATE, or "
                f"set compute.dtype to one of {', '.join(compute.machine.tflops)}."
            )
        self._device = "described" if self.described else device_name(compute)

    @property
    def name(self) -> str:
        """Its name in a table."""
        if self.described:
            return f"{self.devices} x {self._compute.machine.name}"
        count = f"{self.devices} x " if self.devices > 1 else ""
        return f"this machine ({count}{hardware(self._compute)}, {self._cores} cores)"

    @property
    def devices(self) -> int:
        """How many share the work of models; the cores of a CPU are one."""
        compute = self._compute
        if self.described:
            return compute.machine.devices
        if self._device == "cpu":
            return 1
        return (compute.workers or 1) if compute.backend == "ray" else compute.device_count or _cuda_devices()

    @property
    def _cores(self) -> int:
        set_cores = self._compute.machine.cores if self.described else self._compute.threads
        return set_cores or os.cpu_count() or 1

    def _rate(self, dtype: str) -> float:
        """FLOP/s of all devices in matrix multiplication."""
        if self.described:
            return self._compute.machine.tflops[dtype] * _TERA * self.devices
        from evalkit.plan.matmul import matmul_rate

        return matmul_rate(dtype, self._device, self._compute.threads) * self.devices

    def model(self, shape: Shape, *, tokens: float, squares: float, texts: float) -> Seconds:
        """Seconds of a model that reads texts.

        Args:
            shape: of the model.
            tokens: of all texts.
            squares: the sum of the squared token count of each text.
            texts: how many texts or pairs.
        """
        compute, rate = self._compute, self._rate(self._compute.dtype)
        share = compute.machine.utilisation if self.described else UTILISATION[self._device]
        computing = shape.flops(tokens, squares) / (rate * share)
        tokenising = tokens / (_TOKENS_A_CORE * self._cores * (self.devices if self.described else 1))
        source = f"{share:g} of {rate / self.devices / _TERA:.3g} TFLOP/s"
        if not self.described:
            return Seconds(computing + tokenising + texts * _SECONDS_A_TEXT, f"{source} (measured now)")
        # The host tokenises while the device computes.
        return Seconds(max(computing, tokenising), f"{source} (assumed)" if computing > tokenising else "tokenising")

    def table(self, *, tokens: float, width: int, texts: float) -> Seconds:
        """Seconds of static embeddings, which the CPU computes: rows of a table, averaged."""
        tokenising = tokens / (_TOKENS_A_CORE * self._cores)
        return Seconds(tokenising + tokens * width / _AVERAGED + texts * _SECONDS_A_TEXT, "assumed")

    def search(self, *, documents: float, queries: float, width: int) -> Seconds:
        """Seconds of exact search."""
        flops = 2.0 * documents * queries * width
        if self.described:
            # Vectors come from the disk once, whatever the number of queries.
            reached = self._rate(self._compute.dtype) * _SEARCH_SHARE
            return Seconds(max(flops / reached, 2 * documents * width / READ_BYTES), "disk or device (assumed)")
        reached = self._rate("float32") * _SEARCH_SHARE
        return Seconds(flops / reached + documents * queries / _PRODUCTS, "assumed")

    def kilowatt_hours(self, seconds: float) -> float | None:
        """Energy of all devices; None where their power is not known."""
        watts = self._compute.machine.watts if self.described else None
        return None if watts is None else watts * self.devices * seconds / 3.6e6


def _cuda_devices() -> int:
    import torch

    return torch.cuda.device_count()
