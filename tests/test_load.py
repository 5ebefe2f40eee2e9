"""`load_reranker` and `load_retriever`: by the names and settings of the command line, with its errors."""

from pathlib import Path

import numpy as np
import pytest
from stubs import tiny_bert
from tiny_checkpoints import (
    write_bert_reranker,
    write_minicpm_embedding,
    write_minicpm_layerwise,
    write_minicpm_reranker,
)

import evalkit
from evalkit import Pair, load, load_reranker, load_retriever
from evalkit.errors import ConfigError, DataError, ModelError
from evalkit.load import stage_of
from evalkit.rerank.late_interaction import LateInteractionReranker

PAIRS = [
    Pair("why does the sea have tides", "The moon pulls the sea and makes tides."),
    Pair("what makes bread rise", "Yeast makes bread rise."),
    Pair("what makes bread rise", ""),
    Pair("what makes bread rise", "Yeast makes bread rise."),
]
CPU = {"device": "cpu"}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("classifier") / "model", classifier=True)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("encoder") / "model")


def test_a_reranker_gives_one_finite_float32_a_pair_in_order(classifier):
    reranker = load_reranker("cross_encoder", model=classifier, max_length=64, compute=CPU)
    rows, scores, cut = scored = reranker.score(PAIRS)
    assert (rows.tolist(), cut.tolist()) == ([0, 1, 2, 3], [False] * 4)
    assert (scores.dtype, scores.shape, scored.truncated) == (np.float32, (4,), 0)
    assert np.isfinite(scores).all()
    assert scores[1] == scores[3]
    assert 3 == len(set(scores.tolist()))
    np.testing.assert_allclose(reranker.score(PAIRS[::-1]).scores, scores[::-1], rtol=1e-5)


def test_a_reranker_scores_no_pairs_at_all(classifier):
    assert (0,) == load_reranker("cross_encoder", model=classifier, max_length=64).score([]).scores.shape


def test_settings_reach_the_reranker(classifier):
    whole = load_reranker("cross_encoder", model=str(classifier), max_length=64)
    cut = load_reranker("cross_encoder", model=classifier, max_length=10)
    assert (0, 3) == (whole.score(PAIRS).truncated, cut.score(PAIRS).truncated)
    assert whole.score(PAIRS[:1]).scores != cut.score(PAIRS[:1]).scores


def test_compute_settings_reach_the_reranker(classifier):
    compute = {"device": "cpu", "dtype": "bfloat16", "attention": "eager"}
    reranker = load_reranker("cross_encoder", model=classifier, max_length=64, compute=compute)
    assert ("bfloat16", "eager") == (reranker.identity["dtype"], reranker.identity["attention"])
    exact = load_reranker("cross_encoder", model=classifier, max_length=64)
    assert "float32" == exact.identity["dtype"]
    assert reranker.score(PAIRS).scores.tolist() != exact.score(PAIRS).scores.tolist()


@pytest.mark.parametrize("cutoffs", [[1, 3], (1, 3)])
def test_several_cutoff_layers_give_a_column_each(tmp_path, cutoffs):
    name, folder = "bge_reranker_v2_minicpm_layerwise", write_minicpm_layerwise(tmp_path / "model")
    both = load_reranker(name, model=folder, cutoff_layers=cutoffs).score(PAIRS).scores
    assert (4, 2) == both.shape
    for column, layer in enumerate(cutoffs):
        alone = load_reranker(name, model=folder, cutoff_layers=[layer]).score(PAIRS).scores
        np.testing.assert_allclose(both[:, column], alone, rtol=1e-4, atol=1e-5)


def test_a_pair_brings_its_own_instruction(tmp_path):
    reranker = load_reranker("minicpm_reranker", model=write_minicpm_reranker(tmp_path / "model"))
    plain, empty, asked = (reranker.score([PAIRS[0]._replace(instruction=text)]).scores for text in (None, "", "Find."))
    assert plain == empty
    assert plain != asked


def test_late_interaction_is_a_reranker_too(encoder):
    reranker = load_reranker("late_interaction", model=encoder, max_length=64)
    assert isinstance(reranker, LateInteractionReranker)
    assert (4,) == reranker.score(PAIRS).scores.shape


def test_a_retriever_puts_its_instruction_before_queries_alone(encoder):
    plain = load_retriever("dense", model=encoder, max_length=64, pooling="mean", compute=CPU)
    settings = {"pooling": "mean", "query_instruction": "what makes ", "document_instruction": ""}
    asked = load_retriever("dense", model=encoder, max_length=64, **settings)
    texts = ["bread rise", "The moon has no air."]
    np.testing.assert_array_equal(asked.encode_documents(texts), plain.encode_documents(texts))
    behind = plain.encode_documents([f"what makes {text}" for text in texts])
    np.testing.assert_array_equal(asked.encode_queries(texts), behind)
    assert not np.allclose(asked.encode_queries(texts), plain.encode_queries(texts))


