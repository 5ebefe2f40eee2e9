"""Counters of the engine. Knows neither torch nor models."""

import threading
from dataclasses import asdict, dataclass
from typing import Any

_ADDING = threading.Lock()  # windows may be worked on side by side


@dataclass
class Usage:
    """The work of scoring or encoding so far; that of several processes can be added.

    Attributes:
        tokens: tokens of the texts.
        squared_tokens: sum of the squares of the tokens of each text, the cost of attention.
        computed_tokens: tokens that went through the model, with padding.
        batches: number of batches.
        batch_tokens: the last budget in force.
        out_of_memory: how often the budget was halved.
        tokenizing_seconds: seconds of tokenising, in part while the model worked.
        emulated: the dtype if the processor emulates it; else empty.
        kernel: attention kernel of a GPU; empty on a CPU and for padded models.
        notice: advice about a GPU that works slowly; empty if there is none.
        fused: the way of the steps between multiplications, as `compute.fused`; empty for the default of a CPU.
    """

    tokens: int = 0
    squared_tokens: int = 0
    computed_tokens: int = 0
    batches: int = 0
    batch_tokens: int = 0
    out_of_memory: int = 0
    tokenizing_seconds: float = 0.0
    emulated: str = ""
    kernel: str = ""
    notice: str = ""
    fused: str = ""

    def add(self, **more: float) -> None:
        """Add to some of the numbers, from any thread."""
        with _ADDING:
            for name, value in more.items():
                setattr(self, name, getattr(self, name) + value)

    def read(self, before: "Usage | None" = None) -> dict[str, float]:
        """The tokens that a model read since, as stages note them; empty for none."""
        before = before or Usage()
        tokens, squares = self.tokens - before.tokens, self.squared_tokens - before.squared_tokens
        return {"tokens": tokens, "squared_tokens": squares} if tokens else {}

    def __add__(self, other: "Usage") -> "Usage":
        """Both together, with the greater budget and any remark on the processor."""
        ours, theirs = asdict(self), asdict(other)
        summed: dict[str, Any] = {
            name: value or theirs[name] if isinstance(value, str) else value + theirs[name]
            for name, value in ours.items()
        }
        return Usage(**{**summed, "batch_tokens": max(self.batch_tokens, other.batch_tokens)})
