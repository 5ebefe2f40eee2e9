"""SPLADE: weights against the reference and transformers, exact search, and what is refused."""

import json

import numpy as np
import pytest
import torch
from in_process import evalkit as typed
from scipy import sparse
from stubs import write_collection
from tokenizers import Tokenizer
from transformers import (
    AutoModelForMaskedLM,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from evalkit import evaluate
from evalkit.config import ComputeConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import ConfigError, ModelError
from evalkit.load import config_of, load_retriever
from evalkit.retrieval import build
from evalkit.retrieval.growing_weights import GrowingWeights, _is_of, _packed, _unpacked, rows_done
from evalkit.store import PARTIAL, Store

TEXTS = [
    "The moon pulls the sea.",
    "",
    "Bees make honey from nectar",
    "moon",
    "Yeast makes bread rise and the sea tides",
]
SIZES = {"vocab_size": 64, "pad_token_id": 0}
WIDTHS = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2}
CONFIGS = {
    "bert": BertConfig(**SIZES, **WIDTHS, max_position_embeddings=64),
    "distilbert": DistilBertConfig(**SIZES, dim=32, hidden_dim=48, n_heads=4, n_layers=2, max_position_embeddings=64),
    "electra": ElectraConfig(**SIZES, **WIDTHS, embedding_size=16, max_position_embeddings=64),
    "roberta": RobertaConfig(vocab_size=64, **WIDTHS, max_position_embeddings=66),
    "xlm-roberta": XLMRobertaConfig(vocab_size=64, **WIDTHS, max_position_embeddings=66),
    "modernbert": ModernBertConfig(
        **SIZES, **WIDTHS, max_position_embeddings=64, cls_token_id=2, sep_token_id=3, bos_token_id=2, eos_token_id=3
    ),
}


