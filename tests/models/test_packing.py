"""Packed models against the same models padded, for every family and every batch composition."""

import numpy as np
import pytest
import torch
from families.tiny import KINDS, PAIRS, built
from tiny_backbones import classifier
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import BertConfig, BertModel

from evalkit.config import ComputeConfig
from evalkit.inference.attention import by_runs, by_torch_varlen
from evalkit.inference.flash import Flash
from evalkit.inference.forward import score_pairs
from evalkit.inference.packed import pack
from evalkit.inference.tokens import TokenizedPairs
from evalkit.inference.usage import Usage
from evalkit.models.gemma2_lightweight import PackedLightweight, merge_documents, merge_packed
from evalkit.models.packing import PackedReranker, contents, packed_encoder, packed_reranker
from evalkit.types import Pair

EXACT = 2e-5
QUERY = "Why does the sea have tides?"
# Candidates of one query, so that causal models share it; pairs of other queries; and a pair twice.
ALL = (*PAIRS, *(Pair(QUERY, "The moon pulls the sea. " * times) for times in (0, 1, 1, 2, 5)), PAIRS[0])
PADDED = {"lightweight": "eager"}  # sdpa cannot cap


@pytest.fixture(scope="module", params=KINDS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def folder(name, tmp_path_factory):
    return KINDS[name].write(tmp_path_factory.mktemp(f"packing-{name}"))


@pytest.fixture(scope="module")
def padded(name, folder):
    """Scores of every pair alone, padded path."""
    model = built(KINDS[name], folder, attention=PADDED.get(name, "sdpa"))
    assert isinstance(model.model, torch.nn.Module)
    return np.concatenate([np.atleast_1d(model.score([pair]).scores) for pair in ALL])


@pytest.fixture(scope="module")
def packed(name, folder):
    model = built(KINDS[name], folder)
    assert isinstance(model.model, PackedReranker | PackedLightweight)
    return model


@pytest.mark.parametrize("budget", [1, pytest.param(60, marks=pytest.mark.slow), 10_000])
def test_scores_are_those_of_the_padded_model_in_any_batch(name, folder, padded, budget):
    model = built(KINDS[name], folder, batch_tokens=budget)
    assert padded.std(axis=0).min() > 100 * EXACT
    np.testing.assert_allclose(model.score(ALL).scores, padded, rtol=0, atol=EXACT)


@pytest.mark.parametrize("order", [[3, 1], [0], [11, 10, 9, 8, 7, 0], [4, 4, 4], [6, 12, 2]], ids=str)
def test_score_of_a_pair_does_not_depend_on_its_neighbours(packed, padded, order):
    found = packed.score([ALL[index] for index in order]).scores
    np.testing.assert_allclose(found, padded[order], rtol=0, atol=EXACT)


def test_causal_models_share_the_query_and_no_other_does(name, packed):
    packed.usage.tokens = packed.usage.computed_tokens = 0
    packed.score(ALL)
    saved = packed.usage.tokens - packed.usage.computed_tokens
    assert (saved > 0) is (name in {"layerwise", "gemma", "qwen3"})


@pytest.mark.parametrize(("name", "template"), [("qwen3", 96), ("gemma", 0), ("layerwise", 0)], indirect=["name"])
def test_template_and_query_are_computed_once_for_all_candidates(name, template, folder):
    """Gemma's and layerwise's pairs begin with three tokens: too few to be shared by all queries."""
    documents = ("The moon pulls the sea twice a day.", "Yeast eats the sugar.", "Bees make honey from nectar.")
    queries = (QUERY, "How do bees make honey?", "What makes bread rise?")
    model = built(KINDS[name], folder, max_length=400)
    tokenized = model.tokenize([Pair(query, document) for query in queries for document in documents])
    before = tokenized.documents[:, 0]
    usage = model.usage
    list(score_pairs(model.model, tokenized, batch_tokens=4096, pad_id=0, usage=usage))
    own = (tokenized.lengths - before).sum()
    assert usage.computed_tokens == own + (before[::3] - template).sum() + template
    assert usage.tokens == own + before.sum()


def test_packing_keeps_the_reported_tensor_and_parameter_counts(name, folder, packed):
    whole = built(KINDS[name], folder, attention=PADDED.get(name, "sdpa")).model
    assert contents(packed.model) == contents(whole)


@pytest.mark.parametrize(
    ("capability", "heads", "expected"),
    [((9, 0), 4, by_torch_varlen), ((9, 0), 8, by_runs), ((7, 5), 4, by_runs), (None, 4, by_runs)],
)
def test_a_packed_model_is_given_the_kernel_that_its_gpu_and_its_heads_allow(monkeypatch, capability, heads, expected):
    monkeypatch.setattr("evalkit.models.packing.capability", lambda _: capability)
    monkeypatch.setattr("evalkit.models.kernels.flash", lambda: Flash(None))
    sizes = {"vocab_size": 9, "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 8}
    model = BertModel(BertConfig(**sizes, num_attention_heads=heads)).eval()  # heads of 8, or of 4
    packed = packed_encoder(model, ComputeConfig(attention="packed", dtype="bfloat16"))
    assert packed.blocks[0].attention.attend is expected


@pytest.mark.parametrize("name", ["minicpm", "layerwise"])
def test_minicpm_turns_queries_and_keys_in_float32(tmp_path, name):
    model = built(KINDS[name], KINDS[name].write(tmp_path / "model", seed=8), dtype="bfloat16").model
    sequences = [np.arange(3, dtype=np.int32)]
    rotary = model.backbone.context(torch.zeros(3, 1, dtype=torch.bfloat16), pack(sequences, sequences)).rotary
    assert rotary.dtype == torch.float32


@pytest.mark.parametrize("ratio", [1, 2, 3, 8])
def test_merging_packed_documents_is_merging_padded_ones(ratio):
    torch.manual_seed(0)
    lengths, documents = (9, 4, 7, 2), torch.tensor([[2, 8], [1, 4], [3, 3], [0, 2]])
    states = torch.randn(4, 9, 5)
    mask = (torch.arange(9)[None] < torch.tensor(lengths)[:, None]).long()
    expected, new_mask, new_documents = merge_documents(states, mask, documents, ratio)
    sequences = [np.zeros(length, dtype=np.int32) for length in lengths]
    merged, batch, moved = merge_packed(states[mask.bool()], pack(sequences, sequences), documents, ratio)
    torch.testing.assert_close(merged, expected[new_mask.bool()])
    assert (batch.lengths, moved.tolist()) == (tuple(new_mask.sum(dim=1).tolist()), new_documents.tolist())
    assert batch.offsets.tolist() == [0, *np.cumsum(batch.lengths).tolist()]
    assert batch.positions.tolist() == [place for length in batch.lengths for place in range(length)]


def pairs_of_ids(count: int = 24) -> TokenizedPairs:
    """Pairs of tokens of the tiny backbones: four queries behind one start, documents of 1 to 34 tokens."""
    rng = np.random.default_rng(3)
    queries = [np.concatenate([[3], rng.integers(5, 60, 6 + number)]) for number in range(4)]
    ids, documents = [], []
    for row in range(count):
        query = queries[row % 4]
        ids.append(np.concatenate([query, rng.integers(5, 60, 1 + 3 * row % 34), [4]]).astype(np.int32))
        documents.append((len(query), len(ids[-1]) - 1))
    segments = [np.zeros_like(row) for row in ids]
    return TokenizedPairs(ids, segments, np.array(documents), np.zeros((count, 2), np.int64))


def scores_of(model, tokenized: TokenizedPairs, rows=slice(None), **settings) -> np.ndarray:
    picked = np.arange(len(tokenized.ids))[rows]
    ids, segments = ([part[row] for row in picked] for part in tokenized[:2])
    found = np.empty((len(picked), 1), np.float32)
    own = TokenizedPairs(ids, segments, *(part[picked] for part in tokenized[2:4]))
    for places, scores in score_pairs(model, own, pad_id=0, **settings):
        found[places] = scores
    return found


CLASSIFIERS = ("DebertaV2", "DistilBert", "Electra", "Gemma2", "Gemma3Text", "Gemma3TextBothWays", "Mistral")


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_packed_classifier_scores_as_the_padded_one_alone_and_in_any_batch(kind):
    """In float32, and decoders compute a query once for all its candidates."""
    tokenized, usage = pairs_of_ids(), Usage()
    whole = classifier(kind)
    padded = scores_of(whole, tokenized, batch_tokens=1)
    counted = contents(whole)
    model = packed_reranker(whole, ComputeConfig(device="cpu", attention="packed"))
    assert contents(model) == counted
    assert padded.std() > 1000 * 1e-5
    for budget in (1, 70, 4096):
        found = scores_of(model, tokenized, batch_tokens=budget, usage=usage)
        np.testing.assert_allclose(found, padded, rtol=0, atol=1e-5)
    alone = scores_of(model, tokenized, slice(3, None, 7), batch_tokens=4096)
    np.testing.assert_array_equal(alone, found[3::7])
    assert (usage.computed_tokens < 0.9 * usage.tokens) is (kind in {"Gemma2", "Gemma3Text", "Mistral"})


class Operations(TorchDispatchMode):
    """Which operations of torch run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_merging_adds_in_an_order_of_its_own_on_every_device():
    """On CUDA `index_add_` and `scatter_add_` add in the order in which threads come, so that bytes differ."""
    states, documents, mask = torch.randn(1, 9, 5), torch.tensor([[2, 8]]), torch.ones(1, 9, dtype=torch.int64)
    sequence = [np.zeros(9, dtype=np.int32)]
    with Operations() as ran:
        merge_packed(states[0], pack(sequence, sequence), documents, 4)
        merge_documents(states, mask, documents, 4)
    assert "segment_reduce" in ran.names
    assert not {name for name in ran.names if name.startswith(("index_add", "scatter_add", "index_put"))}


def test_merging_packed_documents_waits_for_no_device():
    sequence = [np.zeros(9, dtype=np.int32)]
    with Operations() as ran:
        merge_packed(torch.randn(9, 5), pack(sequence, sequence), torch.tensor([[2, 8]]), 4)
    assert not {"_local_scalar_dense", "nonzero", "repeat_interleave", "item"} & ran.names


def test_merged_tokens_are_sums_from_the_left_in_float32_divided_once():
    torch.manual_seed(1)
    states, documents = torch.randn(11, 6), torch.tensor([[1, 9]])
    sequence = [np.zeros(11, dtype=np.int32)]
    merged, _, _ = merge_packed(states, pack(sequence, sequence), documents, 3)
    rows = states.numpy()
    groups = [[0], [1, 2, 3], [4, 5, 6], [7, 8], [9], [10]]
    expected = [sum((rows[row] for row in group[1:]), rows[group[0]]) / np.float32(len(group)) for group in groups]
    assert merged.numpy().tobytes() == np.stack(expected).tobytes()


def test_embeddings_of_lightweight_are_scaled_also_where_transformers_does_it_elsewhere(tmp_path):
    """Up to transformers 5.3 the model scaled them, and not the module that holds them."""
    folder = KINDS["lightweight"].write(tmp_path / "model", seed=8)
    expected, older = (built(KINDS["lightweight"], folder, attention="eager") for _ in range(2))
    model = older.model.model
    plain = torch.nn.Embedding(*model.embed_tokens.weight.shape)
    plain.weight = model.embed_tokens.weight
    model.embed_tokens = plain
    np.testing.assert_array_equal(expected.score(PAIRS).scores, older.score(PAIRS).scores)
