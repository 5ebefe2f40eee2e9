"""Retrievers of the user's own: functions, encoders, models and runs."""

import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from in_process import evalkit as command
from stubs import QRELS, toy_evaluation
from tiny_checkpoints import write_bert_embedder

import evalkit
from evalkit import EvalkitError
from evalkit.errors import ObjectError
from evalkit.load import config_of
from evalkit.retrieval.bm25 import BM25Retriever

RUN = {query_id: {"d1": 1, "d3": 2.5} for query_id in QRELS}


def words(text):
    return {*text.lower().replace(".", "").split()}


def by_overlap(queries, _, corpus):
    return {
        query_id: {doc_id: len(words(text) & words(document)) for doc_id, document in corpus.items()}
        for query_id, text in queries.items()
    }


class Encoder:
    """Words as unit vectors, twice as long for documents: so cosine and dot product differ."""

    identity = "words"
    similarity = "cosine"

    def encode_queries(self, texts):
        vectors = np.zeros((len(texts), 256))
        for row, text in enumerate(texts):
            for word in words(text):
                vectors[row, zlib.crc32(word.encode()) % 256] = 1
        return vectors

    def encode_documents(self, texts):
        return self.encode_queries(texts).astype(np.float16).tolist()


class Index:
    def index(self, corpus):
        self.corpus = dict(corpus.items())
        assert [self.corpus[doc_id] for doc_id in corpus] == [corpus[doc_id] for doc_id in corpus]
        assert len(corpus) == len(self.corpus)

    def retrieve(self, queries, depth):
        return by_overlap(queries, depth, self.corpus)


@pytest.fixture
def toy(tmp_path):
    return {**toy_evaluation(tmp_path), "reranker": "none"}


def candidates(toy, retriever, **settings):
    return evalkit.evaluate(**toy | {"retriever": retriever}, **settings)


def test_functions_and_objects_with_an_index_give_the_same_candidates(toy):
    def made_before(queries, depth):
        return made_before.index.retrieve(queries, depth)

    made_before.index = Index()
    found = candidates(toy, by_overlap)
    made_before.index.corpus = {}
    found_index = candidates(toy, Index())
    assert found.run.digest() == found_index.run.digest()
    assert {"kind": "python", "identity": "none"}.items() <= found.candidates.manifest["retriever"].items()
    assert "by_overlap-5" == found.first_stage


def test_a_run_in_any_form_is_a_first_stage_and_found_again_by_its_content(toy):
    rows = [(query_id, doc_id, score) for query_id, found in RUN.items() for doc_id, score in found.items()]
    frame = pd.DataFrame(rows, columns=["qid", "docno", "score"])
    forms = (RUN, evalkit.Run.from_dict(RUN), frame, pa.RecordBatch.from_pandas(frame))
    found = [candidates(toy, run) for run in forms]
    assert [True, False, False, False] == [one.candidates.fresh for one in found]
    assert "run-5" == found[0].first_stage
    evalkit.write_run(evalkit.Run.from_dict(RUN), toy["dataset"] / "run.trec.gz", tag="x")
    saved = candidates(toy, toy["dataset"] / "run.trec.gz")
    assert saved.measures == found[0].measures


def test_an_encoder_is_searched_exactly_by_its_similarity(toy):
    found = candidates(toy, Encoder())
    assert "cosine" == found.candidates.manifest["retriever"]["similarity"]
    assert found.run.scores.max() <= 1
    by_dot = candidates(toy, Encoder(), **{"retriever.similarity": "dot"})
    assert by_dot.candidates.fresh
    overlaps = candidates(toy, by_overlap).run
    assert by_dot.run.digest() == overlaps.digest()
    assert not candidates(toy, Encoder()).candidates.fresh


