"""The gate's rule on results made by hand, and what cannot be judged."""

import json
from dataclasses import replace

import numpy as np
import pytest
from made import grade, made, scores

from evalkit.analysis import regression
from evalkit.analysis.baseline import BaselineEntry, Name, read_baseline, write_baseline
from evalkit.analysis.regression import entries, exit_code, judge
from evalkit.errors import ResultError
from evalkit.reports.gate_grid import gate_summary, grid
from evalkit.results.gather import gather

NAME = Name("one", "stage-100", "strong")


def entry(values, *, name=NAME, dataset="d", candidates="c", measure="nDCG@10") -> BaselineEntry:
    return BaselineEntry(name, dataset, candidates, {measure: {f"q{row}": value for row, value in enumerate(values)}})


def judged(before, after, **settings):
    (found,) = judge([entry(before)], [entry(after)], **settings)
    return found


BASE = np.linspace(0.2, 0.9, 40)
NOISE = np.tile([0.1, -0.1], 20)


@pytest.mark.parametrize(
    ("after", "status"),
    [
        (BASE, "fine"),
        (BASE - 0.01, "regression"),  # beyond the tolerance, on every query
        (BASE - 0.004, "drifting"),  # certain, within the tolerance
        (BASE + NOISE - 0.006, "fine"),  # beyond the tolerance, and noise
        (BASE + 0.01, "improved"),
        (BASE + 0.004, "fine"),
        (np.concatenate([[BASE[0] - 0.2], BASE[1:]]), "fine"),  # one query lost all: -0.005 on the mean, and luck
    ],
)
def test_rule_needs_the_tolerance_and_the_test(after, status):
    found = judged(BASE, after)
    assert found.status == status
    assert found.now - found.before == pytest.approx((after - BASE).mean())
    assert found.low <= found.now - found.before + 1e-12


def test_more_results_need_more_evidence():
    """A drop with p = .02: alone a regression, among nine others that did not move, by Holm's correction none."""
    random = np.random.default_rng(8)
    after = BASE - 0.02 + random.normal(0, 0.055, 40)
    assert 0.005 < judged(BASE, after).p < 0.05
    assert judged(BASE, after).status == "regression"
    names = [NAME._replace(reranker=f"r{number}") for number in range(10)]
    found = judge(
        [entry(BASE, name=name) for name in names],
        [entry(after, name=names[0]), *(entry(BASE, name=name) for name in names[1:])],
    )
    assert {one.status for one in found} == {"fine"}
    assert found[0].high < 0
    assert found[0].p == pytest.approx(10 * judged(BASE, after).p)


def test_small_drops_add_up_against_the_same_baseline():
    assert [judged(BASE, BASE - step * 0.002).status for step in (1, 2, 3)] == ["drifting", "drifting", "regression"]


def test_tolerance_is_a_setting():
    assert judged(BASE, BASE - 0.01, tolerance=0.02).status == "drifting"


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ([], "there is no such result"),
        (
            [entry(BASE, name=NAME._replace(first_stage="stage-50"))],
            "there is no such result; the nearest is one / stage-50 / strong",
        ),
        ([entry(BASE, dataset="other")], "documents, queries or judgments are not those of the baseline"),
        ([entry(BASE, candidates="other")], "the candidates are not those of the baseline"),
        ([entry(BASE, measure="R@20")], "the result has no nDCG@10"),
        ([entry(BASE[:-1])], "the judged queries are not those of the baseline"),
    ],
)
def test_result_that_cannot_be_judged_is_reported_and_fails(now, reason):
    found = judge([entry(BASE)], now)[0]
    assert (found.status, found.reason, exit_code([found])) == ("could not be judged", reason, 2)


