"""Packed models against those of transformers, on one text at a time without padding."""

import numpy as np
import pytest
import torch
import transformers
from tiny_backbones import ENCODERS, MODELS, SIZES, TEXTS, made, packed, states_of

from evalkit.inference.backbone import backbone_of, supported
from evalkit.inference.fused import rotated
from evalkit.inference.packed import pack_attended


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
    encoder = getattr(shorter, "encoder", getattr(shorter, "transformer", None))
    stack = shorter.layers if encoder is None else encoder.layer
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["Gemma", "Gemma2"])
def test_gemma_s_embeddings_are_scaled_whether_transformers_does_it_in_the_module_or_in_the_model(name, dtype):
    """Up to transformers 5.3 `GemmaModel.forward` does, which the engine does not call."""
    expected = states_of_packed(made(name).to(dtype))
    older = made(name).to(dtype)
    plain = torch.nn.Embedding(*older.embed_tokens.weight.shape)
    plain.weight = older.embed_tokens.weight
    older.embed_tokens = plain
    assert torch.equal(expected, states_of_packed(older))


def test_gelu_of_gemma_is_the_approximation_by_tanh_whether_transformers_knows_it_or_not():
    """From transformers 5.4 to 5.17 `hidden_act: gelu` is taken as it stands, which these checkpoints do not mean."""
    older = made("Gemma")
    older.config.hidden_act = "gelu"
    for layer in older.layers:
        layer.mlp.act_fn = transformers.activations.ACT2FN["gelu"]
    assert torch.equal(states_of_packed(made("Gemma")), states_of_packed(older))


def test_gelu_of_other_decoders_is_unchanged():
    exact = made("Llama")
    for layer in exact.layers:
        layer.mlp.act_fn = transformers.activations.ACT2FN["gelu"]
    expected = np.concatenate([states_of(exact, text) for text in TEXTS])
    np.testing.assert_allclose(states_of_packed(exact).numpy(), expected, rtol=0, atol=2e-5)


def states_of_packed(model, way="auto") -> torch.Tensor:
    with torch.inference_mode():
        return backbone_of(model, "packed", way)(packed(TEXTS), "all")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_queries_and_keys_are_turned_in_float32_where_the_model_s_own_code_does(dtype):
    """MiniCPM's code: to float32, with cosines and sines that were never anything else, and back."""
    exact = made("Granite").to(dtype)
    exact.rotary_emb, exact.config.rotary_dtype = made("Granite").rotary_emb, "float32"  # as it is loaded
    batch, states = packed(TEXTS), torch.zeros(sum(map(len, TEXTS)), SIZES["hidden_size"], dtype=dtype)
    rounded, found = (
        backbone_of(model, "packed").context(states, batch).rotary for model in (made("Granite").to(dtype), exact)
    )
    assert (rounded.dtype, found.dtype) == (dtype, torch.float32)
    rounded, found = rounded.chunk(2, dim=1), found.chunk(2, dim=1)
    angles = batch.positions[:, None] * 10_000.0 ** -(torch.arange(0, 6, 2) / 6)
    for table, function in zip(found, (torch.cos, torch.sin), strict=True):
        torch.testing.assert_close(table, function(torch.cat((angles, angles), dim=1)), rtol=0, atol=1e-5)
    vectors = torch.randn(len(states), 4, 6).to(dtype)
    first, second = vectors.float().chunk(2, dim=2)
    cosine, sine = (table[:, None] for table in found)
    expected = (vectors.float() * cosine + torch.cat((-second, first), dim=2) * sine).to(dtype)
    assert torch.equal(rotated(vectors, *found), expected)
    assert not torch.equal(rotated(vectors, *rounded), expected)


@pytest.mark.parametrize("way", ["off", "torch"])
def test_half_precision_stays_half_precision_behind_positions_in_float32(way):
    model = made("Granite").to(torch.bfloat16)
    model.config.rotary_dtype = "float32"
    assert states_of_packed(model, way).dtype == torch.bfloat16


