"""Parts of a pair joined, and the cut that takes from the longer text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.rerank.families.pairs import collect, join, longest_first

SIZES = st.integers(0, 40)


def ids(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def one_by_one(first: int, second: int, budget: int) -> tuple[int, int]:
    """As the slow tokenizers of transformers 4: a token of the longer text goes, of the second on a tie."""
    for _ in range(first + second - budget):
        if first > second:
            first -= 1
        else:
            second -= 1
    return first, second


@given(SIZES, SIZES, SIZES)
def test_longest_first_takes_token_by_token_from_the_longer_and_on_a_tie_from_the_second(first, second, budget):
    assert one_by_one(first, second, budget) == longest_first(first, second, budget, odd_to_second=False)


@given(SIZES, SIZES, SIZES)
def test_where_the_odd_token_goes_is_the_only_difference_between_the_two_rules(first, second, budget):
    slow = longest_first(first, second, budget, odd_to_second=False)
    fast = longest_first(first, second, budget, odd_to_second=True)
    both_cut = budget < first + second and min(first, second) > budget // 2
    differ = both_cut and budget % 2 == 1 and first <= second
    assert fast == ((slow[0] - 1, slow[1] + 1) if differ else slow)


@pytest.mark.parametrize(
    ("lengths", "expected"), [((5, 5), (3, 4)), ((5, 6), (3, 4)), ((6, 5), (4, 3)), ((3, 9), (3, 4)), ((9, 3), (4, 3))]
)
def test_odd_token_goes_to_the_longer_text_in_the_tokenizers_library(lengths, expected):
    assert expected == longest_first(*lengths, 7, odd_to_second=True)


def test_joined_pair_says_where_its_document_is_and_has_one_segment():
    pair = join(ids(1), ids(7, 8), ids(2, 3), ids(9, 9, 9), ids(4), (5, 6))
    assert pair.ids.tolist() == [1, 7, 8, 2, 3, 9, 9, 9, 4]
    assert pair.ids[slice(*pair.document)].tolist() == [9, 9, 9]
    assert pair.segments.tolist() == [0] * 9
    assert pair.dropped == (5, 6)


def test_empty_document_is_an_empty_stretch_behind_the_query():
    pair = join(ids(1), ids(7), ids(2), ids(), ids(4), (0, 0))
    assert (pair.ids.tolist(), pair.document) == ([1, 7, 2, 4], (3, 3))


def test_pairs_become_columns_in_their_order():
    rows = [join(ids(1), ids(5), ids(), ids(6), ids(), (0, 3)), join(ids(1), ids(), ids(), ids(6), ids(), (0, 0))]
    columns = collect(rows)
    assert [row.tolist() for row in columns.ids] == [[1, 5, 6], [1, 6]]
    assert columns.lengths.tolist() == [3, 2]
    assert columns.documents.tolist() == [[2, 3], [1, 2]]
    assert columns.dropped.tolist() == [[0, 3], [0, 0]]
    assert columns.truncated.tolist() == [True, False]


def test_a_cut_of_the_query_alone_also_counts():
    assert collect([join(ids(1), ids(5), ids(), ids(6), ids(), (2, 0))]).truncated.tolist() == [True]


def test_no_pair_gives_columns_without_rows():
    columns = collect([])
    assert ([], (0, 2), (0, 2)) == (columns.ids, columns.documents.shape, columns.dropped.shape)
    assert (0, 0) == (len(columns.lengths), len(columns.truncated))
