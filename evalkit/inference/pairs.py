"""Query-document pairs as one sequence of tokens: each distinct text is tokenised once, then cut and joined.

The joint is the tokenizer's own: what it puts before, between and behind two texts is read off a sample pair. The cuts
are those of the `tokenizers` library, without the overflowing pieces that it keeps, whose number grows with the product
of both lengths.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import ModelError
from evalkit.inference.tokens import Tokenized

_TEXTS_PER_CALL = 4096  # Encoding objects are far larger than the ids in them


class Joint(NamedTuple):
    """What a tokenizer adds to a pair.

    Attributes:
        before: special tokens in front of the first text.
        between: special tokens between the texts.
        behind: special tokens after the second text.
        segments: segment id of each of the five parts, in order.
    """

    before: NDArray[np.int32]
    between: NDArray[np.int32]
    behind: NDArray[np.int32]
    segments: tuple[NDArray[np.int32], int, NDArray[np.int32], int, NDArray[np.int32]]

    @property
    def tokens(self) -> int:
        """How many special tokens a pair has."""
        return len(self.before) + len(self.between) + len(self.behind)


def joint(tokenizer: Any) -> Joint:
    """The special tokens that a `tokenizers.Tokenizer` puts around a pair."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    sample = tokenizer.encode("a", "a")
    owners = np.array([-1 if owner is None else owner for owner in sample.sequence_ids])
    ids, segments = np.array(sample.ids, dtype=np.int32), np.array(sample.type_ids, dtype=np.int32)
    first, second = np.flatnonzero(owners == 0), np.flatnonzero(owners == 1)
    before, between, behind = slice(0, first[0]), slice(first[-1] + 1, second[0]), slice(second[-1] + 1, None)
    return Joint(
        ids[before],
        ids[between],
        ids[behind],
        (segments[before], int(segments[first[0]]), segments[between], int(segments[second[0]]), segments[behind]),
    )


def tokenize_pairs(tokenizer: Any, pairs: Sequence[tuple[str, str]], *, max_length: int, truncation: str) -> Tokenized:
    """Token ids of pairs, with special tokens, cut to `max_length` in all.

    Args:
        tokenizer: a `tokenizers.Tokenizer`.
        pairs: (query, document) texts.
        max_length: tokens of a pair, special ones included.
        truncation: `longest_first`; `only_second`; or `flag_embedding`, which cuts the query to 3/4 of `max_length`
            and then the document, as FlagEmbedding's encoder rerankers do.

    Raises:
        ModelError: only the document may be cut, and a query leaves no room for it.
    """
    around = joint(tokenizer)
    queries = _token_ids(tokenizer, [pair[0] for pair in pairs])
    documents = _token_ids(tokenizer, [pair[1] for pair in pairs])
    ids, segments, cut = [], [], np.zeros(len(pairs), dtype=bool)
    for row, (query_text, document_text) in enumerate(pairs):
        query, document = queries[query_text], documents[document_text]
        kept = _kept(len(query), len(document), max_length, around.tokens, truncation)
        cut[row] = kept != (len(query), len(document))
        parts = (around.before, query[: kept[0]], around.between, document[: kept[1]], around.behind)
        ids.append(np.concatenate(parts))
        of_part = around.segments
        segments.append(
            np.concatenate(
                [of_part[0], np.full(kept[0], of_part[1]), of_part[2], np.full(kept[1], of_part[3]), of_part[4]]
            ).astype(np.int32)
        )
    return Tokenized(ids, segments, cut)


def _token_ids(tokenizer: Any, texts: Sequence[str]) -> dict[str, NDArray[np.int32]]:
    """Ids of each distinct text, without special tokens and uncut."""
    distinct = list(dict.fromkeys(texts))
    found: dict[str, NDArray[np.int32]] = {}
    for start in range(0, len(distinct), _TEXTS_PER_CALL):
        some = distinct[start : start + _TEXTS_PER_CALL]
        for text, encoding in zip(some, tokenizer.encode_batch(some, add_special_tokens=False), strict=True):
            found[text] = np.array(encoding.ids, dtype=np.int32)
    return found


def _kept(query: int, document: int, max_length: int, special: int, truncation: str) -> tuple[int, int]:
    """How many tokens of query and document stay, beside the special ones.

    Longest first, as `tokenizers` has it: the shorter text stays whole if it fits beside an equal share of the other;
    else both get half, and the odd token goes to the longer, or to the second of two equal ones.
    """
    budget = max_length - special
    if truncation == "flag_embedding":
        query = min(query, max_length * 3 // 4)
    if query + document <= budget:
        return query, document
    if truncation != "longest_first":
        if query >= budget:
            raise ModelError(
                f"a query of {query} tokens leaves no room for the document in {budget} tokens of reranker.max_length. "
                "Set reranker.truncation=longest_first, or a greater reranker.max_length."
            )
        return query, budget - query
    half, odd = divmod(budget, 2)
    if min(query, document) <= half:
        return (query, budget - query) if query <= document else (budget - document, document)
    return (half, half + odd) if query <= document else (half + odd, half)
