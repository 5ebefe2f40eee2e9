"""What code of the user's returned, as scores or a refusal."""

import numpy as np
import pandas as pd
import pytest

from evalkit.errors import ObjectError
from evalkit.rerank.own_scores import checked_scores
from evalkit.types import Pair

PAIRS = [Pair("bees", "bees make honey", None, "q1", "d1"), Pair("bees", "cows", None, "q1", "d2")]


@pytest.mark.parametrize(
    "returned",
    [
        [2, 1],
        (2.0, 1.0),
        np.array([2, 1]),
        np.array([[2.0], [1.0]]),
        [[2], [1]],
        [np.float16(2), np.int8(1)],
        [np.array([2.0]), np.array([1.0])],
        pd.Series([2, 1], index=[7, 3]),
        (number for number in (2, 1)),
        {2: "a", 1: "b"}.keys(),
    ],
)
def test_numbers_in_any_form_are_scores(returned):
    scores = checked_scores(returned, PAIRS, "own")
    assert np.float32 == scores.dtype
    assert [2, 1] == scores.tolist()


def test_tensors_of_any_type_and_with_gradients_are_scores():
    torch = pytest.importorskip("torch")
    for tensor in (torch.tensor([2.0, 1.0], dtype=torch.bfloat16), torch.tensor([[2.0], [1.0]], requires_grad=True)):
        assert [2, 1] == checked_scores(tensor, PAIRS, "own").tolist()
        assert [2, 1] == checked_scores(list(tensor), PAIRS, "own").tolist()


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returned None for 2 documents of query 'q1', expected 2 numbers"),
        ("21", "returned str '21' for"),
        ({"d1": 2, "d2": 1}, "returned dict"),
        (3.0, "returned float 3.0"),
        (["2", "1"], "returned a list of 2, the first of them '2', for"),
        ([2, None], "returned a list of 2"),
        ([[2], [1, 0]], "returned a list of 2"),
        ([1 + 2j, 1], "returned a list of 2"),
        ([2], r"returned scores of shape \(1,\) for 2 documents of query 'q1'"),
        ([2, 1, 0], r"returned scores of shape \(3,\)"),
        (np.ones((2, 2)), r"returned scores of shape \(2, 2\)"),
        ([2, float("nan")], r"returned nan as the score of document 'd2' for query 'q1' \(1 such\)"),
        ([1e300, 1], "returned 1e\\+300 as the score of document 'd1'"),
        ([10**400, 1], "returned a list of 2"),
        (np.ma.masked_array([2.0, 1.0], mask=[False, True]), "returned MaskedArray"),
        ([2.0, np.ma.masked], "returned a list of 2"),
    ],
)
def test_anything_else_is_refused_with_the_query_and_what_was_returned(returned, message):
    with pytest.raises(ObjectError, match=f"^own {message}"):
        checked_scores(returned, PAIRS, "own")


def test_pairs_without_ids_are_shown_by_their_texts():
    with pytest.raises(ObjectError, match="returned inf as the score of document 1 of the call for query 'bees'"):
        checked_scores([1, float("inf")], [Pair("bees", "a"), Pair("bees", "b")], "own")


def test_tensors_that_hold_no_real_numbers_are_refused():
    torch = pytest.importorskip("torch")
    for tensor in (torch.ones(2).to_sparse(), torch.ones(2, device="meta"), torch.ones(2, dtype=torch.complex64)):
        for returned in (tensor, [tensor, tensor]):
            with pytest.raises(ObjectError, match=r"^own returned (a list of 2, the first of them )?.*expected 2 num"):
                checked_scores(returned, PAIRS, "own")


def test_an_array_of_several_lines_is_shown_on_one():
    with pytest.raises(ObjectError, match="returned ndarray") as caught:
        checked_scores(np.array([["a", "b"], ["c", "d"]]), PAIRS, "own")
    assert "\n" not in str(caught.value)
