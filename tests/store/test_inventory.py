"""The cache: what is in it, what is damaged, and what may go."""

import json
import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest

from evalkit.cli import main
from evalkit.config import ComputeConfig, EvaluateConfig, FolderDatasetConfig
from evalkit.pipeline import evaluate
from evalkit.rerank.passthrough import KeepOrderConfig
from evalkit.retrieval.bm25 import BM25Config
from evalkit.store import Store, inventory


@pytest.fixture
def made(tmp_path, collection):
    """A cache with what a kept result needs, something nobody needs, something unfinished, and a leftover."""
    config = EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(collection)),
        retriever=BM25Config(name="bm25"),
        reranker=KeepOrderConfig(name="none"),
        compute=ComputeConfig(device="cpu"),
        results_dir=str(tmp_path / "results"),
        cache_dir=str(tmp_path / "cache"),
    )
    evaluate(config)
    store = Store(tmp_path / "cache")
    make(store)
    partial = store.root / "embeddings" / f".partial-{'ab' * 32}"
    partial.mkdir(parents=True)
    (partial / "vectors.npy").write_bytes(b"half")
    (partial / "facts.json").write_text("{}")
    (store.root / "corpora" / ".building-host-1-x").mkdir()
    return config, store


def make(store, kind="corpora", facts=None):
    """An artefact that no process is using any more."""

    def build(folder):
        (folder / "documents.arrow").write_text("x" * 5000)

    return Store(store.root).folder(kind, facts or {"a": 1}, build, label="old")


def run(store, *arguments):
    return main(["cache", *arguments, "--cache-dir", str(store.root)])


def kinds(store):
    return {(one.kind, one.label, one.state) for one in inventory.artefacts(store)}


def test_list_tells_size_age_maker_state_and_who_needs_it(made, capsys):
    config, store = made
    assert run(store, "list", "--format", "json") == 0
    rows = {(row["kind"], row["label"]): row for row in json.loads(capsys.readouterr().out)}
    old = rows["corpora", "old"]
    assert old["needed_by"] == []
    assert 5000 < old["size"] < 6000
    assert 0 <= time.time() - old["made"] < 600
    assert old["facts"] == {"a": 1}
    needed = next(row for (kind, label), row in rows.items() if kind == "corpora" and label.endswith("corpus.jsonl"))
    assert [path.startswith(config.results_dir) for path in needed["needed_by"]] == [True, True]
    assert {row["state"] for row in rows.values()} == {"whole", "unfinished", "leftover"}
    assert run(store, "list") == 0
    assert "5.2 kB" in capsys.readouterr().out or old["size"] // 100 != 52


def test_the_setting_of_evaluate_is_answered_with_the_option(tmp_path, capsys):
    assert main(["cache", "list", f"cache_dir={tmp_path}"]) == 2
    assert f"did you mean --cache-dir {tmp_path}?" in capsys.readouterr().err


def test_an_empty_cache_is_listed(tmp_path, capsys):
    assert main(["cache", "list", "--cache-dir", str(tmp_path / "none")]) == 0
    assert "0 artefacts" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "foreign", "facts"])
def test_verify_names_what_is_damaged(made, capsys, damage):
    _, store = made
    shutil.rmtree(store.root / "corpora" / ".building-host-1-x")
    assert run(store, "verify") == 0
    folder = next(one.path for one in inventory.artefacts(store) if one.label == "old")
    file = folder / "documents.arrow"
    match damage:
        case "flip":
            file.write_text("y" + file.read_text()[1:])
        case "cut":
            file.write_text("x")
        case "gone":
            file.unlink()
        case "foreign":
            (folder / "stray.txt").write_text("x")
        case "facts":
            (folder / "facts.json").write_text("")
    capsys.readouterr()
    assert run(store, "verify") == 1
    assert str(folder) in capsys.readouterr().out


def test_verify_reads_scores_and_downloads(tmp_path, capsys):
    from evalkit.store.journal import Journal

    store = Store(tmp_path)
    folder = store.growing("scores", {"a": 1})
    log = Journal(folder / "scores.log", head=folder.name.encode())
    log.append(b"x" * 21)
    good = tmp_path / "downloads" / "9dd4e461268c8034f5c8564e155c67a6" / "x.zip"
    good.parent.mkdir(parents=True)
    good.write_text("x")
    assert run(store, "verify") == 0
    good.write_text("y")
    log.path.write_bytes(log.path.read_bytes()[:-1])
    size = log.path.stat().st_size
    capsys.readouterr()
    assert run(store, "verify") == 1
    told = capsys.readouterr().out
    assert "x.zip is not the file that was published" in told
    assert "scores.log: behind 0 records" in told
    assert log.path.stat().st_size == size


