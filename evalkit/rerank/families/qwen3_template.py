r"""Qwen3-Reranker: a chat that asks for "yes" or "no", with the model's thinking left empty.

From the model card of Qwen/Qwen3-Reranker-0.6B. The middle has the tokens of one text and is cut on the right, so that
prefix and suffix always stay whole. Its parts before and behind the last colon are tokenised apart where the tokenizer
splits every text there.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evalkit.errors import ModelError
from evalkit.inference.tokens import Ids, TokenizedPairs, Tokenizer, distinct_token_ids
from evalkit.rerank.families.pairs import PairIds, collect, common, require_right
from evalkit.types import Pair

CARD_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
_PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
_SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def written(pair: Pair, default_instruction: str) -> str:
    """All that the model reads of a pair that is not cut."""
    return _PREFIX + body(pair, default_instruction) + _SUFFIX


def body(pair: Pair, default_instruction: str) -> str:
    """What is between prefix and suffix."""
    return f"{_before(pair, default_instruction)} {pair.document}"


def _before(pair: Pair, default_instruction: str) -> str:
    return f"<Instruct>: {pair.instruction or default_instruction}\n<Query>: {pair.query}\n<Document>:"


def tokenize(
    tokenizer: Tokenizer, pairs: Sequence[Pair], *, max_length: int, default_instruction: str
) -> TokenizedPairs:
    """Token ids of pairs, the middle cut so that all of it has at most `max_length` tokens.

    The document starts where the tokens differ from those of the same pair with an empty document: the blank before it
    may be part of its first token.

    Raises:
        ModelError: `max_length` is less than the prompt itself.
    """
    require_right(tokenizer)
    prefix, suffix = tokenizer.token_ids([_PREFIX, _SUFFIX])
    budget = max_length - len(prefix) - len(suffix)
    if budget < 1:
        raise ModelError(
            f"reranker.max_length={max_length} leaves no room beside {len(prefix) + len(suffix)} tokens of prompt."
        )
    parts = _parts(tokenizer, pairs, default_instruction)
    starts = np.array([len(prefix) + part.query for part in parts], dtype=np.int64)
    return collect([_row(prefix, part, suffix, budget) for part in parts])._replace(starts=starts)


class _Parts(NamedTuple):
    """The tokens between prefix and suffix.

    Attributes:
        before: those up to the colon before the document.
        behind: those from the blank before the document on; of the whole, where a tokenizer may join both.
        start: where the document starts in both.
        query: where the query starts.
    """

    before: Ids
    behind: Ids
    start: int
    query: int


def _parts(tokenizer: Tokenizer, pairs: Sequence[Pair], default_instruction: str) -> list[_Parts]:
    """Each pair in parts that others have, too: a query is tokenised once for its documents, which the cache knows."""
    if not tokenizer.splits_after_colon:
        return _wholes(tokenizer, pairs, default_instruction)
    befores = [_before(pair, default_instruction) for pair in pairs]
    bare = [_before(pair._replace(query=""), default_instruction) for pair in pairs]
    documents = [f" {pair.document}" for pair in pairs]
    ids_of = distinct_token_ids(tokenizer, [*befores, *bare, *documents, " "])
    blank = ids_of[" "]
    blanks = {text: common(ids_of[text], blank) for text in dict.fromkeys(documents)}
    queries = {
        text: common(ids_of[text], ids_of[start]) for text, start in dict(zip(befores, bare, strict=True)).items()
    }
    return [
        _Parts(ids_of[before], ids_of[document], len(ids_of[before]) + blanks[document], queries[before])
        for before, document in zip(befores, documents, strict=True)
    ]


def _wholes(tokenizer: Tokenizer, pairs: Sequence[Pair], default_instruction: str) -> list[_Parts]:
    bodies = [body(pair, default_instruction) for pair in pairs]
    empty = [body(pair._replace(document=""), default_instruction) for pair in pairs]
    bare = [body(pair._replace(query="", document=""), default_instruction) for pair in pairs]
    ids_of = distinct_token_ids(tokenizer, [*bodies, *empty, *bare])
    # Of each query once: up to its document, a pair has the tokens of the same pair with an empty one.
    queries = {text: common(ids_of[text], ids_of[start]) for text, start in dict(zip(empty, bare, strict=True)).items()}
    return [
        _Parts(ids_of[whole][:0], ids_of[whole], common(ids_of[whole], ids_of[without]), queries[without])
        for whole, without in zip(bodies, empty, strict=True)
    ]


def _row(prefix: Ids, part: _Parts, suffix: Ids, budget: int) -> PairIds:
    count = len(part.before) + len(part.behind)
    dropped = max(count - budget, 0)
    kept = count - dropped
    # A cut that reaches the query has taken the whole document.
    of_document = min(dropped, count - part.start)
    before = part.before[:kept]
    ids = np.concatenate([prefix, before, part.behind[: kept - len(before)], suffix])
    span = (len(prefix) + min(part.start, kept), len(prefix) + kept)
    return PairIds(ids, np.zeros_like(ids), span, (dropped - of_document, of_document))
