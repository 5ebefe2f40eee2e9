"""Every family on tiny checkpoints of several shapes against references in NumPy, without the golden files."""

import json
from pathlib import Path

import numpy as np
import pytest
from families.tiny import KINDS, PAIRS, Kind, built, reference_scores
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from references.weights import read_weights
from safetensors.torch import load_file, save_file

from evalkit.errors import ConfigError, ModelError
from evalkit.types import Pair

EXACT = 1e-4  # float32 here, float64 in the reference


def assert_scores_as_the_reference(kind: Kind, folder: Path, **settings) -> np.ndarray:
    model = built(kind, folder, **settings)
    expected, actual = reference_scores(kind, folder, model, **settings), model.score(PAIRS).scores
    assert (expected.shape, np.float32) == (actual.shape, actual.dtype)
    # Otherwise scores that do not look at the pair would pass.
    assert expected.std(axis=0).min() > 100 * EXACT
    np.testing.assert_allclose(actual, expected, rtol=0, atol=EXACT)
    return actual


GROUPED = {"num_key_value_heads": 2}
ODD_LLAMA = {
    "hidden_size": 36,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "intermediate_size": 37,
    "num_hidden_layers": 4,
    "rms_norm_eps": 0.03,
    "rope_theta": 300.0,
}
ODD_MINICPM = ODD_LLAMA | {"scale_emb": 3.5, "scale_depth": 2.1}
ODD_GEMMA = ODD_LLAMA | {"hidden_size": 21, "head_dim": 14}
ODD_ENCODER = {"hidden_size": 36, "num_attention_heads": 3, "intermediate_size": 37, "layer_norm_eps": 0.03}
SHAPES = {
    "minicpm": [{}, GROUPED, ODD_MINICPM, {"num_hidden_layers": 1}],
    "minicpm_light": [{}, ODD_MINICPM, {"num_key_value_heads": 4}],
    "layerwise": [{}, GROUPED, ODD_MINICPM, {"start_layer": 0}],
    "gemma": [{}, GROUPED, ODD_GEMMA, {"num_key_value_heads": 4}],
    "lightweight": [
        {},
        {"num_key_value_heads": 1},
        ODD_GEMMA | {"num_hidden_layers": 5, "query_pre_attn_scalar": 3, "final_logit_softcapping": 2.5},
        {"sliding_window": 9},
        {"num_hidden_layers": 4, "attn_logit_softcapping": 0.7},
    ],
    "qwen3": [{}, {"num_key_value_heads": 4}, ODD_LLAMA | {"head_dim": 10, "num_key_value_heads": 3}, {"tied": False}],
    "bert": [{}, ODD_ENCODER, {"num_hidden_layers": 1}],
    "xlm_roberta": [{}, ODD_ENCODER, {"num_hidden_layers": 1}],
    "jina": [{}, ODD_ENCODER],
    "gte": [
        {},
        ODD_ENCODER,
        {"rope_scaling": {"factor": 3.0, "type": "ntk"}, "rope_theta": 700},
        {"rope_scaling": None},
    ],
}


@pytest.mark.parametrize(
    ("family", "sizes"),
    [pytest.param(family, sizes, id=f"{family}-{n}") for family in SHAPES for n, sizes in enumerate(SHAPES[family])],
)
def test_scores_are_those_of_the_reference_in_every_shape(tmp_path, family, sizes):
    kind = KINDS[family]
    assert_scores_as_the_reference(kind, kind.write(tmp_path / "model", seed=3, **sizes))


@pytest.mark.parametrize("family", ["minicpm", "minicpm_light"])
@pytest.mark.parametrize("pooling", ["last", "first", "mean"])
def test_minicpm_scores_the_pooled_state(tmp_path, family, pooling):
    folder = KINDS[family].write(tmp_path / "model", seed=1)
    assert_scores_as_the_reference(KINDS[family], folder, pooling=pooling)


def test_minicpm_poolings_differ(tmp_path):
    folder = KINDS["minicpm"].write(tmp_path / "model", seed=1)
    first, last, mean = (
        built(KINDS["minicpm"], folder, pooling=name).score(PAIRS).scores for name in ("first", "last", "mean")
    )
    assert min(np.abs(first - last).max(), np.abs(first - mean).max(), np.abs(last - mean).max()) > 0.1


