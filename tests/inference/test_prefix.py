"""A query computed once for all its candidates: same scores, fewer tokens."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Gemma2Config, Gemma2Model, LlamaConfig, LlamaModel

from evalkit.inference.backbone import backbone_of
from evalkit.inference.forward import score_pairs
from evalkit.inference.packed import pack
from evalkit.inference.prefix import Prefixes, batches_by_prefix, pack_shared, prefixes
from evalkit.inference.tokens import TokenizedPairs
from evalkit.inference.usage import Usage

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


def started(starts, *, queries=(100, 100), behind=5) -> TokenizedPairs:
    """Pairs of several queries behind one template, each with as many tokens before its document as is said."""
    template = np.arange(1, 400, dtype=np.int32)
    ids, documents = [], []
    for number, (start, length) in enumerate(zip(starts, queries, strict=True)):
        own = np.full(length - start + behind, 1000 + number, dtype=np.int32)
        ids.append(np.concatenate([template[:start], own]))
        documents.append((length, length + behind))
    segments = [np.zeros_like(row) for row in ids]
    return TokenizedPairs(ids, segments, np.array(documents), np.zeros((len(ids), 2), np.int64), np.array(starts))


def test_template_before_all_queries_is_shared_in_whole_blocks():
    found = prefixes(started([85, 85, 70], queries=(100, 140, 80)))
    assert ([100, 140, 80], [0, 1, 2]) == (found.lengths.tolist(), found.groups.tolist())
    assert ([64, 64, 64], [0, 0, 0]) == (found.above.lengths.tolist(), found.above.groups.tolist())


@pytest.mark.parametrize(
    ("start", "query", "shared"),
    [(31, 60, 0), (32, 60, 32), (64, 67, 32), (64, 68, 64), (100, 191, 96), (100, 192, 0), (3, 3, 0)],
)
def test_start_is_not_shared_where_scores_would_move(start, query, shared):
    """Too short for a block, too few tokens behind it, or in a prefix that PyTorch computes in other blocks."""
    found = prefixes(started([start], queries=(query,)))
    assert ([query], [shared]) == (found.lengths.tolist(), found.above.lengths.tolist())


def test_how_a_pair_is_taken_apart_does_not_depend_on_the_others():
    every = started([85, 40, 64, 96], queries=(100, 190, 70, 300))
    together = prefixes(every)
    for row in range(4):
        alone = prefixes(
            TokenizedPairs(*([part[row]] for part in every[:2]), *(part[row : row + 1] for part in every[2:]))
        )
        assert alone.above.lengths[0] == together.above.lengths[row]


def test_template_is_in_a_batch_once_and_each_query_sees_it():
    pairs = started([40, 40, 40], queries=(50, 50, 45))
    batch = pack_shared(pairs.ids, prefixes(pairs))
    # A block of the template; what is behind it of three queries; three documents.
    assert (32, 18, 5, 18, 5, 13, 5) == batch.lengths
    assert (32, 50, 55, 50, 55, 45, 50) == batch.keys.lengths
    assert [2, 4, 6] == batch.scored.tolist()
    for number, row in enumerate(pairs.ids):
        first, last = batch.scored_keys.offsets[number], batch.scored_keys.offsets[number + 1]
        seen = batch.scored_keys.rows[first:last]
        assert (row.tolist(), [*range(len(row))]) == (batch.input_ids[seen].tolist(), batch.positions[seen].tolist())


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


@given(GROUPS, st.integers(1, 80))
def test_planned_batches_hold_no_more_than_the_budget_though_starts_are_shared_by_groups(drawn, budget):
    groups, own = (np.array(column) for column in zip(*drawn, strict=True))
    lengths = 2 + groups * 3
    above = Prefixes(groups // 2, 1 + groups // 2)
    shared = Prefixes(groups, lengths, above)
    totals = lengths + own + 1
    found = list(batches_by_prefix(totals, shared, budget))
    assert sorted(row for batch in found for row in batch) == list(range(len(drawn)))
    for batch in found:
        ids = [np.array([*range(above.lengths[row]), *[90 + groups[row]] * 50][: totals[row]]) for row in batch]
        computed = len(pack_shared(ids, shared.of(batch)).input_ids)
        assert computed == totals[batch].sum() - lengths[batch].sum() + shared.of(batch).tokens
        assert computed <= budget or len(batch) == 1


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


@pytest.mark.parametrize("above", [False, True], ids=["one level", "two levels"])
@pytest.mark.parametrize("rows", [list(range(6)), [5, 3, 0], [2, 0], [4], [4, 1], [3, 3]])
def test_states_of_the_last_tokens_are_those_of_whole_pairs(backbone, rows, above):
    tokenized, shared = pairs(), prefixes(pairs())
    if above:  # all but the second query begin with one token in common; that one has none
        shared = shared._replace(above=Prefixes(np.array([0, 1, 0, 0, 0, 1]), np.array([1, 0, 1, 1, 1, 0])))
    ids = [tokenized.ids[row] for row in rows]
    common = pack_shared(ids, shared.of(np.array(rows)))
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


class Counting:
    """Scores nothing and counts the tokens that it is given."""

    device, shares_prefixes = torch.device("cpu"), True

    def __init__(self) -> None:
        self.tokens = 0

    def score(self, batch, documents):
        assert documents.device.type == "cpu"
        self.tokens += len(batch.input_ids)
        return torch.zeros(len(documents), 1)


# A template of 88 tokens, a query of 12, document and what follows it 81: Qwen3-Reranker's card on TREC DL 2019.
@pytest.mark.parametrize(
    ("depth", "budget", "one_level", "two_levels"),
    [(100, 4096, 84.0, 83.4), (100, 65_536, 82.1, 81.5), (10, 4096, 92.9, 86.8), (1, 4096, 181.0, 120.0)],
)
def test_of_181_tokens_a_pair_those_before_the_document_are_computed_once(depth, budget, one_level, two_levels):
    rng = np.random.default_rng(0)
    template = rng.integers(0, 500, 88)
    queries = [np.concatenate([template, np.full(12, 1000 + number)]) for number in range(43)]
    own = [np.concatenate([query, np.full(81, 7)]).astype(np.int32) for query in queries for _ in range(depth)]
    documents = np.full((len(own), 2), (100, 172))
    tokenized = TokenizedPairs(own, own, documents, 0 * documents, np.full(len(own), 88))
    for starts, expected in ((None, one_level), (tokenized.starts, two_levels)):
        scorer, usage = Counting(), Usage()
        list(score_pairs(scorer, tokenized._replace(starts=starts), batch_tokens=budget, pad_id=0, usage=usage))
        assert scorer.tokens == usage.computed_tokens
        assert (181, expected) == (usage.tokens / len(own), round(usage.computed_tokens / len(own), 1))
