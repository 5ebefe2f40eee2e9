"""A score does not depend on what else is scored, on the size of batches, or on the number of threads.

Widths are those of real models: with small ones every kernel happens to sum in the same order.
"""

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    Gemma2Config,
    Gemma2Model,
    ModernBertConfig,
    ModernBertModel,
    Qwen3Config,
    Qwen3Model,
)

from evalkit.inference.backbone import backbone_of
from evalkit.inference.forward import forward, score_pairs
from evalkit.inference.linear import summed
from evalkit.inference.tokens import Tokenized, TokenizedPairs
from evalkit.inference.usage import Usage

QUERIES, PAIRS = 4, 12
BATCHES = [(1, 1), (1, 2), (300, 2), (1000, 1), (20_000, 2)]  # tokens, threads


def bert():
    config = BertConfig(
        hidden_size=1024, num_hidden_layers=1, num_attention_heads=16, intermediate_size=4096, vocab_size=500
    )
    return BertModel(config)


def qwen3():
    config = Qwen3Config(
        hidden_size=1024,
        num_hidden_layers=2,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        intermediate_size=3072,
        vocab_size=500,
    )
    return Qwen3Model(config)


def gemma2():
    config = Gemma2Config(
        hidden_size=1152,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=128,
        intermediate_size=4096,
        vocab_size=500,
    )
    return Gemma2Model(config)


def modernbert():
    config = ModernBertConfig(
        hidden_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=384,
        local_attention=32,
        global_attn_every_n_layers=2,
        vocab_size=500,
        pad_token_id=0,
    )
    return ModernBertModel(config)


class Scorer:
    """Pairs by the state of one token and a head of one row."""

    def __init__(self, backbone):
        self.backbone, self.device, self.shares_prefixes = backbone, backbone.device, backbone.causal
        self.weight = torch.randn(1, 4096)

    def score(self, batch, documents):
        del documents
        states = self.backbone(batch, "last" if self.backbone.causal else "first")
        return summed(states, self.weight[:, : states.shape[1]])


def pairs():
    rng = np.random.default_rng(7)
    queries = [rng.integers(0, 500, 30).astype(np.int32) for _ in range(QUERIES)]
    documents = [rng.integers(0, 500, rng.integers(1, 150)).astype(np.int32) for _ in range(PAIRS)]
    return [np.concatenate([queries[row % QUERIES], document]) for row, document in enumerate(documents)]


def scores(scorer, ids, **settings):
    documents = np.array([[30, len(row)] for row in ids])
    segments = [np.zeros_like(row) for row in ids]
    return of_tokenized(scorer, TokenizedPairs(ids, segments, documents, np.zeros_like(documents)), **settings)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize(
    "make",
    [
        bert,
        modernbert,
        pytest.param(qwen3, marks=pytest.mark.slow),
        pytest.param(gemma2, marks=pytest.mark.slow),
    ],
)
def test_a_pair_s_score_has_the_same_bits_in_every_batch_and_company(make, dtype, threads):
    torch.manual_seed(0)
    scorer = Scorer(backbone_of(make().eval().to(dtype), "packed"))
    ids = pairs()
    expected = scores(scorer, ids, batch_tokens=4096, workers=2)
    assert len(np.unique(expected)) > PAIRS / 2
    for tokens, count in BATCHES:
        threads(count)
        np.testing.assert_array_equal(scores(scorer, ids, batch_tokens=tokens, workers=count), expected)
    some = np.random.default_rng(1).permutation(PAIRS)[:5]
    np.testing.assert_array_equal(scores(scorer, [ids[row] for row in some], batch_tokens=4096), expected[some])


STARTS = [(90, 100), (64, 68), (40, 191), (20, 40)]  # tokens before the query, and of both


def started():
    """Pairs of queries of several lengths behind the same template, and how much of a pair is template."""
    rng = np.random.default_rng(8)
    template = rng.integers(0, 500, 100).astype(np.int32)
    ids, documents, starts = [], [], []
    for start, length in STARTS:
        query = np.concatenate([template[:start], rng.integers(0, 500, length - start).astype(np.int32)])
        for own in rng.integers(2, 120, 2).tolist():
            ids.append(np.concatenate([query, rng.integers(0, 500, own).astype(np.int32)]))
            documents.append((length, length + own))
            starts.append(start)
    documents = np.array(documents)
    return TokenizedPairs(ids, [np.zeros_like(row) for row in ids], documents, 0 * documents, np.array(starts))


def chosen(pairs, rows):
    ids, segments = ([part[row] for row in rows] for part in pairs[:2])
    return TokenizedPairs(ids, segments, *(part[rows] for part in pairs[2:]))


def of_tokenized(scorer, tokenized, **settings):
    found = np.empty((len(tokenized.ids), 1), np.float32)
    for rows, values in score_pairs(scorer, tokenized, pad_id=0, **settings):
        found[rows] = values
    return found


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.slow)], ids=str)
def test_a_shared_template_changes_no_bit_alone_in_any_batch_or_with_some_scores_known(dtype, threads):
    torch.manual_seed(0)
    scorer, pairs = Scorer(backbone_of(qwen3().eval().to(dtype), "packed")), started()
    count, usage = len(pairs.ids), Usage()
    expected = of_tokenized(scorer, pairs._replace(starts=None), batch_tokens=4096)
    assert len(np.unique(expected)) > count / 2
    for tokens, cores in BATCHES[1::2]:
        threads(cores)
        found = of_tokenized(scorer, pairs, batch_tokens=tokens, workers=cores, usage=usage)
        np.testing.assert_array_equal(found, expected)
    assert usage.computed_tokens < usage.tokens
    some = np.random.default_rng(2).permutation(count)[:7]
    np.testing.assert_array_equal(of_tokenized(scorer, chosen(pairs, some), batch_tokens=4096), expected[some])
    known = np.random.default_rng(3).random(count) < 0.5
    for rows, values in score_pairs(scorer, pairs, pad_id=0, batch_tokens=1000, known=known):
        np.testing.assert_array_equal(values, expected[rows])


def test_a_text_s_states_have_the_same_bits_in_every_batch(threads):
    torch.manual_seed(0)
    backbone = backbone_of(bert().eval(), "packed")
    ids = pairs()
    tokenized = Tokenized(ids, [np.zeros_like(row) for row in ids], np.zeros(len(ids), bool))

    def firsts(**settings):
        found = np.empty((len(ids), 1024), np.float32)
        for batch in forward(backbone, tokenized, select="first", **settings):
            found[batch.rows] = batch.states.numpy()
        return found

    expected = firsts(batch_tokens=4096, workers=2)
    for tokens, count in BATCHES:
        threads(count)
        np.testing.assert_array_equal(firsts(batch_tokens=tokens, workers=count), expected)
