"""Fused linear layers against the layers themselves."""

from contextlib import contextmanager

import pytest
import torch
from torch import nn

from evalkit.inference import linear
from evalkit.inference.linear import FusedLinear

TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 2e-2, torch.float16: 2e-3}


@contextmanager
def threads_of(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
def test_outputs_combined_with_another_tensor_equal_one_operation_after_another(dtype, gelu, how, rows):
    fused, states = FusedLinear(layers(dtype), gelu=gelu), torch.randn(rows, 24).to(dtype)
    other = torch.randn(rows, 64).to(dtype)
    outputs = fused(states)
    expected = outputs + other if how == "add" else outputs * other
    same_bits = dtype != torch.float32 or fused.laid_out  # MKL adds the sum of products to what is there
    torch.testing.assert_close(fused.combined(states, other, how), expected, rtol=0, atol=0 if same_bits else 1e-6)


def test_layers_lose_their_weights_so_that_none_is_held_twice():
    some = layers(torch.float32)
    fused = FusedLinear(some)
    assert [0, 0, 0] == [layer.weight.numel() for layer in some]
    assert fused(torch.zeros(1, 24)).shape == (1, 64)


# Widths of small models, and one pair for which MKL has other sums on Intel's, with two threads.
@pytest.mark.parametrize(("inputs", "outputs"), [(1152, 96), (256, 768), (3072, 768)])
@pytest.mark.parametrize("threads", [1, 2])
def test_result_of_a_row_does_not_depend_on_how_many_there_are(inputs, outputs, threads):
    torch.manual_seed(0)
    fused, states = FusedLinear([nn.Linear(inputs, outputs)]), torch.randn(1000, inputs)
    other = torch.randn(1000, outputs)
    plain, combined = fused(states), fused.combined(states, other.clone(), "add")
    with threads_of(threads):
        for rows in (1, 2, 3, 5, 11, 12, 13, 14, 15, 63, 64, 129, 1000):
            assert torch.equal(fused(states[:rows]), plain[:rows]), rows
            assert torch.equal(fused(states[-rows:]), plain[-rows:]), rows
            assert torch.equal(fused.combined(states[:rows], other[:rows].clone(), "add"), combined[:rows]), rows


def test_a_processor_whose_mkl_sums_by_the_number_of_rows_is_left_to_onednn(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(linear, "capabilities", lambda: frozenset({"avx2"}))
    assert not linear._mkl_is_faster()
    monkeypatch.setattr(linear, "capabilities", lambda: frozenset({"avx2", "sse4a"}))
    assert linear._mkl_is_faster() == torch.backends.mkl.is_available()


@pytest.mark.parametrize("faster", [True, False])
def test_mkl_and_onednn_agree(faster, monkeypatch):
    monkeypatch.setattr(linear, "_mkl_is_faster", lambda: faster)
    some, states, other = layers(torch.float32), torch.randn(40, 24), torch.randn(40, 64)
    expected = separately(some, states)
    fused = FusedLinear(some)
    assert fused.mkl == faster
    torch.testing.assert_close(fused(states), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(fused.combined(states, other.clone(), "add"), expected + other, rtol=0, atol=1e-6)
    torch.testing.assert_close(fused.combined(states, other.clone(), "mul"), expected * other, rtol=0, atol=1e-6)