def test_every_number_of_a_missing_result_is_counted():
    two = replace(entry(BASE), measures={"nDCG@10": entry(BASE).measures["nDCG@10"], "R@20": {"q0": 1.0}})
    assert [(one.measure, one.status) for one in judge([two], [])] == [
        ("nDCG@10", "could not be judged"),
        ("R@20", "could not be judged"),
    ]
    assert [one.measure for one in judge([two], [], measures=["R@20"])] == ["R@20"]


@pytest.mark.parametrize("known", [frozenset({"q7"}), None])
def test_queries_that_lost_their_documents_are_not_passed_over(known):
    """However few: five of forty can never be told from chance."""
    values = np.where(np.arange(40) == 7, 0, BASE)  # which has none in the baseline either
    lost = replace(entry(np.where(np.arange(40) < 2, 0, values)), missing=frozenset({"q0", "q1", "q7"}))
    (found,) = judge([replace(entry(values), missing=known)], [lost])
    reason = "2 queries have documents in the baseline and none now, such as q0"
    assert (found.status, found.reason, exit_code([found])) == ("could not be judged", reason, 2)
    before = replace(entry(values), missing=known)
    (found,) = judge([before], [replace(before, missing=frozenset({"q7"}))])
    assert (found.status, found.reason) == ("fine", "")


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (
            np.concatenate([BASE[:35], BASE[35:] - 0.5]),
            "fell by more than the tolerance, but in 5 queries, too few to tell from chance; it takes 6",
        ),
        (BASE + NOISE - 0.006, "fell by more than the tolerance, which may be chance"),
        (BASE + NOISE - 0.004, ""),
    ],
)
def test_a_drop_that_may_be_chance_is_said_to_be_one(after, reason):
    found = judged(BASE, after)
    assert (found.status, found.reason) == ("fine", reason)


def test_first_stage_is_judged_though_its_candidates_changed():
    stage = Name("one", "stage-100", "")
    (found,) = judge([entry(BASE, name=stage)], [entry(BASE - 0.1, name=stage, candidates="other")])
    assert found.status == "regression"


def test_regression_decides_over_what_could_not_be_judged():
    other = NAME._replace(reranker="other")
    found = judge([entry(BASE), entry(BASE, name=other)], [entry(BASE - 0.1)])
    assert ([one.status for one in found], exit_code(found)) == (["regression", "could not be judged"], 1)


def test_new_result_is_reported_and_does_not_fail_beside_one_that_is_judged():
    new = entry(BASE, name=Name("one", "stage", "new"))
    found = judge([entry(BASE)], [entry(BASE), new])
    assert ([one.status for one in found], exit_code(found)) == (["fine", "not in the baseline"], 0)
    assert found[1].now == pytest.approx(BASE.mean())


def test_a_gate_that_judged_nothing_is_not_fine():
    assert exit_code(judge([], [entry(BASE)])) == exit_code(judge([], [])) == 2


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return made(tmp_path_factory.mktemp("gate"), {"strong": 3.0, "weak": 0.4})


def test_rerankers_and_the_first_stage_are_entries_once(root):
    found = entries(gather([root, root / "one/stage-100/candidates"]))
    assert [tuple(one.name) for one in found] == [
        ("one", "stage-100", ""),
        ("one", "stage-100", "strong"),
        ("one", "stage-100", "weak"),
    ]
    assert [set(one.measures) for one in found] == [{"nDCG@10", "R@20"}] * 3
    assert len({one.candidates_digest for one in found}) == 1


def test_two_results_of_one_name_are_refused(tmp_path):
    made(tmp_path, {"strong": 3.0})
    root = made(tmp_path, {"strong": 2.0})
    assert len(list((root / "one/stage-100").glob("strong*"))) == 2
    expected = r"are both one / stage-100 / strong, and differ in reranker\.file_sha256 \(.* and .*\)\. Give the folder"
    with pytest.raises(ResultError, match=expected):
        entries(gather([root]))


