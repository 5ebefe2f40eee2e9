"""Scores by what judges said."""

import numpy as np

from evalkit.analysis.score_bins import score_bins


def test_every_pair_is_in_one_bin_of_its_kind():
    random = np.random.default_rng(0)
    scores = random.normal(size=500).astype(np.float32)
    grades = random.integers(-1, 3, size=500).astype(np.float32)
    found = score_bins(scores, grades, level=2)
    assert sum(found.relevant) == (grades >= 2).sum()
    assert sum(found.other) == ((grades >= 0) & (grades < 2)).sum()
    assert sum(found.unjudged) == (grades < 0).sum()
    low, high = found.edges[3:5]
    assert found.relevant[3] == ((scores >= low) & (scores < high) & (grades >= 2)).sum()
    assert (found.edges[0], found.edges[-1]) == (scores.min(), scores.max())


def test_one_score_or_none_has_no_bins():
    assert score_bins(np.ones(4, np.float32), np.zeros(4, np.float32), level=1) is None
    assert score_bins(np.ones(0, np.float32), np.zeros(0, np.float32), level=1) is None
