"""`reranker=auto`: the kind by the files, and what it says of a folder that is none it knows."""

import json
import re
import shutil
from dataclasses import fields, replace

import pytest
from pages import DOCS

from evalkit.cli import main
from evalkit.config.resources import config_names, read_config
from evalkit.errors import ConfigError, ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.rerank.families.language_model import LanguageModelConfig
from evalkit.rerank.recognition import AutoConfig, recognise, recognised


def folder_with(tmp_path, config, **files):
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / f"{name}.{'jinja' if name == 'chat_template' else 'json'}").write_text(text, encoding="utf-8")
    return Checkpoint(tmp_path)


def test_the_page_on_checkpoints_names_every_setting():
    text = (DOCS / "checkpoints.md").read_text(encoding="utf-8")
    listed = text[text.index("`reranker=auto` itself takes ") :].partition("For any other setting")[0]
    assert {field.name for field in fields(AutoConfig)} == {*re.findall(r"`(\w+)`", listed)}


def modules(*kinds):
    return [{"path": f"{place}_{kind}" if place else "", "type": f"sentence_transformers.models.{kind}"}
            for place, kind in enumerate(kinds)]  # fmt: skip


WRITES = "{% for m in messages %}{{ m.content }}{% endfor %}"


@pytest.mark.parametrize(
    ("config", "files", "kind"),
    [
        ({"architectures": ["BertForSequenceClassification"]}, {}, "cross_encoder"),
        ({"architectures": ["Qwen3ForSequenceClassification"]}, {"chat_template": WRITES}, "language_model"),
        ({"architectures": ["Qwen3ForSequenceClassification"]}, {"chat_template": "{{ 1 }}"}, "cross_encoder"),
        ({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}, {}, "qwen3"),
        ({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}, {"chat_template": WRITES}, "language_model"),
        ({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}, {}, "language_model"),
        ({"architectures": ["LlamaForCausalLM"]}, {"chat_template": WRITES}, "language_model"),
        ({"architectures": ["GemmaForCausalLM"], "model_type": "gemma"}, {}, "flag_llm"),
        ({"architectures": ["LlamaForCausalLM"]}, {"modules": modules("Transformer", "LogitScore")}, "language_model"),
        ({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"}, {}, "t5"),
        ({"scale_depth": 1.4, "scale_emb": 12, "head_multi": True}, {}, "layerwise"),
        ({"scale_depth": 1.4, "scale_emb": 12}, {}, "minicpm"),
        ({"model_type": "cost_wise_gemma"}, {}, "lightweight"),
        ({"architectures": ["JinaForRanking"], "model_type": "qwen3"}, {}, "jina_listwise"),
    ],
    ids=range(14),
)
def test_kind_is_read_off_the_files(tmp_path, config, files, kind):
    assert kind == recognise(folder_with(tmp_path, config, **files)).kind


@pytest.mark.parametrize(("task", "kind"), [("SEQ_CLS", "cross_encoder"), ("CAUSAL_LM", "qwen3")])
def test_an_adapter_over_a_language_model_is_what_it_was_trained_as(tmp_path, task, kind):
    """peft stores a classifier over `Qwen3ForCausalLM` as changes and a `score`; the base stays a language model."""
    (tmp_path / "base").mkdir()
    (tmp_path / "adapter").mkdir()
    base = folder_with(tmp_path / "base", {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"})
    adapter = folder_with(tmp_path / "adapter", {}, adapter_config={"task_type": task})
    assert kind == recognise(replace(adapter, base=base)).kind


@pytest.mark.parametrize(
    ("config", "files", "part"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, {}, "is a language model (LlamaForCausalLM)"),
        ({"architectures": ["BertModel"]}, {"modules": modules("Transformer", "Pooling")}, "is a bi-encoder"),
        ({"architectures": ["BertForMaskedLM"]}, {"modules": modules("MLMTransformer", "SpladePooling")}, "SPLADE"),
        ({"architectures": ["OtherForRanking"]}, {}, "is a OtherForRanking"),
        ({"architectures": ["BertModel"]}, {}, "not a ...ForSequenceClassification"),
        ({"architectures": ["MT5ForConditionalGeneration"]}, {}, "is an encoder-decoder"),
    ],
    ids=range(6),
)
def test_a_folder_of_no_known_kind_is_named_for_what_it_is(tmp_path, config, files, part):
    with pytest.raises(ModelError) as error:
        recognise(folder_with(tmp_path, config, **files))
    assert part in str(error.value)


def test_settings_are_handed_on_and_one_line_says_why(tmp_path, capsys):
    folder_with(tmp_path, {"architectures": ["BertForSequenceClassification"]})
    config = AutoConfig(name="mine", model=str(tmp_path), max_length=77, languages=["en"])
    made = recognised(config)
    assert made == CrossEncoderConfig(name="mine", model=str(tmp_path), max_length=77, languages=["en"])
    assert capsys.readouterr().err == (
        f"evalkit: {tmp_path}: read as reranker=cross_encoder, since it is a BertForSequenceClassification\n"
    )
    with pytest.raises(ConfigError, match="has no place for an instruction: it is of the kind cross_encoder"):
        recognised(AutoConfig(name="mine", model=str(tmp_path), instructions="Find it"))


@pytest.mark.parametrize(("named", "kind"), [("jina_reranker_v3", "jina_listwise"), ("minicpm_reranker", "minicpm")])
def test_whatever_it_is_read_as_can_be_typed(named, kind, capsys):
    stored = read_config("reranker", named)
    recognised(AutoConfig(name="auto", model=stored["model"], revision=stored["revision"]))
    told = capsys.readouterr().err
    assert f"read as the family {kind}, as is reranker={named}" in told
    assert set(re.findall(r"reranker=(\w+)", told)) <= set(config_names("reranker"))


def test_a_hub_id_of_a_named_reranker_has_its_settings(capsys):
    made = recognised(AutoConfig(name="auto", model="mixedbread-ai/mxbai-rerank-base-v2", max_length=99))
    assert isinstance(made, LanguageModelConfig)
    assert (made.positive, made.negative, made.max_length, made.name) == ("1", "0", 99, "auto")
    assert made.revision == "3ea9d4dffa7d12a4f366be8e275c349de9fc9865"
    assert "reranker=mxbai_rerank_base_v2 is of this hub id" in capsys.readouterr().err


@pytest.mark.shared
def test_score_prompt_and_doctor_take_it(shared, tmp_path, capsys):
    folder = shutil.copytree(shared / "golden/logit_score_zerank/model", tmp_path / "model")
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"query": "bees?", "document": "Honey."}\n', encoding="utf-8")
    chosen = ["reranker=auto", f"reranker.model={folder}", "compute.device=cpu"]
    assert main(["score", *chosen, str(pairs), "--ids"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert {"score", "input_ids"} == set(scored)
    assert main(["prompt", *chosen[:2], "dataset=mini", "--samples", "1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["text"].startswith("<|im_start|>system\n")
    assert shown["text"].endswith("<|im_start|>assistant\n")
    assert main(["doctor", *chosen, "--no-float32", "--json"]) in (0, 1)
    checks = {row["name"]: row["outcome"] for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert checks["checkpoint"] == checks["alone = in a batch"] == "passed"
