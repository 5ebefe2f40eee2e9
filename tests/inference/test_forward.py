"""Forward passes in batches against transformers on one text at a time, without padding, in float64; and of pairs."""

import numpy as np
import pytest
import torch
from stubs import tiny_bert
from tokenizers import Tokenizer
from transformers import AutoModel, XLMRobertaConfig, XLMRobertaModel

from evalkit.inference.forward import forward, last_states, score_pairs
from evalkit.inference.tokens import FastTokenizer, Tokenized, TokenizedPairs, tokenize

TEXTS = [
    "the moon pulls the sea",
    "",
    "bees make honey from nectar",
    "moon",
    "yeast makes bread rise and the sea tides",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("forward") / "bert")


@pytest.fixture(scope="module")
def bert(folder):
    return AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()


@pytest.fixture(scope="module")
def roberta():
    """An encoder with one segment and padding id 1, whose positions depend on the padding."""
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        type_vocab_size=1,
        pad_token_id=1,
        initializer_range=0.5,
    )
    return XLMRobertaModel(config, add_pooling_layer=False).eval()


def tokenized(sequences: list[list[int]], segments: list[list[int]] | None = None) -> Tokenized:
    segments = segments or [[0] * len(sequence) for sequence in sequences]
    return Tokenized(
        [np.array(sequence, dtype=np.int32) for sequence in sequences],
        [np.array(segment, dtype=np.int32) for segment in segments],
        np.zeros(len(sequences), dtype=bool),
    )


def states_of(model, texts: Tokenized, budget: int) -> list[np.ndarray]:
    """Last hidden states of each text."""
    found = {}
    for batch in forward(model, texts, batch_tokens=budget):
        own = batch.states.split(batch.lengths.tolist())
        found |= {row: states.numpy() for row, states in zip(batch.rows.tolist(), own, strict=True)}
    return [found[row] for row in range(len(texts.ids))]


def reference(model, ids, segments) -> np.ndarray:
    """The same text alone through the model itself in float64; token types as given."""
    extra = {} if segments is None else {"token_type_ids": torch.tensor([np.asarray(segments).tolist()])}
    double = type(model)(model.config, add_pooling_layer=False).double().eval()
    double.load_state_dict(model.state_dict())
    with torch.no_grad():
        return double(input_ids=torch.tensor([np.asarray(ids).tolist()]), **extra).last_hidden_state[0].numpy()


@pytest.mark.parametrize("budget", [1, 12, 24, 10_000])
def test_padded_texts_get_the_states_they_get_alone(folder, bert, budget):
    texts = tokenize(FastTokenizer(Tokenizer.from_file(str(folder / "tokenizer.json"))), TEXTS, max_length=32)
    for actual, ids, segments in zip(states_of(bert, texts, budget), texts.ids, texts.segments, strict=True):
        np.testing.assert_allclose(actual, reference(bert, ids, segments), rtol=0, atol=1e-5)


def test_segments_reach_a_model_that_has_them(folder, bert):
    pairs = [("moon", "the moon has no air"), ("why does the sea have tides", "")]
    encodings = Tokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(pairs)
    texts = tokenized([encoding.ids for encoding in encodings], [encoding.type_ids for encoding in encodings])
    actual = states_of(bert, texts, 1000)
    for states, ids, segments in zip(actual, texts.ids, texts.segments, strict=True):
        np.testing.assert_allclose(states, reference(bert, ids, segments), rtol=0, atol=1e-5)
    # All in one segment gives other states, so the comparison above sees the segments.
    assert np.abs(actual[0] - reference(bert, texts.ids[0], None)).max() > 1e-2


def test_padding_id_other_than_zero_does_not_shift_positions(roberta):
    texts = tokenized([[0, 7, 2], [0, 9, 11, 30, 4, 2], [0, 2]], [[1, 1, 1], [1] * 6, [1, 1]])
    for actual, ids in zip(states_of(roberta, texts, 1000), texts.ids, strict=True):
        np.testing.assert_allclose(actual, reference(roberta, ids, None), rtol=0, atol=1e-5)


def test_states_are_laid_end_to_end_without_those_of_the_padding(bert):
    texts = tokenized([[2, 3], [2, 5, 6, 3], [2, 5, 3]])
    (batch,) = forward(bert, texts, batch_tokens=100)
    assert ([1, 2, 0], [4, 3, 2]) == (batch.rows.tolist(), batch.lengths.tolist())
    assert batch.states.shape == (9, bert.config.hidden_size)


