"""Encoders of a Router, as sentence-transformers 6 saves them: each side's own modules, in evaluate, embed and keys."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch
from in_process import evalkit as typed
from safetensors.torch import save_file
from stubs import tiny_bert, write_collection
from tokenizers import Tokenizer
from transformers import BertConfig, BertForMaskedLM

from evalkit import load_retriever
from evalkit.config import ComputeConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import ModelError
from evalkit.load import config_of
from evalkit.retrieval import build

TEXTS = ["The moon pulls the sea.", "", "Bees make honey from nectar", "moon"]
MODULES = "sentence_transformers.sentence_transformer.modules."
SPARSE = "sentence_transformers.sparse_encoder.modules."
SETTINGS = {"in_features": 32, "out_features": 8, "bias": True}


def put(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def listed(root, *modules, **said):
    put(
        root / "modules.json",
        [
            {"idx": place, "name": str(place), "path": at, "type": MODULES + kind}
            for place, (kind, at) in enumerate(modules)
        ],
    )
    put(root / "config_sentence_transformers.json", said)
    return root


def routed(root, query, document, inner=""):
    types = {at: MODULES + at.rsplit("_", 1)[-1] for at in (*query, *document)}
    types = {at: kind.replace(MODULES, SPARSE) if "Splade" in kind else kind for at, kind in types.items()}
    structure = {"query": query, "document": document}
    put(root / inner / "router_config.json", {"types": types, "structure": structure, "parameters": {}})


def bert(folder, seed):
    put(tiny_bert(folder, seed=seed) / "sentence_bert_config.json", {"max_seq_length": 16})


def linear(folder, seed, out=8):
    put(folder / "config.json", {**SETTINGS, "out_features": out})
    drawn = torch.Generator().manual_seed(seed)
    tensors = {"linear.weight": torch.randn(out, 32, generator=drawn), "linear.bias": torch.randn(out, generator=drawn)}
    save_file(tensors, folder / "model.safetensors")


def two(root):
    """Two encoders, pooled in two ways, each with a linear layer, and vectors of length 1."""
    for seed, (side, mode) in enumerate([("query", "mean"), ("document", "cls")]):
        bert(root / f"{side}_0_Transformer", seed)
        put(root / f"{side}_1_Pooling" / "config.json", {"embedding_dimension": 32, "pooling_mode": mode})
        linear(root / f"{side}_2_Dense", seed)
    chains = (
        [f"{side}_{part}" for part in ("0_Transformer", "1_Pooling", "2_Dense")] for side in ("query", "document")
    )
    routed(root, *chains)
    return listed(root, ("Router", ""), ("Normalize", "1_Normalize"), prompts={"query": "bees ", "document": "sea "})


def one(root):
    """One encoder in both routes, with a layer for each side."""
    bert(root / "query_0_Transformer", 2)
    shared = ["query_0_Transformer", "query_1_Pooling"]
    put(root / "query_1_Pooling" / "config.json", {"embedding_dimension": 32, "pooling_mode": "mean"})
    for seed, side in enumerate(["query", "document"]):
        linear(root / f"{side}_2_Dense", seed)
    routed(root, [*shared, "query_2_Dense"], [*shared, "document_2_Dense"])
    return listed(root, ("Router", ""))


def before(root):
    """One encoder before the Router, which is in a folder of its own."""
    bert(root, 3)
    put(root / "1_Pooling" / "config.json", {"embedding_dimension": 32, "pooling_mode": "mean"})
    for seed, side in enumerate(["query", "document"]):
        linear(root / "2_Router" / f"{side}_0_Dense", seed)
    routed(root, ["query_0_Dense"], ["document_0_Dense"], inner="2_Router")
    return listed(root, ("Transformer", ""), ("Pooling", "1_Pooling"), ("Router", "2_Router"))


def table(root):
    """A table of vectors for queries, and an encoder for documents."""
    bert(root / "document_0_Transformer", 4)
    put(root / "document_1_Pooling" / "config.json", {"embedding_dimension": 32, "pooling_mode": "mean"})
    own = root / "query_0_StaticEmbedding"
    own.mkdir()
    shutil.copy(root / "document_0_Transformer" / "tokenizer.json", own)
    rows = Tokenizer.from_file(str(own / "tokenizer.json")).get_vocab_size()
    drawn = torch.randn(rows, 32, generator=torch.Generator().manual_seed(5))
    save_file({"embedding.weight": drawn}, own / "model.safetensors")
    routed(root, [own.name], ["document_0_Transformer", "document_1_Pooling"])
    return listed(root, ("Router", ""), ("Normalize", "1_Normalize"))


def sparse(root, folders=("query_0_Transformer", "document_0_Transformer")):
    """Masked language models, of which queries sum the weights over their tokens."""
    bert(root / "bert", 6)
    width = json.loads((root / "bert" / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": 1}
    for seed, folder in enumerate(dict.fromkeys(folders)):
        torch.manual_seed(seed)
        model = BertForMaskedLM(BertConfig(vocab_size=width, max_position_embeddings=64, **sizes))
        with torch.no_grad():
            for tensor in model.parameters():
                if tensor.ndim > 1:  # large enough for some logits to be above 0
                    tensor.normal_(0, 0.5)
        shutil.copytree(root / "bert", root / folder)
        model.save_pretrained(root / folder)
        put(root / folder / "sentence_bert_config.json", {"max_seq_length": 16, "transformer_task": "fill-mask"})
    shutil.rmtree(root / "bert")
    for side, strategy in (("query", "sum"), ("document", "max")):
        put(root / f"{side}_1_SpladePooling" / "config.json", {"pooling_strategy": strategy})
    routed(root, *([at, f"{side}_1_SpladePooling"] for at, side in zip(folders, ("query", "document"), strict=True)))
    return listed(
        root, ("Router", ""), model_type="SparseEncoder", prompts={"query": "bees "}, similarity_fn_name="dot"
    )


def sparse_one(root):
    """One masked language model, pooled in two ways."""
    return sparse(root, folders=("query_0_Transformer", "query_0_Transformer"))


def retriever(model, store, kind="dense"):
    return build(config_of("retriever", kind, {"model": str(model)}), ComputeConfig(device="cpu"), store)


def both(model):
    """What an encoder makes of texts as queries and as documents, behind the prompts of each."""
    encoder, found = model.encoder, []
    for own, before in (
        (encoder.queries, encoder.reading.query_instruction),
        (encoder, encoder.reading.document_instruction),
    ):
        rows = own.encode(TEXTS, instruction=before)
        found.append(rows if isinstance(rows, np.ndarray) else rows.toarray())
    return found


@pytest.mark.parametrize("write", [two, one, before, table, sparse, sparse_one])
def test_each_side_is_that_of_sentence_transformers(tmp_path, store, write):
    library = pytest.importorskip("sentence_transformers")
    folder, weights = write(tmp_path / "m"), write in (sparse, sparse_one)
    model = retriever(folder, store, "splade" if weights else "dense")
    queries, documents = both(model)
    theirs = (library.SparseEncoder if weights else library.SentenceTransformer)(str(folder), device="cpu")
    options = {"convert_to_sparse_tensor": False} if weights else {}
    for found, expected in (
        (queries, theirs.encode_query(TEXTS, **options)),
        (documents, theirs.encode_document(TEXTS, **options)),
    ):
        np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-6, atol=1e-5)
    assert np.abs(queries - documents).max() > 0.1


def test_each_side_is_that_of_the_same_modules_without_a_router(tmp_path, store):
    queries, documents = both(retriever(two(tmp_path / "m"), store))
    for side, prompt, expected in (("query", "bees ", queries), ("document", "sea ", documents)):
        plain = tmp_path / side
        shutil.copytree(tmp_path / "m" / f"{side}_0_Transformer", plain)
        for part in ("1_Pooling", "2_Dense"):
            shutil.copytree(tmp_path / "m" / f"{side}_{part}", plain / part)
        chain = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Normalize", "3_Normalize")]
        listed(plain, *chain)
        alone = load_retriever("dense", model=plain, compute={"device": "cpu"})
        np.testing.assert_array_equal(alone.encoder.encode(TEXTS, instruction=prompt), expected)


@pytest.mark.parametrize(("write", "once"), [(one, True), (before, True), (two, False), (sparse_one, True)])
def test_weights_in_one_folder_are_loaded_once(tmp_path, store, write, once):
    encoder = retriever(write(tmp_path / "m"), store, "splade" if write is sparse_one else "dense").encoder
    assert encoder.queries is not encoder
    assert (encoder.queries.model is encoder.model) is once


@pytest.mark.parametrize("write", [two, one, table, sparse, sparse_one])
def test_weights_that_were_given_back_are_loaded_again(tmp_path, store, write):
    model = retriever(write(tmp_path / "m"), store, "splade" if write in (sparse, sparse_one) else "dense")
    before_that = both(model)
    model.encoder.unload()
    for encoder in (model.encoder, model.encoder.queries):
        assert {"model", "whole"}.isdisjoint(vars(encoder))
    for found, expected in zip(both(model), before_that, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("write", "models", "pooled"),
    [
        (two, 2, "queries: mean over tokens, Dense, scaled to length 1, 8 numbers; documents: cls over tokens, Dense"),
        (one, 1, "queries: mean over tokens, Dense, scaled to length 1, 8 numbers; documents: mean over tokens, Dense"),
        (sparse, 2, "queries: sum over tokens of log(1 + x) of the positive logits; documents: max over tokens of"),
        (sparse_one, 1, "queries: sum over tokens of log(1 + x) of the positive logits; documents: max over tokens of"),
    ],
)
def test_doctor_counts_the_weights_of_both_sides_and_says_how_each_is_pooled(tmp_path, store, write, models, pooled):
    kind = "splade" if write in (sparse, sparse_one) else "dense"
    one_side = retriever(write(tmp_path / "m"), store, kind).encoder.contents
    printed = typed(
        "doctor", f"retriever={kind}", f"retriever.model={tmp_path / 'm'}", "compute=cpu", "--json", cwd=tmp_path
    )
    found = {row["name"]: row for row in map(json.loads, printed.stdout.splitlines())}
    assert found["checkpoint"]["detail"].startswith(f"{models * one_side.tensors} tensors, ")
    assert found["pooling"]["detail"].startswith(pooled)
    assert "passed" == found["alone = in a batch"]["outcome"] == found["pooling"]["outcome"]


def test_a_router_with_the_same_modules_on_both_sides_has_one_encoder(tmp_path, store):
    root = one(tmp_path / "m")
    chain = ["query_0_Transformer", "query_1_Pooling", "query_2_Dense"]
    routed(root, chain, chain)
    model = retriever(root, store)
    assert model.encoder.queries is model.encoder
    assert "queries" not in model.identity


@pytest.mark.parametrize(("write", "kind"), [(two, "dense"), (table, "dense"), (sparse, "splade")])
def test_candidates_are_those_of_the_two_sides(tmp_path, store, write, kind):
    dataset = load(FolderDatasetConfig(path=str(write_collection(tmp_path / "collection"))), store)
    model = retriever(write(tmp_path / "m"), store, kind)
    reading = model.encoder.reading
    asked = model.encoder.queries.encode(list(dataset.queries.values()), instruction=reading.query_instruction)
    texts = list(dataset.documents.texts(range(len(dataset.documents))))
    documents = model.encoder.encode(texts, instruction=reading.document_instruction)
    products = asked @ documents.T
    ids = dataset.documents.ids.to_pylist()
    run = model.retrieve(dataset, 3)
    assert model.usage.batches > 1
    for row, (query, found, scores) in zip(
        products if isinstance(products, np.ndarray) else products.toarray(), run, strict=True
    ):
        of = dict(zip(ids, row, strict=True))
        # Stored vectors of documents are float16, weights float32.
        assert [of[doc] for doc in found] == pytest.approx(list(scores), abs=2e-3), query
        assert min(of[doc] for doc in found) >= sorted(row)[-3] - 2e-3


def test_either_side_s_files_are_in_the_key(tmp_path, store):
    model = two(tmp_path / "m")
    keys = [retriever(model, store).identity]
    for side in ("query", "document"):
        linear(model / f"{side}_2_Dense", 9)
        keys.append(retriever(model, store).identity)
    assert keys[0] != keys[1] != keys[2]
    assert keys[0]["queries"]["pooling"] == "mean"
    assert keys[0]["pooling"] == "cls"


def test_another_process_makes_both_sides_again(tmp_path, store):
    encoder = retriever(two(tmp_path / "m"), store).encoder
    assert encoder.queries.model is not None
    for own, again in ((encoder, copy.copy(encoder)), (encoder.queries, copy.copy(encoder.queries))):
        assert (again.route, again.head, again.checkpoint) == (own.route, own.head, own.checkpoint)
        assert "model" not in vars(again)  # which is loaded there
    assert copy.copy(encoder).queries.head == encoder.queries.head != encoder.head


def test_embed_takes_each_side_for_its_role(tmp_path, store):
    lines = [{"role": role, "text": "moon"} for role in ("query", "document")]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    folder = two(tmp_path / "m")
    printed = typed(
        "embed", f"retriever.model={folder}", "retriever=dense", "--ids", "texts.jsonl", cwd=tmp_path
    ).stdout
    found = [json.loads(line) for line in printed.splitlines()]
    for own, expected in zip(found, both(retriever(folder, store)), strict=True):
        np.testing.assert_allclose(own["embedding"], expected[TEXTS.index("moon")], atol=1e-6)
        assert len(own["input_ids"]) == 4  # prompt, text, and the special ones


@pytest.mark.parametrize("side", ["query", "document"])
def test_absent_weights_of_either_side_are_refused(tmp_path, store, side):
    root = two(tmp_path / "m")
    (root / f"{side}_0_Transformer" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=f"{side}_0_Transformer: has no model.safetensors"):
        retriever(root, store).encoder.load()


def test_sides_of_two_widths_are_refused(tmp_path, store):
    linear(two(tmp_path / "m") / "query_2_Dense", 0, out=4)
    with pytest.raises(ModelError, match="makes 8 numbers of a document, and 4 of a query"):
        retriever(tmp_path / "m", store).encoder.load()


def test_a_dense_router_is_refused_as_splade_and_as_a_reranker(tmp_path, store):
    root = two(tmp_path / "m")
    with pytest.raises(ModelError, match=r"with modules Transformer, Pooling, Dense, Normalize\. SPLADE is"):
        retriever(root, store, "splade")
    found = typed("score", "reranker=auto", f"reranker.model={root}", cwd=tmp_path)
    assert found.returncode == 2
    assert "it is a Router, " in found.stderr
    assert "Use it as retriever=dense" in found.stderr
