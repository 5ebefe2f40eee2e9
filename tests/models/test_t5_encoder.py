"""Encoders of T5 as bi-encoders: vectors of sentence-transformers, from whole models and from encoders alone."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoModelForTextEncoding, MT5Config, T5Config

from evalkit import load_retriever
from evalkit.errors import ModelError

TEXTS = [
    "The moon pulls the sea.",
    "Bees make honey from nectar",
    "moon",
    "Yeast makes bread rise and the sea tides" * 3,
]
SIZES = {"vocab_size": 64, "d_model": 24, "d_kv": 8, "d_ff": 40, "num_layers": 2, "num_heads": 3, "pad_token_id": 0}
CONFIGS = {
    "t5": T5Config(**SIZES, feed_forward_proj="relu"),
    "mt5": MT5Config(**SIZES, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
}


def write(folder, tokenizer_file, config, factory):
    torch.manual_seed(1)
    factory.from_config(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(tokenizer_file.read_bytes())
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}), encoding="utf-8"
    )
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 24, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 24}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("factory", [AutoModelForTextEncoding, AutoModelForSeq2SeqLM])
@pytest.mark.parametrize("kind", CONFIGS)
def test_vectors_are_those_of_sentence_transformers(tmp_path, tokenizer_file, kind, factory):
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer

    folder = write(tmp_path / "m", tokenizer_file, CONFIGS[kind], factory)
    expected = SentenceTransformer(str(folder), device="cpu").encode_document(TEXTS)
    model = load_retriever("dense", model=folder, compute={"device": "cpu"})
    np.testing.assert_allclose(model.encode(TEXTS), expected, rtol=0, atol=1e-5)
    alone = np.concatenate([model.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, expected, rtol=0, atol=1e-5)


def test_a_folder_without_its_pooling_is_refused(tmp_path, tokenizer_file):
    folder = write(tmp_path / "m", tokenizer_file, CONFIGS["t5"], AutoModelForSeq2SeqLM)
    (folder / "modules.json").unlink()
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(ModelError, match="says nothing of its pooling"):
        load_retriever("dense", model=folder)
