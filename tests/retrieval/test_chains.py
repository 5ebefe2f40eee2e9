"""Modules behind the pooling of a bi-encoder, in any order, against sentence-transformers."""

import json

import numpy as np
import pytest
from stubs import tiny_bert
from torch import nn

from evalkit import load_retriever
from evalkit.errors import ModelError

TEXTS = ["The moon pulls the sea.", "", "Bees make honey from nectar", "moon"]
CHAINS = {
    "normalize dense": [("Normalize",), ("Dense", 32, 8)],
    "dense norm scale": [("Dense", 32, 16), ("LayerNorm", 16), ("Normalize",)],
    "dropout dense": [("Dropout", 0.5), ("Dense", 32, 8, True, nn.SiLU())],
    "norm dense dense": [("LayerNorm", 32), ("Dense", 32, 48), ("Dense", 48, 4)],
}


@pytest.mark.parametrize("name", CHAINS)
def test_vectors_are_those_of_sentence_transformers(tmp_path, name):
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    bert = tiny_bert(tmp_path / "bert")
    (bert / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32}), encoding="utf-8")
    layers = [getattr(modules, kind)(*sizes) for kind, *sizes in CHAINS[name]]
    for layer in layers:
        if isinstance(getattr(layer, "norm", None), nn.LayerNorm):
            nn.init.normal_(layer.norm.bias)
    transformer = modules.Transformer(str(bert))
    theirs = SentenceTransformer(modules=[transformer, modules.Pooling(32, "mean"), *layers], device="cpu")
    theirs.save(str(tmp_path / "chain"))
    model = load_retriever("dense", model=tmp_path / "chain", max_length=32, compute={"device": "cpu"})
    np.testing.assert_allclose(model.encode(TEXTS), theirs.encode(TEXTS), rtol=0, atol=1e-5)
    assert [folder.name for _, folder in model.encoder.head.layers] == model.encoder.identity["dense"]


def test_a_transformer_in_a_folder_of_its_own_is_read_as_by_sentence_transformers(tmp_path):
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    bert = tiny_bert(tmp_path / "bert")
    (bert / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 5}), encoding="utf-8")
    dense = modules.Dense(32, 8)
    parts = [modules.Transformer(str(bert), max_seq_length=5), modules.Pooling(32, "mean"), dense, modules.Normalize()]
    folder, prompts = tmp_path / "m", {"query": "moon ", "document": "sea "}
    SentenceTransformer(modules=parts, prompts=prompts, device="cpu").save(str(folder))
    (folder / "0_Transformer").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).rename(folder / "0_Transformer" / name)
    (folder / "sentence_bert_config.json").unlink()
    (folder / "0_Transformer" / "sentence_bert_config.json").write_text('{"max_seq_length": 5}', encoding="utf-8")
    listed = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    listed[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(listed), encoding="utf-8")
    theirs = SentenceTransformer(str(folder), device="cpu")
    model = load_retriever("dense", model=folder, compute={"device": "cpu"})
    np.testing.assert_allclose(model.encode_documents(TEXTS), theirs.encode_document(TEXTS), rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.encode_queries(TEXTS), theirs.encode_query(TEXTS), rtol=0, atol=1e-6)
    assert model.encoder.queries is model.encoder
    assert {"0_Transformer/model.safetensors", "2_Dense/config.json", "modules.json"} <= set(
        model.encoder.identity["checkpoint"]["files"]
    )
    (folder / "0_Transformer" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"0_Transformer: has no config\.json"):
        load_retriever("dense", model=folder)


@pytest.mark.parametrize(
    "mode",
    [*("cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"), ("mean", "cls", "lasttoken", "max")],
    ids=str,
)
def test_a_prompt_is_left_out_of_the_pooling_as_by_sentence_transformers(tmp_path, mode):
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    bert = tiny_bert(tmp_path / "bert")
    (bert / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32}), encoding="utf-8")
    pooling = modules.Pooling(32, mode, include_prompt=False)
    prompts = {"query": "which moon: ", "document": ""}
    theirs = SentenceTransformer(modules=[modules.Transformer(str(bert)), pooling], prompts=prompts, device="cpu")
    theirs.save(str(tmp_path / "chain"))
    model = load_retriever("dense", model=tmp_path / "chain", max_length=32, compute={"device": "cpu"})
    found = model.encode(TEXTS, instruction=model.before_query(""))
    np.testing.assert_allclose(found, theirs.encode_query(TEXTS), rtol=0, atol=1e-5)
    np.testing.assert_allclose(model.encode(TEXTS), theirs.encode_document(TEXTS), rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", ["lasttoken", "cls", "mean", ("mean", "lasttoken")], ids=str)
def test_a_text_of_its_prompt_alone_is_pooled_as_by_sentence_transformers(tmp_path, mode):
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    bert = tiny_bert(tmp_path / "bert")
    stored = json.loads((bert / "tokenizer.json").read_text(encoding="utf-8"))
    stored["post_processor"] = None  # no token behind a text, which would be pooled
    (bert / "tokenizer.json").write_text(json.dumps(stored), encoding="utf-8")
    (bert / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32}), encoding="utf-8")
    chain = [
        modules.Transformer(str(bert)),
        modules.Pooling(32, mode, include_prompt=False),
        modules.Dense(64 if isinstance(mode, tuple) else 32, 8),
    ]
    theirs = SentenceTransformer(modules=chain, prompts={"query": "which moon: ", "document": ""}, device="cpu")
    theirs.save(str(tmp_path / "chain"))
    model = load_retriever("dense", model=tmp_path / "chain", max_length=32, compute={"device": "cpu"})
    found, expected = model.encode_queries(TEXTS), theirs.encode_query(TEXTS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    alone = np.concatenate([model.encode_queries([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, expected, rtol=0, atol=1e-5)


def test_a_layer_of_another_width_is_refused(tmp_path):
    bert = tiny_bert(tmp_path / "bert")
    package = "sentence_transformers.models."
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_LayerNorm": "LayerNorm"}
    modules = [{"path": path, "type": f"{package}{kind}"} for path, kind in kinds.items()]
    (bert / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (bert / "1_Pooling").mkdir()
    (bert / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "mean"}), encoding="utf-8")
    (bert / "2_LayerNorm").mkdir()
    (bert / "2_LayerNorm" / "config.json").write_text(json.dumps({"dimension": 7}), encoding="utf-8")
    with pytest.raises(ModelError, match="dimension=7, but vectors have 32"):
        load_retriever("dense", model=bert, pooling="mean", max_length=32).encode(["moon"])


def test_more_numbers_than_a_vector_has_are_refused_unless_the_checkpoint_itself_says_so(tmp_path):
    bert = tiny_bert(tmp_path / "bert")
    settings = {"model": bert, "pooling": "mean", "max_length": 32}
    assert load_retriever("dense", **settings, truncate_dim=32).encode(["moon"]).shape == (1, 32)
    with pytest.raises(ModelError, match=r"retriever\.truncate_dim=33, but vectors have 32 numbers\. Set it to 32"):
        load_retriever("dense", **settings, truncate_dim=33)
    stored = json.dumps({"truncate_dim": 33})
    (bert / "config_sentence_transformers.json").write_text(stored, encoding="utf-8")
    assert load_retriever("dense", **settings).encode(["moon"]).shape == (1, 32)
