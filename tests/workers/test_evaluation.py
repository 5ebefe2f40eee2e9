"""A whole evaluation by workers of Ray: the bytes of one without, also when workers are killed."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from stubs import DOCUMENTS, tiny_bert, write_collection
from tiny_checkpoints import write_minicpm_reranker

from evalkit.config import (
    ComputeConfig,
    CrossEncoderConfig,
    DenseConfig,
    EvaluateConfig,
    FolderDatasetConfig,
    LateInteractionConfig,
    MiniCPMRerankerConfig,
)
from evalkit.pipeline import evaluate
from evalkit.rerank import texts
from evalkit.retrieval import encoding, sharded
from evalkit.workers.cluster import RayPool

pytest.importorskip("ray")

WORDS = [word for title, text in DOCUMENTS.values() for word in text.lower().replace(".", "").split()]
BYTES = ("run.trec.gz", "per_query.parquet", "truncated.parquet", "vectors.npy")


@pytest.fixture(scope="module", autouse=True)
def _ray():
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(encoding, "_TEXTS_PER_WINDOW", 13)
    monkeypatch.setattr(sharded, "_DOCUMENTS_PER_SHARD", 17)
    monkeypatch.setattr(texts, "PAIRS_PER_WINDOW", 23)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "encoder": tiny_bert(folder / "encoder"),
        "cross_encoder": tiny_bert(folder / "cross", classifier=True, seed=3),
        "minicpm": write_minicpm_reranker(folder / "minicpm"),
    }


@pytest.fixture
def config(tmp_path, models):
    documents = {f"d{row}": ("", " ".join(WORDS[row % 7 : row % 7 + 2 + row % 9])) for row in range(90)}
    queries = {f"q{row}": " ".join(WORDS[row : row + 3]) for row in range(8)}
    folder = write_collection(tmp_path / "c", documents, queries, {query: {"d3": 1, "d60": 2} for query in queries})
    return EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(folder)),
        retriever=DenseConfig(name="dense", model=str(models["encoder"]), pooling="mean", max_length=16),
        reranker=CrossEncoderConfig(name="cross_encoder", model=str(models["cross_encoder"]), max_length=24),
        compute=ComputeConfig(device="cpu"),
        depth=20,
        results_dir=str(tmp_path / "local" / "results"),
        cache_dir=str(tmp_path / "local" / "cache"),
    )


def by_ray(config, tmp_path, **settings):
    places = {"results_dir": str(tmp_path / "ray" / "results"), "cache_dir": str(tmp_path / "ray" / "cache")}
    return replace(config, compute=ComputeConfig(device="cpu", backend="ray", **settings), **places)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.name in BYTES}


def workers():
    """Processes of workers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::_Actor"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def rerankers(models):
    return {
        "cross_encoder": CrossEncoderConfig(name="x", model=str(models["cross_encoder"]), max_length=24),
        "late_interaction": LateInteractionConfig(name="x", model=str(models["encoder"]), max_length=16),
        "minicpm": MiniCPMRerankerConfig(name="x", model=str(models["minicpm"]), max_length=64, instructions="Find."),
    }


@pytest.mark.parametrize(("kind", "count"), [("cross_encoder", 1), ("late_interaction", 2), ("minicpm", 2)])
def test_any_number_of_workers_gives_the_bytes_of_none(config, models, tmp_path, kind, count):
    config = replace(config, reranker=rerankers(models)[kind])
    evaluate(config)
    done = evaluate(by_ray(config, tmp_path, workers=count))
    expected = contents(tmp_path / "local")
    assert len(expected) == 6
    assert contents(tmp_path / "ray") == expected
    assert done.result.manifest["workers"]["count"] == count
    first, rest = done.candidates.manifest["stages"], done.result.manifest["stages"]
    assert first["encode documents"]["tokens"] > 90
    assert (first["encode documents"]["documents"], first["encode queries"]["queries"]) == (90, 8)
    assert rest["rerank"]["pairs"] + rest["rerank"].get("kept_pairs", 0) == done.result.manifest["pairs"]
    assert done.result.manifest["pairs_per_second"] == rest["rerank"]["pairs"] / rest["rerank"]["seconds"]
    assert rest["load reranker"]["seconds"] > 0


def test_workers_that_are_killed_on_the_way_change_no_byte(config, tmp_path, monkeypatch):
    evaluate(config)
    killed, original = {}, RayPool._hand_out

    def hand_out(self, course):
        more = original(self, course)
        there = workers()
        if course.shards.count - len(course.waiting) >= 4 and there and self not in killed:
            killed[self] = there[0]
            os.kill(there[0], signal.SIGKILL)
        return more

    monkeypatch.setattr(RayPool, "_hand_out", hand_out)
    done = evaluate(by_ray(config, tmp_path, workers=2))
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    lost = [stage.manifest["workers"]["lost"] for stage in (done.candidates, done.result)]
    assert len(killed) == 3  # while encoding, searching and scoring
    assert sum(lost) >= 2


def test_what_was_made_without_workers_is_found_by_them_and_the_other_way_round(config, tmp_path):
    first = evaluate(config)
    again = evaluate(replace(config, compute=ComputeConfig(device="cpu", backend="ray", workers=1)))
    assert first.result.fresh
    assert not again.result.fresh
    other = evaluate(by_ray(config, tmp_path, workers=1))
    deeper = evaluate(replace(by_ray(config, tmp_path), compute=ComputeConfig(device="cpu"), depth=30))
    assert other.result.fresh
    loading, working = (other.result.manifest["stages"][name]["seconds"] for name in ("load reranker", "rerank"))
    assert working < loading  # the process is resting, and the model is tiny; but it was sent there and loaded
    assert 160 <= deeper.result.manifest["kept_pairs"] < 170  # equal texts share a score
