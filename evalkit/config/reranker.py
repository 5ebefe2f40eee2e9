"""Settings that all rerankers share; those of each kind are in the module of its implementation."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from evalkit.config.cards import require_card
from evalkit.config.limits import MISSING, nameable


@dataclass
class RerankerConfig:
    """Settings of a reranker; a subclass is the schema of one kind.

    Class attributes are what the rest of evalkit asks of a kind:
        implementation: `module:Class`, whose `from_config` makes the reranker.
        reads_instructions: whether a task instruction has a place in what the model reads; then there is a setting
            `instructions`.
    """

    implementation: ClassVar[str] = ""
    reads_instructions: ClassVar[bool] = False

    name: str = MISSING
    """Its name in tables and in the folder of results."""
    languages: list[str] = field(default_factory=list)
    """Languages of documents that it is made for; any, when empty. Another one is warned of."""
    card: dict[str, Any] = field(default_factory=dict)
    """Published facts about the model; see `config.cards`. They decide no score."""

    def __post_init__(self) -> None:
        """Check the name and the keys of the card."""
        nameable("reranker.name", self.name)
        require_card("reranker.card", self.card)

    def settled(self, *, weights: bool = True) -> "RerankerConfig":
        """The settings that run: of `reranker=auto` those of the kind that its checkpoint is of, else these.

        `weights` says whether to download the weights of a hub id too.
        """
        del weights
        return self

    @property
    def layers_scored(self) -> list[int]:
        """After which layers a pair gets a score; empty for the last alone."""
        return []

    def share_computed(self, layers: int) -> float:
        """The share of operations that is left where the first `layers` of a model merge tokens on the way."""
        del layers
        return 1.0