def test_a_retriever_gives_float32_vectors_of_length_1_in_order(encoder):
    retriever = load_retriever("dense", model=encoder, max_length=64, pooling="mean", normalize=True)
    vectors = retriever.encode_documents(["tides", "Yeast makes bread rise.", ""])
    assert (np.float32, (3, 32)) == (vectors.dtype, vectors.shape)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(vectors[1], retriever.encode_documents(["Yeast makes bread rise."])[0], atol=1e-6)


def test_a_retriever_puts_a_task_instruction_where_its_settings_say(tmp_path):
    folder = write_minicpm_embedding(tmp_path / "model")
    retriever = load_retriever("minicpm_embedding", model=folder)
    wanted = retriever.encode(["Instruction: Find the answer. Query: tides"])
    np.testing.assert_array_equal(wanted, retriever.encode_queries(["tides"], instruction="Find the answer."))
    np.testing.assert_array_equal(retriever.encode(["Query: tides"]), retriever.encode_queries(["tides"]))


def test_an_instruction_that_a_retriever_has_no_place_for_is_refused(encoder):
    retriever = load_retriever("dense", model=encoder, max_length=64, pooling="mean")
    with pytest.raises(ConfigError, match=r"no place for an instruction\. Set retriever\.instructed_query"):
        retriever.encode_queries(["tides"], instruction="Find the answer.")


@pytest.mark.parametrize(
    ("name", "settings", "parts"),
    [
        ("zzz", {}, ["reranker=zzz is not a choice", "cross_encoder", "minicpm_reranker"]),
        ("../reranker/none", {}, ["is not a choice"]),
        ("cross_encoder", {}, ["reranker.model is not set"]),
        ("cross_encoder", {"modle": "x"}, ["reranker.modle is not a setting", "max_length, model"]),
        ("cross_encoder", {"model": "x", "max_length": "ten"}, ["reranker.", "'ten'", "Integer"]),
        ("cross_encoder", {"model": "x", "max_length": 2}, ["reranker.max_length=2 is out of range"]),
        ("cross_encoder", {"model": "x", "truncation": "left"}, ["reranker.truncation=left", "only_second"]),
        ("minicpm_reranker", {"model": "x", "pooling": "middle"}, ["reranker.pooling=middle", "last, first, mean"]),
        ("minicpm_reranker", {"cutoff_layers": [1]}, ["reranker.cutoff_layers is not a setting"]),
        ("bge_reranker_v2_minicpm_layerwise", {"cutoff_layers": [28, 8]}, ["[28, 8]", "ascending"]),
        ("bge_reranker_v2_minicpm_layerwise", {"cutoff_layers": 28}, ["reranker."]),
        ("none", {}, ["reranker none reads no texts"]),
        ("replay", {"path": __file__}, ["reads no texts, so it has no score"]),
        ("cross_encoder", {"model": "x", "compute": {"dtype": "int8"}}, ["compute.dtype=int8", "float32, bfloat16"]),
        ("cross_encoder", {"model": "x", "compute": {"dtpye": "float32"}}, ["compute.dtpye is not a setting", "dtype"]),
    ],
)
def test_a_wrong_name_or_setting_of_a_reranker_is_refused(name, settings, parts):
    with pytest.raises(ConfigError) as caught:
        load_reranker(name, **settings)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "settings", "parts"),
    [
        ("nope", {}, ["retriever=nope is not a choice", "bm25", "minicpm_embedding"]),
        ("dense", {}, ["retriever.model is not set"]),
        ("dense", {"model": "x", "poling": "cls"}, ["retriever.poling is not a setting", "pooling"]),
        ("dense", {"model": "x", "pooling": "first"}, ["retriever.pooling=first", "weighted_mean"]),
        ("dense", {"model": "x", "instructions": "Find."}, ["no place for an instruction"]),
        ("bm25", {}, ["retriever bm25 has no encoder, so it makes no vectors"]),
        ("saved", {"path": __file__}, ["retriever saved has no encoder"]),
    ],
)
def test_a_wrong_name_or_setting_of_a_retriever_is_refused(name, settings, parts):
    with pytest.raises(ConfigError) as caught:
        load_retriever(name, **settings)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("group", "given"),
    [("dataset", "/nowhere/data"), ("dataset", "nowhere/data"), ("reranker", "./nowhere"), ("retriever", "~/no.trec")],
)
def test_a_path_of_nothing_is_not_a_choice(group, given):
    with pytest.raises(ConfigError, match=f"{group}={given}: no such file or folder"):
        stage_of(group, given, {})


