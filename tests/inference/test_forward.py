"""Forward passes in batches against transformers on one text at a time, without padding, in float64."""

import numpy as np
import pytest
import torch
from stubs import tiny_bert
from tokenizers import Tokenizer
from transformers import AutoModel, XLMRobertaConfig, XLMRobertaModel

from evalkit.inference.forward import forward
from evalkit.inference.pairs import tokenize_pairs
from evalkit.inference.tokens import Tokenized, tokenize

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
    """Last hidden states of each text, padding removed by the mask."""
    found = {}
    for batch in forward(model, texts, batch_tokens=budget):
        for position, row in enumerate(batch.rows.tolist()):
            found[row] = batch.output.last_hidden_state[position][batch.mask[position]].numpy()
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
    texts = tokenize(Tokenizer.from_file(str(folder / "tokenizer.json")), TEXTS, max_length=32)
    for actual, ids, segments in zip(states_of(bert, texts, budget), texts.ids, texts.segments, strict=True):
        np.testing.assert_allclose(actual, reference(bert, ids, segments), rtol=0, atol=1e-5)


def test_segments_reach_a_model_that_has_them(folder, bert):
    pairs = [("moon", "the moon has no air"), ("why does the sea have tides", "")]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = tokenize_pairs(tokenizer, pairs, max_length=32, truncation="longest_first")
    actual = states_of(bert, texts, 1000)
    for states, ids, segments in zip(actual, texts.ids, texts.segments, strict=True):
        np.testing.assert_allclose(states, reference(bert, ids, segments), rtol=0, atol=1e-5)
    # All in one segment gives other states, so the comparison above sees the segments.
    assert np.abs(actual[0] - reference(bert, texts.ids[0], None)).max() > 1e-2


def test_padding_id_other_than_zero_does_not_shift_positions(roberta):
    texts = tokenized([[0, 7, 2], [0, 9, 11, 30, 4, 2], [0, 2]], [[1, 1, 1], [1] * 6, [1, 1]])
    for actual, ids in zip(states_of(roberta, texts, 1000), texts.ids, strict=True):
        np.testing.assert_allclose(actual, reference(roberta, ids, None), rtol=0, atol=1e-5)


def test_mask_is_true_exactly_where_there_is_a_token(bert):
    texts = tokenized([[2, 3], [2, 5, 6, 3], [2, 5, 3]])
    (batch,) = forward(bert, texts, batch_tokens=100)
    assert batch.rows.tolist() == [1, 2, 0]
    expected = [[True, True, True, True], [True, True, True, False], [True, True, False, False]]
    assert expected == batch.mask.tolist()


def test_batches_stay_within_the_budget_and_hold_every_text_once(bert):
    texts = tokenized([[2] * length for length in (3, 9, 4, 4, 12, 2, 2, 2)])
    shapes = [(len(batch.rows), batch.mask.shape[1]) for batch in forward(bert, texts, batch_tokens=12)]
    assert shapes == [(1, 12), (1, 9), (3, 4), (3, 2)]


def test_no_gradient_is_kept(bert):
    (batch,) = forward(bert, tokenized([[2, 3]]), batch_tokens=10)
    assert batch.output.last_hidden_state.requires_grad is False


def test_no_text_runs_nothing(bert):
    assert list(forward(bert, tokenized([]), batch_tokens=10)) == []
