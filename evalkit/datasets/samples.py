"""Pairs of a dataset worth looking at: the shortest, a typical and the longest of its first relevant ones."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from evalkit.measures.answers import contains
from evalkit.types import Dataset, Pair

_LOOKED_AT = 200  # relevant pairs; enough to meet long ones, few enough for any corpus


class Sample(NamedTuple):
    """A query and a document that was judged relevant to it."""

    query_id: str
    doc_id: str
    grade: int
    pair: Pair


def sample_pairs(dataset: Dataset, count: int) -> list[Sample]:
    """At most `count` relevant pairs, spread evenly from the shortest to the longest text.

    Of each query the document with the highest grade is taken, and of equals the first id. Where there are no
    judgments, it is the first of some documents that contains an answer.
    """
    samples = _judged(dataset) if dataset.qrels else _answered(dataset)
    samples.sort(key=lambda sample: len(sample.pair.query) + len(sample.pair.document))
    places = np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int)
    return [samples[place] for place in dict.fromkeys(places.tolist())]


def _judged(dataset: Dataset) -> list[Sample]:
    best = []
    for query_id, grades in dataset.qrels.items():
        doc_id, grade = max(sorted(grades.items()), key=lambda item: item[1])
        if grade > 0 and query_id in dataset.queries:
            best.append((query_id, doc_id, grade))
    best = best[:_LOOKED_AT]
    rows = dataset.rows_of_judged(pa.array([doc_id for _, doc_id, _ in best], type=pa.string()).unique())
    row_of = dict(zip(dict.fromkeys(doc_id for _, doc_id, _ in best), rows.tolist(), strict=True))
    found = [item for item in best if row_of[item[1]] >= 0]
    texts = dataset.documents.texts([row_of[doc_id] for _, doc_id, _ in found])
    return [
        Sample(query_id, doc_id, grade, _pair(dataset, query_id, text))
        for (query_id, doc_id, grade), text in zip(found, texts, strict=True)
    ]


def _answered(dataset: Dataset) -> list[Sample]:
    rows = range(min(len(dataset.documents), _LOOKED_AT))
    documents = list(zip(dataset.documents.ids[: len(rows)].to_pylist(), dataset.documents.texts(rows), strict=True))
    samples = []
    for query_id, answers in list(dataset.answers.items())[:_LOOKED_AT]:
        found = next(((doc_id, text) for doc_id, text in documents if contains(text, answers)), None)
        if found:
            samples.append(Sample(query_id, found[0], 1, _pair(dataset, query_id, found[1])))
    return samples


def _pair(dataset: Dataset, query_id: str, text: str) -> Pair:
    return Pair(dataset.queries[query_id], text, dataset.instructions.get(query_id))
