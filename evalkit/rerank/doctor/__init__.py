"""Checks that a reranker's checkpoint is loaded correctly, to run before spending hours on its numbers.

`examine` gives the rows of the table that `evalkit doctor` prints. Where files look right, scores
decide: of pairs alone and in batches, of obviously relevant and irrelevant
documents, and of the pairs whose scores its authors published.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from evalkit import rerank
from evalkit.config import ScoreConfig
from evalkit.errors import AbsentModel, ConfigError, ModelError
from evalkit.rerank.doctor import checks, known
from evalkit.rerank.doctor.checks import FAILED, Check
from evalkit.rerank.families.jina_listwise import JinaListwiseConfig
from evalkit.rerank.late_interaction import LateInteractionConfig, LateInteractionReranker
from evalkit.rerank.listwise import ListwiseReranker
from evalkit.rerank.pair_reranker import PairReranker, PairRerankerConfig

__all__ = ["Check", "examine"]


def examine(config: ScoreConfig, *, float32: bool = True) -> Iterator[Check]:
    """The checks of a reranker, each as soon as it is done.

    With `float32`, weights in another dtype are loaded once more in float32, to compare both.

    Raises:
        ConfigError: the settings name no reranker with a checkpoint, or a layer that it does not have.
        AbsentModel: there is no such checkpoint.
        MissingExtra: a package is absent.
    """
    config = replace(config, reranker=config.reranker.settled())
    if not isinstance(config.reranker, PairRerankerConfig | LateInteractionConfig | JinaListwiseConfig):
        raise ConfigError(f"reranker={config.reranker.name} has no checkpoint of evalkit's own: nothing to check.")
    try:
        reranker = rerank.build(config.reranker, config.compute)
        assert isinstance(reranker, PairReranker | LateInteractionReranker | ListwiseReranker)
        yield checks.weights(reranker)
    except AbsentModel:
        raise
    except ModelError as error:
        yield Check("checkpoint", FAILED, str(error))
        return
    if isinstance(reranker, PairReranker):
        yield _guarded("answer tokens", partial(checks.answers, reranker))
        yield _guarded("padding", partial(checks.padding, reranker))
    yield _guarded("alone = in a batch", lambda: checks.batches(reranker))
    try:
        scores = checks.probe_scores(reranker, config.reranker.languages)
    except ModelError as error:
        yield Check("relevant first", FAILED, str(error))
        return
    yield checks.distinct(scores)
    for language in scores:
        yield checks.relevance(language, scores[language])
    if not isinstance(reranker, PairReranker):
        return
    yield _guarded("published scores", partial(known.published_scores, reranker))
    if reranker.family.poolings:
        yield _guarded("pooling", partial(known.pooling, reranker))
    yield _guarded("dtype", partial(checks.dtype, reranker, config, scores, wanted=float32))


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    """The check, failed where the checkpoint does not even let it be made."""
    try:
        return check()
    except ModelError as error:
        return Check(name, FAILED, str(error))
