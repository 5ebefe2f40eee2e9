"""Values of ir_measures, the reference for measures by its names, and judgments and runs to compare them on."""

import random

import numpy as np
import pytest


def judgments(seed, *, queries=60, grades=(0, 0, 1, 2, 3)):
    """Query -> document -> grade, of 1 to 12 documents each."""
    draw = random.Random(seed)
    documents = [f"d{place}" for place in range(15)]
    return {
        str(query): {doc_id: draw.choice(grades) for doc_id in draw.sample(documents, draw.randint(1, 12))}
        for query in range(1, queries + 1)
    }


def scores(seed, *, queries=60):
    """Query -> document -> score, with ties, of 1 to 15 documents each; some are not judged, some missing."""
    draw = random.Random(seed)
    documents = [f"d{place}" for place in range(15)]
    return {
        str(query): {doc_id: float(draw.randint(0, 6)) for doc_id in draw.sample(documents, draw.randint(1, 15))}
        for query in range(4, queries + 5)
    }


def expected(name, qrels, found):
    """The value of every judged query, in order of id; 0 where there is none.

    Providers of ir_measures break ties in several ways, so they get ranks for scores.
    """
    library = pytest.importorskip("ir_measures")
    ranked = {}
    for query_id, own in found.items():
        order = sorted(own, key=lambda doc_id: (np.float32(own[doc_id]), doc_id))
        ranked[query_id] = {doc_id: float(place) for place, doc_id in enumerate(order, start=1)}
    answers = {}
    for answer in library.iter_calc([library.parse_measure(name)], qrels, ranked):
        answers[answer.query_id] = answer.value
    query_ids = sorted(qrels if isinstance(qrels, dict) else {judgment.query_id for judgment in qrels})
    return [answers.get(query_id, 0.0) if query_id in found else 0.0 for query_id in query_ids]
