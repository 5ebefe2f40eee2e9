"""Rerankers of other libraries in `evalkit.evaluate`: the numbers are those of the library itself."""

import pytest
from library_collection import arguments, texts, triple
from mteb_made import WordCrossEncoder, WordEncoder, task_of
from stubs import tiny_bert

import evalkit
from evalkit.errors import ObjectError

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,  # these libraries take seconds to import
    # What they warn of, and files that they leave open, is theirs.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture
def given(tmp_path):
    return {**arguments(tmp_path), "retriever": "bm25"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(tiny_bert(tmp_path_factory.mktemp("model") / "tiny", classifier=True))


def ours(measures):
    return measures["nDCG@10"], measures["R@20"], measures["MAP@20"]


def candidates(given):
    """BM25's, as beir's retrievers return them."""
    run = evalkit.evaluate(**given).run
    return {query_id: dict(zip(doc_ids, scores.tolist(), strict=True)) for query_id, doc_ids, scores in run}


def test_a_reranker_of_beir_gives_the_numbers_of_its_evaluation(checkpoint, given):
    pytest.importorskip("beir")
    from beir.reranking import Rerank
    from beir.reranking.models import CrossEncoder
    from beir.retrieval.evaluation import EvaluateRetrieval

    model = CrossEncoder(checkpoint)
    theirs, (corpus, queries, qrels) = Rerank(model, batch_size=16), triple()
    results = theirs.rerank(corpus, queries, candidates(given), top_k=20)
    gains, precision, recall, _ = EvaluateRetrieval.evaluate(qrels, results, [10, 20])
    expected = (gains["NDCG@10"], recall["Recall@20"], precision["MAP@20"])
    for reranker in (theirs, model, model.model):
        found = evalkit.evaluate(**given, reranker=reranker)
        assert expected == pytest.approx(ours(found.measures), abs=1e-5)


def test_a_reranker_of_beir_with_another_model_predicts_pairs(given):
    pytest.importorskip("beir")
    from beir.reranking import Rerank

    class Shortest:
        def predict(self, pairs, **_):
            return [-len(document) for _, document in pairs]

    found = evalkit.evaluate(**given, reranker=Rerank(Shortest()))
    lengths = {doc_id: len(text) for doc_id, text in texts(triple()[0]).items()}
    for _, doc_ids, scores in found.run:
        assert [-lengths[doc_id] for doc_id in doc_ids] == scores.tolist()


def test_a_cross_encoder_of_mteb_gives_the_numbers_of_mteb(given):
    pytest.importorskip("mteb")
    from mteb.models import SearchCrossEncoderWrapper

    task = task_of(*triple())
    given["dataset"] = task
    top_ranked = {query_id: list(found) for query_id, found in candidates(given).items()}
    data = task.dataset["default"]["test"]
    about = {"task_metadata": task.metadata, "hf_split": "test", "hf_subset": "default", "encode_kwargs": {}}
    theirs = SearchCrossEncoderWrapper(WordCrossEncoder())
    theirs.index(data["corpus"], **about)
    scores = theirs.search(data["queries"], top_k=20, top_ranked=top_ranked, **about)
    run = evalkit.evaluate(**given, reranker=WordCrossEncoder()).run
    for query_id, doc_ids, found in run:
        assert [scores[query_id][doc_id] for doc_id in doc_ids] == pytest.approx(found.tolist())
    given["dataset"] = (triple(), {"name": "part"})  # of no task: another prompt
    assert run.digest() != evalkit.evaluate(**given, reranker=WordCrossEncoder()).run.digest()


def test_an_encoder_of_mteb_is_no_reranker(given):
    pytest.importorskip("mteb")
    with pytest.raises(ObjectError, match=r"scores no pairs\. Give it as the retriever"):
        evalkit.evaluate(**given, reranker=WordEncoder())


def test_a_cross_encoder_of_mteb_that_wraps_sentence_transformers_has_an_identity(checkpoint, given):
    pytest.importorskip("mteb")
    from mteb.models import CrossEncoderWrapper
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(checkpoint, device="cpu")

    def evaluated(**prefixes):
        return evalkit.evaluate(**given, reranker=CrossEncoderWrapper(model, **prefixes))

    first, again, other = evaluated(), evaluated(), evaluated(passage_prefix="moon ")
    assert (True, False, True) == (first.result.fresh, again.result.fresh, other.result.fresh)
    assert first.measures == pytest.approx(evalkit.evaluate(**given, reranker=model).measures)
    assert first.run.digest() != other.run.digest()


def test_a_cross_encoder_of_sentence_transformers_ranks_as_it_does_itself(checkpoint, given):
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(checkpoint, device="cpu")
    run, (corpus, queries, _) = evalkit.evaluate(**given, reranker=model).run, triple()
    documents = texts(corpus)
    for query_id, doc_ids, _ in run:
        ranks = model.rank(queries[query_id], [documents[doc_id] for doc_id in doc_ids])
        assert list(range(len(doc_ids))) == [row["corpus_id"] for row in ranks]