def test_prune_removes_what_nobody_needs_and_never_what_a_kept_result_needs(made, capsys):
    config, store = made
    before = kinds(store)
    assert run(store, "prune", "--older-than", "0d", "--dry-run") == 0
    assert kinds(store) == before
    assert run(store, "prune", "--older-than", "0d", "--yes") == 0
    assert {state for _, _, state in kinds(store)} == {"whole"}
    assert "old" not in {label for _, label, _ in kinds(store)}
    assert "removed" in capsys.readouterr().out
    again = evaluate(config)
    assert not again.result.fresh
    assert inventory.artefacts(store)


def test_what_was_used_lately_and_what_is_unfinished_stays(made):
    _, store = made
    assert run(store, "prune", "--yes") == 0
    assert {"whole", "unfinished"} == {state for _, _, state in kinds(store)}
    assert "old" in {label for _, label, _ in kinds(store)}


def test_old_and_unneeded_goes_by_default(made):
    _, store = made
    folder = next(one.path for one in inventory.artefacts(store) if one.label == "old")
    long_ago = time.time() - 8 * 86_400
    for path in (*folder.iterdir(), folder):
        os.utime(path, (long_ago, long_ago))
    assert run(store, "prune", "--yes") == 0
    assert "old" not in {label for _, label, _ in kinds(store)}


def test_what_a_process_is_at_work_on_stays(made, capsys):
    _, store = made
    with store.lock(f"embeddings-{'ab' * 32}"):
        assert run(store, "prune", "--older-than", "0d", "--yes") == 0
    assert "is in use, and stays" in capsys.readouterr().err
    assert "unfinished" in {state for _, _, state in kinds(store)}


def test_results_that_are_out_of_reach_stop_a_prune_until_they_are_forgotten(made, capsys):
    config, store = made
    shutil.move(config.results_dir, f"{config.results_dir}-moved")
    assert run(store, "prune", "--older-than", "0d", "--yes") == 2
    assert "nobody can tell what they need" in capsys.readouterr().err
    moved = [f"{config.results_dir}-moved", "--forget", config.results_dir]
    assert run(store, "prune", *moved, "--older-than", "0d", "--yes") == 0
    assert any(one.kind == "corpora" for one in inventory.artefacts(store))
    assert run(store, "prune", "--forget", config.results_dir, "--older-than", "0d", "--yes") == 0
    assert inventory.artefacts(store) == []


def test_a_manifest_that_does_not_say_what_it_needs_stops_a_prune(made, capsys, tmp_path):
    _, store = made
    (path, *_) = (tmp_path / "results").rglob("manifest.json")
    path.write_text("")
    assert run(store, "prune", "--yes") == 2
    assert f"{path}: does not say what it was made from" in capsys.readouterr().err


def test_nobody_to_ask_removes_nothing(made, capsys):
    _, store = made
    before = kinds(store)
    assert run(store, "prune", "--older-than", "0d") == 2
    assert "Give --yes" in capsys.readouterr().err
    assert kinds(store) == before


def test_an_age_that_is_none_is_refused(made, capsys):
    assert run(made[1], "prune", "--older-than", "long") == 2
    assert "is no age" in capsys.readouterr().err


# What is no artefact


def everything_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if "locks" not in path.parts)


@pytest.fixture
def foreign(store):
    """A cache folder that holds much of somebody else's, under all sorts of names."""
    digest = "cd" * 32
    for place in (
        "projects/thesis/chapter.tex",
        f"projects/{digest}/facts.json",
        "corpora/mine/documents.arrow",
        "corpora/mine/facts.json",
        f"corpora/{digest}/documents.arrow",
        f"corpora/{digest.upper()}/facts.json",
        f"corpora/{digest[:-1]}/facts.json",
        f"embeddings/.partial-{digest}/vectors.npy",
        "embeddings/.partial-mine/facts.json",
        "embeddings/.removed-mine/x",
        "embeddings/.building-mine/x",
        f"downloads/{digest}/facts.json",
        "downloads/mine/x.zip",
        f"scores/{digest}/facts.json/x",
        "results/mini/bm25-100/candidates/run.trec.gz",
    ):
        (store.root / place).parent.mkdir(parents=True, exist_ok=True)
        (store.root / place).write_text("mine")
    (store.root / "corpora" / ("ef" * 32)).write_text("a file")
    return everything_in(store.root)


