"""Late interaction before it is summed: for each token of a query the token of a document that it matches best."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError, ModelError
from evalkit.inference.tokens import FastTokenizer
from evalkit.rerank.colbert import LateInteraction
from evalkit.rerank.late_interaction import LateInteractionConfig, LateInteractionReranker, Role
from evalkit.types import MatchedTokens, Pair

if TYPE_CHECKING:
    from evalkit.inference.forward import States
    from evalkit.inference.max_sim import TokenVectors

KINDS = ("late_interaction", "colbert")
"""Kinds of rerankers, as identities name them, whose scores come from matched tokens."""

_NOWHERE = (-1, -1)


def reranker_of(manifest: Mapping[str, Any]) -> LateInteractionReranker:
    """The late-interaction reranker that made a result. Loads no weights yet.

    Args:
        manifest: of the result.

    Raises:
        ConfigError: the result is not of late interaction, or its settings are not legal any more.
        ModelError: the checkpoint is absent, or not the one that made the result.
    """
    made_by, settings = manifest["reranker"], manifest["config"]["reranker"]
    if made_by["kind"] not in KINDS or "model" not in settings:
        raise ConfigError(f"{made_by['name']} is not late interaction, so it matches no tokens.")
    known = {field.name for field in fields(LateInteractionConfig)}
    config = LateInteractionConfig(**{key: value for key, value in settings.items() if key in known})
    compute = ComputeConfig(dtype=made_by["dtype"])
    found = LateInteraction.from_config(config, compute, instruction="", weights=True)
    now = found.identity
    others = {"name", *compute.arithmetic, "rotary", "fused"}  # these decide the last digits alone
    if changed := sorted(
        key for key in made_by.keys() | now.keys() if key not in others and _differs(made_by, now, key)
    ):
        raise ModelError(
            f"{found.checkpoint.path}: is not what made the result of {made_by['name']}: {', '.join(changed)} differ. "
            "Give back the files that did, or evaluate again."
        )
    return found


def _differs(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> bool:
    return bool(one.get(key) != other.get(key))


def matched_tokens(reranker: LateInteractionReranker, pairs: Sequence[Pair]) -> Iterator[tuple[int, MatchedTokens]]:
    """Number of each pair and its tokens, in the order in which documents are encoded, each once.

    Raises:
        ModelError: as `Reranker.score`.
    """
    queries, documents = (list(dict.fromkeys(texts)) for texts in zip(*(one[:2] for one in pairs), strict=True))
    of_document: dict[str, list[int]] = {}
    for number, pair in enumerate(pairs):
        of_document.setdefault(pair.document, []).append(number)
    reranker.prepare_vectors()
    asked, _ = reranker.queries(queries)
    query_ids, tokenized = reranker.read(queries, "query").ids, reranker.read(documents, "document")
    query_texts = [_texts(reranker, text, ids, "query")[0] for text, ids in zip(queries, query_ids, strict=True)]
    places = {text: number for number, text in enumerate(queries)}

    def unit(batch: "States") -> Any:
        return reranker.unit(batch)

    for batch in reranker.forward(tokenized, unit):
        vectors = reranker.compared(batch.states.to(asked.vectors.device), tokenized, batch.rows, "document")
        for at, row in enumerate(batch.rows.tolist()):
            texts = _texts(reranker, documents[row], tokenized.ids[row], "document")
            kept = np.flatnonzero(reranker.kept(tokenized.ids[row], "document"))
            for number in of_document[documents[row]]:
                query = places[pairs[number].query]
                best, where = _best(asked, query, vectors, at)
                own = reranker.kept(query_ids[query], "query")
                score = float(best.mean() if reranker.averages else best.sum())
                named = [text for text, keeps in zip(query_texts[query], own, strict=True) if keeps]
                chosen = kept[where].tolist()
                matches, spans = (tuple(found[place] for place in chosen) for found in texts)
                yield number, MatchedTokens(score, tuple(named), tuple(best.tolist()), matches, spans)


def _best(
    queries: "TokenVectors", query: int, documents: "TokenVectors", document: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of each token of a query the greatest product, and which of the document's compared tokens has it."""
    sides = []
    for some, at in ((queries, query), (documents, document)):
        start = int(some.starts[at])
        sides.append(some.vectors[start : start + int(some.lengths[at])].double())
    best = (sides[0] @ sides[1].T).max(dim=1)
    return best.values.cpu().numpy(), best.indices.cpu().numpy()


def _texts(
    reranker: LateInteractionReranker, text: str, ids: NDArray[np.int32], role: Role
) -> tuple[list[str], list[tuple[int, int]]]:
    """Each token as the text has it, and where; special ones as the vocabulary has them, and nowhere."""
    tokenizer = reranker.tokenizer
    if not isinstance(tokenizer, FastTokenizer):
        raise ModelError(f"{reranker.checkpoint.path}: its tokenizer does not say where tokens stand in a text.")
    names, spans = tokenizer.tokens(ids.tolist()), [_NOWHERE] * len(ids)
    (prepared,) = reranker.prepared([text], role)
    frame, mark = tokenizer.frame(1), len(reranker.mark(role))
    (whole,) = tokenizer.token_ids([prepared])
    count = min(len(whole), len(ids) - frame.tokens - mark)
    first = len(whole) - count if tokenizer.cuts_left else 0
    own = np.arange(count) + len(frame.before)
    own[own >= 1] += mark
    assert (ids[own] == whole[first : first + count]).all(), "the tokens of a text are not where they are looked for"
    given = reranker.instruction(role) + text
    if len(given.lower()) != len(given):  # places in lower case would be others
        return names, spans
    blanks = len(given) - len(given.lstrip()) if len(prepared) < len(given) else 0
    shift = len(reranker.instruction(role)) - blanks
    for place, ends in zip(own.tolist(), tokenizer.spans(prepared)[first : first + count], strict=True):
        word = text[max(ends[0] - shift, 0) : max(ends[1] - shift, 0)]
        if word.strip() and ends[0] >= shift:
            names[place] = word.strip()
            start = ends[0] - shift + len(word) - len(word.lstrip())
            spans[place] = (start, start + len(names[place]))
    return names, spans
