"""Encoder-decoders: T5 1.0 with its embeddings for a head, later ones with a head of their own."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError, ModelError
from evalkit.rerank.families.t5 import T5RerankerConfig
from evalkit.types import Pair

pytestmark = pytest.mark.shared

PAIRS = [Pair("what do bees make?", "Bees make honey."), Pair("a", "b " * 90), Pair("", "")]


@pytest.fixture
def folder(shared, tmp_path):
    return shutil.copytree(shared / "golden/monot5/model", tmp_path / "model")


def build(folder, **settings):
    config = T5RerankerConfig(name="x", model=str(folder), **{"max_length": 48, **settings})
    return rerank.build(config, ComputeConfig(device="cpu"))


def untied(folder):
    """As T5 1.1 and FLAN-T5: a head of its own, no scaling, gated feed-forward layers."""
    torch.manual_seed(0)
    stored = dict(load_file(folder / "model.safetensors"))
    for name in [name for name in stored if name.endswith("DenseReluDense.wi.weight")]:
        tensor = stored.pop(name)
        stored[name.replace("wi", "wi_0")] = tensor
        stored[name.replace("wi", "wi_1")] = torch.randn_like(tensor) * 0.3
    stored["lm_head.weight"] = torch.randn_like(stored["shared.weight"])
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config.pop("scale_decoder_outputs")
    own = {
        "tie_word_embeddings": False,
        "feed_forward_proj": "gated-gelu",
        "is_gated_act": True,
        "dense_act_fn": "gelu_new",
    }
    (folder / "config.json").write_text(json.dumps(config | own))
    return stored["lm_head.weight"]


def test_a_head_of_its_own_is_read_and_its_states_are_not_scaled(folder):
    head = untied(folder)
    ours = build(folder)
    model = ours.model.model
    true, false = (int(found[0]) for found in ours.tokenizer.token_ids(["true", "false"]))
    expected = []
    for row in ours.tokenize(PAIRS).ids:
        with torch.no_grad():
            states = model.get_encoder()(input_ids=torch.from_numpy(row.astype("int64"))[None])[0]
            first = model.get_decoder()(input_ids=torch.tensor([[0]]), encoder_hidden_states=states)[0][0, 0]
        expected.append(float(head[true] @ first - head[false] @ first))
    np.testing.assert_allclose(ours.score(PAIRS).scores, expected, rtol=0, atol=1e-4)


def test_one_word_is_a_raw_logit_and_the_words_and_prompt_are_in_the_identity(folder):
    both, one = build(folder), build(folder, negative=None)
    other = build(folder, positive="false", negative=None).score(PAIRS).scores
    np.testing.assert_allclose(one.score(PAIRS).scores - other, both.score(PAIRS).scores, rtol=0, atol=1e-5)
    assert both.identity != one.identity != build(folder, template="{query} {document}").identity


def test_prompt_is_cut_on_the_right_and_ends_in_the_end_of_text(folder):
    built = build(folder)
    found = built.tokenize(PAIRS)
    assert found.lengths[1] == 48
    assert all(ids[-1] == 1 for ids in found.ids)
    assert "Relevant" in built.tokenizer.text(found.ids[0])
    start, stop = found.documents[0].tolist()
    assert "ees make honey." == built.tokenizer.text(found.ids[0][start:stop]).removeprefix("<unk>").strip()
    whole = build(folder, max_length=500).tokenize(PAIRS)
    assert found.dropped[1].tolist() == [0, whole.documents[1][1] - 47]


@pytest.mark.parametrize("template", ["{query}", "{document} {query}", "{query} {query} {document}"])
def test_a_prompt_without_both_places_is_refused(template):
    with pytest.raises(ConfigError, match=r"needs \{query\} once and then \{document\} once"):
        T5RerankerConfig(name="x", model="m", template=template)


def test_a_tied_head_that_is_another_matrix_is_refused(folder):
    stored = dict(load_file(folder / "model.safetensors"))
    save_file(
        stored | {"lm_head.weight": stored["shared.weight"] * 2},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(ModelError, match=r"ties lm_head\.weight to the embeddings"):
        build(folder).score(PAIRS)


def test_another_architecture_and_a_decoder_without_a_start_are_refused(shared, folder):
    with pytest.raises(ModelError, match="expected the"):
        build(shared / "golden/two_labels/model")
    config = json.loads((folder / "config.json").read_text())
    config.pop("decoder_start_token_id")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="has no decoder_start_token_id"):
        build(folder).score(PAIRS)
