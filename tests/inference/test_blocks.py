"""Parts of the packed layers; whole models are compared in `test_backbone`."""

import numpy as np
import torch
from torch import nn
from transformers.activations import ACT2FN

from evalkit.inference.blocks import exact_gelu, rotated


def test_rotary_positions_turn_each_pair_of_halves_by_its_angle():
    angles = np.array([[0.3, 1.1], [2.0, -0.7]])
    vectors = np.random.default_rng(0).normal(size=(2, 3, 4))
    whole = np.concatenate([angles, angles], axis=1)
    actual = rotated(*(torch.from_numpy(part) for part in (vectors, np.cos(whole), np.sin(whole)))).numpy()
    complex_ = (vectors[..., :2] + 1j * vectors[..., 2:]) * np.exp(1j * angles)[:, None]
    np.testing.assert_allclose(actual, np.concatenate([complex_.real, complex_.imag], axis=-1), atol=1e-12)


def test_only_the_gelu_with_the_error_function_is_fused():
    assert [exact_gelu(ACT2FN["gelu"]), exact_gelu(nn.GELU())] == [True, True]
    others = [ACT2FN[name] for name in ("gelu_new", "gelu_pytorch_tanh", "relu", "silu")]
    assert [exact_gelu(other) for other in [*others, nn.GELU(approximate="tanh")]] == [False] * 5
