"""Languages of a dataset that the models are not made for."""

import logging

from evalkit.config import EvaluateConfig
from evalkit.types import Dataset

logger = logging.getLogger(__name__)


def warn_of_language(config: EvaluateConfig, dataset: Dataset) -> None:
    """Warn where a first stage or a reranker is made for other languages than the dataset has."""
    for stage in (config.retriever, config.reranker):
        for noun, language in (("documents", dataset.language), ("queries", dataset.query_language)):
            if stage.languages and language not in stage.languages:
                logger.warning(
                    "%s is made for %s, and the %s of %s are in %s. Expect poor numbers.",
                    stage.name,
                    ", ".join(stage.languages),
                    noun,
                    dataset.name,
                    language,
                )
                break
