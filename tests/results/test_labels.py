"""Names of evaluations: the same for the same system on all datasets, and without hashes."""

import re
import shutil
from dataclasses import replace

import pytest
from made import made

from evalkit.results.gather import gather
from evalkit.results.labels import legend, names


@pytest.fixture
def root(tmp_path):
    made(tmp_path, {"strong": 3.0, "weak": 1.0})
    return made(tmp_path, {"strong": 2.0}, dataset="two", stage="other")


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """An evaluation to make others of."""
    (found,) = gather([made(tmp_path_factory.mktemp("labels"), {"mini": 1.0})])
    return found


def typed(evaluation, folder, *, dataset="one", stage=None, facts=None, **settings):
    """The evaluation of a reranker, or of a first stage, with these settings, identity and folder."""

    def changed(result, group, given, known):
        manifest = result.manifest
        config = {**manifest["config"], group: {"name": manifest[group]["name"], **given}}
        own = {**manifest[group], **known}
        of = {**manifest["dataset"], "name": dataset}
        return {**manifest, "config": config, group: own, "dataset": of}

    result = replace(
        evaluation.result,
        folder=evaluation.result.folder.parent / folder,
        manifest=changed(evaluation.result, "reranker", settings, facts or {}),
    )
    candidates = evaluation.candidates
    if stage is not None:
        manifest = {**changed(candidates, "retriever", stage, {}), "run_digest": str(stage)}
        candidates = replace(candidates, manifest=manifest)
    return replace(evaluation, result=result, candidates=candidates)


def test_the_first_stage_is_named_where_there_are_several(tmp_path):
    made(tmp_path, {"strong": 3.0})
    root = made(tmp_path, {"strong": 3.0}, stage="other")
    found = gather([root, root / "one/stage-100/candidates"])
    assert names(found) == ["other-100 + strong", "stage-100 + strong", "stage-100"]
    assert legend(found) == []


def test_the_first_stage_is_named_where_other_datasets_have_another(root):
    """Else an average over both datasets would mix two first stages under one name."""
    assert names(gather([root])) == ["stage-100 + strong", "stage-100 + weak", "other-100 + strong"]
    assert names(gather([root / "one"])) == ["strong", "weak"]


def test_results_of_one_name_are_told_apart_by_the_settings_that_differ(one):
    found = [
        typed(one, "mini", max_length=8, model="a/b", languages=["en"]),
        typed(one, "mini.0123abcd", max_length=512, model="a/b", languages=["zh"]),
        typed(one, "mini.89abcdef", dataset="two", max_length=8, model="a/b"),
        typed(one, "mini.aaaabbbb", dataset="three", max_length=16, model="a/b"),
    ]
    assert names(found) == ["mini max_length=8", "mini max_length=512", "mini max_length=8", "mini max_length=16"]
    assert legend(found) == ["mini: results of this name differ in reranker.max_length"]
    assert names(found[::3]) == ["mini", "mini"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([{"dtype": None}, {"dtype": True}, {"dtype": 0.5}], ["dtype=none", "dtype=true", "dtype=0.5"]),
        ([{"languages_of": ["en", "de"]}, {"languages_of": []}], ["languages_of=en+de", "languages_of=none"]),
        ([{"model": "/x/new/m"}, {"model": "/x/old/m"}, {"model": "n"}], ["model=new/m", "model=old/m", "model=n"]),
        ([{"revision": "0123456789abcdef" * 2}, {"revision": "f" * 40}], ["revision=0123456", "revision=fffffff"]),
        ([{"object": {"depth": 1}}, {"object": {"depth": 2}}], ["depth=1", "depth=2"]),
        ([{"a": 1, "b": 1, "c": 1, "d": 1}, {"a": 1, "b": 2, "c": 2, "d": 1}], ["b=1 c=1", "b=2 c=2"]),
        ([{"a": 1, "b": 1, "c": 1, "d": 1}, {"a": 2, "b": 2, "c": 2, "d": 2}], ["a=1", "a=2"]),
        ([{"a": 1, "new": 5}, {"a": 2}], ["a=1", "a=2"]),
    ],
)
def test_values_are_short_and_stay_different(one, settings, expected):
    found = [typed(one, f"mini.{number:08x}", **own) for number, own in enumerate(settings)]
    assert names(found) == [f"mini {text}" for text in expected]


def test_arithmetic_is_part_of_the_name_where_it_differs(one):
    found = [
        typed(one, f"mini.{dtype}", facts={"dtype": dtype, "checkpoint": dtype}) for dtype in ("float32", "bfloat16")
    ]
    assert names(found) == ["mini dtype=float32", "mini dtype=bfloat16"]


