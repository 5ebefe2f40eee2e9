"""What a folder is that evalkit does not run: each kind by its own name, with a way out."""

import json
from pathlib import Path

import pytest

from evalkit.models.refusals import instead_of_classifier, instead_of_config, module_kind

ST = "sentence_transformers.models."


def write(folder: Path, name: str, content) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "a/b"}, "an adapter (LORA over a/b)"),
        ("modules.json", [{"type": f"{ST}StaticEmbedding"}], "a static embedding model"),
        ("modules.json", [{"type": f"{ST}Router"}], "a Router"),
        ("modules.json", [{"type": f"{ST}Asym"}], "a Router"),
        ("adapter/adapter_config.json", {}, "its folder adapter has adapter_config.json. Set the model to "),
        (
            "0_Transformer/config.json",
            {},
            "its transformer is in 0_Transformer, and modules.json, which says so, is absent",
        ),
        ("model.gguf", {}, "GGUF"),
        ("onnx/model.onnx", {}, "ONNX"),
        ("weights.json", {}, "it is not a checkpoint"),
        ("modules.json", "x", "it is not a checkpoint"),
    ],
)
def test_a_folder_without_config_is_called_what_it_is(tmp_path, name, content, expected):
    assert expected in instead_of_config(write(tmp_path, name, content))


@pytest.mark.parametrize(
    ("architectures", "kinds", "expected"),
    [
        (["ModernBertModel"], ["Transformer", "Pooling", "Dense", "LayerNorm", "Dense"], "whose head is the modules"),
        (["Qwen2ForCausalLM"], ["Transformer", "LogitScore"], "logits of answer tokens"),
        (["Qwen2ForCausalLM"], [], "is a language model"),
        (["T5ForConditionalGeneration"], [], "is an encoder-decoder"),
        (["JinaForRanking"], [], "a head of its own"),
        (["BertModel"], ["Transformer", "Pooling"], "is a bi-encoder"),
        (["BertModel"], [], "config.json names BertModel"),
        ([], [], "config.json names no architecture"),
    ],
)
def test_other_models_than_classifiers_are_called_by_their_kind(architectures, kinds, expected):
    found = instead_of_classifier(architectures, kinds)
    assert expected in found
    assert "random" not in found


def test_the_modules_of_a_bi_encoder_have_no_other_kind():
    assert module_kind(["Transformer", "Pooling", "Dense", "Normalize"]) is None
    assert "SPLADE" in str(module_kind(["MLMTransformer", "SpladePooling"]))
