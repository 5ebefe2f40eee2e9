"""Languages of a dataset: which its documents look like, and those that the models are not made for."""

import logging
from itertools import islice

from evalkit.config import EvaluateConfig
from evalkit.config.languages import languages_in
from evalkit.datasets.documents import script_of, script_of_texts
from evalkit.types import Dataset, Documents

_CODE_WITHOUT_SCRIPT = 3  # letters: evalkit knows the scripts of languages with two
_QUERIES = 1000  # that are looked at
_NAMES = {"CJK": "Chinese", "KANA": "Japanese", "HANGUL": "Korean"}

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


def doubt_of_language(dataset: Dataset) -> str:
    """Why its documents, or its queries, seem to be in another language than the dataset says; empty if they do not."""
    script = script_of(dataset.documents)
    if found := _contradicted(script, dataset.language):
        look, remedy = found
        return f"the documents look {look}, and dataset.language is {dataset.language}. Set dataset.language={remedy}."
    asked = dataset.query_language or dataset.language
    if found := _contradicted(script_of_texts(islice(dataset.queries.values(), _QUERIES)), asked):
        look, remedy = found
        return (
            f"the queries look {look}, and their language is {asked}. Set dataset.language={remedy}, or "
            f"dataset.query_language={remedy} where the documents are in another language."
        )
    return ""


def _contradicted(script: str, language: str) -> tuple[str, str] | None:
    """What texts of a script look like and which language to set; None where the language may be written in it."""
    likely = languages_in(script)
    if not likely or language in likely or len(language) == _CODE_WITHOUT_SCRIPT:
        return None
    name = _NAMES.get(script, f"{script.title()} script")
    remedy = likely[0] if len(likely) == 1 or script in _NAMES else f"CODE, such as {likely[0]}"
    return name, remedy


def likely_language(documents: Documents) -> str:
    """The likeliest language in the script of documents of which nothing else is known; English for Latin."""
    return (*languages_in(script_of(documents)), "en")[0]
