"""Fused linear layers against the layers themselves."""

import pytest
import torch
from torch import nn

from evalkit.inference.linear import FusedLinear

TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 2e-2, torch.float16: 2e-3}


def layers(dtype, biases=(True, True, True)):
    torch.manual_seed(0)
    return [nn.Linear(24, width, bias=bias).to(dtype) for width, bias in zip((16, 8, 40), biases, strict=True)]


def separately(some, states):
    return torch.cat([layer(states) for layer in some], dim=1)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("biases", [(True, True, True), (False, False, False), (True, False, True)])
def test_states_of_several_layers_equal_those_of_each_alone(dtype, biases):
    some, states = layers(dtype, biases), torch.randn(7, 24).to(dtype)
    expected = separately(some, states)
    actual = FusedLinear(some)(states)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual, expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_gelu_behind_is_the_exact_one(dtype):
    some, states = layers(dtype), 3 * torch.randn(7, 24).to(dtype)
    expected = nn.functional.gelu(separately(some, states))
    torch.testing.assert_close(FusedLinear(some, gelu=True)(states), expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("how", ["add", "mul"])
@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_outputs_combined_with_another_tensor_have_the_bits_of_one_operation_after_another(dtype, gelu, how, rows):
    fused, states = FusedLinear(layers(dtype), gelu=gelu), torch.randn(rows, 24).to(dtype)
    other = torch.randn(rows, 64).to(dtype)
    before, outputs = other.clone(), fused(states)
    expected = outputs + other if how == "add" else outputs * other
    assert torch.equal(fused.combined(states, other, how), expected)
    assert torch.equal(other, before)


def test_layers_lose_their_weights_so_that_none_is_held_twice():
    some = layers(torch.float32)
    fused = FusedLinear(some)
    assert [0, 0, 0] == [layer.weight.numel() for layer in some]
    assert fused(torch.zeros(1, 24)).shape == (1, 64)


@pytest.mark.parametrize("rows", [1, 2, 63, 64, 1000])
def test_result_of_a_row_does_not_depend_on_how_many_there_are(rows):
    fused, states = FusedLinear(layers(torch.float32)), torch.randn(1000, 24)
    torch.testing.assert_close(fused(states[:rows]), fused(states)[:rows], rtol=0, atol=1e-6)
