"""A query computed once for all its candidates: same scores, fewer tokens."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Gemma2Config, Gemma2Model, LlamaConfig, LlamaModel

from evalkit.inference.backbone import backbone_of
from evalkit.inference.packed import pack
from evalkit.inference.prefix import Prefixes, batches_by_prefix, pack_shared, prefixes
from evalkit.inference.tokens import TokenizedPairs

SIZES = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "intermediate_size": 40,
    "pad_token_id": 0,
    "initializer_range": 0.4,
}
FIRST, SECOND = [3, 8, 9, 10, 11], [3, 40]
PAIRS = [
    (FIRST, [20, 21, 22, 4]),
    (SECOND, [30, 4]),
    (FIRST, [31, 4]),
    (FIRST, [4]),
    ([3, 50, 51], [20, 4]),  # a query with one candidate
    (SECOND, [20, 21, 22, 23, 24, 4]),
]


def pairs(parts=PAIRS, *, behind: int = 1) -> TokenizedPairs:
    """Documents are all but the last `behind` tokens of each second part."""
    ids = [np.array(query + rest, dtype=np.int32) for query, rest in parts]
    documents = np.array([(len(query), len(query) + len(rest) - behind) for query, rest in parts])
    return TokenizedPairs(ids, [np.zeros_like(row) for row in ids], documents, np.zeros_like(documents))


def test_pairs_of_a_query_have_its_tokens_in_common():
    found = prefixes(pairs())
    assert [0, 1, 0, 0, 2, 1] == found.groups.tolist()
    assert [5, 2, 5, 5, 3, 2] == found.lengths.tolist()


def test_equal_queries_of_other_lengths_are_not_mixed_up():
    found = prefixes(pairs([([3, 5], [6, 4]), ([3, 5, 6], [7, 4]), ([3, 5, 6], [8, 4]), ([3, 5], [9, 4])]))
    assert [0, 1, 1, 0] == found.groups.tolist()


def test_last_token_of_a_pair_is_its_own_though_its_document_is_empty():
    found = prefixes(pairs([([3, 5, 6], [])] * 2, behind=0))
    assert [2, 2] == found.lengths.tolist()


GROUPS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 20)), min_size=1, max_size=60)


@given(GROUPS, st.integers(1, 80))
def test_batches_hold_every_pair_once_and_count_a_start_once(drawn, budget):
    groups, own = (np.array(column) for column in zip(*drawn, strict=True))
    starts = groups * 3
    shared = Prefixes(groups, starts)
    found = [batch.tolist() for batch in batches_by_prefix(starts + own + 1, shared, budget)]
    assert sorted(row for batch in found for row in batch) == list(range(len(drawn)))
    for batch in found:
        cost = sum(int(own[row]) + 1 for row in batch) + sum(3 * group for group in {int(groups[row]) for row in batch})
        assert cost <= budget or len(batch) == 1


def test_longest_pair_is_in_the_first_batch():
    shared = Prefixes(np.array([0, 1, 0]), np.array([2, 2, 2]))
    first = next(batches_by_prefix(np.array([4, 9, 5]), shared, 9))
    assert first.tolist() == [1]


@pytest.fixture(scope="module", params=["llama", "gemma2"])
def backbone(request):
    torch.manual_seed(0)
    if request.param == "llama":
        return backbone_of(LlamaModel(LlamaConfig(**SIZES)).eval(), "packed")
    config = Gemma2Config(**SIZES, sliding_window=4, attn_logit_softcapping=1.5, query_pre_attn_scalar=6)
    return backbone_of(Gemma2Model(config).eval(), "packed")


@pytest.mark.parametrize("rows", [list(range(6)), [5, 3, 0], [2, 0], [4], [4, 1], [3, 3]])
def test_states_of_the_last_tokens_are_those_of_whole_pairs(backbone, rows):
    tokenized, shared = pairs(), prefixes(pairs())
    ids = [tokenized.ids[row] for row in rows]
    common = pack_shared(ids, Prefixes(shared.groups[rows], shared.lengths[rows]))
    plain = pack(ids, [np.zeros_like(own) for own in ids])
    with torch.inference_mode():
        np.testing.assert_allclose(backbone(common, "last"), backbone(plain, "last"), rtol=0, atol=1e-5)
        for of_common, of_plain in zip(
            backbone.after(common, "last", [1, 3]), backbone.after(plain, "last", [1, 3]), strict=True
        ):
            np.testing.assert_allclose(of_common, of_plain, rtol=0, atol=1e-5)


def test_common_tokens_are_in_a_batch_once():
    shared = prefixes(pairs())
    assert len(pack_shared(pairs().ids, shared).input_ids) == sum(map(len, pairs().ids)) - 2 * 5 - 2
