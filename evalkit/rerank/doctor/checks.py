"""The checks that every reranker can take, from its files and from its scores on a few plain pairs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit import rerank
from evalkit.config import ScoreConfig
from evalkit.config.resources import shipped
from evalkit.models.declared import token_text
from evalkit.rerank.late_interaction import LateInteractionReranker
from evalkit.rerank.listwise import ListwiseReranker
from evalkit.rerank.pair_reranker import PairReranker
from evalkit.types import Pair

PASSED, FAILED, SKIPPED = "passed", "FAILED", "skipped"

# How far a score may move with its batch: largest difference, relative to the largest score or 1. Sums are rounded
# differently in other shapes; a wrong token read moves a score by far more.
_BATCH_TOLERANCE = {"float32": 1e-4, "float16": 0.02, "bfloat16": 0.1}
_LEAST_FIRST = 5 / 6  # share of probes whose relevant document must come first
_LEAST_AGREEMENT = 0.9  # Kendall's tau with float32, averaged over queries


AnyChecked = PairReranker | LateInteractionReranker | ListwiseReranker


class Check(NamedTuple):
    """One row of the table.

    Attributes:
        name: what was looked at.
        outcome: `passed`, `FAILED` or `skipped`.
        detail: the figures, or what to do.
    """

    name: str
    outcome: str
    detail: str


def _outcome(passed: bool) -> str:
    return PASSED if passed else FAILED


def weights(reranker: AnyChecked) -> Check:
    """Every tensor accounted for; loading raises otherwise."""
    from evalkit.models.packing import contents

    found, wanted = contents(reranker.model), reranker.compute.dtype
    detail = (
        f"{found.tensors} tensors, {found.parameters:,} parameters, all from the checkpoint; {found.dtype} on "
        f"{found.device}, attention {reranker.compute.attention}"
    )
    return Check(
        "checkpoint",
        _outcome(found.dtype == wanted),
        detail if found.dtype == wanted else f"{detail}; asked was {wanted}",
    )


def answers(reranker: PairReranker) -> Check:
    """The words that a language model answers with are one token each."""
    words = reranker.family.answers
    if not words:
        return Check("answer tokens", SKIPPED, "the score comes from a head of its own")
    ids = [found.tolist() for found in reranker.tokenizer.token_ids(words)]
    shown = ", ".join(f"{word!r} is {', '.join(map(str, found))}" for word, found in zip(words, ids, strict=True))
    single = all(len(found) == 1 for found in ids)
    detail = f"one token each: {shown}" if single else f"{shown}; the score is read at the first token of each"
    return Check("answer tokens", _outcome(single), detail)


def padding(reranker: PairReranker) -> Check:
    """The side and token of padding that the checkpoint declares fit where its score is read."""
    declared = reranker.checkpoint.read_json("tokenizer_config.json") or {}
    stored = (reranker.checkpoint.read_json("tokenizer.json") or {}).get("padding") or {}
    sides = {str(side).lower() for side in (declared.get("padding_side"), stored.get("direction")) if side}
    wanted = reranker.family.padding_side
    if wanted is not None and sides - {wanted}:
        return Check(
            "padding",
            FAILED,
            f"the tokenizer declares {' and '.join(sorted(sides))}, and other tools score this kind of model with "
            f"padding on the {wanted}. Is it another model's tokenizer?",
        )
    pad_id = reranker.checkpoint.config.get("pad_token_id")
    name = token_text(declared.get("pad_token"))
    if pad_id is not None and name is not None:
        found = reranker.tokenizer.token_ids([str(name)])[0].tolist()
        if found != [pad_id]:
            return Check("padding", FAILED, f"config.json pads with {pad_id}, and the tokenizer's {name} is {found}")
    return Check("padding", PASSED, f"declared for other tools: {' and '.join(sorted(sides)) or 'no side'}")


def batches(reranker: AnyChecked) -> Check:
    """A pair has the same score alone, in a batch, and in another order."""
    probes = [probe for language in _probes().values() for probe in language][:8]
    pairs = [Pair(query, document * repeats) for repeats, (query, document) in enumerate(probes, start=1)]
    alone = np.concatenate([_scores(reranker, [pair]) for pair in pairs])
    together = _scores(reranker, pairs)
    backwards = _scores(reranker, pairs[::-1])[::-1]
    difference = max(float(np.abs(alone - other).max()) for other in (together, backwards))
    tolerance = _BATCH_TOLERANCE[reranker.compute.dtype] * max(1.0, float(np.abs(alone).max()))
    return Check(
        "alone = in a batch",
        _outcome(difference <= tolerance),
        f"largest difference {difference:.2g} over {len(pairs)} pairs, tolerance {tolerance:.2g}",
    )


def probe_scores(reranker: AnyChecked, languages: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Language -> scores of every probe query with every probe document, of shape (queries, documents)."""
    found, known = {}, _probes()
    for language, probes in known.items():
        # Of a model of other languages nothing better is known than that it tells these plain pairs apart.
        if set(languages) & set(known) and language not in languages:
            continue
        pairs = [Pair(query, document) for query, _ in probes for _, document in probes]
        found[language] = _scores(reranker, pairs).reshape(len(probes), len(probes))
    return found