def write(folder, tokenizer_file, config=CONFIGS["bert"], **pooling):
    """A SPLADE checkpoint with random weights in the layout of sentence-transformers."""
    torch.manual_seed(5)
    model = AutoModelForMaskedLM.from_config(config)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.ndim > 1 or name.endswith("bias"):  # large enough for some logits to be above 0
                tensor.normal_(0, 0.5)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(tokenizer_file.read_bytes())
    if pooling:
        (folder / "1_SpladePooling").mkdir()
        (folder / "1_SpladePooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
        kinds = {"": "MLMTransformer", "1_SpladePooling": "SpladePooling"}
        package = "sentence_transformers.sparse_encoder.models"
        modules = [{"path": path, "type": f"{package}.{kind}"} for path, kind in kinds.items()]
        (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    return folder


def splade(model, store, compute=None, **settings):
    config = config_of("retriever", "splade", {"model": str(model), "max_length": 32, **settings})
    return build(config, compute or ComputeConfig(device="cpu"), store)


def reference(folder, text, *, strategy="max", logarithms=1):
    """The weights of one text, by transformers in float64 and NumPy."""
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    model = AutoModelForMaskedLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
    with torch.no_grad():
        weights = np.maximum(model(input_ids=torch.tensor([ids])).logits[0].numpy(), 0)
    for _ in range(logarithms):
        weights = np.log1p(weights)
    return weights.max(axis=0) if strategy == "max" else weights.sum(axis=0)


@pytest.mark.shared
@pytest.mark.parametrize("max_length", [48, 256])
def test_golden_texts_have_the_ids_weights_and_products_of_sentence_transformers(shared, store, max_length):
    folder = shared / "golden" / "splade"
    golden = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    texts = {text["id"]: text["text"] for text in golden["texts"]}
    model = splade(folder / "model", store, max_length=max_length)
    cases = {case["id"]: case for case in golden["cases"] if case["max_length"] == max_length}
    given = [name for name in cases if name in texts]
    assert [cases[name]["input_ids"] for name in given] == [
        ids.tolist() for ids in model.tokenize([texts[name] for name in given]).ids
    ]
    together = model.encode([texts[name] for name in given]).toarray()
    alone = np.concatenate([model.encode([texts[name]]).toarray() for name in given])
    for found in (together, alone):
        for row, name in zip(found, given, strict=True):
            top = {int(token): weight for token, weight in cases[name]["top"].items()}
            np.testing.assert_allclose(row[list(top)], list(top.values()), rtol=0, atol=1e-4)
            assert set(top) == set(np.argsort(-row, kind="stable")[: len(top)].tolist())
            assert cases[name]["non_zero"] == np.count_nonzero(row)
    weights = dict(zip(given, together.astype(np.float64), strict=True))
    products = {name: case["dot"] for name, case in cases.items() if name.endswith("/pair")}
    assert len(products) == 14
    for name, expected in products.items():
        pair = name.removesuffix("/pair")
        assert expected == pytest.approx(weights[f"{pair}/query"] @ weights[f"{pair}/document"], rel=1e-5)


@pytest.mark.parametrize("kind", CONFIGS)
def test_weights_are_those_of_the_head_of_transformers(tmp_path, tokenizer_file, store, kind):
    folder = write(tmp_path / kind, tokenizer_file, CONFIGS[kind])
    expected = [reference(folder, text) for text in TEXTS]
    assert 0 < np.count_nonzero(expected) < np.size(expected)
    np.testing.assert_allclose(splade(folder, store).encode(TEXTS).toarray(), expected, rtol=0, atol=5e-5)


@pytest.mark.parametrize(("strategy", "activation", "logarithms"), [("sum", "relu", 1), ("max", "log1p_relu", 2)])
def test_the_pooling_is_that_of_the_checkpoint(tmp_path, tokenizer_file, store, strategy, activation, logarithms):
    folder = write(tmp_path / "m", tokenizer_file, pooling_strategy=strategy, activation_function=activation)
    expected = [reference(folder, text, strategy=strategy, logarithms=logarithms) for text in TEXTS]
    np.testing.assert_allclose(splade(folder, store).encode(TEXTS).toarray(), expected, rtol=0, atol=1e-5)


def test_a_similarity_that_is_null_is_the_dot_product_as_sentence_transformers_6_saves_it(
    tmp_path, tokenizer_file, store
):
    folder = write(tmp_path / "m", tokenizer_file)
    named = splade(folder, store).encode(TEXTS).toarray()
    file = folder / "config_sentence_transformers.json"
    file.write_text(json.dumps({"model_type": "SparseEncoder", "similarity_fn_name": None}), encoding="utf-8")
    np.testing.assert_array_equal(splade(folder, store).encode(TEXTS).toarray(), named)
    file.write_text(json.dumps({"similarity_fn_name": "cosine"}), encoding="utf-8")
    with pytest.raises(ModelError, match="by their dot product alone"):
        splade(folder, store)


def test_only_the_largest_weights_are_kept_where_the_checkpoint_says_how_many(tmp_path, tokenizer_file, store):
    folder = write(tmp_path / "m", tokenizer_file)
    whole = splade(folder, store).encode(TEXTS).toarray()
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"max_active_dims": 5}), encoding="utf-8")
    expected = np.where(whole >= np.sort(whole, axis=1)[:, -5:-4], whole, 0)
    assert (np.count_nonzero(whole, axis=1) > 5).all()
    np.testing.assert_array_equal(splade(folder, store).encode(TEXTS).toarray(), expected)
    assert splade(folder, store).identity["max_active_dims"] == 5


@pytest.fixture
def dataset(tmp_path, store):
    return load(FolderDatasetConfig(path=str(write_collection(tmp_path / "collection"))), store)


def test_candidates_are_those_of_all_dot_products(tmp_path, tokenizer_file, store, dataset):
    model = splade(write(tmp_path / "m", tokenizer_file), store)
    documents = model.encode(list(dataset.documents.texts(range(len(dataset.documents))))).toarray().astype(np.float64)
    queries = model.encode(list(dataset.queries.values())).toarray().astype(np.float64)
    scores = (queries @ documents.T).astype(np.float32)
    ids = dataset.documents.ids.to_pylist()
    expected = {
        query: sorted(((float(score), doc) for score, doc in zip(row, ids, strict=True)), reverse=True)[:3]
        for query, row in zip(dataset.queries, scores, strict=True)
    }
    actual = {query: list(zip(found.tolist(), docs, strict=True)) for query, docs, found in model.retrieve(dataset, 3)}
    assert {query: [doc for _, doc in rows] for query, rows in expected.items()} == {
        query: [doc for _, doc in rows] for query, rows in actual.items()
    }
    for query, rows in expected.items():
        np.testing.assert_allclose([score for score, _ in actual[query]], [score for score, _ in rows], rtol=1e-6)


