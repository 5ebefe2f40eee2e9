"""Queries that moved most between two systems, with both rankings."""

import pytest
from made import made, values_of

from evalkit.analysis.moves import moves
from evalkit.results.gather import gather


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return made(tmp_path_factory.mktemp("moves"), {"strong": 3.0, "weak": 0.4})


def test_queries_that_moved_most_come_first_with_both_rankings(root):
    first, second = gather([root / "one/stage-100/weak", root / "one/stage-100/strong"])
    found = moves(first, second, "nDCG@10", count=5, dataset=None)
    weak, strong = values_of(root, "weak"), values_of(root, "strong")
    largest = sorted(abs(strong - weak), reverse=True)[:5]
    assert [abs(one.second - one.first) for one in found] == pytest.approx(largest)
    for move in found:
        ranks = [{place.doc_id: place.rank for place in side} for side in move.rankings]
        for place in move.rankings[1]:
            assert ranks[0].get(place.doc_id, place.before) == place.before
        assert (move.text, move.rankings[0][0].grade, move.rankings[0][0].text) == (None, None, None)


def test_identical_systems_moved_nothing(root):
    first, second = gather([root / "one/stage-100/weak"]) * 2
    assert moves(first, second, "nDCG@10", count=5, dataset=None) == []