def distinct(scores: Mapping[str, NDArray[np.float32]]) -> Check:
    """Scores differ; that they are finite, `PairReranker.score` sees to."""
    everything = np.concatenate([matrix.ravel() for matrix in scores.values()])
    different = len(np.unique(everything))
    spread = float(everything.std())
    passed = different > len(everything) // 10 and spread > 1e-3 * max(1.0, float(np.abs(everything).max()))
    detail = f"{different} different ones of {len(everything)}, standard deviation {spread:.3g}"
    return Check("distinct scores", _outcome(passed), detail)


def relevance(language: str, scores: NDArray[np.float32]) -> Check:
    """The obviously relevant document of each query beats those of the others."""
    relevant = np.diag(scores)
    others = np.where(np.eye(len(scores), dtype=bool), -np.inf, scores).max(axis=1)
    first = int((relevant > others).sum())
    margin = float(np.median(relevant - others))
    return Check(
        f"relevant first ({language})",
        _outcome(first >= _LEAST_FIRST * len(scores)),
        f"{first} of {len(scores)} queries; median margin {margin:+.3g}",
    )


def dtype(
    reranker: PairReranker, config: ScoreConfig, scores: Mapping[str, NDArray[np.float32]], *, wanted: bool
) -> Check:
    """The ranking of the probes in this dtype is that in float32."""
    name = f"{reranker.compute.dtype} = float32"
    if reranker.compute.dtype == "float32" or not wanted:
        return Check(name, SKIPPED, "asked not to" if not wanted else "it is float32")
    from scipy.stats import kendalltau

    reranker.unload()  # two copies may not fit
    exact = rerank.require_pairs(rerank.build(config.reranker, replace(config.compute, dtype="float32")))
    reference = probe_scores(exact, list(scores))
    taus = [
        kendalltau(row, reference_row).statistic
        for language, matrix in scores.items()
        for row, reference_row in zip(matrix, reference[language], strict=True)
    ]
    difference = max(float(np.abs(matrix - reference[language]).max()) for language, matrix in scores.items())
    agreement = float(np.mean(taus))
    return Check(
        name,
        _outcome(agreement >= _LEAST_AGREEMENT),
        f"Kendall's tau {agreement:.3f} over {len(taus)} queries, largest difference {difference:.3g}",
    )


def _scores(reranker: AnyChecked, pairs: Sequence[Pair]) -> NDArray[np.float32]:
    """One score a pair: the last where several cut-off layers are asked for."""
    scores = reranker.score(pairs).scores
    return scores if scores.ndim == 1 else scores[:, -1]


def _probes() -> dict[str, list[tuple[str, str]]]:
    """Language -> (query, the document that answers it), so plain that any reranker of it tells them apart."""
    return {
        language: [(query, document) for query, document in pairs]
        for language, pairs in json.loads(shipped("rerank/doctor/probes.json").read_text(encoding="utf-8")).items()
    }
