"""The cards of the shipped rerankers that have published scores."""

from evalkit.config.resources import config_names, read_config


def published_cards() -> dict[str, dict]:
    """Reranker -> its card, of those with scores."""
    cards = {name: read_config("reranker", name).get("card", {}) for name in config_names("reranker")}
    return {name: card for name, card in cards.items() if "scores" in card}
