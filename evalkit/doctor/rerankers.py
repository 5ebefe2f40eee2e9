"""Checks of a reranker: scores of pairs, and what its family says of answers, padding and published scores."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from evalkit import rerank
from evalkit.config import ComputeConfig, RerankerConfig
from evalkit.doctor import checks, known
from evalkit.doctor.checks import FAILED, PASSED, SKIPPED, Check, Scores, guarded, outcome
from evalkit.errors import AbsentModel, ConfigError, ModelError
from evalkit.models.declared import token_text
from evalkit.rerank.families.jina_listwise import JinaListwiseConfig
from evalkit.rerank.late_interaction import LateInteractionConfig, LateInteractionReranker
from evalkit.rerank.listwise import ListwiseReranker
from evalkit.rerank.pair_reranker import PairReranker, PairRerankerConfig
from evalkit.types import Pair

AnyChecked = PairReranker | LateInteractionReranker | ListwiseReranker


def examine(config: RerankerConfig, compute: ComputeConfig, *, float32: bool = True) -> Iterator[Check]:
    """The checks of a reranker, each as soon as it is done.

    With `float32`, weights in another dtype are loaded once more in float32, to compare both.

    Raises:
        ConfigError: the settings name no reranker with a checkpoint, or a layer that it does not have.
        AbsentModel: there is no such checkpoint.
        MissingExtra: a package is absent.
    """
    config, languages = config.settled(), checks.codes("reranker", config.languages)
    if not isinstance(config, PairRerankerConfig | LateInteractionConfig | JinaListwiseConfig):
        raise ConfigError(f"reranker={config.name} has no checkpoint of evalkit's own: nothing to check.")
    try:
        reranker = rerank.build(config, compute)
        assert isinstance(reranker, AnyChecked)
        yield weights(reranker)
    except AbsentModel:
        raise
    except ModelError as error:
        yield Check("checkpoint", FAILED, str(error))
        return
    if isinstance(reranker, PairReranker):
        yield guarded("answer tokens", partial(answers, reranker))
        yield guarded("padding", partial(padding, reranker))
    yield guarded("alone = in a batch", lambda: batches(reranker))
    try:
        scores = probe_scores(reranker, languages)
    except ModelError as error:
        yield Check("relevant first", FAILED, str(error))
        return
    yield distinct(scores)
    for language in scores:
        yield checks.relevance(language, scores[language])
    yield from checks.not_probed(languages)
    if isinstance(reranker, PairReranker):
        yield guarded("published scores", partial(known.published_scores, reranker))
        if reranker.family.poolings:
            yield guarded("pooling", partial(known.pooling, reranker))
    exact = partial(_exact, reranker, config, compute, list(scores))
    yield guarded("dtype", partial(checks.dtype, reranker.compute.dtype, scores, exact, wanted=float32))


def weights(reranker: AnyChecked) -> Check:
    """The tensors of its model."""
    from evalkit.models.packing import contents

    return checks.checkpoint(contents(reranker.model), reranker.compute)


def answers(reranker: PairReranker) -> Check:
    """The words that a language model answers with are one token each."""
    words = reranker.family.answers
    if not words:
        return Check("answer tokens", SKIPPED, "the score comes from a head of its own")
    ids = [found.tolist() for found in reranker.tokenizer.token_ids(words)]
    shown = ", ".join(f"{word!r} is {', '.join(map(str, found))}" for word, found in zip(words, ids, strict=True))
    single = all(len(found) == 1 for found in ids)
    detail = f"one token each: {shown}" if single else f"{shown}; the score is read at the first token of each"
    return Check("answer tokens", outcome(single), detail)


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
    plain = [probe for language in checks.probes([]).values() for probe in language][:8]
    pairs = [Pair(query, document * repeats) for repeats, (query, document) in enumerate(plain, start=1)]
    found = checks.moved(partial(_scores, reranker), pairs)
    # Scores near 0 are not nearer to each other than others.
    found = found._replace(largest=max(1.0, found.largest))
    return checks.batches(reranker.compute.dtype, found, f"{len(pairs)} pairs")


def probe_scores(reranker: AnyChecked, languages: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Scores of the probes, see `Scores`."""
    found = {}
    for language, probes in checks.probes(languages).items():
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
    return Check("distinct scores", outcome(passed), detail)


def _exact(reranker: AnyChecked, config: RerankerConfig, compute: ComputeConfig, languages: Sequence[str]) -> Scores:
    """Scores of the probes in float32."""
    reranker.unload()  # two copies may not fit
    exact = rerank.build(config, checks.in_float32(compute))
    assert isinstance(exact, AnyChecked)
    return probe_scores(exact, languages)


def _scores(reranker: AnyChecked, pairs: Sequence[Pair]) -> NDArray[np.float32]:
    """One score a pair: the last where several cut-off layers are asked for."""
    scores = reranker.score(pairs).scores
    return scores if scores.ndim == 1 else scores[:, -1]
