"""nomic-embed-text as published: the numbers of its configuration are obeyed, and what the class lacks is refused."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from stubs import tiny_bert

from evalkit import load_retriever
from evalkit.errors import ModelError

WIDTH, HEADS, INNER, LAYERS, THETA = 24, 3, 40, 2, 700.0
CONFIG = {
    "model_type": "nomic_bert",
    "architectures": ["NomicBertModel"],
    "auto_map": {"AutoModel": "modeling_hf_nomic_bert.NomicBertModel"},
    "activation_function": "swiglu",
    "n_embd": WIDTH,
    "n_head": HEADS,
    "n_inner": INNER,
    "n_layer": LAYERS,
    "n_positions": 64,
    "layer_norm_epsilon": 1e-5,
    "rotary_emb_base": THETA,
    "rotary_emb_fraction": 1.0,
    "type_vocab_size": 2,
    "vocab_size": 64,
}


@pytest.fixture
def folder(tmp_path):
    """Weights of a spread at which every part of the formula is seen."""
    tiny_bert(tmp_path / "bert")
    folder = tmp_path / "nomic"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if (tmp_path / "bert" / name).is_file():
            (folder / name).write_bytes((tmp_path / "bert" / name).read_bytes())
    draw = torch.Generator().manual_seed(3)
    shapes = {
        "embeddings.word_embeddings.weight": (CONFIG["vocab_size"], WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "emb_ln.weight": (WIDTH,),
        "emb_ln.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        block = f"encoder.layers.{layer}."
        shapes |= {
            f"{block}attn.Wqkv.weight": (3 * WIDTH, WIDTH),
            f"{block}attn.out_proj.weight": (WIDTH, WIDTH),
            f"{block}mlp.fc11.weight": (INNER, WIDTH),
            f"{block}mlp.fc12.weight": (INNER, WIDTH),
            f"{block}mlp.fc2.weight": (WIDTH, INNER),
            **{f"{block}norm{i}.{kind}": (WIDTH,) for i in (1, 2) for kind in ("weight", "bias")},
        }
    tensors = {name: torch.randn(shape, generator=draw) * 0.4 for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return folder, {name: tensor.double() for name, tensor in tensors.items()}


def reference(weights, ids):
    """States of one text, in float64, by the formula of the model's card."""

    def norm(states, name):
        return torch.nn.functional.layer_norm(
            states, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"], CONFIG["layer_norm_epsilon"]
        )

    def turned(heads):
        half = WIDTH // HEADS // 2
        angles = torch.arange(len(ids)).double()[:, None] / THETA ** (torch.arange(half).double() / half)
        first, second = heads[..., :half], heads[..., half:]
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

    table = weights["embeddings.word_embeddings.weight"]
    states = norm(table[ids] + weights["embeddings.token_type_embeddings.weight"][0], "emb_ln")
    for layer in range(LAYERS):
        block = f"encoder.layers.{layer}."
        query, key, value = (
            part.view(len(ids), HEADS, -1).transpose(0, 1)
            for part in (states @ weights[f"{block}attn.Wqkv.weight"].T).chunk(3, dim=-1)
        )
        scores = turned(query) @ turned(key).transpose(1, 2) / np.sqrt(WIDTH // HEADS)
        mixed = (scores.softmax(-1) @ value).transpose(0, 1).reshape(len(ids), WIDTH)
        states = norm(states + mixed @ weights[f"{block}attn.out_proj.weight"].T, f"{block}norm1")
        inner = states @ weights[f"{block}mlp.fc11.weight"].T
        inner = inner * torch.nn.functional.silu(states @ weights[f"{block}mlp.fc12.weight"].T)
        states = norm(states + inner @ weights[f"{block}mlp.fc2.weight"].T, f"{block}norm2")
    return states.numpy()


def test_states_are_those_of_the_published_formula_at_sizes_of_its_own(folder):
    path, weights = folder
    model = load_retriever("dense", model=path, pooling="mean", normalize=False, compute={"device": "cpu"})
    texts = ["the moon pulls the sea", "bees make honey", "moon"]
    expected = [reference(weights, ids.tolist()).mean(axis=0) for ids in model.tokenize(texts).ids]
    np.testing.assert_allclose(model.encode(texts), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("key", "value"),
    [("prenorm", True), ("rotary_emb_fraction", 0.5), ("rotary_scaling_factor", 2.0), ("num_experts", 8)],
)
def test_a_setting_that_the_class_does_not_compute_is_refused(folder, key, value):
    path, _ = folder
    (path / "config.json").write_text(json.dumps(CONFIG | {key: value}), encoding="utf-8")
    with pytest.raises(ModelError, match=rf"config\.json: {key}={value!r} is not supported"):
        load_retriever("dense", model=path, pooling="mean").encode(["moon"])


def test_a_model_without_token_types_is_told_to_store_a_row_of_zeros(folder):
    path, _ = folder
    (path / "config.json").write_text(json.dumps(CONFIG | {"type_vocab_size": 0}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"type_vocab_size=0, .* say 1 and store one row of zeros"):
        load_retriever("dense", model=path, pooling="mean").encode(["moon"])


def test_a_size_that_is_absent_is_no_default(folder):
    path, _ = folder
    stored = {key: value for key, value in CONFIG.items() if key != "rotary_emb_base"}
    (path / "config.json").write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(ModelError, match="no rotary_emb_base"):
        load_retriever("dense", model=path, pooling="mean").encode(["moon"])
