"""Functions that templates share: joining the parts of a pair, and truncating the longer text."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evalkit.errors import ModelError
from evalkit.inference.tokens import Ids, TokenizedPairs, Tokenizer


class PairIds(NamedTuple):
    """One pair.

    Attributes:
        ids: every token, in order.
        segments: segment (token type) of each.
        document: where the document starts and stops in `ids`.
        dropped: how many tokens of query and document were cut off.
    """

    ids: Ids
    segments: Ids
    document: tuple[int, int]
    dropped: tuple[int, int]


def collect(pairs: Sequence[PairIds]) -> TokenizedPairs:
    """Single pairs as columns."""
    return TokenizedPairs(
        [pair.ids for pair in pairs],
        [pair.segments for pair in pairs],
        np.array([pair.document for pair in pairs], dtype=np.int64).reshape(-1, 2),
        np.array([pair.dropped for pair in pairs], dtype=np.int64).reshape(-1, 2),
    )


def join(before: Ids, query: Ids, between: Ids, document: Ids, behind: Ids, dropped: tuple[int, int]) -> PairIds:
    """Five parts as one pair of a model without segments."""
    ids = np.concatenate([before, query, between, document, behind])
    start = len(before) + len(query) + len(between)
    return PairIds(ids, np.zeros_like(ids), (start, start + len(document)), dropped)


def common(first: Ids, second: Ids) -> int:
    """How many tokens two texts have in common at the start."""
    shorter = min(len(first), len(second))
    differ = np.flatnonzero(first[:shorter] != second[:shorter])
    return int(differ[0]) if len(differ) else shorter


def document_span(ids: Ids, without: Ids) -> tuple[int, int]:
    """Where the document starts and stops in a prompt, from the tokens of the same prompt with an empty document."""
    start = common(ids, without)
    behind = min(common(ids[::-1], without[::-1]), len(ids) - start, len(without) - start)
    return start, len(ids) - behind


def require_right(tokenizer: Tokenizer) -> None:
    """Refuse a tokenizer that cuts the beginning of a text, for a template that is published as cutting the end.

    Raises:
        ModelError: it does.
    """
    if tokenizer.cuts_left:
        raise ModelError(
            "tokenizer_config.json says truncation_side=left, and this reranker's template cuts on the right. If the "
            "model was trained so, say truncation_side=right in a copy of the folder."
        )


def longest_first(first: int, second: int, budget: int, *, odd_to_second: bool) -> tuple[int, int]:
    """How many tokens of two texts stay when the longer one always gives up a token.

    The shorter text stays whole if it fits together with an equal share of the other; else both get half. The odd
    token of an odd budget goes to the longer in the `tokenizers` library, and to the second of two equally long ones;
    the slow tokenizers of transformers 4 cut the second on a tie, so there it always goes to the first.

    Args:
        first: tokens of the first text.
        second: tokens of the second.
        budget: tokens that may stay in all.
        odd_to_second: whether the odd token is shared out as in the `tokenizers` library.
    """
    if first + second <= budget:
        return first, second
    half, odd = divmod(budget, 2)
    if min(first, second) <= half:
        return (first, budget - first) if first <= second else (budget - second, second)
    if odd_to_second and first <= second:
        return half, half + odd
    return half + odd, half
