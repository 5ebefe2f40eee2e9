"""MiniCPM-Reranker: `<s>Instruction: I Query: Q</s>D`, and `<s>Query: Q</s>D` without an instruction.

From the model card of openbmb/MiniCPM-Reranker. Nothing follows the document. Query and document are encoded apart, so
both start with sentencepiece's blank.
"""

from collections.abc import Sequence

from evalkit.errors import ModelError
from evalkit.inference.tokens import TokenizedPairs, Tokenizer, distinct_token_ids
from evalkit.rerank.families.pairs import collect, join, longest_first, require_right
from evalkit.types import Pair


def query_text(pair: Pair) -> str:
    """The query as the model reads it."""
    return f"Instruction: {pair.instruction} Query: {pair.query}" if pair.instruction else f"Query: {pair.query}"


def tokenize(
    tokenizer: Tokenizer,
    pairs: Sequence[Pair],
    *,
    max_length: int,
    truncation: str,
) -> TokenizedPairs:
    """Token ids of pairs.

    Args:
        tokenizer: the checkpoint's.
        pairs: query, document and perhaps an instruction.
        max_length: tokens of a pair, special ones included.
        truncation: `longest_first`, as the card, where on a tie the document gives up a token; or `separate`, which
            cuts query and document to `max_length // 2` each and adds the special tokens on top (the card before
            2024-09-24).

    Raises:
        ModelError: the tokenizer does not know `<s>` and `</s>`.
    """
    require_right(tokenizer)
    bos, eos = tokenizer.token_ids(["<s>", "</s>"])
    if len(bos) != 1 or len(eos) != 1:
        raise ModelError("<s> and </s> are no special tokens of this tokenizer, so it is not a MiniCPM's.")
    queries = distinct_token_ids(tokenizer, [query_text(pair) for pair in pairs])
    documents = distinct_token_ids(tokenizer, [pair.document for pair in pairs])
    rows = []
    for pair in pairs:
        query, document = queries[query_text(pair)], documents[pair.document]
        if truncation == "separate":
            kept = min(len(query), max_length // 2), min(len(document), max_length // 2)
        else:
            kept = longest_first(len(query), len(document), max_length - 2, odd_to_second=False)
        dropped = (len(query) - kept[0], len(document) - kept[1])
        rows.append(join(bos, query[: kept[0]], eos, document[: kept[1]], bos[:0], dropped))
    return collect(rows)
