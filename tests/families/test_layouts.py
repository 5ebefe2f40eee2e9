"""Checkpoints as people publish them, with no setting but the folder: the reference's values, or a true refusal."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from families.golden import KINDS
from in_process import evalkit as evalkit_typed

import evalkit
from evalkit.errors import ModelError
from evalkit.types import Pair

pytestmark = pytest.mark.shared

OFFICIAL = 1e-4  # float32 on both sides
PAIRS = (
    "deberta_v2_seq_cls",
    "decoder_seq_cls_llama",
    "ettin_modular",
    "gte_native",
    "lora_adapter_bert",
    "lora_adapter_qwen3",
    "modernbert_seq_cls",
    "modernbert_seq_cls_mean",
    "spm_only",
    "st6_prompt",
    "two_labels",
)
TEXTS = (
    "dense_arctic",
    "dense_distilbert",
    "dense_e5",
    "dense_embeddinggemma",
    "dense_new_gte",
    "dense_new_gte_en",
    "dense_nomic",
    "dense_prompts",
    "dense_truncate_dim",
)
REFUSED = {
    "splade": ("dense", "is a sparse encoder (SPLADE)"),
    "jina_reranker_v3": ("cross_encoder", "auto_map names the model's own code"),
    "logit_score_qwen2": ("cross_encoder", "is a language model (Qwen2ForCausalLM)"),
    "logit_score_qwen2_stv6": (
        "cross_encoder",
        "scores by the logits of answer tokens (LogitScore) after a prompt. Use reranker=auto",
    ),
    "logit_score_zerank": ("qwen3_reranker_0_6b", "its chat template writes another prompt"),
    "monot5": ("cross_encoder", "is an encoder-decoder (T5ForConditionalGeneration)"),
    "qwen3_seq_cls": ("cross_encoder", "its chat template writes query and document into a prompt"),
}


def golden(shared: Path, name: str) -> dict[str, Any]:
    return json.loads((shared / "golden" / name / "expected.json").read_text(encoding="utf-8"))


def folder(shared: Path, name: str) -> str:
    model = shared / "golden" / name / "model"
    return str(model / "adapter" if (model / "adapter").is_dir() else model)


def as_stored(cases: list[dict[str, Any]], max_length: int) -> list[dict[str, Any]]:
    """The cases with no setting but the length, that is, with what the folder itself says."""
    found = [case for case in cases if case.get("setting", "default") in {"default", "stored"}]
    return [case for case in found if case["max_length"] == max_length]


def test_every_golden_folder_is_either_right_or_refused(shared):
    late = {"late_colbert_modernbert", "late_colbert_noexpansion", "late_colbert_pylate", "st6_multivector"}
    elsewhere = {*KINDS, *late, "bge_large_en", "bge_m3_dense", "qwen3_stv6"}
    assert {*PAIRS, *TEXTS, *REFUSED, *elsewhere} == {path.parent.name for path in shared.glob("golden/*/model")}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_have_the_ids_and_scores_of_the_reference(shared, name):
    found = golden(shared, name)
    texts = {pair["id"]: Pair(pair["query"], pair["document"]) for pair in found["pairs"]}
    for max_length in sorted(found["max_lengths"]):
        cases = as_stored(found["cases"], max_length)
        model = evalkit.load_reranker("cross_encoder", model=folder(shared, name), max_length=max_length)
        pairs = [texts[case["id"]] for case in cases]
        tokenized = model.tokenize(pairs)
        assert [case["input_ids"] for case in cases] == [ids.tolist() for ids in tokenized.ids]
        if "token_type_ids" in cases[0]:
            assert [case["token_type_ids"] for case in cases] == [ids.tolist() for ids in tokenized.segments]
        expected = np.array([case["score"] for case in cases], dtype=np.float32)
        np.testing.assert_allclose(model.score(pairs).scores, expected, rtol=0, atol=OFFICIAL)
    # At the last length, the largest, pairs of a batch differ most in length.
    alone = np.concatenate([model.score([pair]).scores for pair in pairs])
    np.testing.assert_allclose(alone, expected, rtol=0, atol=OFFICIAL)


@pytest.mark.parametrize("name", TEXTS)
def test_texts_have_the_ids_and_vectors_of_the_reference(shared, name):
    found = golden(shared, name)
    texts = {text["id"]: text for text in found["texts"]}
    for max_length in found["max_lengths"]:
        cases = as_stored(found["cases"], max_length)
        model = evalkit.load_retriever("dense", model=folder(shared, name), max_length=max_length)
        for role, encode, before in (
            ("query", model.encode_queries, model.query_instruction),
            ("document", model.encode_documents, model.encoder.reading.document_instruction),
        ):
            own = [case for case in cases if texts[case["id"]]["role"] == role]
            given = [texts[case["id"]]["text"] for case in own]
            tokenized = model.tokenize(given, instruction=before)
            assert [case["input_ids"] for case in own] == [ids.tolist() for ids in tokenized.ids]
            expected = np.array([case["embedding"] for case in own], dtype=np.float32)
            np.testing.assert_allclose(encode(given), expected, rtol=0, atol=OFFICIAL)
            if max_length == max(found["max_lengths"]):  # where texts of a batch differ most in length
                alone = np.concatenate([encode([text]) for text in given])
                np.testing.assert_allclose(alone, expected, rtol=0, atol=OFFICIAL)


# What `embed` prints is what a retriever computes, which the test above has for each of them.
PRINTED = {"dense_arctic", "dense_prompts", "dense_truncate_dim"}


@pytest.mark.parametrize("name", [pytest.param(one, marks=[] if one in PRINTED else pytest.mark.slow) for one in TEXTS])
def test_embed_prints_the_vectors_of_the_reference(shared, name, tmp_path):
    found = golden(shared, name)
    texts = {text["id"]: text for text in found["texts"]}
    cases = as_stored(found["cases"], min(found["max_lengths"]))
    lines = [json.dumps(texts[case["id"]]) + "\n" for case in cases]
    (tmp_path / "texts.jsonl").write_text("".join(lines), encoding="utf-8")
    settings = [f"retriever.model={folder(shared, name)}", f"retriever.max_length={min(found['max_lengths'])}"]
    printed = evalkit_typed("embed", "retriever=dense", *settings, "--ids", "texts.jsonl", cwd=tmp_path).stdout
    rows = [json.loads(line) for line in printed.splitlines()]
    assert [case["input_ids"] for case in cases] == [row["input_ids"] for row in rows]
    expected = [case["embedding"] for case in cases]
    np.testing.assert_allclose([row["embedding"] for row in rows], expected, rtol=0, atol=OFFICIAL)


@pytest.mark.parametrize("name", TEXTS)
def test_the_length_is_the_checkpoint_s_own_where_no_setting_says_otherwise(shared, name):
    stored = golden(shared, name)["settings"]["stored"]["max_seq_length_stored"]
    assert stored == evalkit.load_retriever("dense", model=folder(shared, name)).encoder.reading.max_length


@pytest.mark.parametrize("name", ["ettin_modular", "late_colbert_pylate", "logit_score_qwen2_stv6", "st6_multivector"])
def test_a_transformer_in_a_folder_of_its_own_has_the_same_scores(shared, tmp_path, name):
    pairs = [Pair("which river?", "The glacier feeds the river."), Pair("a", "Bees make honey. " * 20)]
    expected = evalkit.load_reranker("auto", model=folder(shared, name)).score(pairs).scores
    moved = shutil.copytree(folder(shared, name), tmp_path / "m")
    listed = json.loads((moved / "modules.json").read_text(encoding="utf-8"))
    (moved / "0_Transformer").mkdir()
    for file in [file for file in moved.iterdir() if file.is_file()]:
        if file.name not in {"modules.json", "config_sentence_transformers.json"}:
            file.rename(moved / "0_Transformer" / file.name)
    listed[0]["path"] = "0_Transformer"
    (moved / "modules.json").write_text(json.dumps(listed), encoding="utf-8")
    model = evalkit.load_reranker("auto", model=str(moved))
    assert expected.tolist() == model.score(pairs).scores.tolist()
    assert "0_Transformer/config.json" in model.identity["checkpoint"]["files"]


def test_e5_passages_get_their_prompt_by_the_setting_that_the_note_names(shared, caplog):
    found = golden(shared, "dense_e5")
    texts = {text["id"]: text["text"] for text in found["texts"]}
    evalkit.load_retriever("dense", model=folder(shared, "dense_e5"))
    assert "retriever.document_instruction='passage: '" in caplog.text
    cases = [case for case in found["cases"] if case.get("setting") == "passage"]
    model = evalkit.load_retriever(
        "dense",
        model=folder(shared, "dense_e5"),
        max_length=cases[0]["max_length"],
        document_instruction="passage: ",
    )
    actual = model.encode_documents([texts[case["id"]] for case in cases])
    np.testing.assert_allclose(actual, [case["embedding"] for case in cases], rtol=0, atol=OFFICIAL)


def test_qwen3_reranker_as_sentence_transformers_saves_it_is_read_by_its_name(shared):
    found = golden(shared, "qwen3_stv6")
    texts = {pair["id"]: Pair(pair["query"], pair["document"]) for pair in found["pairs"]}
    for max_length in found["max_lengths"]:
        cases = as_stored(found["cases"], max_length)
        model = evalkit.load_reranker("qwen3_reranker_0_6b", model=folder(shared, "qwen3_stv6"), max_length=max_length)
        scores = model.score([texts[case["id"]] for case in cases]).scores
        np.testing.assert_allclose(scores, [case["score"] for case in cases], rtol=0, atol=OFFICIAL)


def run(kind: str, model: str) -> None:
    if kind == "dense":
        evalkit.load_retriever(kind, model=model).encode_queries(["moon"])
    else:
        evalkit.load_reranker(kind, model=model).score([Pair("moon", "sea")])


@pytest.mark.parametrize("name", REFUSED)
def test_a_layout_that_does_not_run_is_refused_by_what_it_is(shared, name):
    kind, expected = REFUSED[name]
    with pytest.raises(ModelError) as error:
        run(kind, folder(shared, name))
    assert expected in str(error.value)
    assert "random" not in str(error.value)
