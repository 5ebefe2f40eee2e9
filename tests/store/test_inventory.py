"""The cache: what is in it, what is damaged, and what may go."""

import io
import json
import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evalkit.cli import main
from evalkit.config import ComputeConfig, EvaluateConfig, FolderDatasetConfig
from evalkit.pipeline import evaluate
from evalkit.rerank.passthrough import KeepOrderConfig
from evalkit.retrieval.bm25 import BM25Config
from evalkit.store import Store, inventory


@pytest.fixture
def made(tmp_path, collection):
    """A cache with what an evaluation made, something else, something unfinished, and a leftover."""
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


def age(*folders, days=8.0):
    """Let some time go by since artefacts were used."""
    before = time.time() - days * 86_400
    for folder in folders:
        for path in (*folder.rglob("*"), folder):
            os.utime(path, (before, before), follow_symlinks=False)


def age_all(store, days=8.0):
    age(*(one.path for one in inventory.artefacts(store)), days=days)


def kinds(store):
    return {(one.kind, one.label, one.state) for one in inventory.artefacts(store)}


def test_list_tells_size_age_maker_and_state(made, capsys):
    _, store = made
    assert run(store, "list", "--format", "json") == 0
    rows = {(row["kind"], row["label"]): row for row in json.loads(capsys.readouterr().out)}
    old = rows["corpora", "old"]
    assert 5000 < old["size"] < 6000
    assert 0 <= time.time() - old["made"] < 600
    assert old["facts"] == {"a": 1}
    assert any(kind == "corpora" and label.endswith("corpus.jsonl") for kind, label in rows)
    assert {row["state"] for row in rows.values()} == {"whole", "unfinished", "leftover"}
    assert run(store, "list") == 0
    assert "5.2 kB" in capsys.readouterr().out or old["size"] // 100 != 52


def csv_of(capsys):
    captured = capsys.readouterr()
    return pd.read_csv(io.StringIO(captured.out)), captured.err


def test_a_csv_has_the_numbers_of_the_json(made, capsys):
    _, store = made
    assert run(store, "list", "--format", "json") == 0
    expected = json.loads(capsys.readouterr().out)
    assert run(store, "list", "--format", "csv") == 0
    rows, _ = csv_of(capsys)
    for column in ("size", "made", "used", "name", "kind"):
        assert rows[column].tolist() == [row[column] for row in expected]


def test_prune_and_verify_write_the_format_that_is_asked_for(made, capsys):
    _, store = made
    age_all(store)
    assert run(store, "prune", "--dry-run", "--format", "csv") == 0
    rows, told = csv_of(capsys)
    assert sorted(rows["name"]) == sorted(one.name for one in inventory.artefacts(store))
    assert "nothing was removed: --dry-run." in told
    assert run(store, "prune", "--dry-run", "--format", "json") == 0
    assert len(json.loads(capsys.readouterr().out)) == len(rows)
    assert run(store, "verify", "--format", "csv") == 1
    verified, told = csv_of(capsys)
    assert len(verified) == len(rows)
    (faulty,) = verified["fault"].dropna()
    assert "left by a process that was killed" in faulty
    assert f"{len(rows) - 1} of {len(rows)} are as they were made" in told
    assert run(store, "prune", "--yes", "--format", "json") == 0
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)) == len(rows)
    assert "evalkit: removed " in captured.err


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
    assert "bytes after 0 records are not a record" in told
    assert log.path.stat().st_size == size


def test_prune_removes_what_is_old_and_an_evaluation_makes_it_again(made, tmp_path, capsys):
    config, store = made
    first = evaluate(config)
    age_all(store)
    before = kinds(store)
    assert run(store, "prune", "--dry-run") == 0
    assert kinds(store) == before
    assert run(store, "prune", "--yes") == 0
    assert "removed" in capsys.readouterr().out
    assert inventory.artefacts(store) == []
    assert not evaluate(config).result.fresh
    again = evaluate(replace(config, results_dir=str(tmp_path / "others")))
    assert again.result.fresh
    for name in ("run_sha256", "per_query_sha256", "key", "artefacts"):
        assert again.result.manifest[name] == first.result.manifest[name]


def test_what_was_used_lately_and_what_is_unfinished_stays(made):
    _, store = made
    assert run(store, "prune", "--yes") == 0
    assert {"whole", "unfinished"} == {state for _, _, state in kinds(store)}
    assert "old" in {label for _, label, _ in kinds(store)}


