"""Sequences laid end to end."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from evalkit.inference.packed import Keys, equal_runs, pack

RUNS = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=30)


def ids(*sequences: list[int]) -> list[np.ndarray]:
    return [np.array(sequence, dtype=np.int32) for sequence in sequences]


def test_sequences_are_laid_end_to_end_and_each_counts_its_positions_from_zero():
    batch = pack(ids([7, 8, 9], [5], [6, 4]), ids([0, 0, 1], [0], [1, 1]))
    assert [7, 8, 9, 5, 6, 4] == batch.input_ids.tolist()
    assert [0, 0, 1, 0, 1, 1] == batch.segments.tolist()
    assert [0, 1, 2, 0, 0, 1] == batch.positions.tolist()
    assert ([0, 3, 4, 6], (3, 1, 2)) == (batch.offsets.tolist(), batch.lengths)
    assert (torch.int64, torch.int32) == (batch.input_ids.dtype, batch.offsets.dtype)


def test_first_and_last_token_of_each_sequence_are_found():
    batch = pack(ids([7, 8, 9], [5], [6, 4]), ids([0, 0, 0], [0], [0, 0]))
    assert [0, 3, 4] == batch.rows("first").tolist()
    assert [2, 3, 5] == batch.rows("last").tolist()


def test_only_the_sequences_that_are_texts_are_selected_in_the_order_of_the_texts():
    batch = pack(ids([7, 8], [5], [6, 4]), ids([0, 0], [0], [0, 0]))._replace(scored=torch.tensor([2, 1]))
    assert [3, 2] == batch.rows("first").tolist()
    assert [4, 2] == batch.rows("last").tolist()


def test_batch_that_is_on_the_device_already_is_given_as_it_is():
    batch = pack(ids([7, 8]), ids([0, 0]))
    batch = batch._replace(keys=Keys(torch.tensor([0, 1]), torch.tensor([0, 2]), (2,)))
    assert batch is batch.to(torch.device("cpu"))


@given(RUNS)
def test_runs_of_equal_sequences_put_together_are_the_sequences(sequences):
    runs = list(equal_runs([queries for queries, _ in sequences], [keys for _, keys in sequences]))
    assert sequences == [(queries, keys) for count, queries, keys in runs for _ in range(count)]
    assert all(before[1:] != after[1:] for before, after in pairwise(runs))
