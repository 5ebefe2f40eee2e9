"""What current releases of other tools get wrong by serving what is stale, replayed here, each under its name.

The measure of all of them: with a cache and results full of what other settings made, an evaluation gives exactly what
it gives where there is nothing.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants
from stubs import DOCUMENTS, QRELS, QUERIES, tiny_bert, write_collection
from tiny_checkpoints import write_gemma_reranker, write_minicpm_reranker

from evalkit.config import ComputeConfig, DenseConfig, EvaluateConfig, FolderDatasetConfig
from evalkit.measures import measure
from evalkit.pipeline import evaluate
from evalkit.rerank.families.flag_llm import FlagLLMConfig
from evalkit.rerank.families.minicpm import MiniCPMRerankerConfig
from evalkit.rerank.late_interaction import LateInteractionConfig
from evalkit.rerank.passthrough import KeepOrder, KeepOrderConfig
from evalkit.retrieval.bm25 import BM25Config
from evalkit.retrieval.saved import SavedConfig
from evalkit.run import Run


def models_of(folder):
    """A bi-encoder, then a cross-encoder that has a place for an instruction; all files are in a folder."""
    return EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(write_collection(folder / "collection"))),
        retriever=DenseConfig(name="dense", model=str(tiny_bert(folder / "model")), pooling="mean", max_length=32),
        reranker=MiniCPMRerankerConfig(
            name="minicpm",
            model=str(write_minicpm_reranker(folder / "reranker")),
            max_length=128,
            instructions="Find what answers.",
        ),
        compute=ComputeConfig(device="cpu"),
        depth=3,
        results_dir=str(folder / "results"),
        cache_dir=str(folder / "cache"),
    )


@pytest.fixture
def fresh(tmp_path):
    return models_of(tmp_path)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    evaluate(models_of(folder))
    return folder


@pytest.fixture
def config(evaluated, tmp_path):
    """Evaluated before: `evaluate(config)` finds the old result."""
    shutil.copytree(evaluated, tmp_path, dirs_exist_ok=True)
    return models_of(tmp_path)


def test_an_evaluation_is_found_where_its_folder_was_copied_to(config):
    assert not evaluate(config).result.fresh


def values(done):
    """All that an evaluation says, in bits."""
    stages = (done.candidates, done.result)
    return [(one.read_run().digest(), one.manifest["measures"], one.manifest["ceiling"]) for one in stages]


@pytest.fixture
def is_as_from_nothing(tmp_path):
    """Evaluate where everything is full of the old, and where nothing is; the values must be the same bits."""

    def check(config):
        there = evaluate(config)
        nothing = {"results_dir": str(tmp_path / "empty" / "results"), "cache_dir": str(tmp_path / "empty" / "cache")}
        assert values(there) == values(evaluate(replace(config, **nothing)))
        return there

    return check


def test_mteb_serves_reranked_results_of_another_first_stage(config, is_as_from_nothing):
    old = evaluate(config)
    new = is_as_from_nothing(replace(config, retriever=BM25Config(name="dense")))
    assert new.candidates.manifest["run_digest"] != old.candidates.manifest["run_digest"]
    assert new.result.manifest["candidates"]["run_digest"] == new.candidates.manifest["run_digest"]


def test_mteb_serves_reranked_results_of_another_depth(config, is_as_from_nothing):
    old = evaluate(config)
    new = is_as_from_nothing(replace(config, depth=1))
    assert len(new.result.read_run()) < len(old.result.read_run())
    assert new.result.manifest["retriever"]["depth"] == 1


def test_mteb_keeps_the_first_model_s_name_over_the_second_model_s_predictions(config, tmp_path, is_as_from_nothing):
    evaluate(config)
    run = tmp_path / "predictions.trec"
    run.write_text("q1 Q0 d5 1 2 x\nq2 Q0 d3 1 1 x\n")
    new = is_as_from_nothing(replace(config, retriever=SavedConfig(name="dense", path=str(run))))
    assert new.result.manifest["retriever"]["kind"] == "saved"
    run.write_text("q1 Q0 d1 1 2 x\nq2 Q0 d3 1 1 x\n")
    newer = is_as_from_nothing(replace(config, retriever=SavedConfig(name="dense", path=str(run))))
    assert newer.result.manifest["retriever"]["file_sha256"] != new.result.manifest["retriever"]["file_sha256"]


def test_mteb_gives_model_b_the_embeddings_of_model_a(config, tmp_path, is_as_from_nothing):
    old = evaluate(config)
    other = tiny_bert(tmp_path / "elsewhere" / "model", seed=5)  # of the same basename
    new = is_as_from_nothing(replace(config, retriever=replace(config.retriever, model=str(other))))
    assert values(new)[0] != values(old)[0]
    assert len(list(Path(config.cache_dir).rglob("vectors.npy"))) == 2


def test_sentence_transformers_improves_ndcg_with_an_identity_reranker():
    candidates = Run.from_dict({"q1": {"d5": 3.0, "d1": 2.0, "d2": 1.0}})  # finds not every relevant document
    qrels = {"q1": {"d2": 1, "d9": 1}}
    run = KeepOrder().reorder(candidates)[0]
    assert measure(qrels, run, ["nDCG@10"]).means == measure(qrels, candidates, ["nDCG@10"]).means
    assert measure(qrels, run, ["nDCG@10"]).means["nDCG@10"] < 0.5


def test_sentence_transformers_improves_ndcg_with_an_identity_reranker_end_to_end(config):
    done = evaluate(replace(config, depth=2, reranker=KeepOrderConfig(name="none")))
    assert done.result.manifest["measures"] == done.candidates.manifest["measures"]


def test_flagembedding_s_recall_depends_on_the_order_of_queries(config, is_as_from_nothing):
    old = evaluate(config)
    write_collection(
        Path(config.dataset.path),
        DOCUMENTS,
        queries=dict(reversed(QUERIES.items())),
        qrels=dict(reversed(QRELS.items())),
    )
    assert values(is_as_from_nothing(config)) == values(old)


def test_evalscope_s_score_falls_because_few_candidates_are_reranked(config, is_as_from_nothing):
    """A cut of the candidates is a setting: it is in the result's folder and manifest, and its ceiling beside it."""
    shallow, deep = (is_as_from_nothing(replace(config, depth=depth)) for depth in (1, 3))
    assert [one.first_stage for one in (shallow, deep)] == ["dense-1", "dense-3"]
    measures = deep.result.manifest["measures"]
    assert all(shallow.result.manifest["ceiling"][name] <= deep.result.manifest["ceiling"][name] for name in measures)
    assert all(
        one.result.manifest["measures"][name] <= one.result.manifest["ceiling"][name] + 1e-12
        for one in (shallow, deep)
        for name in measures
    )


