"""Texts that stand for those of a dataset: some of its own, or texts made up after its card."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from evalkit.config import DatasetConfig
from evalkit.errors import DataError
from evalkit.types import Dataset, Pair

_TEXTS = 1024
_SPREAD = 0.7  # standard deviation of the logarithm of lengths: what collections of passages have
_QUERY_CHARACTERS = {"zh": 15.0, "ja": 15.0}  # of other languages:
_QUERY_CHARACTERS_ELSE = 50.0
_LETTER = {"zh": "\u4e00", "ja": "\u4e00"}


@dataclass(frozen=True)
class TextSample:
    """A dataset in small.

    Attributes:
        name: name of the dataset.
        documents: number of documents.
        queries: number of judged queries.
        document_texts: texts of some documents.
        query_texts: texts of some queries.
        document_bytes: bytes of all documents together, in UTF-8.
        dataset: the dataset, where it is on disk; None where texts are made up after its card.
    """

    name: str
    documents: int
    queries: int
    document_texts: tuple[str, ...]
    query_texts: tuple[str, ...]
    document_bytes: float
    dataset: Dataset | None = None


def sample_of(dataset: Dataset, *, texts: int = _TEXTS) -> TextSample:
    """Evenly spaced documents and queries."""
    queries = list(dataset.queries.values())
    rows = _spread(len(dataset.documents), texts)
    return TextSample(
        dataset.name,
        len(dataset.documents),
        len(queries),
        tuple(dataset.documents.texts(rows)),
        tuple(queries[row] for row in _spread(len(queries), texts)),
        float(dataset.documents.sizes().sum(dtype=np.int64)),
        dataset,
    )


def _spread(count: int, wanted: int) -> Any:
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64)) if count else []


def sample_from_card(config: DatasetConfig) -> TextSample:
    """Texts without words, of the mean length that a card gives, spread as passages are.

    Raises:
        DataError: the card does not give the number or the length of documents and queries.
    """
    expected, lengths = config.expected, config.lengths
    if not (expected.documents and expected.queries and lengths.document_characters):
        raise DataError(
            f"{config.name}: is not on disk, and its card does not say how large it is. Run `evalkit fetch "
            f"dataset={config.name}` first."
        )
    queries = min(expected.queries, config.sample or expected.queries)
    asked = config.query_language or config.language
    of_query = lengths.query_characters or _QUERY_CHARACTERS.get(asked, _QUERY_CHARACTERS_ELSE)
    documents = _made_up(lengths.document_characters, config.language)
    return TextSample(
        config.name,
        expected.documents,
        queries,
        documents,
        _made_up(of_query, asked),
        float(np.mean([len(text.encode()) for text in documents])) * expected.documents,
    )


def _made_up(mean: float, language: str) -> tuple[str, ...]:
    """Texts at the quantiles of a log-normal distribution of lengths."""
    places = [(number + 0.5) / _TEXTS for number in range(_TEXTS)]
    logarithms = np.array([NormalDist().inv_cdf(place) for place in places]) * _SPREAD
    lengths = np.exp(logarithms)
    lengths *= mean / lengths.mean()
    # Shuffled, so that neighbours in the list are not neighbours in length.
    return tuple(
        _LETTER.get(language, "x") * max(round(length), 1) for length in np.random.default_rng(0).permutation(lengths)
    )


def pairs_of(sample: TextSample) -> list[Pair]:
    """The documents of a sample, each once, with its queries in turn, as if retrieved at random."""
    if not sample.query_texts:
        return []
    count = len(sample.query_texts)
    return [Pair(sample.query_texts[row * 7 % count], text) for row, text in enumerate(sample.document_texts)]
