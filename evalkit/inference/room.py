"""The size of a window of texts, so that a process stays within its memory."""

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
_SHARE = 24  # memory for texts, tokens and vectors of a window and of the next one, in times of its bytes


@dataclass(frozen=True)
class Room:
    """The resident bytes that one process may have, without the weights of models; None for no limit."""

    limit: int | None

    @property
    def text(self) -> int:
        """Bytes of text in a window. Constant without a limit: on CUDA windows decide the last bits."""
        if self.limit is None:
            return _CUDA_TEXT
        return min(max((self.limit - resident()) // _SHARE, _LEAST_TEXT), _TEXT)

    def count(self, texts: int, *, least: int) -> int:
        """Texts in a window: `least`, and on CUDA more if there are many texts, as each window ends in small batches.

        It decides the last bits there, so it depends on the number of texts and not of devices.
        """
        return least if self.limit is not None else min(max(texts // _CUDA_WINDOWS, least), _CUDA_TIMES * least)

    def tidy(self) -> None:
        """Return free memory to the system at the end of a window, if more than half of the limit is in use."""
        if self.limit is not None and resident() > self.limit / 2:
            give_back()


def room(compute: ComputeConfig) -> Room:
    """The room of the settings; without a limit where models run on CUDA."""
    if on_cuda(compute):
        return Room(None)
    return Room(int((compute.memory_gib or _CPU_GIB) * GIB))
