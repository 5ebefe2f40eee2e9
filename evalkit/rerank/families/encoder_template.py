"""Encoder rerankers: the tokenizer's own pair, `[CLS] Q [SEP] D [SEP]` or `<s> Q </s></s> D </s>`.

What the tokenizer puts before, between and behind two texts is read off a sample pair. The cuts are those of the
`tokenizers` library, without the overflowing pieces that it keeps, whose number grows with the product of both lengths.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import ModelError
from evalkit.inference.tokens import (
    Frame,
    Ids,
    TokenizedPairs,
    Tokenizer,
    distinct_token_ids,
    require_tokens,
    shortened,
)
from evalkit.rerank.families.pairs import PairIds, collect, common, longest_first
from evalkit.types import Pair


def tokenize(
    tokenizer: Tokenizer, pairs: Sequence[Pair], *, max_length: int, truncation: str, instruction: str = ""
) -> TokenizedPairs:
    """Token ids of pairs, with special tokens, cut to `max_length` in all.

    Args:
        tokenizer: the checkpoint's.
        pairs: query and document; an instruction is not part of this template.
        max_length: tokens of a pair, special ones included.
        truncation: `longest_first`; `only_second`; or `flag_embedding`, which cuts the query to 3/4 of `max_length`
            and then the document, as FlagEmbedding's encoder rerankers do.
        instruction: put before every query as it is.

    Raises:
        ModelError: only the document may be cut, and a query leaves no room for it; or a pair has no token at all.
    """
    frame = tokenizer.frame(2)
    queries = distinct_token_ids(tokenizer, [instruction + pair.query for pair in pairs])
    documents = distinct_token_ids(tokenizer, [pair.document for pair in pairs])
    rows = []
    for pair in pairs:
        query, document = queries[instruction + pair.query], documents[pair.document]
        kept = _kept(len(query), len(document), max_length, frame.tokens, truncation)
        if kept[1] < min(len(document), 1):
            raise ModelError(
                f"the query {pair.query[:40]!r} leaves no room for its document: it has {len(query)} tokens, and "
                f"max_length={max_length} with {frame.tokens} special ones. Set a greater reranker.max_length, or "
                "reranker.truncation=longest_first."
            )
        dropped = (len(query) - kept[0], len(document) - kept[1])
        left = tokenizer.cuts_left
        kept_ids = shortened(query, kept[0], left=left), shortened(document, kept[1], left=left)
        rows.append(_join(frame, *kept_ids, dropped))
    require_tokens([row.ids for row in rows])
    return collect(rows)._replace(starts=_starts(tokenizer, rows, instruction, frame) if instruction else None)


def _starts(tokenizer: Tokenizer, rows: Sequence[PairIds], instruction: str, frame: Frame) -> NDArray[np.int64]:
    """Tokens of the instruction before each query, and of what is before it."""
    alone = np.concatenate([frame.before, *tokenizer.token_ids([instruction])])
    return np.array([common(row.ids, alone) for row in rows], dtype=np.int64)


def _join(frame: Frame, query: Ids, document: Ids, dropped: tuple[int, int]) -> PairIds:
    ids = np.concatenate([frame.before, query, frame.between, document, frame.behind])
    before, of_query, between, of_document, behind = frame.segments
    segments = np.concatenate(
        [before, np.full(len(query), of_query), between, np.full(len(document), of_document), behind]
    ).astype(np.int32)
    start = len(frame.before) + len(query) + len(frame.between)
    return PairIds(ids, segments, (start, start + len(document)), dropped)


def _kept(query: int, document: int, max_length: int, special: int, truncation: str) -> tuple[int, int]:
    """How many tokens of query and document stay, beside the special ones."""
    budget = max_length - special
    if truncation == "flag_embedding":
        query = min(query, max_length * 3 // 4)
    if query + document <= budget:
        return query, document
    if truncation == "longest_first":
        return longest_first(query, document, budget, odd_to_second=True)
    return query, budget - query