@pytest.mark.parametrize(
    "change",
    [
        {"instructions": "Find what contradicts."},
        {"instructions": "none"},
        {"max_length": 24},
    ],
    ids=["instruction", "no instruction", "max length"],
)
def test_scores_of_another_instruction_are_not_served(config, change, is_as_from_nothing):
    old = evaluate(config)
    new = is_as_from_nothing(replace(config, reranker=replace(config.reranker, **change)))
    assert values(new)[1][0] != values(old)[1][0]
    assert values(new)[0] == values(old)[0]


def test_scores_of_another_prompt_are_not_served(config, tmp_path, is_as_from_nothing):
    gemma = FlagLLMConfig(name="gemma", model=str(write_gemma_reranker(tmp_path / "gemma")), max_length=64)
    old = evaluate(replace(config, reranker=gemma))
    new = is_as_from_nothing(replace(config, reranker=replace(gemma, prompt="Is B about A? Yes or no.")))
    assert values(new)[1][0] != values(old)[1][0]


def test_scores_of_another_dtype_are_not_served(config, is_as_from_nothing):
    old = evaluate(config)
    new = is_as_from_nothing(replace(config, compute=ComputeConfig(device="cpu", dtype="bfloat16")))
    assert values(new)[1][0] != values(old)[1][0]


def test_scores_of_another_reranker_of_the_same_basename_are_not_served(config, tmp_path, is_as_from_nothing):
    old = evaluate(replace(config, reranker=late(tmp_path / "a" / "model", 1)))
    new = is_as_from_nothing(replace(config, reranker=late(tmp_path / "b" / "model", 2)))
    assert values(new)[1][0] != values(old)[1][0]


def test_scores_of_weights_that_were_replaced_in_their_folder_are_not_served(config, tmp_path, is_as_from_nothing):
    old = evaluate(replace(config, reranker=late(tmp_path / "a" / "model", 1)))
    new = is_as_from_nothing(replace(config, reranker=late(tmp_path / "a" / "model", 2)))
    assert values(new)[1][0] != values(old)[1][0]


@pytest.mark.parametrize("stage", ["retriever", "reranker"])
def test_what_another_revision_made_is_not_served(config, stage, tmp_path, monkeypatch, is_as_from_nothing):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    late = LateInteractionConfig("late", model="org/model", revision="a" * 40, max_length=32)
    first = {"retriever": replace(config.retriever, model="org/model", revision="a" * 40), "reranker": late}[stage]
    for seed, revision in enumerate("ab", 1):  # in the layout of the hub's cache
        tiny_bert(tmp_path / "hub" / "models--org--model" / "snapshots" / (revision * 40), seed=seed)
    old = evaluate(replace(config, **{stage: first}))
    new = is_as_from_nothing(replace(config, **{stage: replace(first, revision="b" * 40)}))
    assert values(new)[1][0] != values(old)[1][0]


@pytest.mark.parametrize(
    "change",
    [{"query_instruction": "Query: "}, {"pooling": "cls"}, {"max_length": 8}, {"embedding_dtype": "float32"}],
    ids=["instruction", "pooling", "max length", "embedding dtype"],
)
def test_candidates_of_another_setting_of_the_first_stage_are_not_served(config, change, is_as_from_nothing):
    old = evaluate(config)
    new = is_as_from_nothing(replace(config, retriever=replace(config.retriever, **change)))
    assert values(new)[0] != values(old)[0]


def late(folder, seed):
    return LateInteractionConfig(name="late_interaction", model=str(tiny_bert(folder, seed=seed)), max_length=32)


@pytest.mark.parametrize(
    "texts",
    [
        {"documents": {**DOCUMENTS, "d1": ("Tides", "Bees and the moon.")}},
        {"queries": {**QUERIES, "q1": "what do bees eat"}},
    ],
    ids=["corpus", "query"],
)
def test_what_was_made_of_another_text_under_the_same_path_and_id_is_not_served(config, texts, is_as_from_nothing):
    old = evaluate(config)
    write_collection(Path(config.dataset.path), **texts)
    new = is_as_from_nothing(config)
    assert new.result.fresh
    assert values(new)[0] != values(old)[0]


def test_a_greater_depth_and_more_queries_score_only_the_new_pairs_and_give_the_same_bits(fresh, is_as_from_nothing):
    evaluate(replace(fresh, depth=2))
    new = is_as_from_nothing(fresh)
    found, pairs = new.result.manifest["kept_pairs"], new.result.manifest["pairs"]
    assert 0 < found < pairs