@pytest.mark.parametrize("is_causal", [False, True])
def test_minicpm_reads_ahead_unless_its_config_says_causal(tmp_path, is_causal):
    folder = KINDS["minicpm"].write(tmp_path / "model", seed=1, is_causal=is_causal)
    assert_scores_as_the_reference(KINDS["minicpm"], folder)
    # `<s>` comes first in every pair: what it has seen of the rest is what its scores differ by.
    spread = np.ptp(built(KINDS["minicpm"], folder, pooling="first").score(PAIRS).scores)
    assert (spread < EXACT) == is_causal


def test_minicpm_is_bidirectional_where_its_config_does_not_say(tmp_path):
    folder = KINDS["minicpm"].write(tmp_path / "model", seed=1)
    stated = assert_scores_as_the_reference(KINDS["minicpm"], folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["is_causal"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert stated.tolist() == assert_scores_as_the_reference(KINDS["minicpm"], folder).tolist()


@pytest.mark.parametrize("trained", [16, 4096, 32768])
def test_light_rotates_with_its_own_factors_and_magnitude(tmp_path, trained):
    """Which list, and how much what is turned is scaled, its configuration decides, not the length of a text."""
    scaling = {"type": "longrope", "short_factor": [1.0, 1.2, 2.0, 3.0], "long_factor": [1.0, 1.7, 4.0, 9.5]}
    folder = KINDS["minicpm_light"].write(
        tmp_path / "model",
        seed=2,
        rope_scaling=scaling | {"original_max_position_embeddings": trained},
        max_position_embeddings=4096,
    )
    assert_scores_as_the_reference(KINDS["minicpm_light"], folder)


@pytest.mark.parametrize(
    "cutoffs", [[1], [2], [3], [4], [1, 2], [2, 4], [1, 2, 3, 4]], ids=lambda layers: "-".join(map(str, layers))
)
def test_layerwise_scores_with_the_head_of_each_cut_off(tmp_path, cutoffs):
    folder = KINDS["layerwise"].write(tmp_path / "model", seed=4, num_hidden_layers=4)
    assert_scores_as_the_reference(KINDS["layerwise"], folder, cutoff_layers=cutoffs)


def test_layerwise_scores_with_the_last_layer_when_no_cut_off_is_set(tmp_path):
    kind, folder = KINDS["layerwise"], KINDS["layerwise"].write(tmp_path / "model", seed=4)
    expected = reference_scores(kind, folder, built(kind, folder), cutoff_layers=[3])
    actual = built(kind, folder, cutoff_layers=None).score(PAIRS).scores
    np.testing.assert_allclose(actual, expected, rtol=0, atol=EXACT)


def joined(numbers: list[int]) -> str:
    return "-".join(map(str, numbers))


CUTOFFS = ([2], [4], [5], [3, 5], [2, 3, 4])
# Without compression every cut-off; with it the last layer alone and several, and the other pairs in `make test-all`.
COMPRESSIONS = {(1, ()): CUTOFFS, (2, (1,)): (), (3, (2, 4)): ([5], [2, 3, 4])}
COMPRESSED = [
    pytest.param(
        ratio,
        list(layers),
        cutoffs,
        id=f"{ratio}-{joined(layers)}-{joined(cutoffs)}",
        marks=[] if cutoffs in usual else pytest.mark.slow,
    )
    for (ratio, layers), usual in COMPRESSIONS.items()
    for cutoffs in CUTOFFS
]


@pytest.mark.parametrize("head_index", ["official", "layer"])
@pytest.mark.parametrize(("ratio", "layers", "cutoffs"), COMPRESSED)
def test_lightweight_scores_after_each_cut_off_with_either_head(tmp_path, head_index, cutoffs, ratio, layers):
    folder = KINDS["lightweight"].write(tmp_path / "model", seed=5)
    own = {"cutoff_layers": cutoffs, "head_index": head_index}
    assert_scores_as_the_reference(KINDS["lightweight"], folder, **own, compress_ratio=ratio, compress_layers=layers)


# Every ratio and every choice of layers twice; the other pairs, and all of them uncapped, in `make test-all`.
OFTEN = {(2, 1), (2, 2), (3, 4), (3, 0), (4, 1), (4, 2), (100, 4), (100, 0)}  # ratio, first layer
MERGES = [
    pytest.param(
        ratio,
        layers,
        softcap,
        id=f"{ratio}-{joined(layers)}-{'capped' if softcap else 'uncapped'}",
        marks=[] if softcap and (ratio, layers[0]) in OFTEN else pytest.mark.slow,
    )
    for ratio in (2, 3, 4, 100)
    for layers in ([1], [4], [0, 2], [2, 3])
    for softcap in (True, False)
]


@pytest.mark.parametrize(("ratio", "layers", "softcap"), MERGES)
def test_lightweight_merges_the_tokens_of_documents(tmp_path, ratio, layers, softcap):
    folder = KINDS["lightweight"].write(tmp_path / "model", seed=6)
    own = {"cutoff_layers": [5], "compress_ratio": ratio, "compress_layers": layers}
    assert_scores_as_the_reference(KINDS["lightweight"], folder, **own, attention_softcap=softcap)


def test_lightweight_heads_differ_by_the_setting(tmp_path):
    folder = KINDS["lightweight"].write(tmp_path / "model", seed=6)
    official, layer = (
        built(KINDS["lightweight"], folder, head_index=name).score(PAIRS).scores for name in ("official", "layer")
    )
    assert np.abs(official - layer).max() > 0.1


def test_lightweight_full_model_scores_with_the_first_head_as_the_official_code(tmp_path):
    kind, folder = KINDS["lightweight"], KINDS["lightweight"].write(tmp_path / "model", seed=6)
    whole = {"cutoff_layers": None, "compress_ratio": 1, "compress_layers": []}
    assert_scores_as_the_reference(kind, folder, **whole)
    changed = load_file(folder / "model-00001-of-00004.safetensors")
    name = "lm_head.0.linear_head.weight"
    assert name in changed
    before = built(kind, folder, **whole).score(PAIRS).scores
    save_file(changed | {name: -changed[name]}, folder / "model-00001-of-00004.safetensors", metadata={"format": "pt"})
    assert (-before).tolist() == built(kind, folder, **whole).score(PAIRS).scores.tolist()


@pytest.mark.parametrize("tied", [True, False])
def test_qwen3_reads_its_answers_from_the_output_layer_that_its_config_names(tmp_path, tied):
    """Qwen's larger models have an output layer of their own; some exports of tied ones store a copy, not used."""
    folder = KINDS["qwen3"].write(tmp_path / "model", seed=7, tied=tied)
    scores = assert_scores_as_the_reference(KINDS["qwen3"], folder)
    if tied:
        path = folder / "model.safetensors"
        stored = load_file(path)
        stored["lm_head.weight"] = stored["model.embed_tokens.weight"].clone()
        save_file(stored, path, metadata={"format": "pt"})
        assert scores.tolist() == built(KINDS["qwen3"], folder).score(PAIRS).scores.tolist()
        save_file(stored | {"lm_head.weight": stored["lm_head.weight"] * 7}, path, metadata={"format": "pt"})
        with pytest.raises(ModelError, match=r"ties lm_head\.weight"):
            built(KINDS["qwen3"], folder).score(PAIRS)


@pytest.mark.parametrize("family", ["bert", "xlm_roberta", "jina", "gte"])
def test_label_chooses_the_row_of_the_classifier(tmp_path, family):
    """Three labels, each the only one of another checkpoint."""
    kind, labels = (
        KINDS[family],
        {"id2label": {str(i): f"L{i}" for i in range(3)}, "label2id": {f"L{i}": i for i in range(3)}},
    )
    folder = kind.write(tmp_path / "three", seed=0)
    name = "classifier" if "classifier.weight" in read_weights(folder) else "classifier.out_proj"
    one, expected = load_file(folder / "model.safetensors"), []
    rows = {f"{name}.weight": [], f"{name}.bias": []}
    for label in range(3):
        own = one | {key: (label - 1.5) * one[key].roll(label, -1) for key in rows}
        save_file(own, folder / "model.safetensors", metadata={"format": "pt"})
        expected.append(reference_scores(kind, folder, built(kind, folder)))
        for key, found in rows.items():
            found.append(own[key])
    import torch

    save_file(
        one | {key: torch.cat(found) for key, found in rows.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | labels), encoding="utf-8")
    for label in range(3):
        actual = built(kind, folder, label=label).score(PAIRS).scores
        np.testing.assert_allclose(actual, expected[label], rtol=0, atol=EXACT)


def test_padding_token_written_in_a_text_takes_no_position(tmp_path):
    """As in transformers: a `<pad>` that someone wrote stays at the padding's position, yet it is read."""
    folder = KINDS["xlm_roberta"].write(tmp_path / "model", seed=3)
    model, pairs = built(KINDS["xlm_roberta"], folder), [Pair("the moon <pad> pulls", "<pad> the sea"), PAIRS[4]]
    tokenized = model.tokenize(pairs)
    assert tokenized.ids[0].tolist().count(1) == 2
    expected = [KINDS["xlm_roberta"].reference(folder, tokenized, row, {}) for row in range(2)]
    np.testing.assert_allclose(model.score(pairs).scores, expected, rtol=0, atol=EXACT)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    return {name: kind.write(root / name, seed=8) for name, kind in KINDS.items()}


words = st.lists(st.sampled_from(["moon", "sea", "honey", "蜜蜂", "</s>", "  ", "Yes"]), max_size=12).map(" ".join)


@pytest.mark.parametrize("family", KINDS)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pairs=st.lists(st.builds(Pair, words, words), min_size=1, max_size=5),
    budget=st.sampled_from([1, 60, 150, 5000]),
    random=st.randoms(use_true_random=False),
)
def test_score_of_a_pair_does_not_depend_on_the_other_pairs_or_their_order(folders, family, pairs, budget, random):
    kind = KINDS[family]
    alone = _loaded(family, folders[family], 1)
    expected = {pair: alone.score([pair]).scores[0] for pair in pairs}
    shuffled = random.sample(pairs, len(pairs))
    actual = _loaded(family, folders[family], budget).score(shuffled).scores
    assert kind.settings.get("cutoff_layers", [0])[1:] == list(actual.shape[1:]) or actual.ndim == 2
    np.testing.assert_allclose(actual, [expected[pair] for pair in shuffled], rtol=0, atol=EXACT)


_models = {}


def _loaded(family: str, folder: Path, budget: int):
    """Weights are read once a family."""
    first = _models.setdefault(folder, built(KINDS[family], folder))
    model = built(KINDS[family], folder, batch_tokens=budget)
    vars(model)["model"], vars(model)["tokenizer"] = first.model, first.tokenizer
    return model


@pytest.mark.parametrize("family", KINDS)
def test_equal_pairs_are_scored_once_and_all_are_counted(folders, family):
    model, steps = built(KINDS[family], folders[family]), []
    result = model.score([PAIRS[0], PAIRS[5], PAIRS[0], PAIRS[5], PAIRS[5]], advance=steps.append)
    assert (5, 3) == (sum(steps), result.truncated)
    assert result.scores[[0, 1, 1]].tolist() == result.scores[[2, 3, 4]].tolist()
    assert np.all(result.scores[0] != result.scores[1])


@pytest.mark.parametrize("family", KINDS)
def test_no_pairs_get_no_scores(folders, family):
    result = built(KINDS[family], folders[family]).score([])
    assert (0, np.float32, 0) == (len(result.scores), result.scores.dtype, result.truncated)


@pytest.mark.parametrize("layers", [[3, 1], [2, 2], [], [-1]])
def test_cut_offs_are_ascending_layers(layers):
    with pytest.raises(ConfigError, match=r"reranker\.cutoff_layers=.*ascending"):
        KINDS["layerwise"].config(name="tiny", model="x", cutoff_layers=layers)
