"""Differences to a first stage or a baseline, as the comparison of all systems has them."""

import pytest
from made import made

from evalkit.analysis.differences import Difference, baselines, difference, falls, first_stages
from evalkit.analysis.pairwise import Pairing, Settings, compare
from evalkit.errors import ConfigError
from evalkit.results.gather import gather

QUICK = Settings(samples=500, same_candidates=False)
PAIR = Pairing("a", "b", 0.1, 0.02, 0.2, 0.01, 0.02, 5, 1, 2, 0.1)


def test_a_difference_the_other_way_round_has_its_interval_turned():
    assert difference([PAIR], "a", "b", 0.05) == Difference(0.1, 0.02, 0.2, 0.01, real=True)
    assert difference([PAIR], "b", "a", 0.05) == Difference(-0.1, -0.2, -0.02, 0.01, real=True)
    assert difference([PAIR], "a", "b", 0.001) == Difference(0.1, 0.02, 0.2, 0.01, real=False)
    assert difference([PAIR], "a", "c", 0.05) is None


def test_every_reranker_has_the_first_stage_that_it_started_from(tmp_path):
    made(tmp_path, {"strong": 3.0})
    root = made(tmp_path, {"strong": 3.0}, stage="another")
    (found,) = compare(gather([root]), QUICK)
    assert first_stages(found) == {"stage-100 + strong": "stage-100", "another-100 + strong": "another-100"}
    (without,) = compare(gather([root]), QUICK._replace(first_stage=False))
    assert first_stages(without) == {}


def test_a_baseline_is_that_of_all_other_systems_and_must_exist(tmp_path):
    found = compare(gather([made(tmp_path, {"strong": 3.0, "weak": 0.4})]), QUICK)
    assert baselines(found) == [{"strong": "stage-100", "weak": "stage-100"}]
    assert baselines(found, "weak") == [{"strong": "weak", "stage-100": "weak"}]
    with pytest.raises(ConfigError, match=r"no system is called 'wek'. Did you mean weak\?"):
        baselines(found, "wek")


def test_verdict_on_a_reranker_is_against_the_first_stage_it_started_from(tmp_path):
    made(tmp_path, {"inverted": -3.0, "strong": 3.0})
    root = made(tmp_path, {"weak": 0.1}, stage="another", strength=3.0)
    settings = QUICK._replace(same_candidates=False)
    (found,) = compare(gather([root]), settings)
    verdicts = {folder.name: fall for folder, fall in falls(found, settings).items()}
    assert set(verdicts) == {"inverted", "weak"}
    pair = next(one for one in found.pairings if (one.better, one.worse) == ("another-100", "another-100 + weak"))
    assert verdicts["weak"] == (pair.randomisation, 10, True)
