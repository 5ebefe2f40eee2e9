"""Published facts about a model, the key `card` of its settings. They serve checks and plans and decide no score.

parameters: how many the published weights have
architecture: class of transformers that stands for it
template: what the model reads
score: how its score is made
shape: sizes that decide its operations and memory, of a checkpoint that is not on disk
config: values in the `config.json` of the published weights
scores: pairs with the scores that its authors print, and the `source`, `dtype` and `settings` of these
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from evalkit.config.resources import choices_of
from evalkit.errors import ConfigError
from evalkit.system.lookalikes import instead

_KEYS = ("parameters", "architecture", "template", "score", "shape", "config", "scores")


def require_card(key: str, card: Mapping[str, Any]) -> None:
    """Refuse a card with a key that nothing reads."""
    if unknown := [name for name in card if name not in _KEYS]:
        raise ConfigError(f"{key}.{unknown[0]} is not a key of a card. {instead(str(unknown[0]), _KEYS)}")


@cache  # a plan of many evaluations asks for the same few models
def published_shape(model: str) -> Mapping[str, Any] | None:
    """The shape on the card of a hub id, of whichever choice names it; None where no card does."""
    for group in ("reranker", "retriever"):
        for _, stored in choices_of(group, model):
            if (card := stored.get("card", {})).get("shape"):
                return dict(card["shape"])
    return None


def without_cards(config: Any) -> dict[str, Any]:
    """The settings of an evaluation as a manifest records them."""
    settings = asdict(config)
    for stage in ("retriever", "reranker"):
        del settings[stage]["card"]
    return settings