@pytest.mark.slow
def test_a_sentence_transformer_gives_the_candidates_of_evalkits_own_encoder(toy, tmp_path):
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer

    folder = write_bert_embedder(tmp_path / "model")
    model = SentenceTransformer(str(folder), device="cpu")
    found = candidates(toy, model)
    own = candidates(toy, ("dense", {"model": folder, "embedding_dtype": "float32"}), compute={"device": "cpu"})
    assert found.run.query_ids == own.run.query_ids
    for theirs, ours in zip(found.run, own.run, strict=True):
        assert dict(zip(theirs.doc_ids, theirs.scores, strict=True)) == pytest.approx(
            dict(zip(ours.doc_ids, ours.scores, strict=True)), abs=1e-5
        )
    assert not candidates(toy, SentenceTransformer(str(folder), device="cpu")).candidates.fresh
    model.max_seq_length = 7
    assert candidates(toy, model).candidates.fresh


def test_a_first_stage_of_evalkit_is_taken_as_it_is(toy):
    own = BM25Retriever(config_of("retriever", "bm25", {}))
    assert candidates(toy, own).run.digest() == candidates(toy, "bm25").run.digest()


def result_of(returned):
    return lambda queries, depth: returned  # noqa: ARG005


@pytest.mark.parametrize(
    ("retriever", "message"),
    [
        (3, "int is 3, which cannot retrieve. A retriever is a function"),
        (lambda queries: queries, r"cannot tell how to call it.*f\(queries, depth\)"),
        (result_of(None), "what lambda returned: is None"),
        (result_of({"q1": 5}), "query 'q1' has"),
        (result_of({"q1": {"d1": "high"}}), "the score of document 'd1' for query 'q1' is 'high'"),
        (result_of({"q9": {"d1": 1}}), "lambda returned 'q9', which is not the id of a query"),
        (result_of({"q1": {"d9": 1}}), "1 documents, such as 'd9', that are not in toy"),
        (result_of({}), "holds no scored documents"),
        (lambda queries, depth: 1 / 0, r"lambda raised ZeroDivisionError: .*test_own_retriever.py:\d+"),  # noqa: ARG005
    ],
)
def test_what_is_not_a_run_is_refused(toy, retriever, message):
    with pytest.raises(EvalkitError, match=message) as caught:
        candidates(toy, retriever)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (lambda texts: np.ones(len(texts)), r"numbers of shape \(5,\) for 5 texts"),
        (lambda texts: [text[:1] for text in texts], "no numbers for 5 texts"),
        (lambda texts: np.full((len(texts), 256), np.nan), "not finite"),
        (lambda texts: np.ones((len(texts), 3)), "vectors of 3 numbers, and 256 of queries"),
        (lambda texts: np.ones((len(texts), 0)), r"numbers of shape \(5, 0\) for 5 texts"),
        (lambda texts: np.ones((1, 256)), r"of shape \(1, 256\) for 5 texts"),  # noqa: ARG005
    ],
)
def test_vectors_that_are_not_one_for_each_text_are_refused(toy, vectors, message):
    encoder = Encoder()
    encoder.encode_documents = vectors
    encoder.identity = message
    with pytest.raises(ObjectError, match=message):
        candidates(toy, encoder)


def test_a_similarity_that_cannot_be_searched_by_is_refused(toy):
    encoder = Encoder()
    encoder.similarity = "euclidean"
    with pytest.raises(ObjectError, match=r"compares vectors by euclidean. Set retriever.similarity to one of: cosine"):
        candidates(toy, encoder)
    with pytest.raises(ObjectError, match=r"retriever.similarity is set, but by_overlap gives scores and no vectors"):
        candidates(toy, by_overlap, **{"retriever.similarity": "dot"})


@pytest.mark.usefixtures("toy")
def test_on_the_command_line_a_function_retrieves(tmp_path):
    text = (
        "def first(queries, depth, corpus):\n    return {q: {d: 1.0 for d in list(corpus)[:depth]} for q in queries}\n"
    )
    (tmp_path / "own_first.py").write_text(text)
    places = ["dataset=folder", "dataset.path=toy", "results_dir=results", "cache_dir=cache", "depth=3"]
    chosen = ["retriever=python", "retriever.object=own_first:first", "reranker=none"]
    assert 0 == command("evaluate", *places, *chosen, cwd=tmp_path).returncode
    assert (tmp_path / "results/toy/first-3/none/manifest.json").is_file()
