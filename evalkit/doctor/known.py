"""Scores that the authors of a checkpoint published, and whether it gives them here.

The model's card in `conf/reranker/` holds them with their sources. They were made in half precision by other code, so
that a difference in the second decimal of a logit is rounding; a wrong token, head or template moves a score by whole
units.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evalkit.doctor.checks import FAILED, PASSED, SKIPPED, Check
from evalkit.rerank.pair_reranker import PairReranker
from evalkit.types import Pair

_TOLERANCE = {"logit": 0.1, "sigmoid": 0.03}
_RELATIVE = 0.02  # of the published value, for logits
_NAME = "published scores"


def card_of(reranker: PairReranker) -> Mapping[str, Any]:
    """Published facts about the model; see `config.cards`."""
    return reranker.config.card


def published_scores(reranker: PairReranker) -> Check:
    """The scores on the model card come out within tolerance."""
    published = card_of(reranker).get("scores", [])
    if not published:
        return Check(_NAME, SKIPPED, "none are known for this reranker")
    if not _is_published(reranker):
        return Check(_NAME, SKIPPED, f"not a checkpoint of the size that the card of {reranker.name} says")
    sets = [known for known in published if _has_settings(reranker, known)]
    if not sets:
        settings = published[0].get("settings", {})
        wanted = " ".join(f"reranker.{key}={value}".replace(" ", "") for key, value in settings.items())
        return Check(_NAME, SKIPPED, f"known for other settings: add {wanted}")
    worst, where = -math.inf, ""
    for known in sets:
        for (query, document, published), found, tolerance in _compare(reranker, known):
            excess = abs(found - published) - tolerance
            if not excess <= worst:  # also where it is NaN
                worst, where = excess, f"{query!r} with {document[:30]!r}: {found:.4f}, published {published:.4f}"
    count = sum(len(known["pairs"]) for known in sets)
    return Check(_NAME, PASSED if worst <= 0 else FAILED, f"{count} pairs; least agreement: {where}")


def pooling(reranker: PairReranker) -> Check:
    """Which pooling gives the scores on the card: last token, first token, or mean."""
    sets = card_of(reranker).get("scores", [])
    if not sets or not _is_published(reranker):
        return Check("pooling", SKIPPED, "only published scores decide it, and these are not the published weights")
    module = getattr(reranker.model, "module", reranker.model)  # a packed one keeps its head there
    used = module.pooling
    fits, shown = [], []
    for candidate in reranker.family.poolings:
        module.pooling = candidate
        found = [
            (value, abs(value - published) <= tolerance)
            for known in sets
            for (_, _, published), value, tolerance in _compare(reranker, known)
        ]
        fits += [candidate] if all(fit for _, fit in found) else []
        shown.append(f"{candidate}: {', '.join(f'{value:.4g}' for value, _ in found)}")
    module.pooling = used
    published = ", ".join(f"{pair[2]:.4g}" for known in sets for pair in known["pairs"])
    detail = f"card {published}; {'; '.join(shown)}"
    if used in fits:
        return Check("pooling", PASSED, f"{' and '.join(fits)} gives the card's scores ({detail})")
    remedy = f"set reranker.pooling={fits[0]}" if fits else "none of the three gives the card's scores"
    return Check("pooling", FAILED, f"{remedy} ({detail})")


def _compare(reranker: PairReranker, known: Mapping[str, Any]) -> list[tuple[Sequence[Any], float, float]]:
    """((query, document, published), what comes out here, tolerance) of every pair.

    Where a card's query is printed with either of two marks, the one that comes nearer counts.
    """
    spellings = [known["pairs"]]
    if "or_query" in known:
        spellings.append([[known["or_query"], document, value] for _, document, value in known["pairs"]])
    tolerances = known.get("tolerances") or [_tolerance(known["values"], value) for *_, value in known["pairs"]]
    results = []
    for pairs in spellings:
        scores = reranker.score([Pair(query, document, "") for query, document, _ in pairs]).scores
        values = 1 / (1 + np.exp(-scores.astype(np.float64))) if known["values"] == "sigmoid" else scores
        results.append([(pair, float(v), t) for pair, v, t in zip(pairs, values, tolerances, strict=True)])
    return min(results, key=lambda found: max(abs(value - pair[2]) for pair, value, _ in found))


def _tolerance(values: str, published: float) -> float:
    return _TOLERANCE[values] + (_RELATIVE * abs(published) if values == "logit" else 0.0)


def _is_published(reranker: PairReranker) -> bool:
    config = reranker.checkpoint.config
    return all(config.get(key) == value for key, value in card_of(reranker).get("config", {}).items())


def _has_settings(reranker: PairReranker, known: Mapping[str, Any]) -> bool:
    return all(getattr(reranker.config, key) == value for key, value in known.get("settings", {}).items())
