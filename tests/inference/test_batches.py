"""Batches by token budget: every text once, longest first, within the budget."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evalkit.inference.batches import affordable_tokens, batches, windows

LENGTHS = st.lists(st.integers(0, 60), max_size=80)
BUDGETS = st.integers(1, 200)


def made(lengths: list[int], budget: int) -> list[list[int]]:
    return [batch.tolist() for batch in batches(np.array(lengths, dtype=np.int64), budget)]


@given(LENGTHS, BUDGETS)
def test_every_text_is_in_exactly_one_batch(lengths, budget):
    assert list(range(len(lengths))) == sorted(index for batch in made(lengths, budget) for index in batch)


@given(LENGTHS, BUDGETS)
def test_texts_come_longest_first_and_equal_lengths_keep_their_order(lengths, budget):
    expected = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    assert expected == [index for batch in made(lengths, budget) for index in batch]


@given(LENGTHS, BUDGETS)
def test_padded_batch_exceeds_the_budget_only_when_it_is_one_text(lengths, budget):
    for batch in made(lengths, budget):
        padded = len(batch) * max(lengths[index] for index in batch)
        assert padded <= budget or len(batch) == 1


@given(LENGTHS, BUDGETS)
def test_no_batch_is_empty_and_none_could_take_the_next_text(lengths, budget):
    whole = made(lengths, budget)
    assert all(whole)
    for batch, following in pairwise(whole):
        longest = max(lengths[index] for index in batch)
        # A batch of empty texts is counted as one token a text, so that it has an end.
        assert (len(batch) + 1) * max(longest, 1) > budget
        assert max(lengths[index] for index in following) <= longest


def test_hand_made_lengths_fall_into_the_batches_that_arithmetic_gives():
    assert made([5, 3, 9, 5, 2], 10) == [[2], [0, 3], [1, 4]]


def test_text_longer_than_the_budget_is_a_batch_of_its_own():
    assert made([3, 50, 40], 8) == [[1], [2], [0]]


def test_unsigned_lengths_are_still_longest_first():
    lengths = np.array([1, 7, 0, 7], dtype=np.uint8)
    assert [batch.tolist() for batch in batches(lengths, 1)] == [[1], [3], [0], [2]]


def test_no_text_makes_no_batch():
    assert made([], 100) == []


@given(LENGTHS, BUDGETS)
def test_without_padding_the_budget_counts_tokens_and_no_batch_could_take_the_next_text(lengths, budget):
    found = [batch.tolist() for batch in batches(np.array(lengths, dtype=np.int64), budget, padded=False)]
    assert sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)) == [
        i for batch in found for i in batch
    ]
    sums = [sum(lengths[index] for index in batch) for batch in found]
    assert all(total <= budget or len(batch) == 1 for total, batch in zip(sums, found, strict=True))
    assert all(total + lengths[after[0]] > budget for total, after in zip(sums, found[1:], strict=False))


def test_budget_is_four_fifths_of_free_memory_within_its_limits():
    assert [
        affordable_tokens(free, per_token, at_most=500) for free, per_token in ((1000, 10.0), (10**9, 10.0), (5, 10.0))
    ] == [80, 500, 1]


@given(
    st.lists(st.integers(0, 50), max_size=40),
    st.integers(1, 12),
    st.integers(1, 120),
)
def test_windows_are_as_long_as_count_and_size_allow_and_hold_every_row_once(sizes, count, size):
    found = windows(np.array(sizes, dtype=np.int64), count=count, size=size)
    assert [row for window in found for row in range(window.start, window.stop)] == list(range(len(sizes)))
    for number, window in enumerate(found):
        inside = sizes[window]
        assert 1 <= len(inside) <= count
        assert len(inside) == 1 or sum(inside) <= size
        if number + 1 < len(found) and len(inside) < count:
            assert sum(inside) + sizes[window.stop] > size
