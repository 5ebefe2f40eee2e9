"""Models that do not leave padding out: found, and then scored and encoded as if each text were alone."""

import numpy as np
import pytest
import torch
import transformers
from stubs import tiny_bert

from evalkit import rerank
from evalkit.config import ComputeConfig, DenseConfig
from evalkit.models.padding import minds_padding
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.retrieval.encoder import DenseEncoder
from evalkit.types import Pair

SIZES = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
CONFIGS = {
    "convbert": lambda: transformers.ConvBertConfig(**SIZES, embedding_size=32, initializer_range=0.5),
    "fnet": lambda: transformers.FNetConfig(vocab_size=60, hidden_size=32, num_hidden_layers=2, intermediate_size=48),
    "xlnet": lambda: transformers.XLNetConfig(vocab_size=60, d_model=32, n_layer=2, n_head=2, d_inner=48),
    "bert": lambda: transformers.BertConfig(**SIZES),
    "electra": lambda: transformers.ElectraConfig(**SIZES),
    "distilbert": lambda: transformers.DistilBertConfig(vocab_size=60, dim=32, n_layers=2, n_heads=2, hidden_dim=48),
}
MINDS = {"convbert", "fnet", "xlnet"}
PAIRS = [Pair("the moon", "pulls"), Pair("the moon pulls the sea", "and makes tides bees make honey"), Pair("", "sea")]


def model_of(kind: str, auto=transformers.AutoModel, **settings):
    torch.manual_seed(0)
    config = CONFIGS[kind]()
    for name, value in settings.items():
        setattr(config, name, value)
    return auto.from_config(config).eval()


@pytest.mark.parametrize("kind", CONFIGS)
def test_models_that_mind_padding_are_recognised(kind):
    assert (kind in MINDS) is minds_padding(model_of(kind))


@pytest.mark.parametrize("pad", [-1, None, 0, 59])
def test_any_padding_token_will_do_for_the_trial(pad):
    assert not minds_padding(model_of("electra", pad_token_id=pad))


def test_a_kind_that_nobody_named_is_found_by_trying(monkeypatch):
    monkeypatch.setattr("evalkit.models.padding._KNOWN", set())
    assert minds_padding(model_of("fnet"))
    assert minds_padding(model_of("convbert"))


@pytest.mark.parametrize("kind", sorted(MINDS))
def test_scores_and_vectors_do_not_depend_on_the_neighbours(tmp_path, kind):
    folder = tiny_bert(tmp_path / kind)  # for its tokenizer
    (folder / "model.safetensors").unlink()
    auto = transformers.AutoModelForSequenceClassification
    model_of(kind, auto, num_labels=1, pad_token_id=0, id2label={0: "x"}, label2id={"x": 0}).save_pretrained(folder)
    config = CrossEncoderConfig(name=kind, model=str(folder), max_length=32)
    model = rerank.build(config, ComputeConfig(device="cpu", batch_tokens=500))
    together = model.score(PAIRS).scores
    alone = np.concatenate([model.score([pair]).scores for pair in PAIRS])
    np.testing.assert_array_equal(alone, together)
    (folder / "model.safetensors").unlink()
    model_of(kind, pad_token_id=0).save_pretrained(folder)
    dense = DenseConfig(name=kind, model=str(folder), max_length=32, pooling="mean")
    encoder = DenseEncoder(dense, ComputeConfig(device="cpu", batch_tokens=500))
    texts = [pair.document for pair in PAIRS]
    np.testing.assert_array_equal(np.concatenate([encoder.encode([text]) for text in texts]), encoder.encode(texts))
