"""The cache: what is in it, what is damaged, and what may go."""

import json
import os
import shutil
import time

import pytest

from evalkit import cache
from evalkit.cli import main
from evalkit.config import BM25Config, ComputeConfig, EvaluateConfig, FolderDatasetConfig, RerankerConfig
from evalkit.pipeline import evaluate
from evalkit.store import Store


@pytest.fixture
def made(tmp_path, collection):
    """A cache with what a kept result needs, something nobody needs, something unfinished, and a leftover."""
    config = EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(collection)),
        retriever=BM25Config(name="bm25"),
        reranker=RerankerConfig(name="none"),
        compute=ComputeConfig(device="cpu"),
        results_dir=str(tmp_path / "results"),
        cache_dir=str(tmp_path / "cache"),
    )
    evaluate(config)
    store = Store(tmp_path / "cache")
    store.folder("corpora", {"a": 1}, lambda new: (new / "documents.arrow").write_text("x" * 5000), label="old")
    partial = store.root / "embeddings" / ".partial-abc"
    partial.mkdir(parents=True)
    (partial / "vectors.npy").write_bytes(b"half")
    (store.root / "corpora" / ".building-host-1-x").mkdir()
    return config, store


def run(store, *arguments):
    return main(["cache", *arguments, "--cache-dir", str(store.root)])


def kinds(store):
    return {(one.kind, one.label, one.state) for one in cache.artefacts(store)}


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


def test_an_empty_cache_is_listed(tmp_path, capsys):
    assert main(["cache", "list", "--cache-dir", str(tmp_path / "none")]) == 0
    assert "0 artefacts" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "foreign", "facts"])
def test_verify_names_what_is_damaged(made, capsys, damage):
    _, store = made
    shutil.rmtree(store.root / "corpora" / ".building-host-1-x")
    assert run(store, "verify") == 0
    folder = next(one.path for one in cache.artefacts(store) if one.label == "old")
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
    from evalkit.journal import Journal

    store = Store(tmp_path)
    log = Journal(store.growing("scores", {"a": 1}) / "scores.log")
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
    assert cache.artefacts(store)


def test_what_was_used_lately_and_what_is_unfinished_stays(made):
    _, store = made
    assert run(store, "prune", "--yes") == 0
    assert {"whole", "unfinished"} == {state for _, _, state in kinds(store)}
    assert "old" in {label for _, label, _ in kinds(store)}


def test_old_and_unneeded_goes_by_default(made):
    _, store = made
    folder = next(one.path for one in cache.artefacts(store) if one.label == "old")
    long_ago = time.time() - 8 * 86_400
    for path in (*folder.iterdir(), folder):
        os.utime(path, (long_ago, long_ago))
    assert run(store, "prune", "--yes") == 0
    assert "old" not in {label for _, label, _ in kinds(store)}


def test_what_a_process_is_at_work_on_stays(made, capsys):
    _, store = made
    with store.lock("embeddings-abc"):
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
    assert any(one.kind == "corpora" for one in cache.artefacts(store, forget=[cache.Path(config.results_dir)]))
    assert run(store, "prune", "--forget", config.results_dir, "--older-than", "0d", "--yes") == 0
    assert cache.artefacts(store, forget=[cache.Path(config.results_dir)]) == []


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
    with pytest.raises(SystemExit, match="2"):
        run(made[1], "prune", "--older-than", "long")
    assert "is no age" in capsys.readouterr().err
