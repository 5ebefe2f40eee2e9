"""What one setting does, from results made by hand."""

import pytest
from made import made, values_of

from evalkit.analysis.ablation import ablate, left_out, load_ablation
from evalkit.analysis.pairwise import Settings
from evalkit.config.resources import config_names
from evalkit.errors import ConfigError
from evalkit.measures.significance import holm
from evalkit.results.gather import gather

QUICK = Settings(samples=500)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two values of a setting on two datasets, under one reranker's name, as a sweep gives them."""
    found = []
    for value, strength in (("a", 0.4), ("b", 3.0)):
        folder = tmp_path_factory.mktemp(value)
        for dataset, queries in (("one", 30), ("two", 10)):
            root = made(folder, {"same": strength}, dataset=dataset, queries=queries)
        found += [(value, one) for one in gather([root])]
    return found, [one.result.folder for value, one in found if one.dataset == "one"]


def test_every_value_is_compared_with_the_first_query_by_query(results):
    effects = ablate(results[0], QUICK)
    first, second = (values_of(folder.parents[2], "same") for folder in results[1])
    one = [effect for effect in effects if effect.dataset == "one"]
    assert [effect.value for effect in one] == ["a", "b"]
    assert (one[0].difference, one[0].low, one[0].p) == (None, None, None)
    assert one[0].mean == pytest.approx(first.mean())
    assert one[1].difference == pytest.approx((second - first).mean())
    assert one[1].low < one[1].difference < one[1].high
    assert one[1].p < 0.05


def test_averages_come_last_and_count_every_dataset_once(results):
    effects = ablate(results[0], QUICK)
    assert [effect.dataset for effect in effects] == ["one", "one", "two", "two", "average", "average"]
    by = {(effect.dataset, effect.value): effect for effect in effects}
    for value in "ab":
        assert by["average", value].mean == pytest.approx((by["one", value].mean + by["two", value].mean) / 2)
    last = by["average", "b"]
    assert last.difference == pytest.approx(by["average", "b"].mean - by["average", "a"].mean)
    assert last.low < last.difference < last.high


def test_the_same_value_twice_makes_no_difference(results):
    (value, one) = results[0][0]
    effects = ablate([("x", one), ("y", one)], QUICK)
    assert effects[1].difference == effects[1].low == effects[1].high == 0
    assert effects[1].p == 1
    assert value == "a"


@pytest.mark.parametrize("name", config_names("ablation"))
def test_presets_vary_one_setting(name):
    found = load_ablation(name)
    assert len(set(found.values)) == len(found.values) >= 3
    assert "," not in found.setting


def test_an_unknown_preset_lists_the_legal_ones():
    with pytest.raises(ConfigError, match="Legal are: depth, instructions, max_length"):
        load_ablation("dtype")


def test_p_values_are_corrected_for_all_rerankers_on_a_dataset(tmp_path):
    """Two rerankers with two values each: two differences, which are tested together."""
    found = []
    for value, strengths in (("a", (0.2, 0.3)), ("b", (0.5, 0.8))):
        root = made(tmp_path / value, {"first": strengths[0], "second": strengths[1]})
        found += [(value, one) for one in gather([root])]
    both = [one.p for one in ablate(found, QUICK) if one.p is not None]
    alone = [
        one.p
        for name in ("first", "second")
        for one in ablate([(value, one) for value, one in found if one.reranker == name], QUICK)
        if one.p is not None
    ]
    assert both == pytest.approx(holm(alone))


def test_first_stages_are_distinguished_and_hidden_results_named(results, tmp_path):
    found = list(results[0])
    root = made(tmp_path, {"same": 1.0}, stage="other")
    extra = [("b", one) for one in gather([root])]
    rerankers = {(one.dataset, one.reranker) for one in ablate([*found, *extra], QUICK)}
    assert ("one", "stage + same") in rerankers
    assert ("one", "other + same") in rerankers
    assert left_out(found) == []
    assert "other + same has no result for a on one: its differences are to b" in left_out([*found, *extra])
    (again,) = gather([made(tmp_path / "again", {"same": 1.0})])
    (hidden,) = [one for value, one in found if value == "b" and one.dataset == "one"]
    assert left_out([*found, ("b", again)]) == [
        f"{hidden.result.folder} is not shown: another result has its dataset, first stage, reranker and value"
    ]


def test_average_is_of_the_datasets_with_every_value(results):
    found = [each for each in results[0] if each[0] == "a" or each[1].dataset == "one"]
    assert left_out(found) == ["the average of same is without two, where a value has no result"]