@pytest.mark.parametrize("given", ["cqadupstack/unx", "scifct"])
def test_a_wrong_name_of_a_dataset_is_not_a_path(given):
    with pytest.raises(ConfigError, match=r"is not a choice. Did you mean (cqadupstack/unix|scifact)"):
        stage_of("dataset", given, {})


def test_checkpoints_are_refused_before_they_are_used(classifier, encoder, tmp_path):
    with pytest.raises(ModelError, match="nowhere: no such folder"):
        load_reranker("cross_encoder", model=tmp_path / "nowhere")
    with pytest.raises(ModelError, match="promises no classification head"):
        load_reranker("cross_encoder", model=encoder, max_length=64)
    with pytest.raises(ModelError, match="a cross-encoder"):
        load_retriever("dense", model=classifier, max_length=64, pooling="cls")
    with pytest.raises(ModelError, match="max_length=65, but the model has 64 positions"):
        load_reranker("cross_encoder", model=classifier, max_length=65)


def test_both_are_at_the_top_of_the_package():
    assert evalkit.load_reranker is load.load_reranker
    assert evalkit.load_retriever is load.load_retriever
    assert {"load_reranker", "load_retriever", "Pair"} <= set(evalkit.__all__)


def test_plain_tuples_of_texts_are_pairs_and_anything_else_is_refused(tmp_path):
    reranker = load_reranker("cross_encoder", model=write_bert_reranker(tmp_path / "model"), max_length=32)
    texts = [("what makes tides?", "The moon."), ("what makes tides?", "Bees.")]
    expected = reranker.score([Pair(*pair) for pair in texts]).scores
    assert expected.tolist() == reranker.score(texts).scores.tolist()
    for wrong in (("a", None), ("a",), ("a", "b", "c", "d")):
        with pytest.raises(DataError, match="pair 1 is"):
            reranker.score([texts[0], wrong])


@pytest.mark.parametrize(
    ("load_one", "message"),
    [
        (lambda: load_reranker("bge_reranker_v2_m4"), "Did you mean bge_reranker_v2_m3?"),
        (lambda: load_retriever("bge-m3"), "Did you mean bge_m3_dense or bge_m3_sparse?"),
        (
            lambda: load_reranker("cross_encoder", max_lenght=5),
            "reranker.max_lenght is not a setting. Did you mean max_le",
        ),
        (lambda: load_reranker("none", compute={"dtyp": "float16"}), "Did you mean dtype?"),
    ],
)
def test_a_mistyped_name_or_setting_is_answered_with_what_was_meant(load_one, message):
    with pytest.raises(ConfigError) as caught:
        load_one()
    assert message in str(caught.value)


def test_a_search_takes_objects_for_its_stages():
    found = evalkit.load_search(
        {"q1": {"d1": 2, "d2": 1}}, lambda pairs: [len(text) for _, text in pairs], library="beir"
    )
    corpus = {"d1": {"title": "", "text": "bees"}, "d2": {"title": "", "text": "bees make honey"}}
    assert {"q1": {"d1": 4.0, "d2": 15.0}} == found.search(corpus, {"q1": "honey"}, 10)


@pytest.mark.parametrize("load_stage", [load_reranker, load_retriever])
def test_an_object_in_place_of_a_name_is_one_line(load_stage):
    with pytest.raises(
        ConfigError, match=r"^(reranker|retriever) is <function .*, expected a name from `evalkit list`"
    ):
        load_stage(lambda query, documents: documents)  # noqa: ARG005


def test_texts_in_python_are_a_list_of_texts_or_refused(encoder):
    pandas = pytest.importorskip("pandas")
    retriever = load_retriever("dense", model=encoder, max_length=64, pooling="mean", compute=CPU)
    expected = retriever.encode_documents(["moon", "honey"])
    for same in (("moon", "honey"), (text for text in ("moon", "honey")), pandas.Series(["moon", "honey"])):
        np.testing.assert_array_equal(retriever.encode_documents(same), expected)
    refused = {
        "got str": "moon",
        "got dict": {"d1": "moon"},
        "got set": {"moon"},
        "got DataFrame": pandas.DataFrame({"text": ["moon"] * 3}),
        "got int": 3,
        "text 2 is None": ["moon", None],
        "text 1 is b'moon'": [b"moon"],
        "text 2 has half of a surrogate pair": ["moon", "\ud800"],
    }
    for message, given in refused.items():
        for encode in (retriever.encode_queries, retriever.encode_documents):
            with pytest.raises(DataError, match=message):
                encode(given)
