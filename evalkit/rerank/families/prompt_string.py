"""A prompt that is one string, written by a chat template, as sentence-transformers 6 tokenises and cuts it.

The string is cut at `max_length` tokens, on the side that the tokenizer cuts. In every row that is then `max_length`
long, also one that was not cut, the last tokens become those that the template puts behind all texts: of a string that
is cut on the right the end of the document is lost, and not the template's. sentence-transformers,
`base/modules/transformer.py`, `_restore_chat_template_suffix` (6.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from evalkit.inference.tokens import Ids, TokenizedPairs, Tokenizer, distinct_token_ids, require_tokens, shortened
from evalkit.models.chat_template import messages, render
from evalkit.rerank.families.pairs import PairIds, collect, common, document_span
from evalkit.types import Pair

_RESTORES = "restore_suffix"  # an argument for sentence-transformers itself
_FILLERS = ("0", "1 2 3 4")  # texts whose tokens differ, so that what is alike behind them is the template's


@dataclass(frozen=True)
class Prompt:
    """A template and what it is given.

    Attributes:
        template: Jinja.
        arguments: variables.
        structured: whether each text is in a list of parts.
        source: whose template it is, for errors.
    """

    template: str
    arguments: Mapping[str, Any]
    structured: bool
    source: str

    @property
    def restores(self) -> bool:
        """Whether the template's end is written over the end of a row that is full."""
        return bool(self.arguments.get(_RESTORES, True))

    def written(self, pair: Pair) -> str:
        """The text that the model reads of a pair that is not cut."""
        system = {"system": pair.instruction} if pair.instruction else {}
        chat = messages({**system, "query": pair.query, "document": pair.document}, structured=self.structured)
        variables = {key: value for key, value in self.arguments.items() if key != _RESTORES}
        return render(self.template, chat, variables, source=self.source)


def tokenize_strings(tokenizer: Tokenizer, pairs: Sequence[Pair], prompt: Prompt, max_length: int) -> TokenizedPairs:
    """Token ids of pairs; no token is added to those of the string.

    The document starts where the tokens differ from those of the same pair with an empty document.
    """
    kinds = (
        pairs,
        [pair._replace(document="") for pair in pairs],
        [pair._replace(query="", document="") for pair in pairs],
    )
    written = {pair: prompt.written(pair) for pair in dict.fromkeys(chain(*kinds))}  # of each query once
    texts, without, bare = ([written[pair] for pair in kind] for kind in kinds)
    ids_of = distinct_token_ids(tokenizer, [*texts, *without, *bare])
    tails = {text: _tail(tokenizer, prompt, text) for text in {pair.instruction or "" for pair in pairs}}
    rows = [
        _row(ids_of[text], ids_of[empty], tails[pair.instruction or ""], max_length, left=tokenizer.cuts_left)
        for text, empty, pair in zip(texts, without, pairs, strict=True)
    ]
    require_tokens([row.ids for row in rows])
    begins = {
        empty: common(ids_of[empty], ids_of[start]) for empty, start in dict(zip(without, bare, strict=True)).items()
    }
    starts = np.array([min(begins[empty], len(row.ids)) for empty, row in zip(without, rows, strict=True)])
    return collect(rows)._replace(starts=starts.astype(np.int64))


def _tail(tokenizer: Tokenizer, prompt: Prompt, instruction: str) -> Ids:
    """The tokens that the template puts behind all texts."""
    first, second = tokenizer.token_ids([prompt.written(Pair(text, text, instruction)) for text in _FILLERS])
    count = common(first[::-1], second[::-1])
    alike = count == min(len(first), len(second))  # the template writes no text, so that nothing is known
    return first[:0] if alike or not prompt.restores else first[len(first) - count :]


def _row(ids: Ids, without: Ids, tail: Ids, max_length: int, *, left: bool) -> PairIds:
    """One pair, from its tokens and those of the same pair with an empty document."""
    count, (start, end) = len(ids), document_span(ids, without)
    over = max(count - max_length, 0)
    kept = shortened(ids, max_length, left=left).copy()
    restored = min(len(tail), len(kept)) if count >= max_length else 0
    kept[len(kept) - restored :] = tail[len(tail) - restored :]
    if left:
        first, stop = max(start - over, 0), max(end - over, 0)
        of_document = end - start - (stop - first)
    else:
        # Where a token spans the document's end and what is behind it, it counts as the document's.
        of_document, first = min(over, end - start), min(start, len(kept))
        stop = max(min(end - of_document, len(kept) - (restored if over else 0)), first)
    return PairIds(kept, np.zeros_like(kept), (first, stop), (over - of_document, of_document))
