"""Results found below folders, told apart, and joined to their dataset again."""

import json
import shutil
from dataclasses import replace

import pytest
from made import grade, made

from evalkit.errors import ConfigError, ResultError
from evalkit.results.gather import dataset_of, gather, joiner, measure_of, per_query


@pytest.fixture
def root(tmp_path):
    made(tmp_path, {"strong": 3.0, "weak": 1.0})
    return made(tmp_path, {"strong": 2.0}, dataset="two", stage="other")


def test_every_reranker_is_found_once_however_it_is_named(root):
    found = gather(
        [root, root / "one", root / "one" / "stage-100" / "strong", root / "one/stage-100/strong/manifest.json"]
    )
    assert [(one.dataset, one.first_stage, one.reranker) for one in found] == [
        ("one", "stage-100", "strong"),
        ("one", "stage-100", "weak"),
        ("two", "other-100", "strong"),
    ]


def test_first_stage_is_an_evaluation_only_where_it_is_named(root):
    (found,) = gather([root / "one" / "stage-100" / "candidates"])
    assert (found.is_first_stage, found.reranker, found.result) == (True, "stage-100", found.candidates)


def test_candidates_without_a_reranked_result_are_found(tmp_path):
    made(tmp_path, {"strong": 3.0})
    root = made(tmp_path, {"strong": 3.0}, stage="other")
    shutil.rmtree(root / "one/other-100/strong")
    assert [(one.first_stage, one.is_first_stage) for one in gather([root])] == [
        ("other-100", True),
        ("stage-100", False),
    ]


def test_folder_that_got_its_key_is_found_by_its_name(tmp_path, capsys):
    root = made(tmp_path, {"strong": 3.0})
    (root / "one/stage-100").rename(root / "one/stage-100.0123abcd")
    (one,) = gather([root / "one/stage-100/strong"])
    assert one.result.folder == root / "one/stage-100.0123abcd/strong"
    told = (
        f"{root}/one/stage-100/strong: there is no such folder. Reading {one.result.folder}, the only one of that name."
    )
    assert capsys.readouterr().err == f"evalkit: {told}\n"
    (root / "one/stage-100.0123abcd/strong").rename(root / "one/stage-100.0123abcd/strong.89abcdef")
    assert [each.reranker for each in gather([root / "one/stage-100/strong"])] == ["strong"]
    with pytest.raises(ResultError, match=r"stage-100/weak: there is no such file or folder. Give a result"):
        gather([root / "one/stage-100/weak"])


def test_several_folders_with_keys_are_listed(tmp_path):
    root = made(tmp_path, {"strong": 3.0})
    made(tmp_path, {"strong": 2.0})
    (root / "one/stage-100/strong").rename(root / "one/stage-100/strong.0123abcd")
    with pytest.raises(
        ResultError, match=r"strong\.0123abcd, .*strong\.[0-9a-f]{8}, made with different settings. Give"
    ):
        gather([root / "one/stage-100/strong"])


def test_what_is_left_out_below_a_folder_is_named(tmp_path, capsys):
    root = made(tmp_path, {"strong": 3.0, "weak": 1.0, "third": 1.0})
    (root / "one/stage-100/weak/manifest.json").unlink()
    hidden = (root / "one/stage-100/third").rename(root / "one/stage-100/.building-host-1-x")
    (root / "linked").symlink_to(root / "one")
    assert [one.reranker for one in gather([root])] == ["strong"]
    assert sorted(capsys.readouterr().err.splitlines()) == [
        f"evalkit: {root}/linked: left out, because it is a link. Give it by itself.",
        f"evalkit: {hidden}: left out, because it is still being written, or was interrupted.",
        f"evalkit: {root}/one/stage-100/weak: left out, because it has no manifest.json. Remove it and run again.",
    ]


