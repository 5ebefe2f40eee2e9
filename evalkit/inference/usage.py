"""Counters of the engine. Knows neither torch nor models."""

from dataclasses import asdict, dataclass


@dataclass
class Usage:
    """What scoring or encoding took so far; those of several processes can be added.

    Attributes:
        tokens: of the texts that were run.
        computed_tokens: those that went through the model; more where batches are padded.
        batches: how many.
        batch_tokens: the last budget in force.
        out_of_memory: how often the budget was halved.
        tokenizing_seconds: spent on tokenising, in part beside the model's work.
    """

    tokens: int = 0
    computed_tokens: int = 0
    batches: int = 0
    batch_tokens: int = 0
    out_of_memory: int = 0
    tokenizing_seconds: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        """Both together; of the budgets the greater one."""
        ours, theirs = asdict(self), asdict(other)
        summed = {name: value + theirs[name] for name, value in ours.items()}
        return Usage(**{**summed, "batch_tokens": max(self.batch_tokens, other.batch_tokens)})
