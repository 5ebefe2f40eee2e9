"""Routers with a table of weights for queries: the numbers of sentence-transformers, and what is refused."""

import json

import numpy as np
import pytest
import torch
from in_process import evalkit as typed
from safetensors.numpy import save_file
from stubs import write_collection
from tokenizers import Tokenizer
from transformers import AutoModelForMaskedLM, BertConfig

from evalkit.config import ComputeConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import ModelError
from evalkit.load import config_of
from evalkit.retrieval import build
from evalkit.store import Store

TEXTS = ["moon", "", "The moon pulls the sea.", "the sea the sea the moon moon bees make honey", "unheard of"]
TABLE, POOLING = "query_0_SparseStaticEmbedding", "document_1_SpladePooling"
MODULES = "sentence_transformers.sparse_encoder.models"
ROUTER = {
    "types": {
        TABLE: f"{MODULES}.SparseStaticEmbedding",
        "": f"{MODULES}.MLMTransformer",
        POOLING: f"{MODULES}.SpladePooling",
    },
    "structure": {"query": [TABLE], "document": ["", POOLING]},
    "parameters": {"default_route": "document", "allow_empty_key": True},
}
LIMIT = 6  # tokens of a query


def put(file, content):
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def folder(tmp_path, tokenizer_file):
    """A checkpoint in the layout of OpenSearch's: the model of documents beside `modules.json`."""
    own = tmp_path / "model"
    width = Tokenizer.from_file(str(tokenizer_file)).get_vocab_size()
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2}
    torch.manual_seed(5)
    model = AutoModelForMaskedLM.from_config(BertConfig(vocab_size=width, max_position_embeddings=64, **sizes))
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.ndim > 1:  # large enough for some logits to be above 0
                tensor.normal_(0, 0.5)
    model.save_pretrained(own)
    put(own / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Router"}])
    put(own / "router_config.json", ROUTER)
    put(own / "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False})
    said = {"model_type": "SparseEncoder", "prompts": {"query": "honey ", "document": ""}, "similarity_fn_name": "dot"}
    put(own / "config_sentence_transformers.json", said)
    put(own / POOLING / "config.json", {"pooling_strategy": "max", "activation_function": "log1p_relu"})
    put(own / TABLE / "config.json", {"frozen": True})
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "pad", "cls", "sep")}
    for place, limit in ((own, 32), (own / TABLE, LIMIT)):
        (place / "tokenizer.json").write_bytes(tokenizer_file.read_bytes())
        kind = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": limit, **special}
        put(place / "tokenizer_config.json", kind)
    weights = np.random.default_rng(3).uniform(0.5, 9, width).astype(np.float32)
    weights[::5] = 0
    save_file({"weight": weights}, own / TABLE / "model.safetensors")
    return own


def splade(model, store, **settings):
    config = config_of("retriever", "splade", {"model": str(model), **settings})
    return build(config, ComputeConfig(device="cpu"), store)


def test_queries_and_documents_have_the_weights_of_sentence_transformers(folder, store):
    library = pytest.importorskip("sentence_transformers").SparseEncoder(str(folder), device="cpu")
    model = splade(folder, store)
    queries = model.query_table.encode(TEXTS, instruction=model.encoder.reading.query_instruction).toarray()
    expected = library.encode_query(TEXTS, convert_to_sparse_tensor=False).numpy()
    np.testing.assert_array_equal(queries, expected)
    assert np.count_nonzero(expected) > 5
    documents = library.encode_document(TEXTS, convert_to_sparse_tensor=False).numpy()
    np.testing.assert_allclose(model.encode(TEXTS).toarray(), documents, rtol=0, atol=2e-5)


def test_each_different_token_counts_once_and_the_tokenizer_s_own_length_cuts(folder, store, code):
    table = splade(folder, store, max_length=8).query_table
    found = table.tokenize(["the sea the sea the moon bees", "moon", ""])
    words = ["the", "sea", "the", "sea", "the", "moon"]
    assert [ids.tolist() for ids in found.ids] == [[code[word] for word in words], [code["moon"]], []]
    assert found.truncated.tolist() == [True, False, False]
    whole = [code["the"], code["sea"], code["moon"]]
    weights = table.encode(["the sea the sea the moon bees"]).toarray()[0]
    assert {int(token) for token in np.flatnonzero(weights)} == {token for token in whole if token % 5}


def test_candidates_are_those_of_the_two_sides_and_no_model_reads_the_queries(folder, tmp_path, store):
    dataset = load(FolderDatasetConfig(path=str(write_collection(tmp_path / "collection"))), store)
    model = splade(folder, store, query_instruction="")
    run = model.retrieve(dataset, 9)
    documents = model.encode(list(dataset.documents.texts(range(len(dataset.documents))))).toarray().astype(np.float64)
    asked = model.query_table.encode(list(dataset.queries.values())).toarray().astype(np.float64)
    ids = dataset.documents.ids.to_pylist()
    for row, (query, found, scores) in zip(asked @ documents.T, run, strict=True):
        expected = {doc: score for doc, score in zip(ids, row, strict=True) if score > 0}
        assert dict(zip(found, scores, strict=True)) == pytest.approx(expected, rel=1e-6), query
    again = splade(folder, store, query_instruction="")
    assert again.retrieve(dataset, 9).digest() == run.digest()
    assert again.usage.batches == 0  # the documents were stored


