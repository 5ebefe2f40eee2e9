"""Memory of a GPU: what the probe finds out fits, and running out of it loses nothing but time."""

import numpy as np
import pytest
import torch
from families.tiny import KINDS, built
from gpu.models import PAIRS, TEXTS, compute, encoder, late, projected_bert
from out_of_memory import OUT_OF_MEMORY

from evalkit.cli import main
from evalkit.errors import ModelError
from evalkit.system.reporting import explained
from evalkit.types import Pair

pytestmark = pytest.mark.gpu

MATRICES = {"linear", "mm", "addmm", "bmm", "_varlen_attn", "flash_attn_varlen_func"}
SENDING = {"pin_memory", "copy to the device"}
FETCHING = {"copy to the host"}
MANY = [f"{text} {row}" for row, text in enumerate(TEXTS * 60)]
EVEN = [f"{TEXTS[0]} {row}" for row in range(len(MANY))]  # short documents take more of MaxSim, token by token


@pytest.fixture
def model(tmp_path):
    """A family's tiny checkpoint on the device, loaded, with what it scores on a CPU."""

    def made(family, **settings):
        kind = KINDS[family]
        folder = kind.write(tmp_path / family, seed=8)
        on_gpu = built(kind, folder, device="cuda", dtype="bfloat16", **settings)
        on_gpu.load()
        return on_gpu

    return made


def failing(card, operations, error, *, after=0):
    """Have the device fail once, at the n-th of some operations."""
    left = [after]

    def fault(name):
        if name in operations:
            left[0] -= 1
            if left[0] == -1:
                raise error

    card.fault = fault


@pytest.mark.parametrize(("family", "tokens"), [("qwen3", 300), ("bert", 100)], ids=["qwen3", "bert"])
def test_out_of_memory_in_any_form_and_anywhere_changes_no_score(card, model, family, tokens):
    todo = model(family, batch_tokens=tokens)
    pairs = PAIRS[::2]
    expected = todo.score(pairs).scores
    for number, error in enumerate(OUT_OF_MEMORY):
        for operations in (MATRICES, SENDING, FETCHING):
            todo.budget.lower(tokens)
            before = todo.usage.out_of_memory
            failing(card, operations, error, after=number % 3)
            np.testing.assert_allclose(todo.score(pairs).scores, expected, rtol=0, atol=0.1)
            assert todo.usage.out_of_memory == before + 1, (error, operations)
            assert todo.budget.tokens < tokens


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_out_of_memory_in_the_first_pass_or_while_loading(card, tmp_path, error):
    kind = KINDS["minicpm"]
    folder = kind.write(tmp_path / "model", seed=8)
    failing(card, MATRICES, error)
    with pytest.raises(ModelError, match="out of memory on one text of"):  # the first pass has but one
        built(kind, folder, device="cuda", dtype="bfloat16").load()
    failing(card, {"copy to the device", "empty"}, error)
    with pytest.raises((MemoryError, RuntimeError, ModelError)) as raised:
        built(kind, folder, device="cuda", dtype="bfloat16").load()
    assert str(explained(raised.value)).startswith("out of memory.")


def test_memory_that_shrinks_on_the_way_is_enough_again_with_a_smaller_budget(card, model, monkeypatch):
    """Another process takes two thirds of what the first batches needed."""
    todo = model("minicpm", batch_tokens=150)
    expected = todo.score(PAIRS).scores
    weights, needed, held = card.allocated, card.peak - card.allocated, []

    def empty_cache():
        held.append(card.allocated)
        card.empty_cache()

    def shrink(_):
        card.total = weights + needed // 3

    monkeypatch.setattr(torch.cuda, "empty_cache", empty_cache)
    np.testing.assert_allclose(todo.score(PAIRS, advance=shrink).scores, expected, rtol=0, atol=0.1)
    assert 0 < todo.usage.out_of_memory == len(held) < 6
    assert set(held) == {weights}  # nothing of the batch that failed, nor of those behind it
    assert card.allocated == weights


def test_text_that_never_fits_is_one_line(card, model):
    todo = model("minicpm", batch_tokens=600)
    card.total = card.allocated + 1000
    with pytest.raises(ModelError, match=r"out of memory on one text of \d+ tokens\. Lower max_length"):
        todo.score(PAIRS)


@pytest.mark.parametrize("kind", ["minicpm", "late", "encoder"])
def test_budget_that_a_probe_finds_fits_and_follows_free_memory(card, tmp_path, model, kind):
    pairs, budgets = [Pair("moon", text) for text in (EVEN if kind == "late" else MANY)], []
    where = compute("cuda", dtype="bfloat16", batch_tokens=None)
    _weights = torch.empty(1 << 26, dtype=torch.uint8, device="cuda")  # of a larger model
    for free in (4 << 20, 8 << 20):
        if kind == "minicpm":
            todo = model(kind, batch_tokens=None)
        else:
            bert = projected_bert(tmp_path / "bert")
            todo = late(bert, where) if kind == "late" else encoder(bert, where)
            todo.load()
        card.reset()
        card.total = card.allocated + free
        todo.encode(MANY) if kind == "encoder" else todo.score(pairs)
        assert todo.usage.out_of_memory == 0
        assert todo.usage.tokens > todo.budget.found  # which at least one batch took
        assert free / 4 < card.peak - (card.total - free)
        budgets.append(todo.budget.found)
    assert 4096 < budgets[0] < budgets[1] <= 65_536
    assert budgets[1] == pytest.approx(2 * budgets[0], rel=0.1)


def test_probe_that_finds_no_memory_ends_in_a_budget_that_fits(card, tmp_path):
    folder = projected_bert(tmp_path / "bert")
    texts = MANY[:800]
    expected = encoder(folder, compute("cpu")).encode(texts)
    todo = encoder(folder, compute("cuda", batch_tokens=None))
    todo.load()
    card.total = card.allocated + 300_000
    np.testing.assert_allclose(todo.encode(texts), expected, rtol=0, atol=1e-4)
    assert todo.budget.tokens < 2048
    assert todo.usage.out_of_memory > 0


def test_command_without_memory_ends_in_one_line(card, tmp_path, capsys):
    folder = KINDS["minicpm"].write(tmp_path / "model", seed=8)
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"query": "a", "document": "b"}\n')
    card.total = card.allocated + 2000
    command = ["score", str(pairs), "reranker=minicpm_reranker", f"reranker.model={folder}", "compute=cuda"]
    assert main(command) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[-1].startswith("evalkit: error: out of memory.")
    assert not any("Traceback" in line for line in errors)
