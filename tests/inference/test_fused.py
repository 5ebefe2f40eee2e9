"""The steps between multiplications in every way against float64 and transformers, and how many kernels they launch."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
import transformers
from tiny_backbones import DECODERS, TEXTS, made, packed, states_of
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers.activations import ACT2FN
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.granite.modeling_granite import GraniteRMSNorm

from evalkit.errors import MissingExtra, ModelError
from evalkit.inference import fused
from evalkit.inference.activations import Gate, activation_kind
from evalkit.inference.backbone import backbone_of
from evalkit.inference.fused import HeadLayout, Norm, Turn, choose, rotated

DTYPES = {torch.float32: 1e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def distance(actual, expected):
    return float((actual.double() - expected).norm() / expected.norm())


def norm_and_reference(kind, dtype, width):
    """A norm of transformers with random weights, and what it is in float64."""
    module = kind(width, eps=1e-5).to(dtype)
    weight = (0.3 * torch.randn(width)).to(dtype)
    module.weight.data = weight if kind is GemmaRMSNorm else (1 + weight)

    def exact(states):
        wide = states.double()
        factor = module.weight.double() + (kind is GemmaRMSNorm)
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5) * factor).detach()

    return module, exact


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", [GraniteRMSNorm, GemmaRMSNorm])
@pytest.mark.parametrize("way", ["off", "torch"])
def test_norm_and_norm_onto_a_residual_agree_with_float64(way, kind, dtype):
    torch.manual_seed(0)
    module, exact = norm_and_reference(kind, dtype, 144)
    states, residual = torch.randn(7, 144).to(dtype), torch.randn(7, 144).to(dtype)
    expected = residual.double() + 0.2 * exact(states)
    norm = Norm(module, way)
    with torch.inference_mode():
        assert distance(norm(states), exact(states)) < DTYPES[dtype]
        assert distance(norm.onto(residual, states, 0.2), expected) < DTYPES[dtype]


def test_norm_of_another_kind_is_taken_as_it_is():
    module = torch.nn.LayerNorm(8)
    states = torch.randn(3, 8)
    assert torch.equal(module(states), Norm(module, "torch")(states))


def test_rotary_positions_turn_each_pair_of_halves_by_its_angle():
    angles = np.array([[0.3, 1.1], [2.0, -0.7]])
    vectors = np.random.default_rng(0).normal(size=(2, 3, 4))
    whole = np.concatenate([angles, angles], axis=1)
    turned = torch.from_numpy(np.repeat(vectors, 150, axis=0))  # in several parts
    tables = (torch.from_numpy(np.repeat(table, 150, axis=0)) for table in (np.cos(whole), np.sin(whole)))
    actual = rotated(turned, *tables).numpy()
    assert actual.ctypes.data == turned.numpy().ctypes.data
    actual = actual[[0, 299]]
    complex_ = (vectors[..., :2] + 1j * vectors[..., 2:]) * np.exp(1j * angles)[:, None]
    np.testing.assert_allclose(actual, np.concatenate([complex_.real, complex_.imag], axis=-1), atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("way", ["off", "torch"])
@pytest.mark.parametrize("rows", [None, [4, 1]])
def test_queries_and_keys_are_normed_and_turned_as_in_float64(way, normed, dtype, rows):
    torch.manual_seed(0)
    heads = HeadLayout(query=6, key=2, width=16)
    norms, exact = zip(*(norm_and_reference(GraniteRMSNorm, dtype, 16) for _ in range(2)), strict=True)
    projected = torch.randn(5, (6 + 2 * 2) * 16).to(dtype)
    angles = torch.rand(5, 8).repeat(1, 2) * 6
    tables = torch.cat((angles.cos(), angles.sin()), dim=1).to(dtype)
    rows = None if rows is None else torch.tensor(rows)
    parts = [part.unflatten(1, (-1, 16)).double() for part in projected.split((96, 32, 32), dim=1)[:2]]
    parts = [own(part) for own, part in zip(exact, parts, strict=True)] if normed else parts
    query, key = (rotated(part, *tables.double().chunk(2, dim=1)) for part in parts)
    with torch.inference_mode():
        found = Turn(heads, norms if normed else None, way)(projected, tables, rows)
    assert distance(found[0], query if rows is None else query[rows]) < 2 * DTYPES[dtype]
    assert distance(found[1], key) < 2 * DTYPES[dtype]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("way", ["off", "torch"])
def test_half_precision_turned_by_tables_in_float32_is_rounded_once(way, dtype):
    torch.manual_seed(0)
    heads = HeadLayout(query=6, key=2, width=16)
    projected = torch.randn(50, (6 + 2 * 2) * 16).to(dtype)
    angles = torch.rand(50, 8).repeat(1, 2) * 6
    tables = torch.cat((angles.cos(), angles.sin()), dim=1)
    query, key = (part.unflatten(1, (-1, 16)).double() for part in projected.split((96, 32, 32), dim=1)[:2])
    with torch.inference_mode():
        found = Turn(heads, None, way)(projected, tables, None)
        rounded = Turn(heads, None, way)(projected, tables.to(dtype), None)
    for actual, coarse, vectors in zip(found, rounded, (query, key), strict=True):
        expected = rotated(vectors, *tables.double().chunk(2, dim=1))
        assert actual.dtype == dtype
        assert distance(actual, expected) < DTYPES[dtype] / 4 < distance(coarse, expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu"])
@pytest.mark.parametrize("way", ["off", "torch"])
def test_gates_agree_with_float64(way, name, dtype):
    torch.manual_seed(0)
    both = torch.randn(7, 80).to(dtype)
    gate, up = both.double().chunk(2, dim=1)
    with torch.inference_mode():
        assert distance(Gate(ACT2FN[name], way)(both), ACT2FN[name](gate) * up) < DTYPES[dtype]


def test_activation_without_a_kernel_is_not_gated_by_triton():
    both = torch.randn(2, 8)
    assert torch.equal(Gate(ACT2FN["relu"], "off")(both), Gate(ACT2FN["relu"], "triton")(both))


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_pairs_side_by_side_have_the_same_bits_whatever_the_number_of_tokens_and_threads(threads):
    """Of a head of 24 numbers torch turns eight pairs at once and the rest one by one, which rounds in another way."""
    torch.manual_seed(0)
    projected, angles = torch.randn(999, 7 * 24), torch.view_as_complex(torch.randn(999, 12, 2))
    turn, before = Turn(HeadLayout(3, 2, 24), None, "paired"), torch.get_num_threads()
    torch.set_num_threads(1)
    parts = zip(projected.clone().split(7), angles.split(7), strict=True)
    expected = torch.cat([torch.cat(turn(*part, None), dim=1) for part in parts])
    torch.set_num_threads(threads)
    together = torch.cat(turn(projected.clone(), angles, None), dim=1)
    torch.set_num_threads(before)
    assert torch.equal(together, expected)


@pytest.mark.parametrize("name", [*DECODERS, "Gte"])
def test_one_liners_of_whole_models_agree_with_transformers(name):
    model = made(name)
    expected = [states_of(model, text) for text in TEXTS]
    backbone = backbone_of(model, "packed", "torch")
    assert backbone.way == "torch"
    with torch.inference_mode():
        everything, last = backbone(packed(TEXTS), "all"), backbone(packed(TEXTS), "last")
    np.testing.assert_allclose(everything, np.concatenate(expected), rtol=0, atol=2e-5)
    np.testing.assert_allclose(last, [states[-1] for states in expected], rtol=0, atol=2e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("way", ["off", "torch", "triton"])
def test_whole_models_on_a_gpu_agree_with_float32_on_the_cpu(way):
    for name in (*DECODERS, "Gte"):
        expected = np.concatenate([states_of(made(name), text) for text in TEXTS])
        for dtype, bound in {torch.float32: 1e-4, torch.bfloat16: 0.5, torch.float16: 0.1}.items():
            backbone = backbone_of(made(name).to("cuda", dtype), "packed", way)
            with torch.inference_mode():
                found = [backbone(packed(TEXTS).to(backbone.device), "all").float().cpu().numpy() for _ in range(2)]
            assert np.array_equal(*found), (name, dtype)
            assert np.abs(found[0] - expected).max() < bound, (name, dtype)


def test_cpu_keeps_the_formulas_of_transformers():
    assert choose("auto", CPU, torch.float32) == "off"
    assert backbone_of(made("Qwen3"), "packed").way == "off"


@pytest.mark.parametrize(("fault", "way"), [("", "triton"), ("Failed to find C compiler", "torch")])
def test_on_cuda_triton_is_taken_where_it_works_and_torch_with_a_note_where_not(monkeypatch, caplog, fault, way):
    monkeypatch.setattr(fused, "fault_of_triton", lambda *_: fault)
    fused._note.cache_clear()
    assert [choose("auto", CUDA, torch.bfloat16) for _ in range(3)] == [way] * 3
    assert [fault in message for message in caplog.messages] == ([True] if fault else [])
    assert [choose(asked, CUDA, torch.bfloat16) for asked in ("torch", "off")] == ["torch", "off"]


def test_whether_triton_works_is_tried_with_a_kernel_of_our_own(monkeypatch):
    monkeypatch.setattr(fused, "find_spec", lambda _: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    fault = fused.fault_of_triton.__wrapped__(CPU, torch.bfloat16)
    assert fault.startswith("NotImplementedError: Could not run 'evalkit::gate' with arguments from the 'CPU' backend")


def test_triton_that_cannot_run_is_refused_where_it_was_asked_for(monkeypatch):
    with pytest.raises(ModelError, match=r"compute\.fused=triton runs on CUDA only\. Set compute\.fused=auto\."):
        choose("triton", CPU, torch.float32)
    monkeypatch.setattr(fused, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="triton"):
        choose("triton", CUDA, torch.float32)
    monkeypatch.setattr(fused, "find_spec", lambda _: object())
    monkeypatch.setattr(fused, "fault_of_triton", lambda *_: "no ptxas")
    with pytest.raises(ModelError, match=r"cannot run here: no ptxas\. Set compute\.fused=torch\."):
        choose("triton", CUDA, torch.float32)


def test_activations_are_known_by_their_formula():
    kinds = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "silu": "silu", "relu": None}
    assert {name: activation_kind(ACT2FN[name]) for name in kinds} == kinds
    assert activation_kind(torch.nn.GELU(approximate="tanh")) == "gelu_tanh"


NO_KERNEL = {"detach", "detach_", "empty", "empty_like", "new_empty"}


class Launches(TorchDispatchMode):
    """Counts the operations that launch a kernel: all but views and allocations."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        found = operation(*args, **(kwargs or {}))
        name = operation._schema.name.split("::")[1]
        before = [part for part in tree_leaves((args, kwargs)) if isinstance(part, torch.Tensor)]
        after = [part for part in tree_leaves(found) if isinstance(part, torch.Tensor)]
        writes = any(part.alias_info is not None and part.alias_info.is_write for part in operation._schema.arguments)
        known = {part.untyped_storage()._cdata for part in before}
        view = bool(after) and not writes and all(part.untyped_storage()._cdata in known for part in after)
        if name not in NO_KERNEL and not view:
            self.names.append(name)
        if name == "rms_norm" and not before[0].is_contiguous():
            self.names.append("copy before rms_norm")  # what torch's own does with a view
        return found


