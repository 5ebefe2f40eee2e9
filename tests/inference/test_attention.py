"""Attention over packed tokens against dense attention of one sequence at a time, in NumPy and float64."""

import functools
import importlib
from inspect import Parameter, Signature, signature

import numpy as np
import pytest
import torch

from evalkit.inference import attention
from evalkit.inference.attention import KERNELS, AttentionRule, by_runs
from evalkit.inference.flash import Flash
from evalkit.inference.packed import Keys, pack

LENGTHS = (5, 3, 3, 1, 7)
HEADS, KEY_HEADS, WIDTH = 4, 2, 8

RULES = {
    "bidirectional": AttentionRule(0.3),
    "causal": AttentionRule(0.3, causal=True),
    "window": AttentionRule(0.3, causal=True, window=3),
    "wide window": AttentionRule(0.3, causal=True, window=100),
    "softcap": AttentionRule(2.0, causal=True, softcap=1.5),
    "softcap and window": AttentionRule(2.0, causal=True, window=2, softcap=1.5),
    "bidirectional softcap": AttentionRule(2.0, softcap=1.5),
}


def dense(query: np.ndarray, key: np.ndarray, value: np.ndarray, rule: AttentionRule) -> np.ndarray:
    """Queries of shape (queries, heads, width), which are the last of the keys' tokens."""
    repeats = query.shape[1] // key.shape[1]
    key, value = np.repeat(key, repeats, axis=1), np.repeat(value, repeats, axis=1)
    scores = np.einsum("qhd,khd->hqk", query, key) * rule.scale
    if rule.softcap:
        scores = rule.softcap * np.tanh(scores / rule.softcap)
    if rule.causal:
        back = np.arange(len(key) - len(query), len(key))[:, None] - np.arange(len(key))[None]
        scores = np.where((back >= 0) & (back < (rule.window or len(key))), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.einsum("hqk,khd->qhd", weights / weights.sum(axis=-1, keepdims=True), value)


def inputs(tokens: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    return tuple(
        torch.from_numpy(random.normal(size=(tokens, heads, WIDTH)).astype(np.float32))
        for heads in (HEADS, KEY_HEADS, KEY_HEADS)
    )


def batch_of(lengths):
    sequences = [np.arange(length, dtype=np.int32) for length in lengths]
    return pack(sequences, [np.zeros_like(sequence) for sequence in sequences])


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_token_sees_its_own_sequence_alone(rule):
    batch = batch_of(LENGTHS)
    query, key, value = inputs(sum(LENGTHS))
    actual = by_runs(query, key, value, batch, "all", rule).numpy()
    for start, stop in zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True):
        own = [part[start:stop].double().numpy() for part in (query, key, value)]
        np.testing.assert_allclose(actual[start:stop], dense(*own, rule), rtol=0, atol=1e-6)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_last_token_alone_has_the_result_that_it_has_among_all(rule):
    batch = batch_of(LENGTHS)
    query, key, value = inputs(sum(LENGTHS))
    whole = by_runs(query, key, value, batch, "all", rule)
    rows = batch.rows("last")
    alone = by_runs(query[rows], key, value, batch, "last", rule)
    np.testing.assert_allclose(alone.numpy(), whole[rows].numpy(), rtol=0, atol=1e-6)


def test_first_token_of_a_bidirectional_model_sees_its_whole_sequence():
    batch = batch_of(LENGTHS)
    query, key, value = inputs(sum(LENGTHS))
    rows = batch.rows("first")
    alone = by_runs(query[rows], key, value, batch, "first", AttentionRule(0.3))
    whole = by_runs(query, key, value, batch, "all", AttentionRule(0.3))
    np.testing.assert_allclose(alone.numpy(), whole[rows].numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES.values() if rule.causal], ids=[n for n in RULES if n[0] != "b"]
)
def test_shared_start_is_seen_as_if_it_were_each_sequences_own(rule):
    # Tokens 0-3 begin the two sequences 4-6 and 7-8.
    keys = Keys(
        torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 7, 8]),
        torch.tensor([0, 4, 11, 17], dtype=torch.int32),
        (4, 7, 6),
    )
    batch = batch_of((4, 3, 2))._replace(keys=keys)
    query, key, value = inputs(9)
    actual = by_runs(query, key, value, batch, "all", rule).numpy()
    for own in ((4, 5, 6), (7, 8)):
        seen = [0, 1, 2, 3, *own]
        parts = [part[seen].double().numpy() for part in (query, key, value)]
        np.testing.assert_allclose(actual[list(own)], dense(*parts, rule)[4:], rtol=0, atol=1e-6)


