"""What an evaluation takes: counts that can be checked by hand."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file
from tiny_checkpoints import write_jina_listwise

from evalkit.commands.settings.compose import compose
from evalkit.config import ComputeConfig, DenseConfig, ExpectedCounts, RerankerConfig, RetrieverConfig
from evalkit.config.dataset import TextLengths
from evalkit.load import config_of
from evalkit.models.checkpoint import resolve
from evalkit.models.shape import known_shape, shape_of
from evalkit.plan.already import Already
from evalkit.plan.forecast import forecast
from evalkit.plan.machine import Machine
from evalkit.plan.reading import Reader
from evalkit.plan.sample import sample_from_card, sample_of
from evalkit.reports.plan_grids import stages_grid
from evalkit.rerank import build
from evalkit.rerank.families.jina_listwise import JinaListwiseConfig
from evalkit.rerank.late_interaction import LateInteractionConfig
from evalkit.rerank.passthrough import KeepOrderConfig
from evalkit.retrieval.bm25 import BM25Config
from evalkit.retrieval.fusion import FusionConfig
from evalkit.retrieval.own_candidates import OwnConfig
from evalkit.retrieval.sparse_encoder import SparseEncoder
from evalkit.retrieval.splade import SpladeConfig
from evalkit.run import Run
from evalkit.types import Pair


@pytest.fixture
def splade(tmp_path, tokenizer_file):
    from transformers import AutoModelForMaskedLM, BertConfig

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2}
    folder = tmp_path / "splade"
    AutoModelForMaskedLM.from_config(BertConfig(vocab_size=64, max_position_embeddings=64, **sizes)).save_pretrained(
        folder
    )
    (folder / "tokenizer.json").write_bytes(tokenizer_file.read_bytes())
    return folder


@pytest.fixture
def static(tmp_path, tokenizer_file):
    """A table of vectors of six values; `bare` next to it has no weights."""
    for name in ("static", "bare"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "modules.json").write_text('[{"path": "", "type": "sentence_transformers.models.StaticEmbedding"}]')
        (folder / "tokenizer.json").write_bytes(tokenizer_file.read_bytes())
    save_file({"embedding.weight": np.zeros((64, 6), np.float32)}, tmp_path / "static" / "model.safetensors")
    return tmp_path / "static"


@pytest.fixture
def made(config, dataset, described):
    def make(already=None, **changes):
        return forecast(replace(config, **changes), sample_of(dataset), Machine(described), already)

    return make


def stage(found, name, first=True):
    part = found.stages[: found.first] if first else found.stages[found.first :]
    return next(one for one in part if one.name == name)


def test_every_document_query_and_pair_is_counted(made, config, dataset, encoder):
    found = made()
    reader, shape = Reader(config.retriever, made_up=False), shape_of(resolve(str(encoder)))
    lengths = reader.documents(dataset.documents.texts(range(40))).sample
    encoding = stage(found, "encode documents")
    assert encoding.texts == 40
    assert encoding.tokens == lengths.sum()
    assert encoding.flops == pytest.approx(shape.flops(lengths.sum(), (lengths**2).sum()))
    assert stage(found, "search").flops == 2 * 40 * 4 * 32
    assert (found.pairs, stage(found, "rerank", first=False).texts) == (40, 40)
    assert found.disk == pytest.approx(40 * 32 * 2 + 40 * 60 + 2 * 40 * 20)


def test_stages_have_the_names_and_the_order_of_manifests(made):
    found = made()
    names = [one.name for one in found.stages]
    work = ["encode documents", "encode queries", "search"]
    assert names[: found.first] == ["load", "load retriever", *work, "measure", "write"]
    assert names[found.first :] == ["read candidates", "load reranker", "rerank", "measure", "write"]


def test_libraries_are_imported_once_and_a_model_is_loaded_only_for_missing_scores(made):
    def loading(found):
        return {one.name: one.left("seconds") for one in found.stages if one.name.startswith("load ")}

    both = loading(made())
    assert both["load retriever"] > 4 > both["load reranker"] > 0
    alone = loading(made(retriever=BM25Config(name="bm25")))
    assert list(alone) == ["load reranker"]
    assert alone["load reranker"] > 4
    assert loading(made(Already(vectors=1.0, candidates=40, scores=0.5))) == {
        "load retriever": 0.0,
        "load reranker": alone["load reranker"],
    }
    assert loading(made(Already(vectors=1.0, candidates=40, scores=1.0)))["load reranker"] == 0


def test_a_speed_is_of_all_texts_of_a_stage_and_loading_has_none(made):
    found = made(Already(vectors=1.0, candidates=40, scores=0.25))
    reading = stage(found, "rerank", first=False)
    assert reading.rate == (40 / reading.seconds, "pairs")
    assert stage(found, "encode documents").rate.unit == "documents"
    assert stage(found, "load reranker", first=False).rate is None


def test_stored_work_takes_no_time(made):
    half = made(Already(vectors=0.5))
    assert stage(half, "encode documents").left("seconds") == pytest.approx(
        stage(made(), "encode documents").left("seconds") / 2
    )
    there = made(Already(vectors=1.0, candidates=40, scores=0.25))
    assert all(one.done == 1 for one in there.stages[1 : there.first])
    assert stage(there, "rerank", first=False).done == 0.25
    whole = made(Already(vectors=1.0, candidates=40, scores=1.0, result=True))
    assert whole.left("seconds") == whole.stages[0].left("seconds")
    assert whole.disk <= made().disk


def test_candidates_that_are_known_are_counted_as_they_are(made):
    pairs = [Pair("why", "the moon pulls the sea and makes tides")] * 3
    found = made(Already(vectors=1.0, candidates=7, pairs=pairs))
    assert found.pairs == 7
    assert stage(found, "rerank", first=False).tokens == 7 * 12


def test_candidates_that_a_dataset_brings_are_counted_as_they_are_or_as_its_card_says(config, dataset, described):
    candidates = Run.from_dict({"q1": {"d1": 3.0, "d2": 2.0, "d3": 1.0}, "q2": {"d1": 1.0}})
    own = replace(config, retriever=OwnConfig(name="own"), depth=2)
    found = forecast(own, sample_of(replace(dataset, candidates=candidates)), Machine(described))
    assert found.pairs == 3
    counts = ExpectedCounts(documents=1000, queries=10, candidates=70)
    card = replace(config.dataset, expected=counts, lengths=TextLengths(document_characters=90.0, query_characters=9.0))
    for depth, pairs in ((100, 70), (5, 50)):
        planned = replace(own, dataset=card, depth=depth)
        assert forecast(planned, sample_from_card(card), Machine(described)).pairs == pairs


def test_late_interaction_reads_a_document_once_a_window(made, dataset, encoder):
    reranker = LateInteractionConfig(name="late", model=str(encoder), max_length=16)
    reading = stage(made(reranker=reranker, depth=40), "rerank", first=False)
    of_documents = Reader(reranker, made_up=False).documents(dataset.documents.texts(range(40))).sample.mean()
    of_queries = Reader(reranker, made_up=False).queries(list(dataset.queries.values())).sample.sum()
    assert reading.texts == 160
    assert reading.tokens == pytest.approx(40 * (1 - (39 / 40) ** 160) * of_documents + of_queries, rel=1e-6)


def test_a_listwise_reranker_reads_all_documents_of_a_query_in_one_prompt(made, dataset, tmp_path):
    lists = JinaListwiseConfig(name="lists", model=str(write_jina_listwise(tmp_path)))
    reading = stage(made(reranker=lists), "rerank", first=False)
    model = build(lists, ComputeConfig(device="cpu"))
    rows = [range(10 * number, 10 * number + 10) for number in range(4)]
    prompts = [
        model.prepare([Pair(query, text) for text in dataset.documents.texts(own)]).tokenized.lengths[0]
        for query, own in zip(dataset.queries.values(), rows, strict=True)
    ]
    assert (reading.texts, reading.unit) == (40, "pairs")
    assert reading.tokens == pytest.approx(sum(prompts), rel=0.02)


def test_bm25_and_no_reranker_read_nothing(made):
    found = made(retriever=BM25Config(name="bm25"), reranker=KeepOrderConfig(name="none"))
    assert (found.left("tokens"), found.left("flops")) == (0, 0)
    assert ["load", "index", "search"] == [one.name for one in found.stages][:3]
    assert [str(one.rate).split()[1] for one in found.stages[1:3]] == ["documents/s", "queries/s"]
    assert found.host > made(reranker=KeepOrderConfig(name="none")).host - 2**30


def test_splade_computes_its_head_for_every_token_and_searches_an_inverted_index(made, dataset, splade):
    config = SpladeConfig(name="splade", model=str(splade), max_length=48)
    found = made(retriever=config, reranker=KeepOrderConfig(name="none"))
    encoder = SparseEncoder(config, ComputeConfig(device="cpu"))
    lengths = encoder.tokenize(dataset.documents.texts(range(40))).lengths
    bare = shape_of(resolve(str(splade)))
    head = 2 * lengths.sum() * bare.hidden * (bare.hidden + encoder.width)
    encoding = stage(found, "encode documents")
    assert encoding.tokens == lengths.sum()
    assert encoding.flops == pytest.approx(bare.flops(lengths.sum(), (lengths**2).sum()) + head)
    assert [one.name for one in found.stages][1:5] == ["load retriever", "encode documents", "encode queries", "search"]
    assert stage(found, "search").rate.unit == "queries"
    assert not any("takes no time" in text for text in found.assumed)


def test_queries_with_a_table_of_weights_take_no_model(made, splade):
    config = SpladeConfig(name="splade", model=str(splade), max_length=48)
    by_model = stage(made(retriever=config), "encode queries")
    modules = "sentence_transformers.sparse_encoder.models"
    types = {"": "MLMTransformer", "pooling": "SpladePooling", "table": "SparseStaticEmbedding"}
    router = {
        "types": {folder: f"{modules}.{kind}" for folder, kind in types.items()},
        "structure": {"query": ["table"], "document": ["", "pooling"]},
    }
    (splade / "router_config.json").write_text(json.dumps(router), encoding="utf-8")
    (splade / "table").mkdir()
    (splade / "pooling").mkdir()
    (splade / "pooling" / "config.json").write_text("{}", encoding="utf-8")
    (splade / "modules.json").write_text(json.dumps([{"path": "", "type": f"{modules}.Router"}]), encoding="utf-8")
    by_table = stage(made(retriever=config), "encode queries")
    assert by_model.flops > 0
    assert (by_table.flops, by_table.tokens) == (0, by_model.tokens)


def test_each_side_of_a_router_takes_what_its_own_model_takes(made, encoder, static, tmp_path):
    root, modules = tmp_path / "router", "sentence_transformers.models"
    shutil.copytree(encoder, root / "documents")
    shutil.copytree(static, root / "table")
    types = {"documents": f"{modules}.Transformer", "table": f"{modules}.StaticEmbedding"}
    router = {"types": types, "structure": {"query": ["table"], "document": ["documents"]}}
    (root / "router_config.json").write_text(json.dumps(router), encoding="utf-8")
    (root / "modules.json").write_text(json.dumps([{"path": "", "type": f"{modules}.Router"}]), encoding="utf-8")
    settings, none = {"pooling": "mean", "max_length": 16}, KeepOrderConfig(name="none")
    found = made(retriever=DenseConfig(name="router", model=str(root), **settings), reranker=none)
    alone = made(retriever=DenseConfig(name="alone", model=str(encoder), **settings), reranker=none)
    assert stage(found, "encode documents").flops == stage(alone, "encode documents").flops > 0
    assert stage(found, "encode queries").flops == 0
    assert stage(alone, "encode queries").flops > 0
    router["structure"]["query"] = ["documents"]
    (root / "router_config.json").write_text(json.dumps(router), encoding="utf-8")
    same = made(retriever=DenseConfig(name="router", model=str(root), **settings), reranker=none)
    assert stage(same, "encode queries").flops == stage(alone, "encode queries").flops
    assert same.host == alone.host


def test_two_models_of_a_router_are_in_memory_together(made, encoder, tmp_path):
    root, modules = tmp_path / "router", "sentence_transformers.models"
    for side in ("queries", "documents"):
        shutil.copytree(encoder, root / side)
    types = dict.fromkeys(("queries", "documents"), f"{modules}.Transformer")
    router = {"types": types, "structure": {"query": ["queries"], "document": ["documents"]}}
    (root / "router_config.json").write_text(json.dumps(router), encoding="utf-8")
    (root / "modules.json").write_text(json.dumps([{"path": "", "type": f"{modules}.Router"}]), encoding="utf-8")
    settings, none = {"pooling": "mean", "max_length": 16}, KeepOrderConfig(name="none")
    found = made(retriever=DenseConfig(name="router", model=str(root), **settings), reranker=none)
    alone = made(retriever=DenseConfig(name="alone", model=str(encoder), **settings), reranker=none)
    weights = Reader(DenseConfig(name="alone", model=str(encoder), **settings), made_up=False).weights("float32")
    assert found.host - alone.host == pytest.approx(1.3 * weights)


def test_a_table_of_vectors_reads_tokens_and_multiplies_nothing(made, static):
    found = made(retriever=DenseConfig(name="static", model=str(static)), reranker=KeepOrderConfig(name="none"))
    encoding = stage(found, "encode documents")
    assert (encoding.flops, encoding.texts) == (0, 40)
    assert encoding.tokens > 40
    assert 0 < encoding.seconds < 1
    assert stage(found, "search").flops == 2 * 40 * 4 * 6
    assert "tokens of static, counted by letters" in found.assumed
    absent = made(retriever=DenseConfig(name="static", model=str(static.parent / "bare")))
    assert "that static takes no time, since its speed is not known" in absent.assumed


def test_a_fusion_takes_what_its_parts_take(made, encoder):
    dense = {"retriever": "dense", "model": str(encoder), "pooling": "mean", "max_length": 16, "normalize": True}
    alone = made(retriever=config_of("retriever", "dense", {k: v for k, v in dense.items() if k != "retriever"}))
    bm25 = made(retriever=BM25Config(name="bm25"))
    fused = made(retriever=FusionConfig(of=["bm25", dense]), already=Already(parts=[0.0, 0.25]))
    names = [one.name for one in fused.stages[1 : fused.first - 2]]
    assert names == [
        *("index (bm25)", "search (bm25)"),
        *(f"{name} (dense)" for name in ("load retriever", "encode documents", "encode queries", "search")),
    ]
    assert fused.host == pytest.approx(
        alone.host + bm25.host - made(reranker=KeepOrderConfig(name="none")).host, rel=0.2
    )
    encoding, whole = stage(fused, "encode documents (dense)"), stage(alone, "encode documents")
    assert (encoding.tokens, encoding.done) == (whole.tokens, 0.25)
    assert encoding.left("flops") == pytest.approx(0.75 * whole.flops)
    assert stage(fused, "search (bm25)").seconds == stage(bm25, "search").seconds


def test_stages_of_other_packages_have_a_row_without_a_time(made, described):
    found = made(retriever=RetrieverConfig(name="theirs"), reranker=RerankerConfig(name="overlap"))
    rows = {row[0]: row for row in stages_grid(found, Machine(described)).rows}
    assert (rows["rerank"][1], rows["rerank"][4], rows["rerank"][-1]) == (found.pairs, None, "not known")
    assert (rows["retrieve"][1], rows["retrieve"][4]) == (4, None)
    for name in ("theirs", "overlap"):
        assert f"that {name} takes no time, since its speed is not known" in found.assumed


def test_a_published_evaluation_is_planned_after_cards_and_known_sizes(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = compose(
        "evaluate", ["dataset=fiqa", "retriever=bge_large_en_v1_5", "reranker=minicpm_reranker", "compute=h200"]
    )
    found = forecast(config, sample_from_card(config.dataset), Machine(config.compute))
    assert found.pairs == 648 * 100
    reading = stage(found, "rerank", first=False)
    # 2.44 G parameters; about 180 tokens of the passage, 15 of the query and 20 of the instruction.
    assert 180 < reading.tokens / found.pairs < 280
    assert reading.flops == pytest.approx(
        2 * known_shape("openbmb/MiniCPM-Reranker").parameters * reading.tokens, rel=0.1
    )
    assert found.assumed == ("lengths of texts after the dataset's card",)
    assert found.device > 2 * 2.7e9


def test_a_depth_beyond_the_corpus_makes_no_pairs(made):
    assert made(depth=1000).pairs == 160
