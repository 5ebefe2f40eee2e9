"""Sentences made from comparisons: every number in them is that of `evalkit compare --format json`."""

import json
import re
from dataclasses import replace

import pytest
from made import made, scores

from evalkit.analysis.findings import ALIKE, BEST, COST, FEW, GAIN, SUSPICIOUS, WORSE, findings
from evalkit.analysis.overall import overall
from evalkit.analysis.pairwise import Settings, compare
from evalkit.cli import main
from evalkit.results.gather import gather

QUICK = Settings(samples=2000)
SYSTEMS = {"strong": 3.0, "twin": 3.0, "weak": 0.4, "bad": -3.0}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return made(tmp_path_factory.mktemp("findings"), SYSTEMS)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Nine datasets, as many as can show a difference between three systems."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(9):
        root = made(folder, {"strong": 3.0, "inverted": -2.0}, dataset=f"set{number}", queries=12)
    return root


def found_in(*paths, settings=QUICK):
    comparisons = compare(gather(paths), settings)
    return findings(comparisons, overall(comparisons, settings), settings)


def as_json(capsys, *arguments):
    assert main(["compare", *map(str, arguments), "--samples", "2000", "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def by_kind(found):
    return {one.kind: one for one in found}


def over(pairs, one, other):
    """Difference, p and verdict of `one` less `other`, from the JSON of compare."""
    for pair in pairs:
        if {pair["better"], pair["worse"]} == {one, other}:
            sign = 1 if pair["better"] == one else -1
            return sign * pair["difference"], pair["randomisation"], pair["real"]
    raise AssertionError(f"{one} and {other} are not a pair")


def test_every_number_is_that_of_compare(root, capsys):
    whole = as_json(capsys, root)
    (dataset,) = whole["datasets"]
    means = {one["name"]: one["mean"] for one in dataset["systems"]}
    found = by_kind(found_in(root))
    best, stage = found[BEST].systems
    difference, p, real = over(dataset["pairs"], best, stage)
    assert (best, stage, real) == (max(means, key=means.get), "stage-100", True)
    assert found[BEST].numbers == {"mean": means[best], "difference": difference, "p": p}
    assert (
        f"nDCG@10 {means[best]:.4f}, {difference:+.4f} over its first stage stage-100 (p {p:.3g})" in found[BEST].text
    )
    for name, value in found[ALIKE].numbers.items():
        assert (value, False) == over(dataset["pairs"], name, best)[::2]
    alike = {name for name in means if name != best and not over(dataset["pairs"], name, best)[2]}
    assert alike == found[ALIKE].numbers.keys() == {"strong", "twin"} - {best}
    gains = {name: over(dataset["pairs"], name, "stage-100") for name in SYSTEMS}
    counts = [sum(real and sign * value > 0 for value, _, real in gains.values()) for sign in (1, -1)]
    assert found[GAIN].numbers == {"better": counts[0], "worse": counts[1], "rerankers": 4}
    assert found[GAIN].text.endswith("; bad is worse.")
    assert found[GAIN].text.startswith("2 of 4 rerankers are better than their first stage on one")
    assert "weak cannot be told apart from its first stage" in found[GAIN].text
    assert (found[WORSE].systems, found[WORSE].level) == (("bad",), "error")
    assert found[WORSE].numbers == {"one": gains["bad"][0]}
    assert FEW not in found


def test_json_of_compare_has_the_sentences_of_every_other_place(root, capsys):
    whole = as_json(capsys, root)
    assert [one["text"] for one in whole["findings"]] == [one.text for one in found_in(root)]
    assert whole["findings"][0]["numbers"] == dict(found_in(root)[0].numbers)
    assert main(["compare", str(root), "--samples", "2000"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert all(one.text in printed for one in found_in(root))


def test_every_number_over_datasets_is_that_of_compare(many, capsys):
    whole = as_json(capsys, many)
    found = by_kind(found_in(many))
    total = whole["overall"]
    means = {one["name"]: one["mean"] for one in total["systems"]}
    difference, p, real = over(total["pairs"], "strong", "stage-100")
    own = [over(each["pairs"], "strong", "stage-100") for each in whole["datasets"]]
    count = sum(real and value > 0 for value, _, real in own)
    assert real
    assert found[BEST].numbers == {"mean": means["strong"], "difference": difference, "p": p, "real on": count}
    assert found[BEST].text == (
        f"strong is the best over 9 datasets: nDCG@10 {means['strong']:.4f}, {difference:+.4f} over its first stage "
        f"stage-100 (p {p:.3g}), which is more than chance on {count} of 9 datasets."
    )
    fallen = [each["dataset"] for each in whole["datasets"] if over(each["pairs"], "inverted", "stage-100")[2]]
    assert list(found[WORSE].numbers) == fallen
    assert fallen


def test_few_datasets_show_nothing_and_no_p_value_is_given(tmp_path):
    made(tmp_path, {"strong": 3.0})
    found = by_kind(found_in(made(tmp_path, {"strong": 3.0}, dataset="two")))
    assert "has the highest macro average over 2 datasets" in found[BEST].text
    assert "(p " not in found[BEST].text
    assert found[BEST].text.endswith("which is more than chance on 2 of 2 datasets.")
    assert found[FEW].text == "2 datasets are too few to tell systems apart: it takes 6 that all agree."


def test_gains_within_few_datasets_are_counted(tmp_path, capsys):
    for dataset in ("one", "two"):
        root = made(tmp_path, {"strong": 3.0, "weak": 0.4, "good": 2.0}, dataset=dataset)
    (gain,) = [one for one in found_in(root) if one.kind == GAIN]
    whole = as_json(capsys, root)
    best = whole["overall"]["systems"][0]["name"]
    expected = {
        name: sum(
            real and value > 0
            for value, _, real in (over(one["pairs"], name, "stage-100") for one in whole["datasets"])
        )
        for name in {"strong", "weak", "good"} - {best}
    }
    assert gain.numbers == expected
    assert expected["weak"] == 0
    assert sum(expected.values()) == 2
    assert gain.text.startswith("Better than the first stage by more than chance, of the datasets: ")
    assert "weak on 0 of 2" in gain.text


def test_a_first_stage_that_no_reranker_improves_is_said_to_be_best(tmp_path, capsys):
    root = made(tmp_path, {"inverted": -3.0}, strength=2.0)
    found = by_kind(found_in(root))
    ((dataset,), (mean,)) = (
        (whole := as_json(capsys, root))["datasets"],
        [one["mean"] for one in whole["datasets"][0]["systems"] if one["name"] == "stage-100"],
    )
    difference, p, _ = over(dataset["pairs"], "inverted", "stage-100")
    assert found[BEST].level == "warning"
    assert found[BEST].text == (
        f"No reranker has a higher mean than the first stage stage-100 on one: nDCG@10 {mean:.4f}; inverted comes "
        f"nearest, {difference:+.4f} (p {p:.3g})."
    )
    assert found[WORSE].systems == ("inverted",)


def test_a_gain_that_may_be_chance_says_so(tmp_path):
    root = made(tmp_path, {"alike": 0.52})
    (found,) = [one for one in found_in(root) if one.kind == BEST]
    assert "may be chance" in found.text
    assert " is the best " not in found.text


def test_equal_systems_share_the_first_place(tmp_path):
    same = scores(30, 2.0, seed=7)
    found = by_kind(found_in(made(tmp_path, {"one": same, "copy": same})))
    assert re.match(r"(one, like copy|copy, like one), has the highest mean on one: ", found[BEST].text)


def test_all_systems_that_are_equal_are_named_in_a_superlative(tmp_path):
    same = scores(30, 2.0, seed=7)
    best = by_kind(found_in(made(tmp_path / "up", {"one": same, "copy": same, "third": same, "weak": 0.1})))[BEST]
    leader, others = re.match(r"(\w+), like (.*), has the highest mean on one: ", best.text).groups()
    assert {leader, *others.split(" and ")} == {"one", "copy", "third"}
    same = scores(30, -3.0, seed=7)
    down = made(tmp_path / "down", {"one": same, "copy": same, "worse": -9.0}, strength=2.0)
    best = by_kind(found_in(down))[BEST]
    assert re.search(r"; (one and copy|copy and one) come nearest, -", best.text)
    assert set(best.systems[1:]) == {"one", "copy"}


def test_a_reranker_that_changes_nothing_is_equal_and_not_chance(tmp_path):
    order = scores(30, 0.5, seed=len("stage"))  # that of the first stage
    (best,) = [one for one in found_in(made(tmp_path / "one", {"keep": order})) if one.kind == BEST]
    assert "+0.0000" in best.text
    assert best.text.endswith("(equal on every query).")
    gain = by_kind(found_in(made(tmp_path / "two", {"keep": order, "strong": 3.0})))[GAIN]
    assert gain.text.endswith("; keep is equal to its first stage on every query.")
    assert "told apart" not in gain.text


def test_one_reranker_over_two_first_stages_is_not_counted_as_two(tmp_path):
    made(tmp_path, {"strong": 3.0})
    root = made(tmp_path, {"strong": 3.0}, stage="another")
    settings = QUICK._replace(same_candidates=False)
    (comparison,) = compare(gather([root]), settings)
    own = [name for name in comparison.names if name.endswith("+ strong")]
    gain = by_kind(findings([comparison], None, settings))[GAIN]
    text = "The reranker is better than its first stage over 2 of 2 first stages on one by more than chance"
    assert gain.text.startswith(text)
    facts = comparison.evaluations[comparison.names.index(own[0])].result.manifest["reranker"]
    two = as_reranker(comparison, own[1], {**facts, "max_length": 8})
    gain = by_kind(findings([two], None, settings))[GAIN]
    assert gain.text.startswith("2 of 2 rerankers are better than their first stage on one by more than chance")


def test_two_rerankers_over_two_first_stages_are_counted_as_systems(tmp_path):
    systems = {"strong": 3.0, "bad": -3.0}
    made(tmp_path, systems)
    root = made(tmp_path, systems, stage="another")
    settings = QUICK._replace(same_candidates=False)
    (comparison,) = compare(gather([root]), settings)
    for name in comparison.names:
        if " + " in name:
            comparison = as_reranker(comparison, name, {"name": name, "kind": name.rpartition(" + ")[2]})
    gain = by_kind(findings([comparison], None, settings))[GAIN]
    text = "2 of 4 systems with a reranker are better than their first stage on one by more than chance; "
    assert gain.text.startswith(text)


def test_a_reranker_that_is_worse_is_said_to_be_even_where_it_is_not_on_all_datasets(tmp_path):
    made(tmp_path, {"strong": 3.0, "bad": -3.0})
    found = found_in(made(tmp_path, {"strong": 3.0}, dataset="two"))
    assert found[0].text.endswith("datasets.")  # the averages are over both
    (worse,) = [one for one in found if one.kind == WORSE]
    assert worse.text.startswith("bad is worse than its first stage by more than chance on one (-")
    assert (worse.systems, list(worse.numbers)) == (("bad",), ["one"])


def with_stage(comparison, name, **facts):
    """A comparison in which this reranker took so long."""
    evaluations = tuple(
        replace(one, result=replace(one.result, manifest={**one.result.manifest, "stages": {"rerank": facts}}))
        if own == name
        else one
        for own, one in zip(comparison.names, comparison.evaluations, strict=True)
    )
    return replace(comparison, evaluations=evaluations)


def test_cost_is_the_recorded_time_and_names_a_faster_reranker_that_helps(root):
    (comparison,) = compare(gather([root]), QUICK)
    best = comparison.names[0]
    other = ({"strong", "twin"} - {best}).pop()
    timed = with_stage(comparison, best, pairs=360, seconds=90.0)
    timed = with_stage(timed, other, pairs=360, seconds=30.0)
    timed = with_stage(timed, "bad", pairs=360, seconds=1.0)
    (cost,) = [one for one in findings([timed], None, QUICK) if one.kind == COST]
    (pair,) = [one for one in timed.pairings if {one.better, one.worse} == {best, other}]
    assert cost.numbers == {
        "pairs": 360,
        "seconds": 90.0,
        "pairs/s": 4.0,
        "times as fast": 3.0,
        "difference": -pair.difference,
    }
    assert cost.text == (
        f"{best} scored 360 pairs in 90 s, 4 pairs/s on cpu; {other} is 3 times as fast, {-pair.difference:+.4f} "
        "nDCG@10 (may be chance)."
    )


def test_speeds_of_the_same_reranker_over_two_first_stages_are_not_compared(tmp_path):
    made(tmp_path, {"strong": 3.0, "quick": 3.0})
    root = made(tmp_path, {"strong": 3.0}, stage="another")
    settings = QUICK._replace(same_candidates=False)
    (comparison,) = compare(gather([root]), settings)
    rerankers = [name for name in comparison.names if " + " in name]
    best = next(name for name in rerankers if name.endswith("+ strong"))
    twin = next(name for name in rerankers if name.endswith("+ strong") and name != best)
    same = comparison.evaluations[comparison.names.index(best)].result.manifest["reranker"]
    timed = with_stage(with_stage(comparison, best, pairs=360, seconds=90.0), twin, pairs=360, seconds=1.0)
    timed = as_reranker(timed, twin, same)
    (cost,) = [one for one in findings([timed], None, settings) if one.kind == COST]
    assert (cost.systems, "times as fast" in cost.numbers) == ((best,), False)
    other = as_reranker(timed, twin, {**same, "max_length": 8})
    (cost,) = [one for one in findings([other], None, settings) if one.kind == COST]
    assert (cost.systems, cost.numbers["times as fast"]) == ((best, twin), 90.0)


def as_reranker(comparison, name, facts):
    """A comparison in which this system is that reranker."""
    evaluations = list(comparison.evaluations)
    place = comparison.names.index(name)
    result = evaluations[place].result
    evaluations[place] = replace(
        evaluations[place], result=replace(result, manifest={**result.manifest, "reranker": facts})
    )
    return replace(comparison, evaluations=tuple(evaluations))


def test_pairs_that_an_earlier_run_scored_are_not_said_to_be_scored_in_this_time(root):
    (comparison,) = compare(gather([root]), QUICK)
    best = comparison.names[0]
    timed = with_stage(comparison, best, pairs=4571, kept_pairs=2829, seconds=24.0)
    (cost,) = [one for one in findings([timed], None, QUICK) if one.kind == COST]
    assert cost.text == f"{best} scored 4,571 of 7,400 pairs in 24 s, 190 pairs/s on cpu."
    assert cost.numbers == {"pairs": 4571, "kept pairs": 2829, "seconds": 24.0, "pairs/s": 4571 / 24.0}


def test_cost_names_the_datasets_of_its_time_where_these_are_not_all(many):
    comparisons = compare(gather([many]), QUICK)
    first, second, *others = (with_stage(one, "strong", pairs=144, seconds=9.0) for one in comparisons)
    of = lambda some: [one.text for one in findings(some, overall(some, QUICK), QUICK) if one.kind == COST]  # noqa: E731
    assert of([first, second, *others]) == ["strong scored 1,296 pairs in 81 s, 16 pairs/s on cpu."]
    own = [first, second, *comparisons[2:]]
    assert of(own) == ["strong scored 288 pairs in 18 s, 16 pairs/s on cpu, timed on set0 and set1 alone."]


def test_no_cost_is_claimed_where_nothing_was_scored(root):
    assert COST not in by_kind(found_in(root))


def test_suspicious_facts_come_once_with_the_systems_that_have_them(tmp_path):
    flat = {query: dict.fromkeys(own, 0.5) for query, own in scores(30, 0.0, seed=1).items()}
    found = [one for one in found_in(made(tmp_path, {"flat": flat, "level": flat})) if one.kind == SUSPICIOUS]
    assert [(one.systems, one.text) for one in found] == [
        (("flat", "level"), "one, flat and level: ties in the top 10 of 30 queries of 30.")
    ]
