r"""BGE's rerankers from language models: `<bos>A: Q\nB: D\nprompt`, built as FlagEmbedding builds it.

FlagEmbedding, `inference/reranker/decoder_only/*.py` (7ed43d67). The query is cut to 3/4 of `max_length` before the
beginning-of-text token is added, the document first to `max_length` and then to what is left. The second newline and
the prompt come after the cut: a pair has up to `max_length` + 2 newlines + 2 prompts.
"""

from collections.abc import Sequence

import numpy as np

from evalkit.errors import ModelError
from evalkit.inference.tokens import Ids, TokenizedPairs, Tokenizer, distinct_token_ids
from evalkit.rerank.families.pairs import collect, join, require_right
from evalkit.types import Pair


def tokenize(
    tokenizer: Tokenizer,
    pairs: Sequence[Pair],
    *,
    max_length: int,
    prompt: str,
    query_prefix: str = "A: ",
    document_prefix: str = "B: ",
) -> TokenizedPairs:
    """Token ids of pairs.

    Args:
        tokenizer: the checkpoint's; what it puts before a single text is the beginning of the pair.
        pairs: query and document; an instruction is not part of this template.
        max_length: as FlagEmbedding counts, see above.
        prompt: the question to the model, after the document.
        query_prefix: before every query.
        document_prefix: before every document.

    Raises:
        ModelError: the tokenizer has no token for the beginning of a text.
    """
    require_right(tokenizer)
    # Llama-type tokenizers give a newline two tokens, and no vocabulary gives it a fixed id.
    newline, question = tokenizer.token_ids(["\n", prompt])
    before = tokenizer.frame(1).before
    if not len(before):
        raise ModelError("the tokenizer puts no <s> or <bos> before a text, so it is not that of a BGE reranker.")
    limit = max_length + len(newline) + len(question)
    queries = distinct_token_ids(tokenizer, [query_prefix + pair.query for pair in pairs])
    documents = distinct_token_ids(tokenizer, [document_prefix + pair.document for pair in pairs])
    behind = np.concatenate([newline, question])
    rows = []
    for pair in pairs:
        query, document = queries[query_prefix + pair.query], documents[document_prefix + pair.document]
        kept_query = query[: max_length * 3 // 4]
        kept_document = document[: _document_tokens(before, kept_query, newline, max_length, limit)]
        dropped = (len(query) - len(kept_query), len(document) - len(kept_document))
        rows.append(join(before, kept_query, newline, kept_document, behind, dropped))
    return collect(rows)


def _document_tokens(before: Ids, query: Ids, newline: Ids, max_length: int, limit: int) -> int:
    """How many tokens of a document may stay beside its query."""
    return min(max_length, limit - len(before) - len(query) - len(newline))
