"""From candidates to pairs of texts and back."""

import threading
from typing import ClassVar

import numpy as np
import pytest
from stubs import DOCUMENTS, QUERIES, StubReranker

from evalkit.config import ComputeConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import DataError, ModelError
from evalkit.inference import room
from evalkit.inference.budget import Budget
from evalkit.rerank import apply, texts
from evalkit.rerank.passthrough import KeepOrder
from evalkit.rerank.seam import Reranker
from evalkit.rerank.texts import score_candidates
from evalkit.run import Run
from evalkit.types import Pair, Scored

CANDIDATES = {"q1": {"d1": 1.0, "d2": 5.0, "d3": 4.0, "d4": 3.0, "d5": 2.0}, "q2": {"d3": 1.0, "d1": 2.0, "d2": 3.0}}


ON_CUDA = ComputeConfig(device="cuda")  # for who hands out work; the rerankers here are stubs


class Recorder(Reranker):
    """Score = length of the document; says that pairs with an empty document were cut, and remembers all."""

    identity: ClassVar = {"kind": "recorder"}

    def __init__(self) -> None:
        self.calls = []

    def stream(self, pairs, known):
        assert not known.any()
        self.calls.append(list(pairs))
        scores = np.array([len(pair.document) for pair in pairs], dtype=np.float32)
        yield Scored(np.arange(len(pairs)), scores, np.array([not pair.document for pair in pairs]))


@pytest.fixture
def dataset(collection, store):
    return load(FolderDatasetConfig(path=str(collection)), store)


def text_of(doc_id: str) -> str:
    return " ".join(part for part in DOCUMENTS[doc_id] if part)


def shared_words(query_id: str, doc_id: str) -> float:
    document = text_of(doc_id).lower().split()
    return float(sum(word in document for word in dict.fromkeys(QUERIES[query_id].lower().split())))


def test_candidates_are_ranked_by_the_scores_of_their_texts(dataset):
    result = score_candidates(StubReranker(), Run.from_dict(CANDIDATES), dataset)
    expected = {
        query_id: sorted(((shared_words(query_id, doc_id), doc_id) for doc_id in found), reverse=True)
        for query_id, found in CANDIDATES.items()
    }
    actual = {query_id: list(zip(scores.tolist(), doc_ids, strict=True)) for query_id, doc_ids, scores in result.run}
    assert expected == actual
    assert result.truncated == 0


def test_reranker_gets_query_and_document_texts_in_the_order_of_the_candidates(dataset):
    recorder = Recorder()
    candidates = Run.from_dict(CANDIDATES)
    score_candidates(recorder, candidates, dataset)
    expected = [Pair(QUERIES[query_id], text_of(doc_id)) for query_id, doc_ids, _ in candidates for doc_id in doc_ids]
    assert [expected] == recorder.calls


@pytest.mark.parametrize("window", [1, 2, 3, 7, 8, 100])
def test_result_does_not_depend_on_the_window(dataset, monkeypatch, window):
    candidates = Run.from_dict(CANDIDATES)
    expected = score_candidates(Recorder(), candidates, dataset)
    monkeypatch.setattr(texts, "PAIRS_PER_WINDOW", window)
    recorder = Recorder()
    actual = score_candidates(recorder, candidates, dataset)
    assert expected.run.digest() == actual.run.digest()
    assert 1 == expected.truncated == actual.truncated
    assert [min(window, 8 - start) for start in range(0, 8, window)] == [len(call) for call in recorder.calls]


def test_candidate_absent_from_the_corpus_is_refused_before_anything_is_scored(dataset):
    recorder = Recorder()
    candidates = Run.from_dict({"q1": {"d1": 1.0, "gone": 2.0}, "q2": {"gone": 1.0, "lost": 3.0}})
    with pytest.raises(DataError, match=r"2 candidates, such as 'gone', are not in the corpus of collection"):
        score_candidates(recorder, candidates, dataset)
    assert recorder.calls == []


def test_score_that_is_not_finite_is_refused(dataset):
    class Broken(Recorder):
        def stream(self, pairs, known):
            for part in super().stream(pairs, known):
                part.scores[1] = np.nan
                yield part

    with pytest.raises(ModelError, match="not a finite number for 1 of"):
        score_candidates(Broken(), Run.from_dict(CANDIDATES), dataset)


