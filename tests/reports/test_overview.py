"""Everything a report shows, gathered from results made by hand."""

import shutil

import numpy as np
import pytest
from made import made

from evalkit.analysis.moves import first_pair
from evalkit.analysis.pairwise import Settings
from evalkit.reports.overview import overview
from evalkit.results.gather import gather

QUICK = Settings(samples=200)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("overview")
    made(folder, {"strong": 3.0, "weak": 0.1})
    return made(folder, {"strong": 3.0, "weak": 0.1}, dataset="two", queries=20)


def test_every_dataset_has_its_systems_first_stage_included(root):
    done = []
    found = overview(gather([root]), QUICK, queries=4, advance=done.append)
    assert [view.comparison.dataset for view in found.datasets] == ["one", "two"]
    assert sum(done) == 6
    for view in found.datasets:
        by_name = dict(zip([one.name for one in view.comparison.systems], view.systems, strict=True))
        assert set(by_name) == {"strong", "weak", "stage-100"}
        assert by_name["stage-100"].evaluation.is_first_stage
        assert (by_name["stage-100"].curve, by_name["stage-100"].no_curve) == ((), "")
        assert by_name["strong"].curve == ()
        assert by_name["strong"].no_curve.startswith("the scores are replayed")
        assert any("worse" in flag.text or "fell" in flag.text for flag in by_name["weak"].flags)
    assert found.total is not None
    assert found.left_out == ()
    assert found.published == ()


def test_listed_queries_are_those_with_the_widest_ranges_and_have_texts_and_grades(root):
    (view,) = overview(gather([root / "one"]), QUICK, queries=4).datasets
    apart = sorted(np.ptp(view.comparison.values, axis=1), reverse=True)
    shown = [max(one.values) - min(one.values) for one in view.listings]
    assert len(shown) == 4
    assert shown == sorted(shown, reverse=True)
    assert shown[:2] == pytest.approx(apart[:2])
    for one in view.listings:
        assert one.text.startswith(f"what is query {one.query_id[1:]}")
        number = one.query_id[1:]
        assert all(text == f"document {doc.split('_')[1]} of query {number}" for doc, text in one.texts.items())
        assert [len(ranking) for ranking in one.rankings] == [10, 10, 10]
        assert set(one.grades.values()) >= {0}


def test_half_of_the_listed_queries_are_those_on_which_the_first_pair_differs_most(root):
    (view,) = overview(gather([root / "one"]), QUICK, queries=6).datasets
    first, second = first_pair(view.comparison.evaluations)
    between = np.abs(view.comparison.values[:, first] - view.comparison.values[:, second])
    own = {view.comparison.query_ids[row] for row in np.argsort(-between, kind="stable")[:3]}
    apart = np.ptp(view.comparison.values, axis=1)
    widest = {view.comparison.query_ids[row] for row in np.argsort(-apart, kind="stable")[:6]}
    listed = {one.query_id for one in view.listings}
    assert own - widest  # of all systems alone some would be absent
    assert own <= listed <= own | widest
    assert len(listed) == 6


def test_replayed_scores_have_no_speed(root):
    (view,) = overview(gather([root / "one"]), QUICK, queries=0).datasets
    assert [one.speed for one in view.systems] == [None, None, None]
    assert view.listings == ()


def test_several_first_stages_have_different_names(tmp_path):
    made(tmp_path, {"strong": 3.0})
    root = made(tmp_path, {"strong": 2.0}, stage="another")
    (view,) = overview(gather([root]), QUICK, queries=0).datasets
    names = {one.name for one in view.comparison.systems}
    assert names == {"stage-100 + strong", "another-100 + strong", "stage-100", "another-100"}
    assert view.comparison.ceiling is None


def test_without_the_collection_numbers_stay_and_the_remark_says_why(tmp_path):
    root = made(tmp_path, {"strong": 3.0})
    shutil.rmtree(tmp_path / "collections")
    (view,) = overview(gather([root]), QUICK, queries=2).datasets
    assert "without texts, judgments and curves" in view.remark
    assert [one.text for one in view.listings] == [None, None]
    assert view.comparison.systems[0].mean > 0


def test_a_dataset_with_a_single_system_is_there_too(tmp_path):
    for dataset in ("one", "two"):
        made(tmp_path, {"strong": 3.0}, dataset=dataset, queries=8)
    root = made(tmp_path, {}, dataset="alone", queries=8)
    found = overview(gather([root]), QUICK, queries=2)
    by_name = {view.comparison.dataset: view for view in found.datasets}
    assert set(by_name) == {"one", "two", "alone"}
    ((system,), pairings) = by_name["alone"].comparison.systems, by_name["alone"].comparison.pairings
    assert (system.name, pairings) == ("stage-100", ())
    assert system.low < system.mean < system.high
    assert found.total.entries == ("one", "two")
    assert found.left_out == ("alone has one system, stage-100, so it is not in the average over datasets",)


def test_candidates_that_were_never_reranked_are_a_system(tmp_path):
    root = made(tmp_path, {"strong": 3.0}, queries=8)
    shutil.rmtree(root / "one/stage-100/strong")
    (view,) = overview(gather([root]), QUICK, queries=2).datasets
    assert [one.name for one in view.comparison.systems] == ["stage-100"]


def test_curve_of_a_reranker_that_scores_pairs_one_by_one_ends_at_its_mean(tmp_path):
    root = made(tmp_path, {"strong": 3.0}, queries=8)
    (one,) = gather([root])
    one.result.manifest["reranker"]["kind"] = "cross_encoder"
    (view,) = overview([one], QUICK, queries=2).datasets
    assert view.systems[0].curve[-1].reranked == pytest.approx(view.comparison.systems[0].mean)
    assert view.systems[0].no_curve == ""
    assert view.systems[0].speed == one.result.manifest["pairs_per_second"]
