"""Counters of the engine. Knows neither torch nor models."""

import threading
from dataclasses import asdict, dataclass
from typing import Any

_ADDING = threading.Lock()  # windows may be worked on side by side


@dataclass
class Usage:
    """What scoring or encoding took so far; those of several processes can be added.

    Attributes:
        tokens: of the texts that were run.
        squared_tokens: the squares of the tokens of each text, summed up: what attention takes.
        computed_tokens: those that went through the model; more where batches are padded.
        batches: how many.
        batch_tokens: the last budget in force.
        out_of_memory: how often the budget was halved.
        tokenizing_seconds: spent on tokenising, in part beside the model's work.
        fused: how the steps between multiplications were computed, `compute.fused`; empty where as by default on a CPU.
        emulated: the dtype that the processor emulates; empty where it has instructions for the one that is used.
        kernel: which attention kernel a GPU uses; empty on a CPU and for padded models.
        notice: what a GPU does slowly, and what to do about it; empty where there is nothing to say.
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
        """Add to some of the numbers, whichever thread asks."""
        with _ADDING:
            for name, value in more.items():
                setattr(self, name, getattr(self, name) + value)

    def read(self, before: "Usage | None" = None) -> dict[str, float]:
        """What a model read since, as stages note it; nothing where it read nothing."""
        before = before or Usage()
        tokens, squares = self.tokens - before.tokens, self.squared_tokens - before.squared_tokens
        return {"tokens": tokens, "squared_tokens": squares} if tokens else {}

    def __add__(self, other: "Usage") -> "Usage":
        """Both together; of the budgets the greater one, and what either says of its processor."""
        ours, theirs = asdict(self), asdict(other)
        summed: dict[str, Any] = {
            name: value or theirs[name] if isinstance(value, str) else value + theirs[name]
            for name, value in ours.items()
        }
        return Usage(**{**summed, "batch_tokens": max(self.batch_tokens, other.batch_tokens)})
