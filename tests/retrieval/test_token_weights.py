"""bge-m3's sparse vectors: the largest weight of each token, by FlagEmbedding's formula, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from in_process import evalkit as typed
from stubs import tiny_bert, write_collection
from transformers import AutoModel, AutoTokenizer

from evalkit.config import ComputeConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import ModelError
from evalkit.load import config_of
from evalkit.retrieval import build
from evalkit.store import Store

LAYER = "sparse_linear.pt"
TEXTS = ["The moon pulls the sea, the moon.", "", "Bees make honey from nectar", "zzz unheard", "moon"]
SPECIAL = {"cls_token": "[CLS]", "eos_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}


def weighted(folder, seed=3, outputs=1):
    """A folder with a layer that gives most of the tokens a weight."""
    width = json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    draw = torch.Generator().manual_seed(seed)
    layer = {"weight": torch.randn(outputs, width, generator=draw) * 0.1, "bias": torch.full((outputs,), 0.4)}
    torch.save(layer, folder / LAYER)
    return folder


@pytest.fixture
def folder(tmp_path):
    made = weighted(tiny_bert(tmp_path / "m"))
    stored = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64}
    (made / "tokenizer_config.json").write_text(json.dumps(stored | SPECIAL), encoding="utf-8")
    return made


def sparse(folder, name="splade", **settings):
    config = config_of("retriever", name, {"model": str(folder), "projection": LAYER, **settings})
    return build(config, ComputeConfig(device="cpu"), Store(folder.parent / "cache"))


def reference(folder, text, max_length):
    """FlagEmbedding: relu(W h + b) of each token, the largest for each id, and 0 for four special tokens."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
    layer = torch.load(folder / LAYER, weights_only=True)
    with torch.no_grad():
        states = model(**inputs).last_hidden_state[0]
    weights = torch.relu(states @ layer["weight"].T + layer["bias"])[:, 0]
    unused = {tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}
    found: dict[int, float] = {}
    for index, weight in zip(inputs["input_ids"][0].tolist(), weights.tolist(), strict=True):
        if index not in unused and weight > 0:
            found[index] = max(found.get(index, 0.0), weight)
    return found


def as_table(weights):
    rows = (weights[[place]] for place in range(weights.shape[0]))
    return [dict(zip(row.indices.tolist(), row.data.tolist(), strict=True)) for row in rows]


@pytest.mark.parametrize("max_length", [8, 64])
def test_weights_are_those_of_the_formula_alone_and_in_a_batch(folder, max_length):
    model = sparse(folder, max_length=max_length)
    expected = [reference(folder, text, max_length) for text in TEXTS]
    assert sum(map(len, expected)) > 5
    for found in (as_table(model.encode(TEXTS)), [as_table(model.encode([text]))[0] for text in TEXTS]):
        assert [row.keys() for row in expected] == [row.keys() for row in found]
        for own, other in zip(expected, found, strict=True):
            np.testing.assert_allclose([other[key] for key in own], list(own.values()), rtol=0, atol=1e-5)


@pytest.mark.shared
def test_weights_of_the_published_layout_are_those_of_the_formula(shared, tmp_path):
    folder = weighted(shutil.copytree(shared / "golden/bge_m3_dense/model", tmp_path / "m"))
    texts = [*TEXTS, "Wasser und Mond und Meer", "月亮牵引海洋"]
    model = sparse(folder, "bge_m3_sparse", revision=None)
    table = as_table(model.encode(texts))
    assert sum(map(len, table)) > 8
    for text, found in zip(texts, table, strict=True):
        expected = reference(folder, text, 512)
        assert expected.keys() == found.keys()
        np.testing.assert_allclose([found[key] for key in expected], list(expected.values()), rtol=0, atol=1e-4)


def test_candidates_are_those_of_all_products_of_weights(folder, tmp_path, store):
    data = load(FolderDatasetConfig(path=str(write_collection(tmp_path / "toy"))), store)
    model = sparse(folder)
    documents = model.encode(list(data.documents.texts(range(len(data.documents))))).toarray().astype(np.float64)
    products = model.encode(list(data.queries.values())).toarray().astype(np.float64) @ documents.T
    ids = data.documents.ids.to_pylist()
    found = {query: dict(zip(docs, scores.tolist(), strict=True)) for query, docs, scores in model.retrieve(data, 3)}
    assert sum(map(len, found.values())) > 1
    for query, row in zip(data.queries, products, strict=True):
        best = sorted(((score, name) for score, name in zip(row, ids, strict=True) if score > 0), reverse=True)[:3]
        assert {name: pytest.approx(score, rel=1e-5) for score, name in best} == found.get(query, {})


def test_embed_prints_them_by_token(folder, tmp_path):
    lines = [json.dumps({"role": "query", "text": text}) for text in TEXTS]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    settings = [f"retriever.model={folder}", f"retriever.projection={LAYER}"]
    printed = typed("embed", "retriever=splade", *settings, "texts.jsonl", cwd=tmp_path).stdout.splitlines()
    for text, line in zip(TEXTS, printed, strict=True):
        expected = {str(key): pytest.approx(value, abs=1e-5) for key, value in reference(folder, text, 64).items()}
        assert expected == json.loads(line)["weights"]


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (lambda folder: (folder / LAYER).unlink(), "no linear layer with weight and bias"),
        (lambda folder: weighted(folder, outputs=3), "gives a token 3 numbers, expected one weight"),
        (
            lambda folder: (folder / "tokenizer_config.json").write_text("{}", encoding="utf-8"),
            "names none of cls_token, eos_token, pad_token, unk_token",
        ),
    ],
)
def test_what_does_not_say_its_weights_is_refused(folder, edit, part):
    edit(folder)
    with pytest.raises(ModelError, match=part):
        sparse(folder).encode(TEXTS)


def test_a_folder_with_the_layer_is_told_the_setting(folder):
    with pytest.raises(ModelError, match=r"needs retriever\.projection=sparse_linear\.pt"):
        sparse(folder, projection=None)
    known = sparse(folder).identity
    assert known["projection"] == LAYER
    weighted(folder, seed=4)
    assert known["checkpoint"] != sparse(folder).identity["checkpoint"]
