import numpy as np
import pytest
import torch

from evalkit.retrieval.keys import NO_KEY, best, keys_of, ranked, scores_of, table

ODD = [0.0, -0.0, 1e-45, -1e-45, 1.0, -1.0, 3.4e38, -3.4e38, float("inf"), float("-inf"), 1.0000001]


def test_keys_order_as_scores_do_and_then_as_ranks():
    scores = torch.tensor(ODD).repeat_interleave(3)
    ranks = torch.tensor([0, 7, 2**31 - 1] * len(ODD))
    by_key = keys_of(scores, ranks).sort().indices
    expected = sorted(range(len(scores)), key=lambda at: (scores[at].item(), ranks[at].item()))
    order = lambda rows: [(scores[at].item(), ranks[at].item()) for at in rows]  # noqa: E731
    assert order(by_key.tolist()) == order(expected)


def test_a_key_gives_its_score_back():
    scores = torch.tensor(ODD)
    found = scores_of(keys_of(scores.clone(), torch.arange(len(ODD))))
    assert found.tolist() == scores.tolist()
    assert not torch.signbit(found[1])  # -0 is 0, or equal scores would be ordered by their sign


def test_no_key_is_below_every_key():
    lowest = keys_of(torch.tensor([float("-inf")]), torch.tensor([0]))
    assert NO_KEY < lowest.item()


def test_the_best_of_two_tables_are_the_greatest_of_both():
    keys, more = torch.tensor([[5, 1], [NO_KEY, 2]]), torch.tensor([[3, 4, 0], [1, NO_KEY, NO_KEY]])
    assert best(keys, more).sort(dim=1).values.tolist() == [[4, 5], [1, 2]]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([0, 0, 2], [[10, 11], [NO_KEY, NO_KEY], [12, NO_KEY]]),
        ([2, 2, 2], [[NO_KEY] * 3, [NO_KEY] * 3, [10, 11, 12]]),
    ],
)
def test_a_table_has_a_row_for_each_query_filled_up_where_one_has_fewer(rows, expected):
    assert table(np.array(rows), torch.tensor([10, 11, 12]), 3).tolist() == expected


def test_a_table_of_nothing_has_no_columns():
    assert table(np.array([], dtype=np.int64), torch.tensor([], dtype=torch.int64), 3).shape == (3, 0)


def test_ranked_gives_rows_and_scores_best_first():
    id_ranks = np.array([2, 0, 1])  # of the ids of rows 0, 1 and 2
    scores = torch.tensor([[0.5, 0.5, -1.0], [1.0, 2.0, 2.0]])
    rows, found = ranked(keys_of(scores.clone(), torch.from_numpy(id_ranks).expand(2, 3)), id_ranks)
    assert rows.tolist() == [[0, 1, 2], [2, 1, 0]]
    assert found.tolist() == [[0.5, 0.5, -1.0], [2.0, 2.0, 1.0]]