def test_empty_run_stays_empty(dataset):
    result = score_candidates(Recorder(), Run.from_dict({}), dataset)
    assert (len(result.run), result.truncated) == (0, 0)


def test_apply_scores_with_a_text_reranker_and_passes_none_through(dataset):
    candidates = Run.from_dict(CANDIDATES)
    expected = score_candidates(StubReranker(), candidates, dataset).run.digest()
    assert expected == apply(StubReranker(), candidates, dataset).run.digest()
    assert candidates is apply(KeepOrder(), candidates, dataset).run


def test_candidates_are_left_unchanged(dataset):
    candidates = Run.from_dict(CANDIDATES)
    before = candidates.digest()
    score_candidates(StubReranker(), candidates, dataset)
    assert before == candidates.digest()


class Preparing(Recorder):
    """Remembers in which order windows were prepared and scored, and lets one be scored only when the next is ready."""

    def __init__(self, windows: int) -> None:
        super().__init__()
        self.order: list[str] = []
        self.ready = [threading.Event() for _ in range(windows)]

    def prepare(self, pairs):
        number = sum(event.is_set() for event in self.ready)
        self.order.append(f"prepare {number}")
        self.ready[number].set()
        return list(pairs)

    def stream(self, pairs, known):
        number = len(self.calls)
        if number + 1 < len(self.ready):
            assert self.ready[number + 1].wait(timeout=30)
        self.order.append(f"score {number}")
        yield from super().stream(pairs, known)


def test_next_window_is_prepared_while_one_is_scored_and_no_further_ahead(dataset, monkeypatch):
    monkeypatch.setattr(texts, "PAIRS_PER_WINDOW", 2)
    recorder = Preparing(4)
    result = score_candidates(recorder, Run.from_dict(CANDIDATES), dataset)
    assert [len(call) for call in recorder.calls] == [2, 2, 2, 2]
    for number in range(2):
        assert recorder.order.index(f"score {number}") < recorder.order.index(f"prepare {number + 2}")
    assert len(result.run) == 8


def test_error_while_preparing_is_the_one_that_is_raised(dataset):
    class Broken(Recorder):
        def prepare(self, _):
            raise ModelError("no such token")

    with pytest.raises(ModelError, match="no such token"):
        score_candidates(Broken(), Run.from_dict(CANDIDATES), dataset)


class Probing(Recorder):
    """Streams, and finds a budget that it scores with; another one in each run."""

    found = 0

    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget()

    def facts(self):
        return {"hardware": "pretended"}

    def stream(self, pairs, known):
        Probing.found += 1
        rows = np.flatnonzero(~known)
        tokens = self.budget.settle(lambda: Probing.found)
        for row in rows:
            yield Scored(np.array([row]), np.full(1, tokens, np.float32), np.zeros(1, dtype=bool))
            if len(pairs[row].document) == 0:
                raise KeyboardInterrupt


def test_a_resumed_run_scores_with_the_budget_of_the_stopped_one(dataset, store, monkeypatch):
    monkeypatch.setattr(texts, "PAIRS_PER_WINDOW", 3)
    candidates = Run.from_dict(CANDIDATES)
    monkeypatch.setattr(Probing, "found", 4999)
    with pytest.raises(KeyboardInterrupt):
        score_candidates(Probing(), candidates, dataset, store, ON_CUDA)
    done = score_candidates(Probing(), candidates, dataset, store, ON_CUDA)
    assert 0 < done.kept < 8
    assert {score for _, _, scores in done.run for score in scores.tolist()} == {5000.0}


def test_on_cuda_a_window_has_up_to_eight_times_the_pairs(dataset, monkeypatch):
    monkeypatch.setattr(texts, "PAIRS_PER_WINDOW", 1)
    candidates = Run.from_dict({"q1": CANDIDATES["q1"]})
    monkeypatch.setattr(room, "_CUDA_WINDOWS", 2)
    recorder = Recorder()
    score_candidates(recorder, candidates, dataset, compute=ON_CUDA)
    assert [len(call) for call in recorder.calls] == [2, 2, 1]
