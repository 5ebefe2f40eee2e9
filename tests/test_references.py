"""The NumPy references against the official scores, and against transformers on tiny checkpoints."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from references import bert, gemma, gemma2_lightweight, gte, minicpm, qwen3, xlm_roberta
from references.weights import read_config, read_weights
from tiny_checkpoints import (
    write_bert_reranker,
    write_gemma_reranker,
    write_minicpm_embedding,
    write_minicpm_layerwise,
    write_minicpm_reranker,
    write_minicpm_reranker_light,
    write_qwen3_reranker,
    write_xlm_roberta_reranker,
)
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, GraniteConfig, GraniteModel

OFFICIAL = 1e-4  # float32 throughout
FLOAT64 = 1e-9
# transformers rotates and takes root mean squares in float32, whatever the model's dtype.
PARTLY_FLOAT32 = 5e-6
IDS = [5, 291, 17, 2, 44, 9, 260, 81, 33, 120, 7, 280]


def golden_cases(folder: Path, every: int) -> Iterator[tuple[dict, list[int], dict]]:
    """Each case, its ids, and its setting; ids are listed with the first setting only."""
    golden = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    ids = {(case["id"], case["max_length"]): case["input_ids"] for case in golden["cases"] if "input_ids" in case}
    for case in golden["cases"][::every]:
        setting = golden.get("settings", {}).get(case.get("setting"), {})
        yield case, ids[case["id"], case["max_length"]], setting


def assert_golden(
    folder: Path, key: str, score: Callable[[list[int], dict, dict], float | list[float]], *, every: int
) -> None:
    cases = list(golden_cases(folder, every))
    assert len(cases) > 5
    for case, ids, setting in cases:
        np.testing.assert_allclose(score(ids, case, setting), case[key], rtol=0, atol=OFFICIAL, err_msg=case["id"])


@pytest.mark.shared
@pytest.mark.parametrize(
    ("pooling", "key"), [("last", "score"), ("first", "score_first_token"), ("mean", "score_mean")]
)
def test_minicpm_reranker_scores_as_its_public_code(shared, pooling, key):
    folder = shared / "golden" / "minicpm_reranker"
    assert_golden(folder, key, lambda ids, *_: minicpm.score(folder / "model", ids, pooling), every=5)


@pytest.mark.shared
def test_layerwise_minicpm_scores_as_flagembedding(shared):
    folder = shared / "golden" / "bge_reranker_v2_minicpm_layerwise"
    assert_golden(
        folder, "score", lambda ids, _, setting: minicpm.layerwise_scores(folder / "model", ids, **setting), every=11
    )


@pytest.mark.shared
def test_gemma_scores_as_flagembedding(shared):
    folder = shared / "golden" / "bge_reranker_v2_gemma"
    yes_id = Tokenizer.from_file(str(folder / "model" / "tokenizer.json")).token_to_id("Yes")
    assert_golden(folder, "score", lambda ids, *_: gemma.score(folder / "model", ids, yes_id), every=5)


@pytest.mark.shared
@pytest.mark.parametrize(("softcap", "key"), [(True, "score"), (False, "score_sdpa")])
def test_lightweight_gemma2_scores_as_flagembedding(shared, softcap, key):
    folder = shared / "golden" / "bge_reranker_v2_5_gemma2_lightweight"

    def scores(ids: list[int], case: dict, setting: dict) -> list[float]:
        start, end = case["query_length"], len(ids) - case["prompt_length"]
        return gemma2_lightweight.scores(folder / "model", ids, start, end, softcap=softcap, **setting)

    assert_golden(folder, key, scores, every=11)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("family", "reference"),
    [("bge_reranker_v2_m3", xlm_roberta), ("jina_reranker_v2", xlm_roberta), ("gte_multilingual_reranker", gte)],
)
def test_encoders_score_as_their_public_code(shared, family, reference):
    folder = shared / "golden" / family
    assert_golden(folder, "score", lambda ids, *_: reference.score(folder / "model", ids), every=5)


def causal_logits(folder: Path) -> np.ndarray:
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0, -1].numpy()


@pytest.mark.parametrize("tied", [True, False])
def test_qwen3_scores_as_transformers(tmp_path, tied):
    folder = write_qwen3_reranker(tmp_path / "model", tied=tied)
    logits = causal_logits(folder)
    assert qwen3.score(folder, IDS, 20, 30) == pytest.approx(logits[20] - logits[30], abs=PARTLY_FLOAT32)


def test_gemma_scores_as_transformers(tmp_path):
    folder = write_gemma_reranker(tmp_path / "model")
    assert gemma.score(folder, IDS, 20) == pytest.approx(causal_logits(folder)[20], abs=PARTLY_FLOAT32)


def classifier_logit(folder: Path, **inputs: list[int]) -> float:
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float64
    ).eval()
    with torch.no_grad():
        return model(**{name: torch.tensor([row]) for name, row in inputs.items()}).logits.item()


def test_bert_scores_as_transformers(tmp_path):
    folder, segments = write_bert_reranker(tmp_path / "model"), [0] * 5 + [1] * (len(IDS) - 5)
    expected = classifier_logit(folder, input_ids=IDS, token_type_ids=segments)
    assert bert.score(folder, IDS, segments) == pytest.approx(expected, abs=FLOAT64)


def test_xlm_roberta_scores_as_transformers(tmp_path):
    folder = write_xlm_roberta_reranker(tmp_path / "model")
    padding_in_the_text = [*IDS[:4], 1, *IDS[4:]]
    for ids in (IDS, padding_in_the_text):
        assert xlm_roberta.score(folder, ids) == pytest.approx(classifier_logit(folder, input_ids=ids), abs=FLOAT64)


def granite_states(folder: Path, ids: list[int], *, causal: bool) -> np.ndarray:
    """The normed states of Granite, which MiniCPM is with other names for its settings; shape (tokens, width)."""
    config, weights = read_config(folder), read_weights(folder)
    theta, rope = {"rope_theta": config.get("rope_theta", 10000.0)}, config["rope_scaling"]
    granite = GraniteConfig(
        **{key: config[key] for key in ("vocab_size", "hidden_size", "intermediate_size", "rms_norm_eps")},
        **{key: config[key] for key in ("num_hidden_layers", "num_attention_heads", "num_key_value_heads")},
        max_position_embeddings=config["max_position_embeddings"],
        rope_parameters=theta | ({"rope_type": "default"} if rope is None else rope | {"rope_type": rope["type"]}),
        embedding_multiplier=config["scale_emb"],
        residual_multiplier=config["scale_depth"] / config["num_hidden_layers"] ** 0.5,
        attention_multiplier=(config["num_attention_heads"] / config["hidden_size"]) ** 0.5,
        attn_implementation="eager",
    )
    model = GraniteModel(granite).to(torch.float64).eval()
    tensors = {name.removeprefix("model."): torch.from_numpy(array) for name, array in weights.items()}
    model.load_state_dict(
        {name: tensor for name, tensor in tensors.items() if "head" not in name and name[:5] != "score"}
    )
    with torch.no_grad():
        return model(torch.tensor([ids]), is_causal=causal, use_cache=False).last_hidden_state[0].numpy()


@pytest.mark.parametrize("causal", [False, True])
def test_minicpm_scores_as_granite(tmp_path, causal):
    folder = write_minicpm_reranker(tmp_path / "model", is_causal=causal)
    states, head = granite_states(folder, IDS, causal=causal), read_weights(folder)["score.weight"][0]
    expected = {"last": states[-1], "first": states[0], "mean": states.mean(axis=0)}
    for pooling, state in expected.items():
        assert minicpm.score(folder, IDS, pooling) == pytest.approx(head @ state, abs=PARTLY_FLOAT32)


@pytest.mark.parametrize("ids", [IDS[:8], IDS], ids=["short", "long"])
def test_minicpm_light_rotates_as_granite(tmp_path, ids):
    """Granite chooses by the length of the input, MiniCPM by its configuration: here both have one list to choose."""
    scaling = {
        "type": "longrope",
        "short_factor": [1.0, 1.5, 3.0, 9.0],
        "long_factor": [1.0, 1.5, 3.0, 9.0],
        "original_max_position_embeddings": 10,
    }
    folder = write_minicpm_reranker_light(tmp_path / "model", rope_scaling=scaling, max_position_embeddings=40)
    expected = granite_states(folder, ids, causal=False)[-1] @ read_weights(folder)["score.weight"][0]
    assert minicpm.score(folder, ids) == pytest.approx(expected, abs=PARTLY_FLOAT32)


def test_layerwise_minicpm_scores_as_granite(tmp_path):
    folder = write_minicpm_layerwise(tmp_path / "model", num_hidden_layers=3, start_layer=1)
    expected = granite_states(folder, IDS, causal=True)[-1] @ read_weights(folder)["lm_head.2.linear_head.weight"][0]
    assert minicpm.layerwise_scores(folder, IDS, [1, 3])[1] == pytest.approx(expected, abs=PARTLY_FLOAT32)


def test_minicpm_embedding_is_the_weighted_mean_of_granites_states(tmp_path):
    folder = write_minicpm_embedding(tmp_path / "model")
    mean = np.average(granite_states(folder, IDS, causal=False), axis=0, weights=range(1, len(IDS) + 1))
    np.testing.assert_allclose(minicpm.embedding(folder, IDS), mean / np.linalg.norm(mean), rtol=0, atol=PARTLY_FLOAT32)
