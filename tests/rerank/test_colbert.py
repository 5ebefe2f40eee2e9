"""Late interaction as trained: the vectors that PyLate, sentence-transformers 6 and ColBERT's authors compare."""

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from evalkit import rerank
from evalkit.cli import main
from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.rerank.colbert import ColbertReranker
from evalkit.rerank.late_interaction import LateInteractionConfig
from evalkit.rerank.recognition import AutoConfig
from evalkit.types import Pair

pytestmark = pytest.mark.shared

OFFICIAL = 1e-4  # float32 on both sides
FOLDERS = ("late_colbert_pylate", "late_colbert_noexpansion", "late_colbert_modernbert", "st6_multivector")


@cache
def golden(folder: Path):
    return json.loads((folder / "expected.json").read_text(encoding="utf-8"))


def pairs_of(found):
    texts = {pair["id"]: Pair(pair["query"], pair["document"]) for pair in found["pairs"]}
    return [texts[case["id"]] for case in found["cases"]]


def build(model, kind=LateInteractionConfig, *, batch_tokens=None, **settings) -> ColbertReranker:
    compute = ComputeConfig(device="cpu", batch_tokens=batch_tokens)
    return rerank.build(kind(name="x", model=str(model), **settings), compute)


def change(file: Path, **keys):
    stored = json.loads(file.read_text(encoding="utf-8")) | keys
    file.write_text(json.dumps({key: value for key, value in stored.items() if value != "absent"}), encoding="utf-8")


@pytest.fixture
def pylate(shared, tmp_path):
    return shutil.copytree(shared / "golden/late_colbert_pylate/model", tmp_path / "model")


@pytest.fixture
def multivector(shared, tmp_path):
    return shutil.copytree(shared / "golden/st6_multivector/model", tmp_path / "model")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_recognised_as_what_its_kind_reads_it_as(shared, name):
    model = shared / "golden" / name / "model"
    assert build(model, AutoConfig).identity == build(model).identity


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize(
    "kind", [pytest.param(AutoConfig, marks=pytest.mark.slow), LateInteractionConfig], ids=["auto", "named"]
)
def test_ids_vectors_and_scores_are_those_of_the_reference(shared, name, kind):
    folder = shared / "golden" / name
    found = golden(folder)
    pairs, expected = pairs_of(found), [case["score"] for case in found["cases"]]
    for settings in ({}, {"max_length": found["max_lengths"][0]}):
        model = build(folder / "model", kind, **settings)
        for role, texts, key in (
            ("query", [pair.query for pair in pairs], "query_input_ids"),
            ("document", [pair.document for pair in pairs], "document_input_ids"),
        ):
            assert [case[key] for case in found["cases"]] == [ids.tolist() for ids in model.read(texts, role).ids]
        kept = [
            np.flatnonzero(model.kept(ids, "document"))
            for ids in model.read([p.document for p in pairs], "document").ids
        ]
        assert [case.get("document_kept", own.tolist()) for case, own in zip(found["cases"], kept, strict=True)] == [
            own.tolist() for own in kept
        ]
        np.testing.assert_allclose(model.score(pairs).scores, expected, rtol=0, atol=OFFICIAL)
        alone = [float(model.score([pair]).scores[0]) for pair in pairs]
        np.testing.assert_allclose(alone, expected, rtol=0, atol=OFFICIAL)
    small = build(folder / "model", kind, batch_tokens=100).score(pairs).scores
    np.testing.assert_allclose(small, expected, rtol=0, atol=OFFICIAL)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_padded_models_and_packed_ones_score_alike(shared, attention):
    folder = shared / "golden/late_colbert_pylate"
    found = golden(folder)
    config = LateInteractionConfig(name="x", model=str(folder / "model"))
    padded = rerank.build(config, ComputeConfig(device="cpu", attention=attention))
    expected = [case["score"] for case in found["cases"]]
    np.testing.assert_allclose(padded.score(pairs_of(found)).scores, expected, rtol=0, atol=OFFICIAL)


@pytest.mark.parametrize(
    ("local_attention", "query_length", "attention"), [(64, None, "packed"), (62, None, "sdpa"), (64, 40, "sdpa")]
)
def test_modernbert_is_packed_where_its_windows_reach_all_masks(
    shared, tmp_path, local_attention, query_length, attention
):
    source = shared / "golden/late_colbert_modernbert"
    folder = shutil.copytree(source / "model", tmp_path / "model")
    change(folder / "config.json", local_attention=local_attention)
    model = build(folder, max_length=query_length)
    assert model.compute.attention == attention
    if attention == "packed":
        config, pairs = LateInteractionConfig(name="x", model=str(folder)), pairs_of(golden(source))
        padded = rerank.build(config, ComputeConfig(device="cpu", attention="sdpa"))
        np.testing.assert_allclose(model.score(pairs).scores, padded.score(pairs).scores, rtol=0, atol=OFFICIAL)


