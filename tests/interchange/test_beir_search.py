"""The pipeline inside `EvaluateRetrieval` of beir: its numbers are those of `evalkit evaluate`."""

import pytest
from in_process import evalkit as command
from made import write_collection
from stubs import tiny_bert

import evalkit
from evalkit.errors import ConfigError, DataError
from evalkit.results.gather import gather

CORPUS = {
    "d1": {"title": "Tides", "text": "The moon pulls the sea."},
    "d2": {"title": "", "text": "Bees make honey."},
    "d3": {"text": "Yeast makes bread rise."},
}
QUERIES = {"q2": "what makes bread rise", "q1": "why does the sea have tides"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.interop
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # beir leaves the file of judgments open
@pytest.mark.parametrize("reranker", ["none", pytest.param("cross_encoder", marks=pytest.mark.slow)])
def test_beir_gets_the_numbers_of_evalkit(reranker, tmp_path):
    loader, evaluation = (
        pytest.importorskip(f"beir.{name}") for name in ("datasets.data_loader", "retrieval.evaluation")
    )
    collection = write_collection(tmp_path / "collection", queries=6)
    own = {}
    if reranker == "cross_encoder":
        own = {"model": str(tiny_bert(tmp_path / "model", classifier=True)), "max_length": 64}
    search = evalkit.load_search(
        "bm25", reranker, depth=8, reranker_settings=own, compute={"device": "cpu"}, library="beir"
    )
    corpus, queries, qrels = loader.GenericDataLoader(str(collection)).load(split="test")
    theirs = evaluation.EvaluateRetrieval(search, k_values=[3, 5])
    ndcg, mean_precision, recall, _ = theirs.evaluate(qrels, theirs.retrieve(corpus, queries), theirs.k_values)
    arguments = [f"dataset.path={collection}", f"results_dir={tmp_path / 'results'}", "measures=[nDCG@5,MAP@3,R@5]"]
    arguments += [f"reranker.{key}={value}" for key, value in own.items()]
    stages = ["dataset=folder", "retriever=bm25", f"reranker={reranker}", "depth=8", "compute=cpu"]
    assert command("evaluate", *stages, *arguments, cwd=tmp_path).returncode == 0
    (ours,) = gather([tmp_path / "results"])
    expected = {"nDCG@5": ndcg["NDCG@5"], "MAP@3": mean_precision["MAP@3"], "R@5": recall["Recall@5"]}
    measures = ours.result.manifest["measures"]
    assert expected == pytest.approx({name: measures[name] for name in expected}, abs=1e-5)


def test_every_query_has_its_documents_best_first():
    found = evalkit.load_search("bm25", library="beir", depth=2).search(CORPUS, QUERIES, 1, "cos_sim")
    assert {"q1": "d1", "q2": "d3"} == {query_id: next(iter(documents)) for query_id, documents in found.items()}
    assert {1} == {len(documents) for documents in found.values()}


def test_objects_of_ones_own_are_stages_too():
    def by_length(pairs):
        return [-len(document) for _, document in pairs]

    search = evalkit.load_search({"q1": {"d2": 1.0, "d1": 2.0}, "q2": {"d3": 1.0}}, by_length, library="beir")
    assert {"q1": ["d2", "d1"], "q2": ["d3"]} == {
        query_id: list(found) for query_id, found in search.search(CORPUS, QUERIES, 100).items()
    }


def test_a_document_with_the_id_of_the_query_is_left_out_before_the_cut():
    found = evalkit.load_search("bm25", library="beir", depth=1).search(CORPUS, {"d1": "the sea moon bread rise"}, 1)
    assert ["d3"] == list(found["d1"])


def test_a_cutoff_beyond_the_depth_and_a_similarity_of_its_own_are_warned_of(caplog):
    search = evalkit.load_search("bm25", library="beir", depth=2)
    search.search(CORPUS, QUERIES, 2, "cos_sim")
    assert "evalkit" not in caplog.text
    search.search(CORPUS, QUERIES, 1000, "dot")
    assert "score_function=dot is not used" in caplog.text
    assert "Set depth=1000 to have all" in caplog.text


def test_language_is_seen_or_that_of_the_card(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "evalkit.interchange.two_stages.TwoStages.search",
        lambda _, dataset, config, **__: seen.append((dataset.language, config.key)),
    )
    chinese = {"d1": {"title": "潮汐", "text": "月亮吸引海水"}}
    evalkit.load_search("bm25", library="beir").search(chinese, QUERIES, 1)
    evalkit.load_search("bm25", library="beir").search(CORPUS, QUERIES, 1)
    evalkit.load_search("bm25", library="beir", dataset="scifact").search(CORPUS, QUERIES, 1)
    assert [("zh", "beir"), ("en", "beir"), ("en", "scifact")] == seen


@pytest.mark.parametrize(
    ("corpus", "queries", "words"),
    [
        ({}, QUERIES, "the corpus is {}"),
        ([], QUERIES, r"the corpus is \[\]"),
        ({"d1": "a text"}, QUERIES, "document 'd1' of the corpus is 'a text', expected its title and text"),
        ({1: {"text": "a text"}}, QUERIES, "document 1 of the corpus"),
        ({"d1": {"text": 3}}, QUERIES, "document 'd1' of the corpus"),
        (CORPUS, ["a query"], r"the queries are \['a query'\], expected texts by id"),
        (CORPUS, {"q": None}, "the queries are {'q': None}"),
    ],
)
def test_another_corpus_or_other_queries_are_refused(corpus, queries, words):
    with pytest.raises(DataError, match=words):
        evalkit.load_search("bm25", library="beir").search(corpus, queries, 1)


def test_wrong_settings_are_named():
    with pytest.raises(ConfigError, match="library=pyserini is not a choice"):
        evalkit.load_search("bm25", library="pyserini")
    with pytest.raises(ConfigError, match="dataset=scifact is for library='beir'"):
        evalkit.load_search("bm25", dataset="scifact")
    with pytest.raises(ConfigError, match="depth=0 is not a number"):
        evalkit.load_search("bm25", library="beir", depth=0)