def test_damaged_manifest_below_a_folder_is_an_error_that_names_it(root):
    (root / "one/stage-100/weak/manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ResultError, match=r"weak/manifest\.json: is not the manifest that evalkit wrote"):
        gather([root])


def at_level(evaluation, level):
    config = {**evaluation.result.manifest["config"], "dataset": {"relevance_level": level}}
    return replace(
        evaluation, result=replace(evaluation.result, manifest={**evaluation.result.manifest, "config": config})
    )


def test_a_measure_without_a_level_is_at_that_of_the_dataset(root):
    one, *_, other = gather([root])
    strict = at_level(one, 2)
    assert measure_of([one, other], "MRR@10") == "RR@10"
    assert measure_of([strict], "MRR@10") == "RR(rel=2)@10"
    assert measure_of([strict], "R(rel=1)@10") == "R(rel=1)@10"
    assert measure_of([strict, other], "nDCG@10") == "nDCG@10"
    assert measure_of([], "Hit@5") == "Success@5"


def test_a_measure_that_means_two_levels_is_refused(root):
    one, *_, other = gather([root])
    with pytest.raises(ConfigError, match=r"R@20 means R\(rel=2\)@20 for one and R@20 for two\. Name the relevance"):
        measure_of([at_level(one, 2), other], "R@20")
    assert measure_of([at_level(one, 2), other], "R(rel=2)@20") == "R(rel=2)@20"


def test_absent_and_empty_folders_are_named(tmp_path):
    with pytest.raises(ResultError, match="nothing: there is no such file or folder"):
        gather([tmp_path / "nothing"])
    with pytest.raises(ResultError, match=r"holds no result .* Run `evalkit evaluate` first"):
        gather([tmp_path])


def test_reranker_over_other_candidates_than_those_in_its_folder_is_refused(tmp_path):
    root = made(tmp_path, {"strong": 3.0})
    made(tmp_path, {"strong": 3.0}, stage="another")
    shutil.rmtree(root / "one/stage-100/candidates")
    shutil.copytree(root / "one/another-100/candidates", root / "one/stage-100/candidates")
    with pytest.raises(ResultError, match="was not made from the candidates next to it"):
        gather([root / "one" / "stage-100"])


def test_texts_and_judgments_are_there_again(root):
    dataset = dataset_of(gather([root / "one"])[0].result)
    assert dataset.qrels["q3"] == {f"d3_{place}": grade(3, place) for place in range(12) if place != 1 or grade(3, 1)}
    assert dataset.queries["q0"] == "what is query 0 about"


def test_changed_collection_is_refused(root, tmp_path):
    (one,) = gather([root / "two"])
    path = tmp_path / "collections" / "two" / "queries.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([json.dumps({"_id": "q0", "text": "changed"}), *lines[1:]]), encoding="utf-8")
    with pytest.raises(ResultError, match="was measured on other documents, queries or judgments than two has now"):
        dataset_of(one.result)


def test_measure_that_was_not_saved_is_measured_on_the_run(root):
    (one,) = gather([root / "one" / "stage-100" / "strong"])
    assert "RR@3" not in one.result.manifest["measures"]
    kept, now = per_query(one.result, "RR@10"), per_query(one.result, "RR@3")
    assert kept.query_ids == now.query_ids
    expected = [value if value >= 1 / 3 else 0.0 for value in kept.values["RR@10"].tolist()]
    assert now.values["RR@3"].tolist() == expected


def test_a_dataset_is_loaded_once_for_results_that_follow_each_other(root):
    first, second, other = (one.result for one in gather([root]))
    join = joiner()
    dataset = join(first)
    assert join(second) is dataset
    assert join(other).name == "two"
    assert join(first) is not dataset


@pytest.mark.parametrize(
    "settings",
    [
        {"path": 5},
        {"sample": "few"},
        {"expected": None},
        {"expected": {"documents": "many"}},
        {"expected": {"unheard": 1}},
        {"lengths": [1]},
        {"language": "xx"},
    ],
)
def test_settings_of_a_dataset_that_are_none_are_refused(root, settings):
    (one,) = gather([root / "two"])
    one.result.manifest["config"]["dataset"].update(settings)
    with pytest.raises(ResultError, match="does not say what it was measured on"):
        dataset_of(one.result)
