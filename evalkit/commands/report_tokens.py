"""`evalkit report --tokens`: matched tokens of the documents that a page shows, by the checkpoints of its results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from evalkit.analysis.moves import Listing
from evalkit.errors import ConfigError, ResultError
from evalkit.formats.notes import listed
from evalkit.reports.overview import DatasetView, Overview
from evalkit.rerank.late_interaction import LateInteractionReranker
from evalkit.rerank.matched_tokens import KINDS, matched_tokens, reranker_of
from evalkit.results import Evaluation
from evalkit.system.progress import progress
from evalkit.system.stages import LOADING
from evalkit.types import MatchedTokens, Pair

_FLOAT32, _LOWER = 1e-3, 2e-2  # how far a score may be off: another device or kernel rounds otherwise

Matched = dict[tuple[str, str], MatchedTokens]
Rerankers = Mapping[str, LateInteractionReranker]


def rerankers_of(evaluations: Sequence[Evaluation]) -> Rerankers:
    """The late-interaction rerankers that made these results, each once; loads no weights.

    Raises:
        ConfigError: none of the results is of late interaction.
        ModelError: a checkpoint is absent, or not the one that made its result.
    """
    made = {}
    for one in evaluations:
        if _is_late(one) and (key := _key(one)) not in made:
            made[key] = reranker_of(one.result.manifest)
    if not made:
        names = dict.fromkeys(one.reranker for one in evaluations if not one.is_first_stage)
        found = f"Found: {listed(list(names))}. " if names else "There is no reranker. "
        raise ConfigError(
            f"--tokens shows matched tokens of late interaction, and no result is of it. {found}Remove it."
        )
    return made


def with_tokens(found: Overview, rerankers: Rerankers) -> Overview:
    """The overview with the matched tokens of all shown documents.

    Raises:
        ModelError: a text cannot be encoded.
        ResultError: the products do not add up to the score of the result.
    """
    count = sum(len(_pairs(view, place)) for view in found.datasets for place in _late(view))
    with progress("matching tokens", count, "pairs") as advance:
        with advance.not_working(LOADING):
            for one in rerankers.values() if count else ():
                one.load()

        def of(view: DatasetView, place: int) -> Matched:
            pairs = _pairs(view, place)
            evaluation, matched = view.comparison.evaluations[place], {}
            if pairs:
                for number, tokens in matched_tokens(rerankers[_key(evaluation)], pairs):
                    matched[pairs[number].query_id, pairs[number].doc_id] = tokens
                    advance(1)
            _require_scores(evaluation, matched)
            return matched

        views = []
        for view in found.datasets:
            late = set(_late(view))
            own = [of(view, place) if place in late else {} for place in range(len(view.systems))]
            listings = tuple(_listing(one, own) for one in view.listings) if late else view.listings
            views.append(replace(view, listings=listings))
    return replace(found, datasets=tuple(views))


def _listing(one: Listing, own: Sequence[Matched]) -> Listing:
    tokens = ({doc: found for (query, doc), found in some.items() if query == one.query_id} for some in own)
    return one._replace(tokens=tuple(tokens))


def _is_late(one: Evaluation) -> bool:
    return not one.is_first_stage and one.result.manifest.get("reranker", {}).get("kind") in KINDS


def _key(one: Evaluation) -> str:
    identity = one.result.manifest["reranker"]
    return json.dumps([identity, one.result.manifest["config"]["reranker"]], sort_keys=True, default=str)


def _late(view: DatasetView) -> list[int]:
    return [place for place, one in enumerate(view.comparison.evaluations) if _is_late(one)]


def _pairs(view: DatasetView, place: int) -> list[Pair]:
    """The documents that the page shows of a system, with their texts."""
    return [
        Pair(one.text, one.texts[doc_id], query_id=one.query_id, doc_id=doc_id)
        for one in view.listings
        for doc_id in one.rankings[place]
        if one.text is not None and doc_id in one.texts
    ]


def _require_scores(evaluation: Evaluation, matched: Matched) -> None:
    """Refuse tokens of other texts or vectors than those of the result."""
    close = _FLOAT32 if evaluation.result.manifest["reranker"]["dtype"] == "float32" else _LOWER
    run = evaluation.result.read_run().only_queries({query_id for query_id, _ in matched})
    for query_id, doc_ids, scores in run:
        for doc_id, score in zip(doc_ids, scores, strict=True):
            tokens = matched.get((query_id, doc_id))
            if tokens is not None and abs(tokens.score - score) > close * max(1.0, abs(score)):
                raise ResultError(
                    f"{evaluation.result.folder}: the tokens of query {query_id} and document {doc_id} add up to "
                    f"{tokens.score:.4f}, and its score is {score:.4f}: its texts were others, as with "
                    "dataset.maxp. Leave --tokens away."
                )