@pytest.mark.parametrize(("select", "places"), [("first", [0, 4, 7]), ("last", [3, 6, 8])])
def test_selected_states_are_those_of_the_first_or_last_token(bert, select, places):
    texts = tokenized([[2, 3], [2, 5, 6, 3], [2, 5, 3]])
    (whole,) = forward(bert, texts, batch_tokens=100)
    (batch,) = forward(bert, texts, batch_tokens=100, select=select)
    assert torch.equal(whole.states[places], batch.states)


def test_batches_stay_within_the_budget_and_hold_every_text_once(bert):
    texts = tokenized([[2] * length for length in (3, 9, 4, 4, 12, 2, 2, 2)])
    shapes = [(len(batch.rows), int(batch.lengths.max())) for batch in forward(bert, texts, batch_tokens=12)]
    assert shapes == [(1, 12), (1, 9), (3, 4), (3, 2)]


def test_forward_records_no_gradient(bert):
    (batch,) = forward(bert, tokenized([[2, 3]]), batch_tokens=10)
    assert batch.states.requires_grad is False


def test_no_text_runs_nothing(bert):
    assert list(forward(bert, tokenized([]), batch_tokens=10)) == []


# Pairs


class Reader(torch.nn.Module):
    """Scores of a pair: sum of its ids, of its ids in segment 1, and of its document's ids. Remembers what it read."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.read = []

    def forward(self, inputs):
        self.read.append(inputs)
        ids = inputs.input_ids * inputs.attention_mask
        place = torch.arange(ids.shape[1])[None]
        start, stop = inputs.documents[:, :1], inputs.documents[:, 1:]
        masks = [torch.ones_like(ids), inputs.token_type_ids, (place >= start) & (place < stop)]
        return torch.stack([(ids * mask).sum(dim=1) for mask in masks], dim=1) * self.weight


IDS = [[2, 5, 3, 7, 8, 3], [2, 3, 9, 3], [2, 3, 3], [2, 6, 3, 4, 3]]
SEGMENTS = [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1], [0, 0, 0, 1, 1]]
DOCUMENTS = [[3, 5], [2, 3], [2, 2], [3, 4]]
SCORES = [[28, 18, 15], [17, 12, 9], [8, 3, 0], [18, 7, 4]]


def pairs_of(ids, segments, documents) -> TokenizedPairs:
    columns = [[np.array(row, dtype=np.int32) for row in rows] for rows in (ids, segments)]
    return TokenizedPairs(*columns, np.array(documents).reshape(-1, 2), np.zeros((len(ids), 2), dtype=np.int64))


@pytest.mark.parametrize("budget", [1, 8, 10, 1000])
@pytest.mark.parametrize("pad_id", [0, 1])
def test_pair_is_scored_by_its_own_tokens_segments_and_document_in_any_batch(budget, pad_id):
    found = np.full((4, 3), -1, dtype=np.float32)
    for rows, scores in score_pairs(Reader(), pairs_of(IDS, SEGMENTS, DOCUMENTS), batch_tokens=budget, pad_id=pad_id):
        found[rows] = scores
    assert found.tolist() == SCORES


def test_batches_of_pairs_are_longest_first_and_filled_with_the_padding_asked_for():
    reader = Reader()
    batches = list(score_pairs(reader, pairs_of(IDS, SEGMENTS, DOCUMENTS), batch_tokens=12, pad_id=9))
    assert [rows.tolist() for rows, _ in batches] == [[0, 3], [1, 2]]
    assert reader.read[0].input_ids.tolist() == [IDS[0], [*IDS[3], 9]]
    assert reader.read[0].attention_mask.tolist() == [[1] * 6, [1] * 5 + [0]]
    assert reader.read[0].token_type_ids.tolist() == [SEGMENTS[0], [*SEGMENTS[3], 0]]
    assert reader.read[1].documents.tolist() == [[2, 3], [2, 2]]


def test_scores_of_pairs_are_float32_whatever_the_model_computes_in():
    reader = Reader().to(torch.bfloat16)
    ((_, scores),) = score_pairs(reader, pairs_of(IDS, SEGMENTS, DOCUMENTS), batch_tokens=1000, pad_id=0)
    assert (np.float32, (4, 3)) == (scores.dtype, scores.shape)


def test_no_pair_scores_nothing():
    assert list(score_pairs(Reader(), pairs_of([], [], []), batch_tokens=10, pad_id=0)) == []


def test_last_state_is_that_of_the_last_token_and_not_of_the_padding():
    states = torch.arange(24.0).reshape(3, 4, 2)
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]])
    assert last_states(states, mask).tolist() == [[6, 7], [8, 9], [20, 21]]
    assert last_states(states, mask.bool()).tolist() == last_states(states, mask).tolist()
