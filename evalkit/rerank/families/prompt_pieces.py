"""A prompt of pieces that are tokenised one by one and joined, as mxbai-rerank's own package builds it.

The query's piece is cut to 3/4 of `max_length`; from there to the end of the document's piece there are at most
`max_length` tokens. The pieces before and behind come on top. mxbai-rerank 0.1.6, `MxbaiRerankV2`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from evalkit.errors import ConfigError
from evalkit.inference.tokens import Ids, TokenizedPairs, Tokenizer, distinct_token_ids
from evalkit.rerank.families.pairs import PairIds, collect, join
from evalkit.system.reporting import reason
from evalkit.types import Pair

_VARIABLES = ("query", "document", "instruction")


def require_pieces(pieces: Sequence[str]) -> None:
    """Refuse pieces that do not write one query and, behind it, one document.

    Raises:
        ConfigError: they do not, or one is not a template.
    """
    used = [_variables(piece) for piece in pieces]
    if odd := sorted(set().union(*used) - set(_VARIABLES)):
        raise ConfigError(f"reranker.pieces: {{{{ {odd[0]} }}}} is not known. Legal are {', '.join(_VARIABLES)}.")
    places = {name: [place for place, names in enumerate(used) if name in names] for name in _VARIABLES[:2]}
    if any(len(found) != 1 for found in places.values()) or not places["query"][0] < places["document"][0]:
        raise ConfigError(
            "reranker.pieces need {{ query }} in one piece and {{ document }} in a later one, as in "
            "\"['query: {{ query }}', 'document: {{ document }}']\"."
        )


def tokenize_pieces(
    tokenizer: Tokenizer, pairs: Sequence[Pair], pieces: Sequence[str], max_length: int
) -> TokenizedPairs:
    """Token ids of pairs."""
    written = [[_written(piece, pair) for piece in pieces] for pair in pairs]
    ids_of = distinct_token_ids(tokenizer, [text for texts in written for text in texts])
    query, document = (
        next(place for place, piece in enumerate(pieces) if name in _variables(piece)) for name in _VARIABLES[:2]
    )
    rows = [_row([ids_of[text] for text in texts], query, document, max_length) for texts in written]
    starts = np.array([sum(len(ids_of[text]) for text in texts[:query]) for texts in written], dtype=np.int64)
    return collect(rows)._replace(starts=starts)


def _row(parts: Sequence[Ids], query: int, document: int, max_length: int) -> PairIds:
    """One pair from the tokens of its pieces."""
    kept_query = parts[query][: max_length * 3 // 4]
    between = np.concatenate([parts[query][:0], *parts[query + 1 : document]])
    kept_document = parts[document][: max(max_length - len(kept_query) - len(between), 0)]
    before, behind = (np.concatenate([parts[query][:0], *some]) for some in (parts[:query], parts[document + 1 :]))
    dropped = (len(parts[query]) - len(kept_query), len(parts[document]) - len(kept_document))
    return join(before, kept_query, between, kept_document, behind, dropped)


def _written(piece: str, pair: Pair) -> str:
    """The text of a piece.

    Raises:
        ConfigError: it fails.
    """
    from jinja2.exceptions import TemplateError

    try:
        return str(_compiled(piece).render(pair._asdict()))
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise ConfigError(f"reranker.pieces: {piece!r} fails ({reason(error)}).") from error


@cache
def _compiled(piece: str) -> Any:
    return _environment().from_string(piece)


@cache
def _variables(piece: str) -> frozenset[str]:
    """The variables that a piece names.

    Raises:
        ConfigError: it is not a template.
    """
    from jinja2 import meta
    from jinja2.exceptions import TemplateError

    try:
        return frozenset(meta.find_undeclared_variables(_environment().parse(piece)))
    except TemplateError as error:
        raise ConfigError(f"reranker.pieces: {piece!r} is not a template ({reason(error)}).") from error


@cache
def _environment() -> Any:
    """Keeps every newline, as a piece may be one."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(keep_trailing_newline=True)
