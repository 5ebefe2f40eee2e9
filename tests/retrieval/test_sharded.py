"""Search in shards: what all at once finds, also when it was killed, and however many workers there are."""

import shutil

import numpy as np
import pytest
import torch

from evalkit.config import ComputeConfig
from evalkit.inference.workers import open_pool
from evalkit.retrieval import search, sharded
from evalkit.retrieval.search import exact_top_k
from evalkit.retrieval.sharded import SearchWorker, Shard, search_corpus
from evalkit.store import Store
from evalkit.store.journal import Journal
from evalkit.system.stages import Meter

CPU = ComputeConfig(device="cpu")
QUERIES, DOCUMENTS, WIDTH = 23, 400, 6


class Killed(BaseException):
    pass


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(sharded, "_DOCUMENTS_PER_SHARD", 70)
    monkeypatch.setattr(sharded, "_QUERIES_PER_MERGE", 5)
    monkeypatch.setattr(search, "_QUERIES_PER_BLOCK", 7)


@pytest.fixture(params=["random", "ties"])
def vectors(request, tmp_path):
    """Queries, documents in a file, and the ranks of their ids."""
    rng = np.random.default_rng(1)
    queries = rng.normal(size=(QUERIES, WIDTH)).astype(np.float32)
    documents = rng.normal(size=(DOCUMENTS, WIDTH)).astype(np.float16)
    if request.param == "ties":
        documents = documents[rng.integers(0, 20, DOCUMENTS)]
    np.save(tmp_path / "vectors.npy", documents)
    return queries, np.load(tmp_path / "vectors.npy", mmap_mode="r"), rng.permutation(DOCUMENTS)


def searched(vectors, store, k=9, meter=None, **settings):
    queries, documents, ranks = vectors
    k = min(k, len(documents))
    named = {"id_ranks": ranks, "k": k, "store": store, "content": "vectors"}
    named["meter"] = meter or Meter("documents")
    with open_pool(SearchWorker(queries, k, CPU), CPU) as pool:
        return search_corpus(pool, queries, documents, **{**named, **settings})


def is_all_at_once(found, vectors, k):
    queries, documents, ranks = vectors
    rows, scores = exact_top_k(queries, documents, id_ranks=ranks, k=k)
    assert found[0].tolist() == rows.tolist()
    assert found[1].view(np.int32).tolist() == scores.view(np.int32).tolist()


@pytest.mark.parametrize("k", [1, 9, 69, 71, DOCUMENTS, 1000])
def test_shards_find_what_all_at_once_finds(vectors, store, k):
    is_all_at_once(searched(vectors, store, k), vectors, k)


def test_progress_counts_every_document_once(vectors, store):
    meter = Meter("documents")
    searched(vectors, store, meter=meter)
    assert (meter.done, meter.kept) == (DOCUMENTS, 0)


@pytest.mark.parametrize("after", range(6))
def test_a_killed_search_resumes_with_the_remaining_shards(vectors, store, monkeypatch, after):
    worked = []
    original = SearchWorker.work

    def work(self, prepared):
        if len(worked) == after:
            raise Killed
        worked.append(len(prepared.vectors))
        return original(self, prepared)

    monkeypatch.setattr(SearchWorker, "work", work)
    with pytest.raises(Killed):
        searched(vectors, store)
    done, worked[:] = len(worked), []
    monkeypatch.setattr(SearchWorker, "work", lambda self, one: worked.append(1) or original(self, one))
    meter = Meter("documents")
    is_all_at_once(searched(vectors, store, meter=meter), vectors, 9)
    assert len(worked) == 6 - done
    assert (meter.kept, meter.done + meter.kept) == (70 * done, DOCUMENTS)


@pytest.mark.parametrize("change", ["vectors", "queries", "k"])
def test_what_was_found_in_others_is_not_taken(vectors, store, change):
    searched(vectors, store)
    queries, documents, ranks = vectors
    if change == "queries":
        vectors = (queries[::-1].copy(), documents, ranks)
    if change == "vectors":
        vectors = (queries, documents[::-1].copy(), ranks)
    k = 4 if change == "k" else 9
    is_all_at_once(searched(vectors, store, k, content=f"vectors of {change}"), vectors, k)


def test_the_shard_of_a_damaged_record_is_searched_again(vectors, store):
    searched(vectors, store)
    (path,) = store.root.glob("searches/*/hits.log")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    is_all_at_once(searched(vectors, Store(store.root)), vectors, 9)


def test_partial_results_are_removed_once_the_result_is_saved(vectors, store):
    searched(vectors, store)
    assert list(store.root.glob("searches/*"))
    store.tidy()
    assert not list(store.root.glob("searches/*"))


def test_files_in_use_by_another_process_are_left_alone(vectors, store):
    searched(vectors, store)
    (folder,) = store.root.glob("searches/*")
    name = folder.name.removeprefix(".partial-")
    with Store(store.root).lock(f"searches-{name}"):
        store.tidy()
    assert folder.is_dir()


def test_a_floor_keeps_later_shards_short(vectors):
    queries, documents, ranks = vectors
    worker = SearchWorker(queries, 9, CPU)
    none = torch.full((QUERIES,), torch.iinfo(torch.int64).min)
    (first,) = worker.work(Shard(documents[:200], ranks[:200], none))
    floor = torch.from_numpy(first.keys).view(QUERIES, 9).amin(dim=1)
    (second,) = worker.work(Shard(documents[200:], ranks[200:], floor))
    assert len(first.keys) == 9 * QUERIES
    assert 0 < len(second.keys) < 9 * QUERIES
    assert (second.keys > floor.numpy()[second.query_rows]).all()


def test_hits_of_another_search_are_not_served_from_its_file(vectors, store, tmp_path):
    searched(vectors, store)
    (path,) = store.root.glob("searches/*/hits.log")
    queries, documents, ranks = vectors
    other = Store(tmp_path / "other")
    searched((queries[::-1].copy(), documents, ranks), other)
    (theirs,) = other.root.glob("searches/*/hits.log")
    shutil.copy(theirs, path)
    is_all_at_once(searched(vectors, Store(store.root)), vectors, 9)


def test_the_shard_of_a_malformed_record_is_searched_again(vectors, store):
    searched(vectors, store)
    (path,) = store.root.glob("searches/*/hits.log")
    wrong = np.array([(0, 1)], dtype=sharded._HEAD).tobytes() + np.int32(QUERIES).tobytes() + np.int64(1).tobytes()
    for payload in (b"", b"x", b"x" * 16, wrong):
        path.unlink()
        Journal(path, head=path.parent.name.encode()).append(payload)
        is_all_at_once(searched(vectors, Store(store.root)), vectors, 9)


def test_a_link_in_the_place_of_hits_is_not_followed(vectors, store, tmp_path):
    searched(vectors, store)
    (path,) = store.root.glob("searches/*/hits.log")
    victim = shutil.move(path, tmp_path / "victim")
    path.symlink_to(victim)
    content = victim.read_bytes()
    is_all_at_once(searched(vectors, Store(store.root)), vectors, 9)
    assert not path.is_symlink()
    assert victim.read_bytes() == content