def test_what_evalkit_did_not_make_is_neither_listed_nor_removed(store, foreign, capsys):
    assert run(store, "list", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(store, "prune", "--older-than", "0d", "--yes") == 0
    assert everything_in(store.root) == foreign


def test_results_inside_the_cache_are_not_removed(made):
    config, store = made
    for place in ("results", "scores", "mine"):
        inside = replace(config, results_dir=str(store.root / place))
        done = evaluate(inside)
        assert run(store, "prune", "--older-than", "0d", "--yes") == 0
        assert done.result.folder.is_dir()
        assert not evaluate(inside).result.fresh


def test_links_are_no_artefacts_and_what_they_lead_to_stays(store, tmp_path):
    for kind in ("corpora", "embeddings"):
        make(store, kind)
    moved = {
        store.root / "corpora": tmp_path / "corpora",
        next((store.root / "embeddings").iterdir()): tmp_path / "one",
    }
    for path, target in moved.items():
        shutil.move(path, target)
        path.symlink_to(target)
    before = everything_in(tmp_path)
    assert inventory.artefacts(store) == []
    assert run(store, "prune", "--older-than", "0d", "--yes") == 0
    assert everything_in(tmp_path) == before


def test_verify_names_what_has_the_place_of_an_artefact_and_is_none(store, tmp_path, capsys):
    folder = make(store)
    assert run(store, "verify") == 0
    (folder / "facts.json").unlink()
    os.mkfifo(folder / "facts.json")
    (store.root / "corpora" / ("ef" * 32)).write_text("a file")
    (store.root / "corpora" / ("ab" * 32)).symlink_to(tmp_path)
    (store.root / "corpora" / "mine").mkdir()
    capsys.readouterr()
    assert run(store, "verify") == 1
    told = capsys.readouterr().out
    for name in (folder.name, "ef" * 32, "ab" * 32):
        assert f"{store.root / 'corpora' / name}: has the place of an artefact and is none" in told
    assert "0 of 3 are as they were made" in told


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "another"])
def test_verify_names_what_is_in_scores_and_is_none(store, capsys, what):
    from evalkit.store.journal import Journal

    folders = [Store(store.root).growing("scores", {"a": number}) for number in range(2)]
    for folder in folders:
        Journal(folder / "scores.log", head=folder.name.encode()).append(b"x" * 21)
    assert run(store, "verify") == 0
    path = folders[0] / "scores.log"
    path.unlink()
    match what:
        case "link":
            path.symlink_to(folders[1] / "scores.log")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "another":
            shutil.copy(folders[1] / "scores.log", path)
    capsys.readouterr()
    assert run(store, "verify") == 1
    assert f"{folders[0]}: scores.log" in capsys.readouterr().out


# Who needs what


def test_results_behind_links_need_their_artefacts(made, tmp_path):
    config, store = made
    shutil.move(tmp_path / "results" / "collection", tmp_path / "disk")
    (tmp_path / "results" / "collection").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "round").symlink_to(tmp_path / "results")  # and back
    kept = {one.name for one in inventory.artefacts(store, inventory.needs(store)) if one.needed_by}
    assert kept
    assert run(store, "prune", "--older-than", "0d", "--yes") == 0
    assert {one.name for one in inventory.artefacts(store)} == kept
    assert not evaluate(config).result.fresh


def test_a_folder_of_results_that_leads_nowhere_stops_a_prune(made, tmp_path, capsys):
    _, store = made
    (tmp_path / "results" / "gone").symlink_to(tmp_path / "unmounted")
    before = kinds(store)
    assert run(store, "prune", "--older-than", "0d", "--yes") == 2
    assert f"{tmp_path / 'results' / 'gone'}: cannot be read" in capsys.readouterr().err
    assert kinds(store) == before


def test_a_folder_of_results_that_cannot_be_read_stops_a_prune(made, tmp_path, capsys, monkeypatch):
    _, store = made
    closed = tmp_path / "results" / "closed"
    closed.mkdir()
    listed = type(closed).iterdir

    def iterdir(self):
        if self == closed:
            raise PermissionError(13, "Permission denied", str(self))
        return listed(self)

    monkeypatch.setattr(type(closed), "iterdir", iterdir)
    assert run(store, "prune", "--older-than", "0d", "--yes") == 2
    assert f"{closed}: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["altered", "pipe", "folder"])
