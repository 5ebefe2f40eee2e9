"""How much text may be in memory at a time, so that a process keeps to the memory that it was given."""

from dataclasses import dataclass

from evalkit.config import ComputeConfig
from evalkit.memory import GIB, give_back, resident

_CPU_GIB = 2.0
_TEXT = 32 * 2**20  # bytes in a window: more makes nothing faster
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
            return _TEXT
        return min(max((self.limit - resident()) // _SHARE, _LEAST_TEXT), _TEXT)

    def tidy(self) -> None:
        """Give back what is free, where more than half is taken; for the end of a window."""
        if self.limit is not None and resident() > self.limit / 2:
            give_back()


def room(compute: ComputeConfig) -> Room:
    """Of the settings; without a limit where models run on CUDA."""
    if compute.device == "cuda" or (compute.device == "auto" and _cuda()):
        return Room(None)
    return Room(int((compute.memory_gib or _CPU_GIB) * GIB))


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()
