"""Results on disk: saved whole, found by key, refused when damaged."""

import gzip
import hashlib
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from stubs import manifest_of_candidates

from evalkit import results
from evalkit.errors import ResultError
from evalkit.results import result
from evalkit.run import Run
from evalkit.types import PerQuery

SCORES = {"q1": {"d1": 0.1, "d2": 0.2}, "q2": {"d 3": -1.5}}
KEY_A = "a" * 64
KEY_B = "b" * 64


def per_query(name="nDCG@10", values=(0.5, 1.0)):
    return PerQuery(("q1", "q2"), {name: np.array(values)}, missing=())


def save(folder, key=KEY_A, scores=SCORES, inner=""):
    manifest = manifest_of_candidates(key, {"nDCG@10": 0.75}, label="\u4e2d")
    return results.save(
        folder, run=Run.from_dict(scores), per_query=per_query(), manifest=manifest, tag="bm25", inner=inner
    )


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_saved_result_is_read_back(tmp_path):
    saved = save(tmp_path / "toy" / "bm25-10")
    read = results.read(tmp_path / "toy" / "bm25-10")
    assert saved.manifest == read.manifest
    assert (True, False) == (saved.fresh, read.fresh)
    assert Run.from_dict(SCORES).digest() == read.read_run().digest()
    assert ["manifest.json", "per_query.parquet", "run.trec.gz"] == files_in(read.folder)
    assert ["bm25-10"] == files_in(tmp_path / "toy")


def test_manifest_describes_the_files(tmp_path):
    folder = save(tmp_path / "r").folder
    expected = {
        **manifest_of_candidates(KEY_A, {"nDCG@10": 0.75}, label="\u4e2d"),
        "pairs": 3,
        "run_sha256": sha256(folder / "run.trec.gz"),
        "per_query_sha256": sha256(folder / "per_query.parquet"),
    }
    written = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert re.fullmatch("[0-9a-f]{64}", written.pop("manifest_sha256"))
    assert expected == written


def test_an_altered_number_in_the_manifest_is_refused(tmp_path):
    folder = save(tmp_path / "r").folder
    path = folder / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace("0.75", "0.85"), encoding="utf-8")
    with pytest.raises(ResultError, match="not the manifest that evalkit wrote"):
        results.read(folder)


def test_manifest_of_the_caller_is_not_changed(tmp_path):
    manifest = {"key": KEY_A, "measures": {}}
    results.save(tmp_path / "r", run=Run.from_dict(SCORES), per_query=per_query(), manifest=manifest, tag="t")
    assert {"key": KEY_A, "measures": {}} == manifest


def test_saved_files_can_be_read_without_evalkit(tmp_path):
    folder = save(tmp_path / "r").folder
    expected = "q1 Q0 d2 1 0.2 bm25\nq1 Q0 d1 2 0.1 bm25\nq2\tQ0\td 3\t1\t-1.5\tbm25\n"
    assert expected == gzip.decompress((folder / "run.trec.gz").read_bytes()).decode()
    frame = pd.read_parquet(folder / "per_query.parquet")
    assert {"query_id": ["q1", "q2"], "nDCG@10": [0.5, 1.0]} == frame.to_dict(orient="list")


def test_same_run_is_saved_as_the_same_bytes(tmp_path):
    assert sha256(save(tmp_path / "a").folder / "run.trec.gz") == sha256(save(tmp_path / "b").folder / "run.trec.gz")


def test_empty_run_is_saved_and_read_back(tmp_path):
    save(tmp_path / "r", scores={})
    read = results.read(tmp_path / "r")
    assert 0 == read.manifest["pairs"]
    assert [] == list(read.read_run())


def test_first_settings_take_the_plain_name_and_others_a_name_with_their_key(tmp_path):
    first, absent = results.locate(tmp_path, "bm25-10", KEY_A)
    assert (tmp_path / "bm25-10", None) == (first, absent)
    save(first, KEY_A)
    second, absent = results.locate(tmp_path, "bm25-10", KEY_B)
    assert (tmp_path / "bm25-10.bbbbbbbb", None) == (second, absent)
    save(second, KEY_B, scores={"q1": {"x": 1.0}})

    for key, folder, pairs in ((KEY_A, first, 3), (KEY_B, second, 1)):
        located, found = results.locate(tmp_path, "bm25-10", key)
        assert (folder, folder, key, pairs) == (located, found.folder, found.manifest["key"], found.manifest["pairs"])
        assert found.fresh is False


