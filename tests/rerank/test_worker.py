import copy

import numpy as np
import pytest
from stubs import StubReranker, tiny_bert

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.inference.usage import Usage
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.rerank.worker import ScoringWorker, Window
from evalkit.types import Pair

PAIRS = [Pair("why does the sea have tides", document) for document in ("the moon", "bread", "sea " * 30, "tides")]


@pytest.fixture(scope="module")
def streaming(tmp_path_factory):
    folder = tiny_bert(tmp_path_factory.mktemp("models") / "x", classifier=True)
    config = CrossEncoderConfig(name="x", model=str(folder), max_length=24)
    return rerank.build(config, ComputeConfig(device="cpu", batch_tokens=30))


def worked(reranker, known):
    worker = ScoringWorker(reranker)
    return list(worker.work(worker.prepare(Window(PAIRS, np.array(known)))))


def test_a_reranker_that_streams_leaves_out_what_is_known(streaming):
    parts = worked(streaming, [True, False, False, False])
    rows = np.concatenate([part.rows for part in parts])
    assert sorted(rows.tolist()) == [1, 2, 3]
    assert sum(part.truncated for part in parts) == 1
    assert np.concatenate([part.cut for part in parts])[rows == 2].all()


def test_scores_are_the_same_whatever_is_known(streaming):
    scores = {}
    for known in ([False] * 4, [True, False, True, False]):
        for part in worked(streaming, known):
            scores.setdefault(tuple(known), {}).update(zip(part.rows.tolist(), part.scores.tolist(), strict=True))
    every, some = scores.values()
    assert some == {row: every[row] for row in some}


def test_a_reranker_may_give_all_scores_in_one_part():
    (part,) = worked(StubReranker(), [False] * 4)
    assert part.scores.tolist() == [1.0, 0.0, 1.0, 1.0]
    assert part.rows.tolist() == [0, 1, 2, 3]


def test_usage_is_counted_where_a_reranker_has_some(streaming):
    assert ScoringWorker(StubReranker()).spent() == Usage()
    before = ScoringWorker(streaming).spent().tokens
    worked(streaming, [False] * 4)
    assert ScoringWorker(streaming).spent().tokens > before


def test_workers_of_two_rerankers_have_different_facts(streaming):
    assert ScoringWorker(streaming).facts()[ScoringWorker.IDENTITY] != ScoringWorker(StubReranker()).facts()["reranker"]
    again = copy.deepcopy(ScoringWorker(streaming))
    assert again.facts() == ScoringWorker(streaming).facts()


def test_a_reranker_that_streams_may_have_two_windows_under_way_and_tells_its_budget(streaming):
    assert ScoringWorker(streaming).overlaps
    assert ScoringWorker(streaming).budget.tokens == 30
    assert (ScoringWorker(StubReranker()).overlaps, ScoringWorker(StubReranker()).budget) == (False, None)
