"""Checks that a reranker's checkpoint is loaded correctly, to run before spending hours on its numbers.

`examine` gives the rows of the table that `evalkit doctor` prints. Where files look right, scores
decide: of pairs alone and in batches, of obviously relevant and irrelevant
documents, and of the pairs whose scores its authors published.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from evalkit import rerank
from evalkit.config import ScoreConfig
from evalkit.errors import AbsentModel, ConfigError, ModelError
from evalkit.rerank.doctor import checks, known
from evalkit.rerank.doctor.checks import FAILED, Check
from evalkit.rerank.pair_reranker import PairRerankerConfig

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
    if not isinstance(config.reranker, PairRerankerConfig):
        raise ConfigError(
            f"reranker={config.reranker.name} does not read query and document as one sequence: nothing to check."
        )
    try:
        reranker = rerank.require_pairs(rerank.build(config.reranker, config.compute))
        yield checks.weights(reranker)
    except AbsentModel:
        raise
    except ModelError as error:
        yield Check("checkpoint", FAILED, str(error))
        return
    yield _guarded("answer tokens", lambda: checks.answers(reranker))
    yield _guarded("padding", lambda: checks.padding(reranker))
    yield _guarded("alone = in a batch", lambda: checks.batches(reranker))
    try:
        scores = checks.probe_scores(reranker, config.reranker.languages)
    except ModelError as error:
        yield Check("relevant first", FAILED, str(error))
        return
    yield checks.distinct(scores)
    for language in scores:
        yield checks.relevance(language, scores[language])
    yield _guarded("published scores", lambda: known.published_scores(reranker))
    if reranker.family.poolings:
        yield _guarded("pooling", lambda: known.pooling(reranker))
    yield _guarded("dtype", lambda: checks.dtype(reranker, config, scores, wanted=float32))


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    """The check, failed where the checkpoint does not even let it be made."""
    try:
        return check()
    except ModelError as error:
        return Check(name, FAILED, str(error))
