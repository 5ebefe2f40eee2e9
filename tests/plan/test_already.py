"""What of an evaluation is there already, by the keys that the evaluation itself goes by."""

from dataclasses import replace

import pytest
from stubs import tiny_bert
from tiny_checkpoints import write_jina_listwise

from evalkit.pipeline import evaluate
from evalkit.plan.already import Already, already_done
from evalkit.rerank.families.jina_listwise import JinaListwiseConfig
from evalkit.rerank.passthrough import KeepOrderConfig
from evalkit.retrieval.fusion import FusionConfig
from evalkit.retrieval.vectors import DONE
from evalkit.store import PARTIAL
from evalkit.types import Pair


def test_an_empty_store_has_nothing(config, dataset, store):
    assert already_done(config, dataset, store) == Already()


def test_a_finished_evaluation_is_found_whole(config, dataset, store):
    evaluate(config)
    found = already_done(config, dataset, store)
    assert (found.vectors, found.candidates, found.scores, found.result) == (1.0, 40, 1.0, True)
    assert len(found.pairs) == 40
    assert set(found.pairs) <= {
        Pair(query, text) for query in dataset.queries.values() for text in dataset.documents.texts(range(40))
    }


def test_scores_of_a_listwise_reranker_are_found_by_whole_lists(config, dataset, store, tmp_path):
    lists = JinaListwiseConfig(name="lists", model=str(write_jina_listwise(tmp_path / "lists")))
    config = replace(config, reranker=lists)
    evaluate(config)
    found = already_done(config, dataset, store)
    assert (found.candidates, found.scores, found.result) == (40, 1.0, True)
    shallow = replace(config, depth=5)
    evaluate(replace(shallow, reranker=KeepOrderConfig(name="none")))
    assert already_done(shallow, dataset, store).scores == 0.0


def test_vectors_and_candidates_of_another_evaluation_are_found(config, dataset, store, tmp_path):
    evaluate(config)
    other = replace(config.reranker, model=str(tiny_bert(tmp_path / "other", classifier=True, seed=9)))
    found = already_done(replace(config, reranker=other), dataset, store)
    assert (found.vectors, found.candidates, found.scores, found.result) == (1.0, 40, 0.0, False)
    deeper = already_done(replace(config, depth=20), dataset, store)
    assert (deeper.vectors, deeper.candidates) == (1.0, None)


@pytest.mark.parametrize("change", [{"max_length": 12}, {"pooling": "cls"}])
def test_vectors_of_other_settings_are_not_found(config, dataset, store, change):
    evaluate(config)
    found = already_done(replace(config, retriever=replace(config.retriever, **change)), dataset, store)
    assert found == Already()


def test_half_of_the_vectors_is_found_after_a_kill(config, dataset, store, monkeypatch):
    class Killed(BaseException):
        pass

    from evalkit.retrieval.vectors import GrowingVectors

    original = GrowingVectors.keep

    def keep(self, rows, vectors):
        if self.known.sum() + len(rows) > 20:
            raise Killed
        original(self, rows, vectors)

    monkeypatch.setattr(GrowingVectors, "keep", keep)
    small = replace(config, compute=replace(config.compute, batch_tokens=16))
    with pytest.raises(Killed):
        evaluate(small)
    assert list(store.root.glob(f"embeddings/{PARTIAL}*/{DONE}"))
    assert 0.2 < already_done(config, dataset, store).vectors <= 0.5


def test_the_parts_of_a_fusion_are_found_one_by_one(config, dataset, store):
    evaluate(config)
    dense = {"retriever": "dense", "model": config.retriever.model, "pooling": "mean", "max_length": 16}
    fusion = FusionConfig(of=["bm25", dense, {**dense, "max_length": 12}])
    assert already_done(replace(config, retriever=fusion), dataset, store).parts == (0.0, 1.0, 0.0)


def test_an_absent_checkpoint_finds_nothing(config, dataset, store):
    absent = replace(config, reranker=replace(config.reranker, model="/nowhere"))
    assert already_done(absent, dataset, store) == Already()
