"""Run by `test_triton_kernels` with TRITON_INTERPRET=1, in a process of its own: Triton reads that when it is imported.

Prints one line of JSON: case -> norm of the difference from float64, over the norm of float64.
"""

import json

import numpy as np
import torch
import transformers
from tiny_backbones import DECODERS, TEXTS, made, packed, states_of

from evalkit.inference import backbone, triton_kernels
from evalkit.inference.fused import rotated

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
ROWS = 5
EPS = 1e-5


def distance(actual, expected):
    return float((actual.double() - expected).norm() / expected.norm())


def normed(states, weight):
    wide = states.double()
    return wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + EPS) * weight.double()


def norms(dtype):
    weight = 1 + 0.3 * torch.randn(144)
    states, residual = torch.randn(ROWS, 200).to(dtype)[:, :144], torch.randn(ROWS, 144).to(dtype)
    yield "norm", triton_kernels.rms_norm(states, weight, EPS), normed(states, weight)
    expected = residual.double() + 0.2 * normed(states, weight)
    triton_kernels.add_rms_norm(residual, states, weight, EPS, 0.2)
    yield "norm onto residual", residual, expected


def turns(dtype):
    for queries, keys, width, named in ((4, 2, 16, "grouped"), (18, 18, 24, "many heads of odd width")):
        projected = torch.randn(ROWS, (queries + 2 * keys) * width).to(dtype)
        angles = torch.rand(ROWS, width // 2).repeat(1, 2) * 6
        tables = torch.cat((angles.cos(), angles.sin()), dim=1)
        weights = 1 + 0.3 * torch.randn(2, width)
        for own in (None, weights):
            heads = projected.double().unflatten(1, (-1, width))
            parts = [heads[:, :queries], heads[:, queries : queries + keys]]
            parts = parts if own is None else [normed(part, weight) for part, weight in zip(parts, own, strict=True)]
            turned = [rotated(part, angles.double().cos(), angles.double().sin()) for part in parts]
            found = projected.clone()
            triton_kernels.turn(found, tables, own, queries, queries + keys, EPS)
            expected = torch.cat((*turned, heads[:, queries + keys :]), dim=1).flatten(1)
            yield f"turn, {named}{'' if own is None else ', normed'}", found, expected
            beyond = (queries + keys) * width
            yield f"values, {named}", found[:, beyond:], projected[:, beyond:].double()


def gates(dtype):
    functions = {
        "silu": torch.nn.functional.silu,
        "gelu": torch.nn.functional.gelu,
        "gelu_tanh": lambda gate: torch.nn.functional.gelu(gate, approximate="tanh"),
    }
    both = 2 * torch.randn(ROWS, 2 * 1030).to(dtype)
    gate, up = both.double().chunk(2, dim=1)
    for kind, function in functions.items():
        yield kind, triton_kernels.gate(both, kind), function(gate) * up


def models():
    """Whole models with every kernel, against transformers."""
    library = torch.library.Library("evalkit", "IMPL")
    for name in ("rms_norm", "add_rms_norm", "turn", "gate"):
        library.impl(name, getattr(triton_kernels, name), "CPU")
    backbone.choose = lambda *_: "triton"
    for name in (*DECODERS, "Gte"):
        model = made(name)
        expected = torch.from_numpy(np.concatenate([states_of(model, text) for text in TEXTS]))
        with torch.inference_mode():
            yield name, backbone.backbone_of(model, "packed")(packed(TEXTS), "all"), expected.double()


def main():
    torch.manual_seed(0)
    transformers.utils.logging.set_verbosity_error()
    found = {f"{case}, float32": distance(*both) for case, *both in models()}
    for dtype in DTYPES:
        for make in (norms, turns, gates):
            for case, *both in make(dtype):
                found[f"{case}, {str(dtype).removeprefix('torch.')}"] = distance(*both)
    print(json.dumps(found))


main()