def test_the_layout_of_colbert_s_authors_is_the_same_model(shared, tmp_path):
    """The weights of the golden PyLate folder under their names, with the projection next to them."""
    source = shared / "golden/late_colbert_pylate/model"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, tmp_path / name)
    config = json.loads((source / "config.json").read_text()) | {"architectures": ["HF_ColBERT"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    stored = {f"bert.{name}": tensor for name, tensor in load_file(source / "model.safetensors").items()}
    stored["linear.weight"] = load_file(source / "1_Dense/model.safetensors")["linear.weight"]
    save_file(stored, tmp_path / "model.safetensors", metadata={"format": "pt"})
    metadata = {"query_token_id": "[Q] ", "doc_token_id": "[D] ", "query_maxlen": 32, "doc_maxlen": 180}
    (tmp_path / "artifact.metadata").write_text(json.dumps(metadata))
    found = golden(source.parent)
    model = build(tmp_path, AutoConfig)
    np.testing.assert_allclose(
        model.score(pairs_of(found)).scores, [case["score"] for case in found["cases"]], rtol=0, atol=OFFICIAL
    )
    before = model.identity
    (tmp_path / "artifact.metadata").write_text(json.dumps(metadata | {"mask_punctuation": False}))
    again = build(tmp_path)
    assert before != again.identity
    assert np.abs(again.score(pairs_of(found)).scores - model.score(pairs_of(found)).scores).max() > 1e-3


NORMAL = {"strategy": "fixed", "attend": False, "token": None, "length": 32}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("transformer", "mask", "model"),
    [
        ({"query_expansion": NORMAL | {"attend": True}}, {}, {}),
        ({"query_expansion": NORMAL | {"strategy": "min", "length": 12}}, {}, {}),
        ({"query_expansion": NORMAL | {"token": "[SEP]", "length": 20}}, {}, {}),
        ({"query_expansion": "absent", "query_length": 14, "document_length": 20}, {}, {}),
        ({}, {"skiplist_tasks": ["query", "document"], "skiplist_words": ["the", "not a token"]}, {}),
        ({}, {}, {"similarity_fn_name": "meanmaxsim", "prompts": {"query": "[Q] find ", "document": "[D] "}}),
        ({"do_lower_case": True}, {}, {}),
    ],
    ids=["attend", "min", "token", "no expansion", "skips in queries", "mean and prompt", "lower case"],
)
def test_settings_of_a_multi_vector_encoder_are_obeyed_as_there(multivector, shared, transformer, mask, model):
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    change(multivector / "sentence_bert_config.json", **transformer)
    change(multivector / "2_MultiVectorMask/config.json", **mask)
    change(multivector / "config_sentence_transformers.json", **model)
    pairs = pairs_of(golden(shared / "golden/st6_multivector"))
    theirs = library.MultiVectorEncoder(str(multivector), device="cpu")
    queries, documents = (
        encode(texts)
        for encode, texts in (
            (theirs.encode_query, [pair.query for pair in pairs]),
            (theirs.encode_document, [pair.document for pair in pairs]),
        )
    )
    expected = [float(theirs.similarity_pairwise([q], [d])[0]) for q, d in zip(queries, documents, strict=True)]
    np.testing.assert_allclose(build(multivector).score(pairs).scores, expected, rtol=0, atol=OFFICIAL)


@pytest.mark.slow
def test_several_layers_with_a_residual_are_those_of_sentence_transformers(multivector, shared):
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    import torch

    torch.manual_seed(0)
    layer = multivector / "1_Dense"
    change(layer / "config.json", use_residual=True, activation_function="torch.nn.modules.activation.Tanh")
    stored = load_file(layer / "model.safetensors")
    save_file(stored | {"residual.weight": torch.randn_like(stored["linear.weight"])}, layer / "model.safetensors")
    pairs = pairs_of(golden(shared / "golden/st6_multivector"))
    theirs = library.MultiVectorEncoder(str(multivector), device="cpu")
    queries, documents = (
        theirs.encode_query([p.query for p in pairs]),
        theirs.encode_document([p.document for p in pairs]),
    )
    expected = [float(theirs.similarity_pairwise([q], [d])[0]) for q, d in zip(queries, documents, strict=True)]
    np.testing.assert_allclose(build(multivector).score(pairs).scores, expected, rtol=0, atol=OFFICIAL)


def test_lengths_are_settings_and_a_long_text_is_flagged(pylate):
    model = build(pylate, max_length=16, document_length=20)
    long = Pair("glacier " * 40, "river " * 40)
    assert len(model.read([long.query], "query").ids[0]) == 16
    assert len(model.read([""], "query").ids[0]) == 16
    assert len(model.read([long.document], "document").ids[0]) == 20
    assert model.score([long, Pair("river", "river")]).cut.tolist() == [True, False]
    assert build(pylate).identity != model.identity


def test_skipped_words_that_are_no_tokens_skip_the_unknown_one(pylate):
    change(pylate / "config_sentence_transformers.json", skiplist_words=["surely not a token"])
    ids = build(pylate).read(["\u2603 river"], "document").ids[0]
    unknown = build(pylate).tokenizer.token_id("[UNK]")
    assert unknown in ids.tolist()
    assert (ids == unknown).tolist() == (~build(pylate).kept(ids, "document")).tolist()


@pytest.mark.parametrize(
    ("keys", "part"),
    [
        ({"query_prefix": "[X] "}, "marks a query by the token '[X] ', which its tokenizer lacks"),
        ({"query_length": 0}, "query_length=0"),
        ({"skiplist_words": "abc"}, "is not a list of words"),
        ({"similarity_fn_name": "XTR"}, "similarity_fn_name='xtr'"),
        ({"unheard_of": 1}, "does not know unheard_of=1"),
        ({"document_length": 9000}, "has 256 positions"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_not_known_is_refused(pylate, keys, part):
    change(pylate / "config_sentence_transformers.json", **keys)
    with pytest.raises(ModelError) as error:
        build(pylate).score([Pair("a", "b")])
    assert part in str(error.value)


def test_modules_that_compare_other_vectors_than_ours_are_refused(multivector):
    change(multivector / "3_Normalize/config.json", module_input_name="sentence_embedding")
    with pytest.raises(ModelError, match="module_input_name='sentence_embedding', expected 'token_embeddings'"):
        build(multivector)
    change(multivector / "3_Normalize/config.json", module_input_name="token_embeddings")
    listed = json.loads((multivector / "modules.json").read_text(encoding="utf-8"))
    kept = [entry for entry in listed if not entry["type"].endswith("MultiVectorMask")]
    (multivector / "modules.json").write_text(json.dumps(kept), encoding="utf-8")
    with pytest.raises(ModelError, match=r"query_expansion=.*modules\.json has no MultiVectorMask"):
        build(multivector)


def test_settings_for_other_checkpoints_are_refused(pylate, shared):
    with pytest.raises(ModelError, match=r"Remove reranker\.projection"):
        build(pylate, skip_first_token=True)
    with pytest.raises(ModelError, match=r"remove reranker\.document_length"):
        build(shared / "golden/bge_m3_dense/model", document_length=100)


def test_score_prints_the_tokens_of_query_and_document_and_doctor_checks_what_it_can(shared, tmp_path, capsys):
    folder = shared / "golden/late_colbert_pylate"
    pair, case = golden(folder)["pairs"][0], golden(folder)["cases"][0]
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"query": pair["query"], "document": pair["document"]}) + "\n", encoding="utf-8")
    chosen = ["reranker=auto", f"reranker.model={folder / 'model'}", "compute.device=cpu"]
    assert main(["score", *chosen, "--ids", str(pairs)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {key: case[key] for key in ("query_input_ids", "document_input_ids")} == {
        key: value for key, value in printed.items() if key != "score"
    }
    assert abs(printed["score"] - case["score"]) < OFFICIAL
    assert main(["prompt", *chosen[:2], "dataset=mini", "--samples", "1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert ["[cls]", "[q] "] == [token.lower() for token in shown["query_tokens"][:2]]
    assert ["[cls]", "[d] "] == [token.lower() for token in shown["document_tokens"][:2]]
    assert main(["doctor", *chosen, "--json"]) in (0, 1)
    found = {row["name"]: row["outcome"] for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert found["checkpoint"] == found["alone = in a batch"] == "passed"
    assert "answer tokens" not in found