FULL = {
    "MiniCPM": lambda layers: transformers.GraniteModel(
        transformers.GraniteConfig(
            hidden_size=2304,
            intermediate_size=5760,
            num_attention_heads=36,
            num_key_value_heads=36,
            num_hidden_layers=layers,
            embedding_multiplier=12.0,
            residual_multiplier=1.4 / math.sqrt(40),
            attention_multiplier=0.125,
            hidden_act="silu",
            is_causal=False,
            rotary_dtype="float32",
            vocab_size=100,
        )
    ),
    "Qwen3": lambda layers: transformers.Qwen3Model(
        transformers.Qwen3Config(
            hidden_size=1024,
            intermediate_size=3072,
            num_attention_heads=16,
            num_key_value_heads=8,
            head_dim=128,
            num_hidden_layers=layers,
            vocab_size=100,
        )
    ),
    "Gemma": lambda layers: transformers.GemmaModel(
        transformers.GemmaConfig(
            hidden_size=2048,
            intermediate_size=16384,
            num_attention_heads=8,
            num_key_value_heads=1,
            head_dim=256,
            num_hidden_layers=layers,
            vocab_size=100,
        )
    ),
    "Gemma2": lambda layers: transformers.Gemma2Model(
        transformers.Gemma2Config(
            hidden_size=3584,
            intermediate_size=14336,
            num_attention_heads=16,
            num_key_value_heads=8,
            head_dim=256,
            num_hidden_layers=layers,
            vocab_size=100,
            attn_logit_softcapping=None,
        )
    ),
}