def test_neighbours_change_nothing_beyond_rounding():
    query, key, value = inputs(19)
    alone = by_runs(query[:5], key[:5], value[:5], batch_of((5,)), "all", AttentionRule(0.3))
    among = by_runs(query, key, value, batch_of((5, 5, 5, 4)), "all", AttentionRule(0.3))
    np.testing.assert_allclose(among[:5].numpy(), alone.numpy(), rtol=0, atol=1e-6)


def test_kernels_are_named_as_compute_attention_names_them():
    assert set(KERNELS) == {"packed", "torch_varlen", "flash_attn"}


VERSIONS = {
    "2.11": {"return_aux", "scale", "window_size"},
    "2.12 to 2.15": {"return_aux", "scale", "window_size", "enable_gqa", "seqused_k", "block_table", "num_splits"},
}


@pytest.fixture(params=VERSIONS)
def varlen(request, monkeypatch):
    """`varlen_attn` of a version of torch, computed by `by_runs`: what it is given, and what it takes."""
    torch_varlen = importlib.import_module("torch.nn.attention.varlen")
    given: dict[str, object] = {}

    def called(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, **settings):
        given.update(settings)
        grouped = query.shape[1] != key.shape[1]
        assert settings.get("enable_gqa", grouped) is grouped
        assert (int(cu_seq_q.diff().max()), int(cu_seq_k.diff().max())) == (max_q, max_k)
        left, right = settings["window_size"]
        rule = AttentionRule(settings["scale"], causal=right == 0, window=None if left < 0 else left + 1)
        return by_runs(query, key, value, batch_of(cu_seq_k.diff().tolist()), "all" if max_q > 1 else "last", rule)

    positional = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in POSITIONAL]
    own = [Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in sorted(VERSIONS[request.param])]
    called.__signature__ = Signature(positional + own)
    monkeypatch.setattr(torch_varlen, "varlen_attn", strict(called))
    return given, VERSIONS[request.param]


POSITIONAL = ("query", "key", "value", "cu_seq_q", "cu_seq_k", "max_q", "max_k")


def strict(function):
    """Called only as its signature says."""

    @functools.wraps(function)
    def call(*args, **settings):
        function.__signature__.bind(*args, **settings)
        return function(*args, **settings)

    return call


@pytest.mark.parametrize("name", ["bidirectional", "causal", "window"])
@pytest.mark.parametrize("select", ["all", "last"])
def test_torch_kernel_gets_the_arguments_of_its_version(varlen, name, select):
    given, taken = varlen
    batch, (query, key, value) = batch_of(LENGTHS), inputs(sum(LENGTHS))
    query = query if select == "all" else query[batch.rows("last")]
    found = KERNELS["torch_varlen"](query, key, value, batch, select, RULES[name])
    assert torch.equal(found, by_runs(query, key, value, batch, select, RULES[name]))
    assert set(given) == taken & {"scale", "window_size", "enable_gqa", "num_splits"}
    assert given.get("num_splits", 1) == 1


def test_installed_torch_kernel_accepts_our_arguments():
    varlen_attn = importlib.import_module("torch.nn.attention.varlen").varlen_attn
    assert {"scale", "window_size"} <= set(signature(varlen_attn).parameters)


def test_flash_attn_gets_its_arguments(monkeypatch):
    given: dict[str, object] = {}

    def kernel(query, *_, **settings):
        given.update(settings)
        return query

    monkeypatch.setattr(attention, "flash", lambda: Flash(kernel))
    batch, (query, key, value) = batch_of(LENGTHS), inputs(sum(LENGTHS))
    KERNELS["flash_attn"](query, key, value, batch, "all", RULES["softcap and window"])
    assert given == {"softmax_scale": 2.0, "causal": True, "window_size": (1, 0), "softcap": 1.5}
