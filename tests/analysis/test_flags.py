"""What numbers give away: impossible values, and falls, of which only a verdict makes an error."""

import numpy as np
import pytest

from evalkit.analysis.flags import Fall, flags_of_evaluation, flags_of_means, flags_of_runs
from evalkit.run import Run
from evalkit.types import PerQuery


@pytest.mark.parametrize(
    ("values", "queries", "expected"),
    [
        ((0.5, 0.6, 0.9), 1000, []),
        ((0.5, 0.95, 0.9), 1, ["error: above the ceiling"]),
        ((0.7070, 0.7968, 0.812), 1000, ["warning: 98.1% of the ceiling"]),  # OpenBMB/MiniCPM#268, MedicalRetrieval
        ((0.7070, 0.6467, 0.812), 1000, ["warning: fell from 0.7070 to 0.6467"]),
        ((0.9, 0.9, 0.9), 1000, []),  # nothing was left to gain
        ((0.0193, 0.0270, 0.0270), 74, []),  # two queries have a relevant candidate: chance
        ((0.0193, 0.0270, 0.0270), 6980, ["warning: 100.0% of the ceiling"]),
    ],
)
def test_three_means_reveal_impossible_numbers(values, queries, expected):
    found = [f"{flag.level}: {flag.text}" for flag in flags_of_means(*values, "nDCG@10", queries)]
    assert len(found) == len(expected)
    for text, wanted in zip(found, expected, strict=True):
        level, _, part = wanted.partition(": ")
        assert text.startswith(level)
        assert part in text


@pytest.mark.parametrize(
    ("fall", "expected"),
    [
        (None, [("warning", "`evalkit compare` says whether that is chance")]),
        (Fall(0.06, 3, real=False), [("warning", "which may be chance (p 0.06, Holm's for 3 pairs)")]),
        (Fall(0.06, 1, real=False), [("warning", "which may be chance (p 0.06)")]),
        (Fall(0.01, 1, real=True), [("error", "not by chance (p 0.01)"), ("warning", "loaded correctly?")]),
    ],
)
def test_a_fall_is_called_real_only_by_the_verdict_of_a_comparison(fall, expected):
    found = flags_of_means(0.7, 0.6, 0.9, "nDCG@10", 1000, fall)
    assert [flag.level for flag in found] == [level for level, _ in expected]
    for flag, (_, part) in zip(found, expected, strict=True):
        assert part in flag.text
    assert any("not by chance" in flag.text for flag in found) == bool(fall and fall.real)


@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_all_measures_that_fell_are_one_flag_and_only_a_checkpoint_is_for_the_doctor(has_checkpoint):
    means = {"nDCG@10": (0.7, 0.6, 0.9), "R@20": (0.5, 0.4, 0.9), "RR@10": (0.5, 0.6, 0.9), "MAP": (0.5, 0.95, 0.9)}
    impossible, fell = flags_of_evaluation(means, queries=1000, has_checkpoint=has_checkpoint)
    assert impossible.text.startswith("MAP 0.9500 is above the ceiling")
    assert "reranking lowered nDCG@10 from 0.7000 to 0.6000, R@20 from 0.5000 to 0.4000; `evalkit compare`" in fell.text
    assert ("doctor" in fell.text) == has_checkpoint
    assert flags_of_evaluation({"R@20": (0.5, 0.5, 0.9)}, queries=1000, has_checkpoint=has_checkpoint) == []


def test_verdict_without_a_fall_raises_no_flag():
    """A mean that is lower by rounding alone comes second in the comparison."""
    assert flags_of_means(0.7, 0.7, 0.9, "nDCG@10", 1000, Fall(1.0, 3, real=False)) == []


def suspected(scores):
    """Flags of a run with a row of scores a query."""
    scores = np.asarray(scores, dtype=np.float32)
    queries, documents = np.indices(scores.shape)
    names = [f"d{number}" for number in range(scores.shape[1])]
    run = Run.rank(
        [f"q{number}" for number in range(len(scores))],
        names,
        queries=queries.ravel(),
        documents=documents.ravel(),
        scores=scores.ravel(),
    )
    return [flag.text for flag in flags_of_runs(run, run.scores, PerQuery(run.query_ids, {}, ()))]


def test_scores_that_follow_ranks_are_equal_over_queries_but_tie_nothing():
    by_rank = 1 / (60 + np.arange(1, 31))
    assert suspected(np.tile(by_rank, (20, 1))) == []
    assert suspected([[1.0]] * 5) == []
    assert suspected([[3.0, 2.0], [2.0, 1.0], [1.0, 0.0]]) == []  # the last of a query and the first of the next


def test_only_ties_within_a_query_are_counted():
    scores = np.tile(np.arange(10.0, 0, -1), (10, 1))
    scores[0, 3:6] = 7.0  # 3 of 100 pairs; all other queries have one such score each
    (text,) = suspected(scores)
    assert text.startswith("3.0% of the pairs have the score 7, ")
    scores[0, 3:6] = 7.5, 6.5, 6.25
    assert suspected(scores) == []