def test_a_model_and_the_replayed_file_of_its_scores_are_told_apart_by_their_kinds(one):
    found = [
        typed(one, "mini", facts={"kind": "python", "identity": "first"}),
        typed(one, "mini.0123abcd", facts={"kind": "python", "identity": "second"}),
        typed(one, "mini.89abcdef", facts={"kind": "replay", "file_sha256": "0" * 64}),
    ]
    assert names(found) == ["mini (python) (1)", "mini (python) (2)", "mini (replay)"]
    first, second = legend(found)
    assert first == "mini: results of this name differ in reranker.kind"
    assert second.endswith("differ in reranker.identity")
    assert names(found[1:]) == ["mini (python)", "mini (replay)"]


def test_long_values_and_digests_become_numbers_that_the_legend_explains(one):
    text = "Given a question, retrieve passages that answer it"
    found = [
        typed(one, "mini", facts={"checkpoint": {"weights": "0" * 64}}, instruction=f"{text} shortly"),
        typed(one, "mini.0123abcd", facts={"checkpoint": {"weights": "1" * 64}}, instruction=f"{text} wholly"),
        typed(one, "mini", dataset="two", facts={"checkpoint": {"weights": "1" * 64}}, instruction=f"{text} wholly"),
    ]
    short = "instruction=Given a question, retrieve pas…"
    assert names(found) == [f"mini {short} (1)", f"mini {short} (2)", f"mini {short} (2)"]
    assert legend(found)[1].endswith(f"{found[1].result.folder} differ in reranker.checkpoint")


def test_settings_of_a_first_stage_are_part_of_its_name(one):
    found = [typed(one, "mini", stage={"k1": 0.9}), typed(one, "mini", stage={"k1": 1.2})]
    stages = [replace(each, result=each.candidates) for each in found]
    assert names([*found, *stages]) == [
        "stage-100 k1=0.9 + mini",
        "stage-100 k1=1.2 + mini",
        "stage-100 k1=0.9",
        "stage-100 k1=1.2",
    ]
    assert legend(found) == ["stage-100: results of this name differ in retriever.k1"]


def test_files_that_changed_under_one_name_are_numbered_and_not_joined_with_a_result_on_another_dataset(tmp_path):
    for strength in (3.0, 2.0):
        made(tmp_path, {"strong": strength, "weak": 1.0})
    made(tmp_path, {"strong": 2.0}, dataset="same")
    found = gather([made(tmp_path, {"strong": 1.5}, dataset="two")])
    assert [one.dataset for one in found] == ["one", "one", "one", "same", "two"]
    assert names(found) == ["strong (1)", "strong (2)", "weak", "strong (2)", "strong (3)"]
    assert names(found[:3]) == ["strong (1)", "strong (2)", "weak"]
    assert "differ in reranker.file_sha256" in legend(found[:3])[0]


def test_two_files_of_a_first_stage_are_numbered(tmp_path):
    made(tmp_path, {"strong": 3.0})
    root = made(tmp_path, {"strong": 3.0}, strength=0.7)
    found = gather([root, *sorted(root.glob("one/*/candidates"))])
    assert names(found) == ["stage-100 (1) + strong", "stage-100 (2) + strong", "stage-100 (1)", "stage-100 (2)"]


def test_copies_of_a_result_are_named_after_the_folders_that_differ(tmp_path):
    root = made(tmp_path / "now", {"strong": 3.0, "weak": 1.0})
    made(tmp_path / "now", {"strong": 3.0, "weak": 1.0}, dataset="two")
    copy = shutil.copytree(tmp_path / "now", tmp_path / "before") / "results"
    assert names(gather([root, copy / "one/stage-100/strong"])) == [
        "strong (now)",
        "weak",
        "strong (now)",
        "weak",
        "strong (before)",
    ]
    shutil.move(copy / "one", copy / "one.89abcdef")
    assert sorted(set(names(gather([root / "one", copy / "one.89abcdef"])))) == [
        "strong (before)",
        "strong (now)",
        "weak (before)",
        "weak (now)",
    ]


def test_a_first_stage_that_was_given_twice_has_two_names(tmp_path):
    root = made(tmp_path, {})
    found = gather([root / "one/stage-100/none", root / "one/stage-100/candidates"])
    assert names(found) == ["stage-100", "stage-100 (2)"]


def test_no_name_holds_a_key_of_a_folder(one):
    found = [typed(one, f"mini.{number:08x}", facts={"checkpoint": number}) for number in range(3)]
    assert names(found) == ["mini (1)", "mini (2)", "mini (3)"]
    assert not any(re.search(r"[0-9a-f]{8}", name) for name in names(found))