@pytest.mark.parametrize(("days", "given", "goes"), [(8, (), True), (6, (), False), (6, ("--older-than", "5d"), True)])
def test_age_decides_what_goes(made, days, given, goes):
    _, store = made
    age(next(one.path for one in inventory.artefacts(store) if one.label == "old"), days=days)
    assert run(store, "prune", "--yes", *given) == 0
    assert ("old" not in {label for _, label, _ in kinds(store)}) == goes


def test_unfinished_work_goes_by_age_too(made):
    _, store = made
    age_all(store)
    assert run(store, "prune", "--yes") == 0
    assert not list(store.root.glob("embeddings/*"))


def test_what_a_process_is_making_stays(made, capsys):
    _, store = made
    age_all(store)
    with store.lock(f"embeddings-{'ab' * 32}"):
        assert run(store, "prune", "--yes") == 0
    assert "is in use, and stays" in capsys.readouterr().err
    assert {state for _, _, state in kinds(store)} == {"unfinished"}


def test_prune_without_a_terminal_removes_nothing(made, capsys):
    _, store = made
    age_all(store)
    before = kinds(store)
    assert run(store, "prune") == 2
    assert "Give --yes" in capsys.readouterr().err
    assert kinds(store) == before


@pytest.mark.parametrize(
    ("given", "told"), [("long", "'long' is not an age"), ("0d", "0d is too short"), ("59m", "Legal are ages from 1h")]
)
def test_an_illegal_age_is_refused(made, capsys, given, told):
    assert run(made[1], "prune", "--older-than", given) == 2
    assert told in capsys.readouterr().err


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


def test_foreign_files_are_neither_listed_nor_removed(store, foreign, capsys):
    assert run(store, "list", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == []
    age(*(path for path in store.root.iterdir() if path.is_dir()))
    assert run(store, "prune", "--older-than", "1h", "--yes") == 0
    assert everything_in(store.root) == foreign


def test_results_inside_the_cache_are_not_removed(made):
    config, store = made
    for place in ("results", "scores", "mine"):
        inside = replace(config, results_dir=str(store.root / place))
        done = evaluate(inside)
        age(store.root)
        assert run(store, "prune", "--older-than", "1h", "--yes") == 0
        assert done.result.folder.is_dir()
        assert not evaluate(inside).result.fresh


def test_links_are_not_artefacts_and_their_targets_stay(store, tmp_path):
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
    age(tmp_path)
    assert inventory.artefacts(store) == []
    assert run(store, "prune", "--older-than", "1h", "--yes") == 0
    assert everything_in(tmp_path) == before


def test_verify_names_files_and_links_in_place_of_artefacts(store, tmp_path, capsys):
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
def test_verify_names_whatever_replaced_a_journal_of_scores(store, capsys, what):
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


# While others work


def test_a_process_that_reads_is_not_broken_and_the_next_one_makes_it_again(store):
    folder = make(store)
    with (folder / "documents.arrow").open() as reading:
        mapped = np.memmap(folder / "documents.arrow", mode="r")
        age(folder)
        assert run(store, "prune", "--yes") == 0
        assert not folder.exists()
        assert reading.read() == "x" * 5000
        assert bytes(mapped[-3:]) == b"xxx"
    assert make(store) == folder
    assert (folder / "documents.arrow").read_text() == "x" * 5000


def test_what_was_asked_for_since_it_was_chosen_stays(store):
    """A process that found an artefact whole may be about to open it."""
    folder = make(store)
    age(folder)
    week = 7 * 86_400
    chosen = inventory.prunable(inventory.artefacts(store), unused_for=week)
    assert [one.path for one in chosen] == [folder]
    assert make(store) == folder
    assert inventory.prune(store, chosen, unused_for=week) == chosen
    assert folder.is_dir()


def test_scores_stay_under_an_evaluation_that_is_adding_to_them(store):
    from evalkit.rerank.known_scores import KeptScores, pair_keys
    from evalkit.types import Pair, Scored

    kept = KeptScores.of({"kind": "stub"}, {}, store, name="stub", collection="toy")
    keys = pair_keys([Pair("q", "a"), Pair("q", "b")])
    for row in range(2):
        age_all(store)
        kept.keep(keys, Scored(np.array([row]), np.array([0.5], np.float32), np.array([False])))
        assert run(store, "prune", "--older-than", "1h", "--yes") == 0
    assert kept.find(keys).known.all()


def test_a_prune_that_was_killed_is_finished_by_the_next(store):
    folder = make(store)
    folder.rename(folder.with_name(f".removed-{folder.name}"))
    age(make(store))
    assert [one.state for one in inventory.artefacts(store)] == ["leftover", "whole"]
    assert run(store, "prune", "--yes") == 0
    assert list((store.root / "corpora").iterdir()) == []
