"""`reranker=auto` on every golden checkpoint: its kind, and the ids and float32 scores of the reference."""

import json
import re
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from families.golden import Cases, cases_of, limited, read

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.rerank.pair_reranker import PairReranker
from evalkit.rerank.recognition import AutoConfig

pytestmark = pytest.mark.shared

OFFICIAL = 1e-4  # float32 on both sides
# Folder -> the kind that it is recognised as. Those that stand for a way of reading or scoring run always.
ALWAYS = {
    "ettin_modular": "cross_encoder",
    "logit_score_qwen2": "language_model",
    "logit_score_zerank": "language_model",
    "lora_adapter_bert": "cross_encoder",
    "monot5": "t5",
    "qwen3_seq_cls": "language_model",
    "spm_only": "cross_encoder",
}
SLOW = {
    "bge_reranker_v2_5_gemma2_lightweight": "lightweight",
    "bge_reranker_v2_gemma": "flag_llm",
    "bge_reranker_v2_minicpm_layerwise": "layerwise",
    "deberta_v2_seq_cls": "cross_encoder",
    "decoder_seq_cls_llama": "cross_encoder",
    "gte_multilingual_reranker": "cross_encoder",
    "gte_native": "cross_encoder",
    "jina_reranker_v2": "cross_encoder",
    "logit_score_qwen2_stv6": "language_model",
    "lora_adapter_qwen3": "cross_encoder",
    "minicpm_reranker": "minicpm",
    "modernbert_seq_cls": "cross_encoder",
    "modernbert_seq_cls_mean": "cross_encoder",
    "qwen3_stv6": "language_model",
    "st6_prompt": "cross_encoder",
    "two_labels": "cross_encoder",
}
# bge-reranker-v2-m3 is cut as FlagEmbedding does, which none of its files says. jina-reranker-v3 reads
# lists: tests/rerank/families/test_jina_listwise.py.
OTHERS = {"bge_reranker_v2_m3", "jina_reranker_v3"}
FOLDERS = [*ALWAYS, *(pytest.param(folder, marks=pytest.mark.slow) for folder in SLOW)]
# Settings in which the checkpoint is read where it says nothing else.
USUAL = {"default", "full", "cutoff_5_last"}


def test_every_golden_reranker_is_walked_here(shared):
    rerankers = {
        file.parent.name
        for file in (shared / "golden").glob("*/expected.json")
        if {"pairs", "lists"} & set(read(file.parent)) and read(file.parent).get("kind") != "late interaction"
    }
    assert rerankers == {*ALWAYS, *SLOW, *OTHERS}


@cache
def model_of(folder: Path, **settings) -> PairReranker:
    found = next(folder / "model" / name for name in ("adapter", "") if (folder / "model" / name).is_dir())
    config = AutoConfig(name="auto", model=str(found), **settings)
    return rerank.require_pairs(rerank.build(config, ComputeConfig(device="cpu")))


def parts_of(folder: Path) -> list[Cases]:
    golden = read(folder)
    named = {case.get("setting") for case in golden["cases"]}
    setting = None if None in named else next(iter(named & USUAL))
    return list(cases_of(folder, setting, lengths=golden["max_lengths"]))


@pytest.mark.parametrize("name", FOLDERS)
def test_ids_and_scores_are_those_of_the_reference(shared, name, capsys):
    folder = shared / "golden" / name
    model = model_of(folder)
    kind = {**ALWAYS, **SLOW}[name]
    assert re.search(rf"read as (reranker={kind}|the family {kind}, as is .+), since ", capsys.readouterr().err)
    for part in parts_of(folder):
        tokenized = limited(model, part.max_length).tokenize(part.pairs)
        assert [ids.tolist() for ids in tokenized.ids] == [
            case.get("input_ids", ids.tolist()) for case, ids in zip(part.cases, tokenized.ids, strict=True)
        ]
        order = np.random.default_rng(part.max_length).permutation(len(part.pairs))
        shuffled = [part.pairs[row] for row in order]
        for batch_tokens, pairs, rows in (
            (1, part.pairs, slice(None)),
            (3000, part.pairs, slice(None)),
            (300, shuffled, order),
        ):
            scores = limited(model, part.max_length, batch_tokens=batch_tokens).score(pairs).scores
            np.testing.assert_allclose(scores, part.expected()[rows], rtol=0, atol=OFFICIAL)


def test_instruction_has_its_place_in_mxbai_s_pieces(shared):
    folder = shared / "golden/logit_score_qwen2"
    cases = [case for case in read(folder)["cases"] if case.get("setting")]
    told = {pair["id"]: pair for pair in read(folder)["pairs"]}
    assert cases, "the golden file has cases with an instruction"
    model = model_of(folder, instructions="Rank by how helpful the passage is.")
    for case in cases:
        pair = told[case["id"]]
        scored = limited(model, case["max_length"]).score([(pair["query"], pair["document"])])
        np.testing.assert_allclose(scored.scores, [case["score"]], rtol=0, atol=OFFICIAL)


def test_texts_are_longer_than_the_positions_that_config_json_names_where_these_are_rotary(shared, tmp_path):
    folder = shared / "golden/modernbert_seq_cls"
    copy = shutil.copytree(folder / "model", tmp_path / "model")
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    (copy / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 64}), encoding="utf-8")
    longest = parts_of(folder)[-1]
    own = AutoConfig(name="auto", model=str(copy), max_length=longest.max_length)
    scores = rerank.build(own, ComputeConfig(device="cpu")).score(longest.pairs).scores
    np.testing.assert_allclose(scores, longest.expected(), rtol=0, atol=OFFICIAL)


@pytest.mark.slow
def test_prompt_of_another_name_is_a_setting(shared):
    folder = shared / "golden/st6_prompt"
    golden = read(folder)
    config = replace(model_of(folder).config, query_instruction=golden["settings"]["long"]["prompt"])
    texts = {pair["id"]: (pair["query"], pair["document"]) for pair in golden["pairs"]}
    for max_length in golden["max_lengths"]:
        own = [c for c in golden["cases"] if (c["max_length"], c.get("setting")) == (max_length, "long")]
        model = rerank.build(replace(config, max_length=max_length), ComputeConfig(device="cpu"))
        scores = model.score([texts[case["id"]] for case in own]).scores
        np.testing.assert_allclose(scores, [case["score"] for case in own], rtol=0, atol=OFFICIAL)


@pytest.mark.parametrize("attention", ["auto", "eager"])
def test_a_classifier_that_reads_both_ways_sees_the_end_that_it_does_not_score(shared, tmp_path, attention):
    """Each pair ends in the token that is also the padding's: transformers scores the one before, which sees it."""
    import torch
    from transformers import AutoModelForSequenceClassification

    folder = shutil.copytree(shared / "golden/decoder_seq_cls_llama/model", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"is_causal": False}), encoding="utf-8")
    pairs = parts_of(shared / "golden/decoder_seq_cls_llama")[0].pairs
    own = AutoConfig(name="auto", model=str(folder), max_length=64)
    model = rerank.build(own, ComputeConfig(device="cpu", attention=attention, batch_tokens=300))
    theirs = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = [
            float(theirs(input_ids=torch.from_numpy(ids.astype("int64"))[None]).logits)
            for ids in model.tokenize(pairs).ids
        ]
    np.testing.assert_allclose(model.score(pairs).scores, expected, rtol=0, atol=OFFICIAL)
