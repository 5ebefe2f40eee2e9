"""The cards of the shipped rerankers that have published scores."""

import yaml

from evalkit.config.resources import config_names, config_text


def published_cards() -> dict[str, dict]:
    """Reranker -> its card, of those with scores."""
    cards = {name: yaml.safe_load(config_text("reranker", name)).get("card", {}) for name in config_names("reranker")}
    return {name: card for name, card in cards.items() if "scores" in card}
