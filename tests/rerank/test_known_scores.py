"""Scores that are kept: only new pairs are scored, and what is found is what was made."""

import os
import shutil

import numpy as np
import pytest
from stubs import QUERIES, StubReranker

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.rerank.known_scores import KeptScores, pair_keys
from evalkit.rerank.texts import score_candidates
from evalkit.run import Run
from evalkit.store import Store
from evalkit.store.journal import Journal
from evalkit.types import Pair, Scored

CANDIDATES = {"q1": {"d1": 3.0, "d2": 2.0, "d3": 1.0}, "q2": {"d1": 1.0, "d4": 0.5}}


class Killed(BaseException):
    pass


class Streaming(StubReranker):
    """One pair a batch; counts what it scores, and stops when told."""

    def __init__(self, setting="a", dies_after=None, **facts):
        self.setting, self.dies_after, self.scored = setting, dies_after, []
        self.processor = {"hardware": "cpu", "torch": "2", **facts}

    def facts(self):
        return self.processor

    @property
    def identity(self):
        return {"kind": "streaming", "setting": self.setting}

    def stream(self, pairs, known):
        (every,) = super().stream(pairs, np.zeros(len(pairs), dtype=bool))
        scores = every.scores
        for row, pair in enumerate(pairs):
            if known[row]:
                continue
            if len(self.scored) == self.dies_after:
                raise Killed
            self.scored.append(pair)
            yield Scored(np.array([row]), scores[row : row + 1] + len(self.setting), np.array([row % 2 == 0]))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def dataset(collection, store):
    return load(FolderDatasetConfig(path=str(collection)), store)


def test_a_second_run_scores_nothing_and_gives_the_same(dataset, store):
    candidates = Run.from_dict(CANDIDATES)
    first, second = Streaming(), Streaming()
    made = score_candidates(first, candidates, dataset, store)
    found = score_candidates(second, candidates, dataset, store)
    assert (len(first.scored), made.kept, len(second.scored), found.kept) == (5, 0, 0, 5)
    assert made.run.digest() == found.run.digest()
    assert made.cut == found.cut
    assert made.truncated == found.truncated == 3


@pytest.mark.parametrize("after", range(5))
def test_a_killed_run_resumes_where_it_stopped(dataset, store, after, tmp_path):
    candidates = Run.from_dict(CANDIDATES)
    expected = score_candidates(Streaming(), candidates, dataset, Store(tmp_path / "other"))
    with pytest.raises(Killed):
        score_candidates(Streaming(dies_after=after), candidates, dataset, store)
    second = Streaming()
    found = score_candidates(second, candidates, dataset, store)
    assert len(second.scored) == 5 - after == 5 - found.kept
    assert found.run.digest() == expected.run.digest()


def test_more_queries_or_a_greater_depth_score_only_the_new_pairs(dataset, store):
    score_candidates(Streaming(), Run.from_dict({"q1": {"d1": 1.0}}), dataset, store)
    deeper = Streaming()
    score_candidates(deeper, Run.from_dict({"q1": {"d1": 1.0, "d2": 0.5}, "q2": {"d1": 1.0}}), dataset, store)
    assert [(pair.query == QUERIES["q1"], pair.query == QUERIES["q2"]) for pair in deeper.scored] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("change", ["setting", "hardware", "torch"])
def test_what_another_setting_processor_or_torch_made_is_not_found(dataset, store, change):
    candidates = Run.from_dict(CANDIDATES)
    score_candidates(Streaming(), candidates, dataset, store)
    other = Streaming(**{change: "other"})
    score_candidates(other, candidates, dataset, store)
    assert len(other.scored) == 5


def test_only_a_changed_text_is_scored_again(collection, dataset, store):
    candidates = Run.from_dict(CANDIDATES)
    score_candidates(Streaming(), candidates, dataset, store)
    path = collection / "corpus.jsonl"
    text = dataset.documents.texts(dataset.rows(Run.from_dict({"q2": {"d1": 1.0}}).doc_ids))[0]
    path.write_text(path.read_text().replace(text.split()[-1], "otherwise"))
    changed = load(FolderDatasetConfig(path=str(collection)), store)
    again = Streaming()
    score_candidates(again, candidates, changed, store)
    assert again.scored
    assert all("otherwise" in pair.document for pair in again.scored)


