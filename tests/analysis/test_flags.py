"""What numbers give away: impossible values, and falls, of which only a verdict makes an error."""

import pytest

from evalkit.analysis.flags import Fall, flags_of_evaluation, flags_of_means


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.5, 0.6, 0.9), []),
        ((0.5, 0.95, 0.9), ["error: above the ceiling"]),
        ((0.7070, 0.7968, 0.812), ["warning: 98.1% of the ceiling"]),  # OpenBMB/MiniCPM#268, MedicalRetrieval
        ((0.7070, 0.6467, 0.812), ["warning: fell from 0.7070 to 0.6467"]),
        ((0.9, 0.9, 0.9), []),  # nothing was left to gain
    ],
)
def test_three_means_reveal_impossible_numbers(values, expected):
    found = [f"{flag.level}: {flag.text}" for flag in flags_of_means(*values, "nDCG@10")]
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
    found = flags_of_means(0.7, 0.6, 0.9, "nDCG@10", fall)
    assert [flag.level for flag in found] == [level for level, _ in expected]
    for flag, (_, part) in zip(found, expected, strict=True):
        assert part in flag.text
    assert any("not by chance" in flag.text for flag in found) == bool(fall and fall.real)


@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_all_measures_that_fell_are_one_flag_and_only_a_checkpoint_is_for_the_doctor(has_checkpoint):
    means = {"nDCG@10": (0.7, 0.6, 0.9), "R@20": (0.5, 0.4, 0.9), "RR@10": (0.5, 0.6, 0.9), "MAP": (0.5, 0.95, 0.9)}
    impossible, fell = flags_of_evaluation(means, has_checkpoint=has_checkpoint)
    assert impossible.text.startswith("MAP 0.9500 is above the ceiling")
    assert "reranking lowered nDCG@10 from 0.7000 to 0.6000, R@20 from 0.5000 to 0.4000; `evalkit compare`" in fell.text
    assert ("doctor" in fell.text) == has_checkpoint
    assert flags_of_evaluation({"R@20": (0.5, 0.5, 0.9)}, has_checkpoint=has_checkpoint) == []


def test_verdict_without_a_fall_raises_no_flag():
    """A mean that is lower by rounding alone comes second in the comparison."""
    assert flags_of_means(0.7, 0.7, 0.9, "nDCG@10", Fall(1.0, 3, real=False)) == []
