"""Packed models against those of transformers, on one text at a time without padding."""

import numpy as np
import pytest
import torch
from tiny_backbones import ENCODERS, MODELS, TEXTS, made, packed, states_of

from evalkit.inference.backbone import backbone_of, supported


@pytest.fixture(scope="module", params=MODELS)
def compared(request):
    """(name, packed model, states of every text by transformers)."""
    model = made(request.param)
    expected = [states_of(model, text) for text in TEXTS]
    assert supported(model)
    return request.param, backbone_of(model, "packed"), expected


def test_states_of_all_tokens_are_those_of_transformers(compared):
    _, backbone, expected = compared
    with torch.inference_mode():
        actual = backbone(packed(TEXTS), "all").numpy()
    np.testing.assert_allclose(actual, np.concatenate(expected), rtol=0, atol=2e-5)


@pytest.mark.parametrize(("select", "place"), [("first", 0), ("last", -1)])
def test_last_layer_computed_for_one_token_gives_that_tokens_state(compared, select, place):
    _, backbone, expected = compared
    with torch.inference_mode():
        actual = backbone(packed(TEXTS), select).numpy()
    np.testing.assert_allclose(actual, [states[place] for states in expected], rtol=0, atol=2e-5)


@pytest.mark.parametrize("texts", [[TEXTS[0]], TEXTS[:2], TEXTS[::-1], [TEXTS[0]] * 5])
def test_states_do_not_depend_on_the_neighbours(compared, texts):
    _, backbone, expected = compared
    with torch.inference_mode():
        actual = backbone(packed(texts), "last").numpy()
    wanted = [expected[TEXTS.index(text)][-1] for text in texts]
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=2e-5)


def test_states_after_an_earlier_layer_are_those_of_a_model_that_ends_there(compared):
    name, backbone, expected = compared
    shorter = made(name)
    stack = shorter.encoder.layer if hasattr(shorter, "encoder") else shorter.layers
    del stack[2:]
    shorter.config.num_hidden_layers = 2
    with torch.inference_mode():
        second, third = backbone.after(packed(TEXTS), "last", [2, 3])
    np.testing.assert_allclose(second, [states_of(shorter, text)[-1] for text in TEXTS], rtol=0, atol=2e-5)
    np.testing.assert_allclose(third, [states[-1] for states in expected], rtol=0, atol=2e-5)


def test_only_decoders_are_causal(compared):
    name, backbone, _ = compared
    assert backbone.causal is (name not in ENCODERS)


def test_padding_id_inside_a_text_has_no_position_as_in_roberta():
    model, text = made("XLMRoberta"), [3, 1, 9, 1, 5]
    expected = states_of(model, text)
    with torch.inference_mode():
        actual = backbone_of(model, "packed")(packed([TEXTS[0], text]), "all")[len(TEXTS[0]) :]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5)


def test_model_of_another_architecture_is_not_taken():
    assert not supported(torch.nn.Linear(2, 2))