def test_a_manifest_that_is_none_stops_a_prune(made, tmp_path, capsys, what):
    _, store = made
    (path, *_) = sorted((tmp_path / "results").rglob("manifest.json"))
    content = path.read_text()
    path.unlink()
    match what:
        case "altered":
            manifest = json.loads(content)
            path.write_text(json.dumps({**manifest, "artefacts": []}))
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
    before = kinds(store)
    assert run(store, "prune", "--older-than", "0d", "--yes") == 2
    assert f"{path}: does not say what it was made from" in capsys.readouterr().err
    assert kinds(store) == before


def test_results_that_were_found_are_noted_too(made):
    config, store = made
    (note,) = (store.root / "results").iterdir()
    told = note.read_text()
    for damage in (note.unlink, lambda: note.write_text("")):
        damage()
        assert not evaluate(config).result.fresh
        assert note.read_text() == told


@pytest.mark.parametrize("content", ["", "{}", '{"folder": 1}', '{"folder": "elsewhere"}'])
def test_a_note_that_says_nothing_stops_a_prune_and_no_list(made, capsys, content):
    _, store = made
    (note,) = (store.root / "results").iterdir()
    note.write_text(content)
    assert run(store, "prune", "--older-than", "0d", "--yes") == 2
    assert f"{note}: does not say where results are" in capsys.readouterr().err
    assert run(store, "list") == 0
    note.unlink()
    os.mkfifo(note)
    assert run(store, "prune", "--older-than", "0d", "--yes") == 2


def test_results_that_are_out_of_reach_are_told_of_and_do_not_stop_list_and_verify(made, tmp_path, capsys, caplog):
    config, store = made
    shutil.rmtree(store.root / "corpora" / ".building-host-1-x")
    evaluate(replace(config, results_dir=str(tmp_path / "others")))
    shutil.rmtree(tmp_path / "others")
    assert run(store, "list", "--format", "json") == 0
    assert f"{tmp_path / 'others'}: results were kept there" in caplog.text
    rows = json.loads(capsys.readouterr().out)
    assert any(row["needed_by"] for row in rows)
    assert run(store, "verify") == 0


# Who uses what


def test_what_a_process_is_using_stays(store, capsys):
    using = Store(store.root)
    folders = [using.growing("scores", {"a": 1}), make(store)]
    using.folder("corpora", {"a": 1}, lambda _: None)
    assert run(store, "prune", "--older-than", "0d", "--yes") == 0
    assert capsys.readouterr().err.count("is in use, and stays") == 2
    assert all(folder.is_dir() for folder in folders)
    del using
    assert run(store, "prune", "--older-than", "0d", "--yes") == 0
    assert not any(folder.is_dir() for folder in folders)


def test_scores_stay_under_an_evaluation_that_is_adding_to_them(store):
    from evalkit.rerank.known_scores import KeptScores, pair_keys
    from evalkit.types import Pair, Scored

    kept = KeptScores.of({"kind": "stub"}, {}, store, name="stub", collection="toy")
    keys = pair_keys([Pair("q", "a"), Pair("q", "b")])
    for row in range(2):
        kept.keep(keys, Scored(np.array([row]), np.array([0.5], np.float32), np.array([False])))
        assert run(store, "prune", "--older-than", "0d", "--yes") == 0
    assert kept.find(keys).known.all()


def test_what_a_result_needs_by_the_time_it_would_be_removed_stays(made):
    """A process that ended between the question and the answer has kept a result, and uses nothing any more."""
    config, store = made
    shutil.move(config.results_dir, f"{config.results_dir}-moved")
    forget = [inventory.Path(config.results_dir)]
    chosen = inventory.prunable(inventory.artefacts(store, inventory.needs(store, forget=forget)), unused_for=0)
    needed = [
        one for one in chosen if one.kind in {"corpora", "counts"} and one.label != "old" and one.state == "whole"
    ]
    stay = inventory.prune(store, chosen, [inventory.Path(f"{config.results_dir}-moved")], forget)
    assert needed
    assert stay == needed
    assert all(one.path.is_dir() for one in stay)


def test_a_prune_that_was_killed_is_finished_by_the_next(store):
    folder = make(store)
    folder.rename(folder.with_name(f".removed-{folder.name}"))
    make(store)
    assert [one.state for one in inventory.artefacts(store)] == ["leftover", "whole"]
    assert run(store, "prune", "--older-than", "0d", "--yes") == 0
    assert list((store.root / "corpora").iterdir()) == []
