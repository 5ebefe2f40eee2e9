"""Whatever Python code gives or returns: a right answer or an EvalkitError of one line, nothing else."""

from decimal import Decimal

import numpy as np
import pandas as pd
import torch
from fuzz.test_untrusted import fuzz
from hypothesis import given
from hypothesis import strategies as st

import evalkit
from evalkit.datasets.own_records import candidates_of, documents_of, excluded_of, instructed, judged_of
from evalkit.errors import EvalkitError
from evalkit.rerank.own_scores import checked_scores
from evalkit.types import Pair

PLAIN = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=2))
ODD = [
    *(np.int64(1), np.float32(1), np.str_("1"), np.array(1), np.array([1.0]), np.ma.masked, np.zeros((0, 2))),
    *(torch.tensor(1.0), torch.tensor([1.0]), torch.ones(1).to_sparse(), torch.ones((), device="meta")),
    *(pd.NA, pd.NaT, pd.Series([1.0]), pd.DataFrame({"qid": [1]})),
    *(
        b"x",
        1j,
        10**400,
        Decimal(1),
        ("a",),
        [1],
        {},
        {1},
        object(),
        range(2),
        print,
        "1e5",
        "nan",
        "a\nb",
        "\0",
        "\ud800",
    ),
]
VALUES = st.one_of(PLAIN, st.sampled_from(ODD))
IDS = st.one_of(PLAIN, st.sampled_from([each for each in ODD if getattr(type(each), "__hash__", None)]))
NESTED = st.dictionaries(
    IDS, st.one_of(st.dictionaries(IDS, VALUES, max_size=3), st.lists(IDS, max_size=2), VALUES), max_size=3
)
FIELDS = st.sampled_from(["qid", "docno", "score", "label", "rank", "subtopic"])
RUNS = st.one_of(NESTED, VALUES, st.lists(st.one_of(VALUES, st.dictionaries(FIELDS, VALUES)), max_size=3))
RECORD = st.dictionaries(st.sampled_from(["_id", "title", "text", "instruction", "answers", "excluded_ids"]), VALUES)
COLLECTIONS = st.one_of(
    st.dictionaries(IDS, st.one_of(VALUES, RECORD), max_size=3), st.lists(st.one_of(VALUES, RECORD), max_size=2), VALUES
)
PAIRS = [Pair("q", "d", None, "q1", f"d{number}") for number in range(2)]


def answered_or_refused(function, *arguments, **settings):
    try:
        return function(*arguments, **settings)
    except EvalkitError as error:
        if len(str(error).splitlines()) != 1:
            raise ValueError("an error of several lines") from error
        return None


@fuzz
@given(RUNS, RUNS)
def test_runs_and_judgments(first, second):
    answered_or_refused(evalkit.measure, first, second, ["nDCG@10", "Judged@5"])
    answered_or_refused(evalkit.measure, first, second, "alpha_nDCG@5")
    answered_or_refused(evalkit.compare, [first, second], second, samples=2)


@fuzz
@given(COLLECTIONS, COLLECTIONS, RUNS)
def test_parts_of_a_dataset(corpus, queries, judged):
    answered_or_refused(documents_of, corpus, "own")
    found = answered_or_refused(judged_of, queries, judged, "own")
    answered_or_refused(candidates_of, judged, "own", is_ranking=False)
    answered_or_refused(excluded_of, judged, "own")
    if found:
        answered_or_refused(instructed, found, queries, "own")


@fuzz
@given(st.one_of(VALUES, st.lists(VALUES, max_size=3), st.lists(st.lists(VALUES, max_size=2), max_size=2)))
def test_scores(returned):
    found = answered_or_refused(checked_scores, returned, PAIRS, "own")
    assert found is None or (found.dtype, found.shape) == (np.float32, (2,))