def test_another_table_is_another_retriever(folder, store, tmp_path):
    before = splade(folder, store).identity
    weights = np.ones(len(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]), dtype=np.float32)
    save_file({"weight": weights}, folder / TABLE / "model.safetensors")
    assert splade(folder, Store(tmp_path / "other")).identity != before


def test_embed_takes_each_side_for_its_role(folder, tmp_path, store):
    lines = [{"role": role, "text": "moon"} for role in ("query", "document")]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    printed = typed(
        "embed", "retriever=splade", f"retriever.model={folder}", "--ids", "texts.jsonl", cwd=tmp_path
    ).stdout
    query, document = (json.loads(line) for line in printed.splitlines())
    model = splade(folder, store)
    expected = model.query_table.encode(["honey moon"])
    assert {int(token): weight for token, weight in query["weights"].items()} == pytest.approx(
        dict(zip(expected.indices.tolist(), expected.data.tolist(), strict=True))
    )
    assert len(document["weights"]) == model.encode(["moon"]).nnz
    assert len(query["input_ids"]) == 2
    assert len(document["input_ids"]) == 3  # with the special ones


def changed(**structure):
    return {**ROUTER, "structure": {**ROUTER["structure"], **structure}}


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("router_config.json", None, "router_config.json is absent"),
        ("router_config.json", {"types": {}}, "no types and structure of routes (KeyError('structure'))"),
        ("router_config.json", changed(query=["0"]), "no types and structure of routes (KeyError('0'))"),
        ("router_config.json", changed(image=[""]), "has routes query, document, image. Supported are"),
        (
            "router_config.json",
            changed(query=[TABLE, POOLING]),
            "modules SparseStaticEmbedding, SpladePooling. SPLADE is",
        ),
        ("router_config.json", changed(document=[TABLE]), "with modules SparseStaticEmbedding. SPLADE is"),
        ("router_config.json", changed(document=[""]), "with modules MLMTransformer. SPLADE is"),
        (
            "router_config.json",
            {**ROUTER, "types": {**ROUTER["types"], TABLE: "own.Table"}},
            "own.Table is code of the checkpoint's own",
        ),
        ("config_sentence_transformers.json", {"max_active_dims": 3}, "max_active_dims=3, and queries have a table"),
        (f"{TABLE}/config.json", {"path": "idf.json"}, "path is not supported, and the table has to be in this folder"),
        (f"{TABLE}/config.json", None, "is absent, and the table has to be in this folder"),
    ],
)
def test_other_routers_are_refused(folder, store, file, content, expected):
    (folder / file).unlink()
    if content is not None:
        put(folder / file, content)
    with pytest.raises(ModelError) as error:
        splade(folder, store)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table_of_another_vocabulary_is_refused(folder, store):
    save_file({"weight": np.ones(7, dtype=np.float32)}, folder / TABLE / "model.safetensors")
    with pytest.raises(ModelError, match=r"A table for queries is weight of shape \(29,\)"):
        splade(folder, store).query_table.encode(["moon"])


def test_a_link_to_a_folder_is_refused_since_it_would_be_no_part_of_what_identifies_the_checkpoint(folder, store):
    (folder / TABLE).rename(folder.parent / "elsewhere")
    (folder / TABLE).symlink_to(folder.parent / "elsewhere")
    with pytest.raises(ModelError, match="is a link to a folder"):
        splade(folder, store)


def test_every_module_in_a_folder_of_its_own_is_the_same_retriever(folder, store):
    model = splade(folder, store)
    queries, documents = model.query_table.encode(TEXTS).toarray(), model.encode(TEXTS).toarray()
    own = folder / "document_0_Transformer"
    own.mkdir()
    for name in ("config.json", "model.safetensors", "sentence_bert_config.json", "tokenizer.json"):
        (folder / name).rename(own / name)
    (folder / "tokenizer_config.json").rename(own / "tokenizer_config.json")
    types = {at or own.name: kind.replace("MLMTransformer", "Transformer") for at, kind in ROUTER["types"].items()}
    put(folder / "router_config.json", {**changed(document=[own.name, POOLING]), "types": types})
    moved = splade(folder, store)
    assert moved.encoder.checkpoint.path == own
    np.testing.assert_array_equal(moved.query_table.encode(TEXTS).toarray(), queries)
    np.testing.assert_array_equal(moved.encode(TEXTS).toarray(), documents)
    assert moved.encoder.reading == model.encoder.reading


def test_it_is_no_dense_retriever(folder, store):
    with pytest.raises(ModelError, match=r"is a sparse encoder .* Use it as retriever=splade\."):
        build(config_of("retriever", "dense", {"model": str(folder)}), ComputeConfig(device="cpu"), store)