def test_a_damaged_file_of_scores_is_named_and_replaced(dataset, store, caplog):
    candidates = Run.from_dict(CANDIDATES)
    expected = score_candidates(Streaming(), candidates, dataset, store)
    (path,) = store.root.glob("scores/*/scores.log")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    again = Streaming()
    assert score_candidates(again, candidates, dataset, store).run.digest() == expected.run.digest()
    assert again.scored
    assert str(path) in caplog.text


def test_a_key_is_of_both_texts_and_their_places_and_of_an_instruction_of_the_pair_itself():
    """That of all pairs is in the reranker's identity."""
    keys = pair_keys(
        [Pair("a", "b"), Pair("b", "a"), Pair("ab", ""), Pair("", "ab"), *[Pair("a", "b", x) for x in "xy"]]
    )
    assert len({key.tobytes() for key in keys}) == 6
    assert keys[0].tobytes() == pair_keys([Pair("a", "b", None)])[0].tobytes()


def opened(store):
    return KeptScores.of(Streaming().identity, Streaming().facts(), store, name="streaming", collection="x")


def test_thousands_of_keys_are_found_in_any_order(store):
    rng = np.random.default_rng(0)
    pairs = [Pair(f"q{number % 40}", f"d{number}") for number in range(3000)]
    keys, scores = pair_keys(pairs), rng.normal(size=3000).astype(np.float32)
    writer = opened(store)
    for rows in np.array_split(rng.permutation(3000)[:2000], 7):
        writer.keep(keys, Scored(rows, scores[rows], scores[rows] > 0))
    order = rng.permutation(3000)
    for reader in (writer, opened(store)):
        known, found, cut = reader.find(keys[order])
        assert known.sum() == 2000
        np.testing.assert_array_equal(found[known], scores[order][known])
        np.testing.assert_array_equal(cut[known], scores[order][known] > 0)
    for row in range(3):  # a few at a time go to a part of their own
        writer.keep(keys, Scored(np.array([row]), scores[row : row + 1], np.array([True])))
        assert writer.find(keys[row : row + 1]).known.all()
        assert writer.find(keys).cut[row]
    repeated = writer.find(np.concatenate([keys, keys]))
    np.testing.assert_array_equal(repeated.known[:3000], repeated.known[3000:])


# What others put there


def log_of(store):
    (path,) = store.root.glob("scores/*/scores.log")
    return path


def test_scores_of_another_reranker_are_not_served_from_its_file(dataset, store, tmp_path, caplog):
    candidates = Run.from_dict(CANDIDATES)
    expected = score_candidates(Streaming(), candidates, dataset, store)
    other = Store(tmp_path / "other")
    score_candidates(Streaming("longer setting"), candidates, dataset, other)
    shutil.copy(log_of(other), log_of(store))
    again = Streaming()
    assert score_candidates(again, candidates, dataset, store).run.digest() == expected.run.digest()
    assert len(again.scored) == 5
    assert f"{log_of(store)}: written by another machine or torch version, or damaged" in caplog.text


@pytest.mark.parametrize("payload", [b"x" * 20, b"x" * 22, np.full(21, 255, np.uint8).tobytes()])
def test_a_record_without_scores_is_named_and_its_pairs_are_scored_again(dataset, store, caplog, payload):
    candidates = Run.from_dict(CANDIDATES)
    expected = score_candidates(Streaming(), candidates, dataset, store)
    path = log_of(store)
    path.unlink()
    Journal(path, head=path.parent.name.encode()).append(payload)
    again = Streaming()
    assert score_candidates(again, candidates, dataset, store).run.digest() == expected.run.digest()
    assert len(again.scored) == 5
    assert f"{path}: the last" in caplog.text


@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
def test_a_link_in_place_of_the_scores_is_removed_and_not_followed(dataset, store, tmp_path, what):
    candidates = Run.from_dict(CANDIDATES)
    expected = score_candidates(Streaming(), candidates, dataset, store)
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    path = log_of(store)
    path.unlink()
    match what:
        case "link":
            path.symlink_to(victim)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
    again = Streaming()
    assert score_candidates(again, candidates, dataset, store).run.digest() == expected.run.digest()
    assert len(again.scored) == 5
    assert path.is_file()
    assert victim.read_bytes() == b"mine"