@pytest.mark.parametrize("inner", ["", "candidates"])
def test_of_two_settings_that_race_for_a_name_each_keeps_its_own_result(tmp_path, inner):
    """Both looked while the name was free; the second to write must not be given what the first wrote."""
    (first, _), (second, _) = (results.locate(tmp_path, "bm25-10", key, inner=inner) for key in (KEY_A, KEY_B))
    assert first == second
    save(first, KEY_A, inner=inner)
    saved = save(second, KEY_B, scores={"q1": {"x": 1.0}}, inner=inner)

    assert saved.manifest["key"] == KEY_B
    for key, pairs in ((KEY_A, 3), (KEY_B, 1)):
        _, found = results.locate(tmp_path, "bm25-10", key, inner=inner)
        assert (found.manifest["key"], found.manifest["pairs"]) == (key, pairs)


def test_of_two_equal_settings_the_first_result_stays(tmp_path):
    first = save(tmp_path / "bm25-10", KEY_A)
    second = save(tmp_path / "bm25-10", KEY_A)
    assert second.manifest == first.manifest
    assert (first.fresh, second.fresh) == (True, False)


def test_result_in_an_inner_folder_is_found_by_its_key(tmp_path):
    folder, _ = results.locate(tmp_path, "bm25-10", KEY_A, inner="candidates")
    save(folder / "candidates", KEY_A)
    located, found = results.locate(tmp_path, "bm25-10", KEY_A, inner="candidates")
    assert (tmp_path / "bm25-10", tmp_path / "bm25-10" / "candidates") == (located, found.folder)
    other = results.locate(tmp_path, "bm25-10", KEY_B, inner="candidates")
    assert (tmp_path / "bm25-10.bbbbbbbb", None) == other


def test_folder_of_something_else_is_passed_over(tmp_path):
    (tmp_path / "bm25-10").mkdir()
    (tmp_path / "bm25-10" / "notes.txt").write_text("mine", encoding="utf-8")
    assert (tmp_path / "bm25-10.aaaaaaaa", None) == results.locate(tmp_path, "bm25-10", KEY_A)


def test_no_free_name_is_a_result_error(tmp_path):
    for name in ("bm25-10", "bm25-10.aaaaaaaa"):
        (tmp_path / name).mkdir()
    with pytest.raises(ResultError, match=r"bm25-10: is there, but holds no manifest\.json"):
        results.locate(tmp_path, "bm25-10", KEY_A)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"key": "a', id="cut short"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"key measures run_sha256 pairs"', id="text"),
        pytest.param(b"{}", id="no keys"),
        pytest.param(b'{"key": "a", "measures": {}, "run_sha256": "0"}', id="no pairs"),
        pytest.param(b'{"measures": {}, "run_sha256": "0", "pairs": 1}', id="no key"),
    ],
)
def test_damaged_manifest_is_a_result_error_that_names_it(tmp_path, content):
    folder = save(tmp_path / "r").folder
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(ResultError, match=r"r/manifest\.json: .*Remove .* and run again"):
        results.read(folder)
    with pytest.raises(ResultError, match=r"r/manifest\.json"):
        results.locate(tmp_path, "r", KEY_A)


@pytest.mark.parametrize("there", [True, False], ids=["empty folder", "no folder"])
def test_absent_manifest_is_a_result_error_that_names_it(tmp_path, there):
    if there:
        (tmp_path / "r").mkdir()
    with pytest.raises(ResultError, match=r"r/manifest\.json: cannot be read"):
        results.read(tmp_path / "r")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.unlink(), id="removed"),
        pytest.param(lambda path: path.write_bytes(b""), id="emptied"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), id="cut short"),
        pytest.param(lambda path: path.write_bytes(gzip.compress(b"q1 Q0 d1 1 9 t\n")), id="another run"),
    ],
)
@pytest.mark.parametrize("scores", [SCORES, {}], ids=["run", "empty run"])
def test_changed_run_file_is_a_result_error(tmp_path, damage, scores):
    save(tmp_path / "r", scores=scores)
    damage(tmp_path / "r" / "run.trec.gz")
    with pytest.raises(ResultError, match=r"run\.trec\.gz: is not the file that manifest\.json describes"):
        results.read(tmp_path / "r").read_run()


