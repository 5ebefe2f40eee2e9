r"""Qwen3-Reranker: a chat that asks for "yes" or "no", with the model's thinking left empty.

From the model card of Qwen/Qwen3-Reranker-0.6B. The middle is tokenised as one text and cut on the right, so that
prefix and suffix always stay whole.
"""

from collections.abc import Sequence

import numpy as np

from evalkit.errors import ModelError
from evalkit.inference.tokens import TokenizedPairs, Tokenizer, distinct_token_ids
from evalkit.templates.pairs import collect, common, join, require_right
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
    instruction = pair.instruction or default_instruction
    return f"<Instruct>: {instruction}\n<Query>: {pair.query}\n<Document>: {pair.document}"


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
    bodies = [body(pair, default_instruction) for pair in pairs]
    empty = [body(pair._replace(document=""), default_instruction) for pair in pairs]
    bare = [body(pair._replace(query="", document=""), default_instruction) for pair in pairs]
    ids_of = distinct_token_ids(tokenizer, [*bodies, *empty, *bare])
    rows = []
    for whole, without in zip(bodies, empty, strict=True):
        ids = ids_of[whole]
        start = min(common(ids, ids_of[without]), budget)
        dropped = max(len(ids) - budget, 0)
        kept = ids[: len(ids) - dropped]
        # A cut that reaches the query has taken the whole document.
        of_document = min(dropped, len(ids) - common(ids, ids_of[without]))
        row = join(prefix, kept[:start], prefix[:0], kept[start:], suffix, (dropped - of_document, of_document))
        rows.append(row)
    # Of each query once: up to its document, a pair has the tokens of the same pair with an empty one.
    start_of = {
        text: common(ids_of[text], ids_of[start]) for text, start in dict(zip(empty, bare, strict=True)).items()
    }
    starts = np.array([start_of[text] for text in empty], dtype=np.int64)
    return collect(rows)._replace(starts=len(prefix) + starts)