@pytest.mark.parametrize("layers", [2, 3, 4])
def test_first_token_of_modernbert_is_the_same_whether_the_last_layer_sees_all_tokens_or_near_ones(layers):
    model = made("ModernBert", num_hidden_layers=layers, local_attention=4, global_attn_every_n_layers=3)
    texts = [[3, *range(5, 40), 4], [3, 8, 4], [7]]
    expected = [states_of(model, text)[0] for text in texts]
    with torch.inference_mode():
        actual = backbone_of(model, "packed")(packed(texts), "first").numpy()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("dtype", "way"), [(torch.float32, "paired"), (torch.bfloat16, "off")], ids=str)
def test_modernbert_turns_pairs_in_float32_on_a_cpu_with_and_without_biases(dtype, way):
    for bias in (False, True):
        model = made("ModernBert", attention_bias=bias, mlp_bias=bias, norm_bias=bias)
        for own in model.parameters():
            if own.dim() == 1:
                own.data.add_(torch.randn_like(own) * 0.2)
        expected = np.concatenate([states_of(model, text) for text in TEXTS])
        backbone = backbone_of(model.to(dtype), "packed")
        assert backbone.way == way
        with torch.inference_mode():
            actual = backbone(packed(TEXTS), "all").float().numpy()
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5 if way == "paired" else 0.5)


@pytest.mark.parametrize("select", ["first", "last", "all"])
@pytest.mark.parametrize("name", ["ModernBert", "Gemma3Text", "Gemma3TextBothWays", "Mistral", "DebertaV2"])
def test_windows_and_distances_are_those_of_transformers_in_long_and_short_texts(name, select):
    model = made(name)
    texts = [[3, *range(5, 40), 4], [3, *range(40, 5, -1), 4], [3, *range(9, 31), 4], [3, 8, 4]]
    expected = [states_of(model, text) for text in texts]
    with torch.inference_mode():
        actual = backbone_of(model, "packed")(packed(texts), select).numpy()
    chosen = {"all": slice(None), "first": slice(1), "last": slice(-1, None)}[select]
    np.testing.assert_allclose(actual, np.concatenate([states[chosen] for states in expected]), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"pos_att_type": ["c2p"]},
        {"pos_att_type": ["p2c"], "position_buckets": -1},
        {"pos_att_type": [], "position_biased_input": True, "type_vocab_size": 2},
        {"share_att_key": True, "norm_rel_ebd": "none"},
        {"max_relative_positions": -1, "position_buckets": -1, "embedding_size": 16},
    ],
    ids=str,
)
@pytest.mark.parametrize("select", ["first", "last", "all"])
def test_every_kind_of_disentangled_attention_is_that_of_transformers(settings, select):
    model, texts = made("DebertaV2", **settings), [[3, *range(5, 40), 4], *TEXTS]
    expected = [states_of(model, text) for text in texts]
    with torch.inference_mode():
        actual = backbone_of(model, "packed")(packed(texts), select).numpy()
    chosen = {"all": slice(None), "first": slice(1), "last": slice(-1, None)}[select]
    np.testing.assert_allclose(actual, np.concatenate([states[chosen] for states in expected]), rtol=0, atol=2e-5)


def test_tokens_behind_the_seen_ones_see_those_and_not_themselves():
    """As masks that fill up a query: transformers with an attention mask that ends before them."""
    model = made("Bert")
    texts, seen = [[3, 17, 42, 9, 9, 9], [3, 5, 9], [3, 5, 8]], [3, 2, 3]
    expected = []
    for text, count in zip(texts, seen, strict=True):
        mask = (torch.arange(len(text)) < count).long()[None]
        with torch.no_grad():
            expected.append(model(input_ids=torch.tensor([text]), attention_mask=mask).last_hidden_state[0].numpy())
    ids = [np.array(text, dtype=np.int32) for text in texts]
    batch = pack_attended(ids, [np.zeros_like(row) for row in ids], seen)
    with torch.inference_mode():
        actual = backbone_of(model, "packed")(batch, "all").numpy()
    np.testing.assert_allclose(actual, np.concatenate(expected), rtol=0, atol=2e-5)