class Killed(BaseException):
    pass


def written_until(monkeypatch, model, dataset, rows):
    """Die when more than so many rows would be written; gives (how many in each part, the candidates, if it lived)."""
    keep, written = GrowingWeights.keep, []

    def dying(self, own, weights):
        if sum(written) + len(own) > rows:
            raise Killed
        keep(self, own, weights)
        written.append(len(own))

    with monkeypatch.context() as patched:
        patched.setattr(GrowingWeights, "keep", dying)
        try:
            return written, model.retrieve(dataset, 5)
        except Killed:
            return written, None


ONE_BY_ONE = ComputeConfig(device="cpu", batch_tokens=8)


def test_weights_of_a_killed_process_are_not_computed_again_and_the_bytes_are_those_of_a_whole_run(
    tmp_path, tokenizer_file, dataset, monkeypatch, caplog
):
    folder, all_of_them = write(tmp_path / "m", tokenizer_file), len(dataset.documents)
    whole, resumed = Store(tmp_path / "whole"), Store(tmp_path / "resumed")
    expected = splade(folder, whole, ONE_BY_ONE).retrieve(dataset, 5)
    before, nothing = written_until(monkeypatch, splade(folder, resumed, ONE_BY_ONE), dataset, all_of_them // 2)
    assert nothing is None
    (journal,) = resumed.root.glob(f"embeddings/{PARTIAL}*/weights.log")
    assert 0 < rows_done(journal.parent) == sum(before) < all_of_them
    model = splade(folder, resumed, ONE_BY_ONE)
    after, found = written_until(monkeypatch, model, dataset, all_of_them)
    assert sum(after) == all_of_them - sum(before)
    assert model.stages["encode documents"]["kept_documents"] == sum(before)
    assert rows_of(found) == rows_of(expected)
    left, right = (list(store.root.glob("embeddings/*/weights.npz")) for store in (whole, resumed))
    assert left[0].read_bytes() == right[0].read_bytes()
    assert sorted(file.name for file in left[0].parent.iterdir()) == sorted(f.name for f in right[0].parent.iterdir())
    assert not caplog.records


def rows_of(run):
    return {query: list(zip(documents, scores.tolist(), strict=True)) for query, documents, scores in run}


@pytest.mark.parametrize("change", ["cut", "bit", "other"])
def test_a_damaged_journal_and_one_of_another_machine_are_not_taken(
    tmp_path, tokenizer_file, store, dataset, monkeypatch, change, caplog
):
    folder, all_of_them = write(tmp_path / "m", tokenizer_file), len(dataset.documents)
    before, _ = written_until(monkeypatch, splade(folder, store, ONE_BY_ONE), dataset, all_of_them // 2)
    assert len(before) > 1
    (journal,) = store.root.glob(f"embeddings/{PARTIAL}*/weights.log")
    content = bytearray(journal.read_bytes())
    content[30 if change == "other" else -5] ^= change != "cut"  # a bit of the first record, which names the makers
    journal.write_bytes(content[:-1] if change == "cut" else content)
    after, found = written_until(monkeypatch, splade(folder, store, ONE_BY_ONE), dataset, all_of_them)
    lost = sum(before) if change == "other" else before[-1]
    assert sum(after) == all_of_them - sum(before) + lost
    assert ("another machine" if change == "other" else "are not a whole record") in caplog.text
    assert rows_of(found) == rows_of(splade(folder, Store(tmp_path / "whole"), ONE_BY_ONE).retrieve(dataset, 5))


def test_records_of_other_weights_do_not_fit():
    block = sparse.csr_array(np.array([[0, 1.5, 0], [2.5, 0, 3.5]], dtype=np.float32))
    record = _packed(np.array([4, 1]), block)
    rows, again = _unpacked(record, 3)
    assert rows.tolist() == [4, 1]
    np.testing.assert_array_equal(again.toarray(), block.toarray())
    assert _is_of((5, 3), record)
    for shape, other in [
        ((4, 3), record),
        ((5, 2), record),
        ((5, 3), record[:-4]),
        ((5, 3), record + b"0000"),
        ((5, 3), b""),
    ]:
        assert not _is_of(shape, other)


def test_stored_weights_are_used_again_and_only_by_what_made_them(tmp_path, tokenizer_file, store, dataset):
    folder = write(tmp_path / "m", tokenizer_file)
    first = splade(folder, store)
    expected = first.retrieve(dataset, 3).digest()
    again = splade(folder, store, name="other")
    assert expected == again.retrieve(dataset, 3).digest()
    assert "encode documents" in first.stages
    assert "encode documents" not in again.stages
    for settings in ({"document_instruction": "x "}, {"max_length": 8}):
        assert first.corpus_facts(dataset) != splade(folder, store, **settings).corpus_facts(dataset)
    other = splade(folder, store, query_instruction="moon ")
    assert first.corpus_facts(dataset) == other.corpus_facts(dataset)
    assert first.identity != other.identity


def test_embed_prints_weights_by_token_largest_first(tmp_path, tokenizer_file):
    folder = write(tmp_path / "m", tokenizer_file)
    (tmp_path / "texts.jsonl").write_text(json.dumps({"role": "document", "text": TEXTS[0], "id": 3}), encoding="utf-8")
    line = json.loads(
        typed("embed", "retriever=splade", f"retriever.model={folder}", "texts.jsonl", cwd=tmp_path).stdout
    )
    expected = reference(folder, TEXTS[0])
    assert {"id", "weights"} == set(line)
    assert [str(token) for token in np.argsort(-expected)[: np.count_nonzero(expected)]] == list(line["weights"])
    np.testing.assert_allclose(list(line["weights"].values()), np.sort(expected[expected > 0])[::-1], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("1_SpladePooling/config.json", {"pooling_strategy": "mean"}, "mean of relu. Supported is"),
        ("1_SpladePooling/config.json", {"top_k": 3}, "top_k=3. Supported is"),
        ("config_sentence_transformers.json", {"similarity_fn_name": "cosine"}, "searched by their dot product alone"),
        ("config.json", {"model_type": "bert", "architectures": ["BertModel"]}, "SPLADE is a ...ForMaskedLM"),
        (
            "modules.json",
            [
                {"path": "", "type": "sentence_transformers.models.Transformer"},
                {"path": "1_SpladePooling", "type": "sentence_transformers.models.Pooling"},
                {"path": "1_SpladePooling", "type": "sentence_transformers.models.SparseAutoEncoder"},
            ],
            "modules.json has SparseAutoEncoder, the layer of a sparse encoder (CSR), which evalkit does not run",
        ),
        ("config.json", {"model_type": "fnet", "architectures": ["FNetForMaskedLM"]}, "evalkit has the masked head of"),
    ],
)
def test_what_would_be_another_model_is_refused(tmp_path, tokenizer_file, store, file, content, expected):
    folder = write(tmp_path / "m", tokenizer_file, pooling_strategy="max")
    (folder / file).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelError) as error:
        splade(folder, store)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_in_python_the_weights_and_an_evaluation_are_those_of_the_named_retriever(tmp_path, tokenizer_file):
    folder = write(tmp_path / "m", tokenizer_file, pooling_strategy="max")
    settings = {"model": folder, "max_length": 32}
    model = load_retriever("splade", **settings, compute={"device": "cpu"})
    queries, documents = model.encode_queries(TEXTS[:2]), model.encode_documents(TEXTS)
    assert queries.shape == (2, 64)
    for weights, texts in ((queries, TEXTS[:2]), (documents, TEXTS)):
        expected = [reference(folder, text) for text in texts]
        np.testing.assert_allclose(weights.toarray(), expected, rtol=0, atol=1e-5)
    with pytest.raises(ConfigError, match="no place for an instruction"):
        model.encode_queries(["moon"], instruction="Find it.")
    collection = str(write_collection(tmp_path / "collection"))
    folders = {"results_dir": tmp_path / "results", "cache_dir": tmp_path / "cache", "compute": "cpu"}
    found, named = (
        evaluate(collection, retriever=given, reranker="none", **folders) for given in (model, ("splade", settings))
    )
    assert found.measures == named.measures
    assert found.measures["nDCG@10"] > 0


def test_as_a_dense_retriever_it_is_refused_with_the_right_name(tmp_path, tokenizer_file, store):
    folder = write(tmp_path / "m", tokenizer_file, pooling_strategy="max")
    with pytest.raises(ModelError, match=r"Use it as retriever=splade\."):
        build(config_of("retriever", "dense", {"model": str(folder)}), ComputeConfig(device="cpu"), store)