def test_measures_that_the_baseline_lacks_are_shown_as_new():
    before, after = entry(BASE), entry(BASE)
    after.measures["R@20"] = after.measures["nDCG@10"]
    assert [(one.measure, one.status) for one in judge([before], [after])] == [
        ("nDCG@10", "fine"),
        ("R@20", "not in the baseline"),
    ]
    assert [one.measure for one in judge([after], [after], measures=["R@20"])] == ["R@20"]


def test_baseline_reads_back_and_two_updates_give_the_same_bytes(root, tmp_path):
    kept = entries(gather([root]))
    write_baseline(tmp_path / "a.json", kept)
    write_baseline(tmp_path / "b" / "b.json", kept[::-1])
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b" / "b.json").read_bytes()
    assert read_baseline(tmp_path / "a.json") == kept
    older = [replace(one, missing=None) for one in kept]
    write_baseline(tmp_path / "older.json", older)
    assert read_baseline(tmp_path / "older.json") == older
    assert {one.status for one in judge(kept, kept)} == {"fine"}


def test_baseline_decides_which_measures_are_read(root):
    kept = entries(gather([root]), ["RR@10"])
    assert {name for one in entries(gather([root]), baseline=kept) for name in one.measures} == {"RR@10"}


def test_scores_that_differ_in_the_last_bit_are_the_same_candidates(tmp_path, monkeypatch):
    first = made(tmp_path / "a", {"strong": 3.0})
    monkeypatch.setattr(
        "made.scores",
        lambda *args, **named: {
            query: {document: value + 1e-4 for document, value in found.items()}
            for query, found in scores(*args, **named).items()
        },
    )
    second = made(tmp_path / "b", {"strong": 3.0})
    (one,), (other,) = ([e for e in entries(gather([each])) if e.name.reranker] for each in (first, second))
    assert one.candidates_digest == other.candidates_digest


def test_one_query_ranked_upside_down_is_within_the_rule(tmp_path):
    good = scores(30, 9.0, seed=1)
    first = made(tmp_path / "a", {"strong": good})
    worse = {**good, "q0": {document: -value for document, value in good["q0"].items()}}
    second = made(tmp_path / "b", {"strong": worse})
    before, after = (entries(gather([each])) for each in (first, second))
    found = next(one for one in judge(before, after) if one.name.reranker and one.measure == "nDCG@10")
    assert found.now < found.before - 0.005  # beyond the tolerance,
    assert (found.status, found.high) == ("fine", 0.0)  # but one query of thirty is left out by many draws,
    assert found.p == 1  # and as well moves up as down
    assert grade(0, 0) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2, "results": []}',
        '{"format": 1, "results": [{}]}',
        '{"format": 1}',
        "\x00",
        "[" * 3000,
    ],
)
def test_damaged_baseline_is_one_clear_error(tmp_path, text):
    path = tmp_path / "b.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ResultError, match=r"b\.json: not a baseline that evalkit wrote"):
        read_baseline(path)


@pytest.mark.parametrize("value", [None, "1", True, float("nan"), 2.0])
def test_value_outside_0_to_1_is_refused(root, tmp_path, value):
    path = tmp_path / "b.json"
    write_baseline(path, entries(gather([root])))
    found = json.loads(path.read_text(encoding="utf-8"))
    found["results"][1]["measures"]["nDCG@10"]["values"][3] = value
    path.write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(ResultError, match=r"not a number from 0 to 1|is not a JSON number"):
        read_baseline(path)


def test_tolerance_is_documented_as_it_is():
    assert regression.TOLERANCE == 0.005


def test_several_regressions_are_written_as_several():
    names = [NAME, Name("one", "stage-100", "other")]
    found = judge([entry(BASE, name=name) for name in names], [entry(BASE - 0.1, name=name) for name in names])
    assert grid(found, 0.005).notes[0] == "2 regressions"
    assert "* 2 regressions.\n" in gate_summary(found, 0.005, 1)
    assert grid(judge([entry(BASE)], [entry(BASE - 0.1)]), 0.005).notes[0] == "1 regression"
