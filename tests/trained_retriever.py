"""Tiny retrievers that are right: a dense and a sparse BERT trained on the doctor's own probes.

    folder = write_trained_retriever(tmp_path / "model")
    folder = write_trained_splade(tmp_path / "model")

Each is trained once a process, in about a second, until every query is nearest to its document.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer
from trained_reranker import PROBES, padded, probe_tokenizer, repeatable, save, tiny_config
from transformers import BertForMaskedLM, BertModel, PreTrainedModel

_STEPS = 60
_MODULES = "sentence_transformers.models"


def write_trained_retriever(folder: Path) -> Path:
    """A checkpoint in the layout of sentence-transformers: mean, scaled to length 1, with a prompt for queries."""
    save(folder, *_trained(BertModel, _mean))
    modules = [
        ("", f"{_MODULES}.Transformer"),
        ("1_Pooling", f"{_MODULES}.Pooling"),
        ("2_Normalize", f"{_MODULES}.Normalize"),
    ]
    _declare(folder, modules, prompts={"query": _PROMPT, "document": ""}, similarity_fn_name="cosine")
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True})
    return folder


def write_trained_splade(folder: Path) -> Path:
    """A SPLADE encoder in the layout of sentence-transformers."""
    save(folder, *_trained(BertForMaskedLM, _weights))
    modules = [("", f"{_MODULES}.MLMTransformer"), ("1_SpladePooling", f"{_MODULES}.SpladePooling")]
    _declare(folder, modules, similarity_fn_name="dot")
    _write(folder / "1_SpladePooling" / "config.json", {"pooling_strategy": "max", "activation_function": "relu"})
    return folder


_PROMPT = "what is the "  # words of the probes, as others would be unknown


def _declare(folder: Path, modules: list[tuple[str, str]], **said: object) -> None:
    listed = [
        {"idx": place, "name": str(place), "path": path, "type": kind} for place, (path, kind) in enumerate(modules)
    ]
    _write(folder / "modules.json", listed)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 256, "do_lower_case": False})
    _write(folder / "config_sentence_transformers.json", said)


def _write(file: Path, content: object) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


Encode = Callable[[PreTrainedModel, dict[str, torch.Tensor]], torch.Tensor]


def _mean(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    mask = inputs["attention_mask"][..., None]
    pooled = (model(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1)
    return 5 * torch.nn.functional.normalize(pooled, dim=-1)


def _weights(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    logits = model(**inputs).logits * inputs["attention_mask"][..., None]
    return logits.relu().amax(1).log1p()


@cache
def _trained(kind: type[PreTrainedModel], encode: Encode) -> tuple[PreTrainedModel, Tokenizer]:
    tokenizer = probe_tokenizer()
    pairs = [pair for probes in PROBES.values() for pair in probes]
    prompt = _PROMPT if encode is _mean else ""
    queries = padded(tokenizer, [prompt + query for query, _ in pairs])
    documents = padded(tokenizer, [document for _, document in pairs])
    with repeatable():
        model = kind(tiny_config(tokenizer))
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
        for _step in range(_STEPS):
            asked, found = encode(model, queries), encode(model, documents)
            loss = torch.nn.functional.cross_entropy(asked @ found.T, torch.arange(len(pairs)))
            if encode is _weights:
                loss = loss + 0.01 * (asked.sum(1).mean() + found.sum(1).mean())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval(), tokenizer