def launches(name, way, layers):
    """Kernels of a batch through a full-size bfloat16 model without data, by name."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            model = FULL[name](layers).eval()
    finally:
        torch.set_default_dtype(default)
    batch = packed([[1] * 50, [1] * 30])
    batch = type(batch)(*(part.to("meta") if isinstance(part, torch.Tensor) else part for part in batch))
    backbone = backbone_of(model, "torch_varlen", way)
    with torch.inference_mode(), Launches() as counter:
        assert backbone(batch, "all").shape[0] == 80
    return Counter(counter.names)


def a_layer(name, way, monkeypatch):
    """Kernels of one layer, by name: what a model of three layers launches beyond one of two."""
    monkeypatch.setattr(fused, "fault_of_triton", lambda *_: "")
    return launches(name, way, 3) - launches(name, way, 2)


# Of these, attention and the multiplications (query, key and value as one; gate and up as one) are five.
KERNELS_A_LAYER = {
    "MiniCPM": {"off": 34, "torch": 13, "triton": 9},
    "Qwen3": {"off": 51, "torch": 15, "triton": 9},
    "Gemma": {"off": 34, "torch": 12, "triton": 9},
    "Gemma2": {"off": 54, "torch": 16, "triton": 11},
}
MOST = {"MiniCPM": 14, "Qwen3": 16}


@pytest.mark.parametrize("way", ["off", "torch", "triton"])
@pytest.mark.parametrize("name", KERNELS_A_LAYER)
def test_layer_launches_as_few_kernels_as_are_claimed(name, way, monkeypatch):
    if way == "triton":
        monkeypatch.setattr("evalkit.inference.backbone.choose", lambda *_: "triton")
    found = a_layer(name, way, monkeypatch)
    assert found["_varlen_attn"] == 1
    assert found["linear"] + found["addmm"] == 4
    assert KERNELS_A_LAYER[name][way] == found.total(), found
    assert way == "off" or found.total() <= MOST.get(name, math.inf)