def test_update_keeps_the_run_and_writes_the_new_measures(tmp_path):
    saved = save(tmp_path / "r")
    run_before = (tmp_path / "r" / "run.trec.gz").read_bytes()
    changes = {"measures": {"RR": 0.75}, "ceiling": {"RR": 1.0}}
    updated = results.update(saved, per_query=per_query("RR", (1.0, 0.5)), changes=changes)
    read = results.read(tmp_path / "r")
    table = tmp_path / "r" / "per_query.parquet"
    assert {**saved.manifest, **changes, "per_query_sha256": sha256(table)} == read.manifest
    assert read.manifest == updated.manifest
    assert run_before == (tmp_path / "r" / "run.trec.gz").read_bytes()
    assert Run.from_dict(SCORES).digest() == read.read_run().digest()
    assert {"query_id": ["q1", "q2"], "RR": [1.0, 0.5]} == pd.read_parquet(table).to_dict(orient="list")
    assert ["manifest.json", "per_query.parquet", "run.trec.gz"] == files_in(tmp_path / "r")


def test_update_does_not_change_the_manifest_it_started_from(tmp_path):
    saved = save(tmp_path / "r")
    results.update(saved, per_query=per_query("RR"), changes={"measures": {"RR": 0.75}})
    assert {"nDCG@10": 0.75} == saved.manifest["measures"]


def test_folder_that_cannot_be_written_is_a_result_error(tmp_path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(ResultError, match="file: cannot be written"):
        save(tmp_path / "file" / "r")
    assert ["file"] == files_in(tmp_path)


def test_failing_save_leaves_nothing_behind(tmp_path):
    broken = PerQuery(("q1", "q2"), {"nDCG@10": np.array([0.5])}, missing=())
    with pytest.raises(ValueError, match="same length"):
        results.save(
            tmp_path / "toy" / "r", run=Run.from_dict(SCORES), per_query=broken, manifest={"key": KEY_A}, tag="t"
        )
    assert [] == files_in(tmp_path / "toy")


def test_a_result_without_its_manifest_is_named_and_passed_over(tmp_path, caplog):
    for inner, damage in (("", "manifest gone"), ("candidates", "a file")):
        label = f"bm25-10{inner}"
        folder = save(tmp_path / label, inner=inner).folder
        if damage == "a file":
            shutil.rmtree(folder)
            folder.write_text("x")
        else:
            (folder / "manifest.json").unlink()
        expected = tmp_path / f"{label}.aaaaaaaa", None
        assert results.locate(tmp_path, label, KEY_A, inner=inner) == expected
        assert results.locate(tmp_path, label, KEY_A, inner=inner) == expected
        assert caplog.text.count(f"{folder}: looks like a result but has no manifest.json") == 1


def test_a_reader_does_not_mind_that_measures_are_added_between_its_looks(tmp_path, monkeypatch):
    saved = save(tmp_path / "r")
    own = result.read_manifest
    changes = {"measures": {"RR": 0.75}, "ceiling": {"RR": 1.0}}

    def overtaken(folder):
        manifest = own(folder)
        monkeypatch.undo()
        results.update(saved, per_query=per_query("RR"), changes=changes)
        return manifest

    monkeypatch.setattr(result, "read_manifest", overtaken)
    assert results.read(tmp_path / "r").manifest["measures"] == {"RR": 0.75}


@pytest.mark.parametrize("content", [b"", b"no parquet", "other columns"])
def test_values_that_are_not_those_of_the_manifest_are_refused(tmp_path, content):
    saved = save(tmp_path / "r")
    if content == "other columns":
        per_query("RR").to_frame().to_parquet(tmp_path / "r" / "per_query.parquet", index=False)
    else:
        (tmp_path / "r" / "per_query.parquet").write_bytes(content)
    with pytest.raises(ResultError, match=r"per_query\.parquet: .*Remove .* and run again"):
        saved.read_per_query()
