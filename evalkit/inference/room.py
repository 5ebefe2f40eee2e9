"""How much text may be in memory at a time, so that a process keeps to the memory that it was given."""

from dataclasses import dataclass

from evalkit.config import ComputeConfig
from evalkit.inference.accelerators import on_cuda
from evalkit.system.memory import GIB, give_back, resident

_CPU_GIB = 2.0
_TEXT = 32 * 2**20  # bytes in a window: more makes nothing faster
_CUDA_TEXT = 64 * 2**20
_CUDA_TIMES = 8  # as many texts in a window as on a CPU, at the most
_CUDA_WINDOWS = 32  # so many there are before they grow, for several devices to share
_LEAST_TEXT = 2**20
_SHARE = 24  # what texts, tokens and vectors of a window take, and of the next that is prepared, in times of its bytes


@dataclass(frozen=True)
class Room:
    """What one process may have resident, weights of models apart.

    Attributes:
        limit: bytes; None for no limit.
    """

    limit: int | None

    @property
    def text(self) -> int:
        """Bytes of text in a window. Without a limit always the same: on CUDA windows decide the last bits."""
        if self.limit is None:
            return _CUDA_TEXT
        return min(max((self.limit - resident()) // _SHARE, _LEAST_TEXT), _TEXT)

    def count(self, texts: int, *, least: int) -> int:
        """Texts in a window of so many in all: `least`, and on CUDA more of many, as each window ends in small batches.

        It decides the last bits there, so it depends on the texts alone and not on the number of devices.
        """
        return least if self.limit is not None else min(max(texts // _CUDA_WINDOWS, least), _CUDA_TIMES * least)

    def tidy(self) -> None:
        """Give back what is free, where more than half is taken; for the end of a window."""
        if self.limit is not None and resident() > self.limit / 2:
            give_back()


def room(compute: ComputeConfig) -> Room:
    """Of the settings; without a limit where models run on CUDA."""
    if on_cuda(compute):
        return Room(None)
    return Room(int((compute.memory_gib or _CPU_GIB) * GIB))
