"""The pipeline inside `mteb.evaluate`: its numbers are those of `evalkit evaluate`, and its rows stay apart."""

import importlib.util
import json

import pytest
from made import grade, write_collection
from mteb_made import ndcg, task_of
from stubs import tiny_bert

import evalkit
from evalkit.cli import main
from evalkit.errors import ConfigError, DataError
from evalkit.results.gather import gather

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,  # importing mteb takes seconds
    pytest.mark.skipif(importlib.util.find_spec("mteb") is None, reason="mteb is not installed"),
]
QUERIES = 6


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return write_collection(tmp_path_factory.mktemp("search") / "collection", queries=QUERIES)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("search") / "model", classifier=True)


@pytest.fixture
def task(collection):
    """The same collection as a task of mteb."""
    corpus, queries = (
        {row["_id"]: row for row in map(json.loads, (collection / f"{name}.jsonl").read_text().splitlines())}
        for name in ("corpus", "queries")
    )
    qrels = {f"q{query}": {f"d{query}_{place}": grade(query, place) for place in range(12)} for query in range(QUERIES)}
    texts = {query_id: row["text"] for query_id, row in queries.items()}
    return task_of({doc_id: {"title": "", "text": row["text"]} for doc_id, row in corpus.items()}, texts, qrels)


@pytest.mark.parametrize("reranker", ["none", "cross_encoder"])
def test_mteb_gets_the_number_of_evalkit(reranker, task, collection, model, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    own = {"model": str(model), "max_length": 64} if reranker == "cross_encoder" else {}
    search = evalkit.load_search("bm25", reranker, depth=8, reranker_settings=own, compute={"device": "cpu"})
    theirs = ndcg(search, task, tmp_path / "mteb")
    arguments = [f"reranker.{key}={value}" for key, value in own.items()]
    arguments += [
        f"dataset.path={collection}",
        f"results_dir={tmp_path / 'results'}",
        f"cache_dir={tmp_path / 'cache'}",
    ]
    assert (
        main(
            [
                "evaluate",
                "dataset=folder",
                "retriever=bm25",
                f"reranker={reranker}",
                "depth=8",
                "compute=cpu",
                *arguments,
            ]
        )
        == 0
    )
    (ours,) = gather([tmp_path / "results"])
    assert theirs == pytest.approx(ours.result.manifest["measures"]["nDCG@10"], abs=1e-5)


def test_rows_of_other_first_stages_and_depths_stay_apart(task, tmp_path):
    searches = [evalkit.load_search("bm25", depth=depth) for depth in (1, 12)]
    found = [ndcg(search, task, tmp_path) for search in searches]
    # The cache of mteb must not serve the first for the second.
    assert found[0] != found[1]
    assert [one.mteb_model_meta.experiment_kwargs["top_k"] for one in searches] == [1, 12]
    assert len({one.mteb_model_meta.revision for one in searches}) == 2


def test_candidates_of_mteb_are_taken_where_it_has_them(task, model):
    task.load_data()
    data = task.dataset["default"]["test"]
    own = {"model": str(model), "max_length": 64}
    search = evalkit.load_search("bm25", "cross_encoder", depth=3, reranker_settings=own, compute={"device": "cpu"})
    about = {
        "task_metadata": task.metadata,
        "hf_split": "test",
        "hf_subset": "default",
        "encode_kwargs": {},
        "num_proc": None,
    }
    search.index(data["corpus"], **about)
    given = {"q0": ["d0_5", "d0_1", "d3_3", "d0_0"], "q1": ["d1_1"]}
    found = search.search(data["queries"], top_k=2, top_ranked=given, **about)
    assert set(found) == {f"q{number}" for number in range(QUERIES)}
    assert len(found["q0"]) == 2
    assert set(found["q0"]) < {"d0_5", "d0_1", "d3_3"}
    assert (list(found["q1"]), found["q2"]) == (["d1_1"], {})


def test_objects_without_an_identity_have_one_for_mteb_while_they_live(task, tmp_path):
    def by_length(pairs):
        return [-len(document) for _, document in pairs]

    first, second = (evalkit.load_search("bm25", by_length) for _ in range(2))
    assert first.mteb_model_meta.revision == first.mteb_model_meta.revision != second.mteb_model_meta.revision
    assert 0 < ndcg(first, task, tmp_path) == ndcg(second, task, tmp_path)


def test_pipeline_is_a_searcher_of_mteb():
    from mteb.models.models_protocols import SearchProtocol

    assert isinstance(evalkit.load_search("bm25"), SearchProtocol)


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="retriever=bm26 is not a choice"):
        evalkit.load_search("bm26")
    with pytest.raises(ConfigError, match=r"depth=0 is not a number of candidates"):
        evalkit.load_search("bm25", depth=0)


def search_of(task, lists, *, depth, reranker="none", instruction=None, **changed):
    """What a search over lists of mteb returns, perhaps with one instruction for all queries."""
    task.load_data()
    data = task.dataset["default"]["test"]
    metadata = task.metadata.model_copy(update=changed)
    about = {"task_metadata": metadata, "hf_split": "test", "hf_subset": "default", "encode_kwargs": {}}
    search = evalkit.load_search("bm25", reranker, depth=depth)
    search.index(data["corpus"], **about)
    queries = data["queries"]
    if instruction:
        queries = queries.add_column("instruction", [instruction] * len(queries))
    return search.search(queries, top_k=100, top_ranked=lists, **about)


def test_documents_that_mteb_does_not_list_are_excluded_from_the_search(task):
    """BRIGHT's tasks list all documents but those that a query excludes; these are no candidates."""
    task.load_data()
    doc_ids = task.dataset["default"]["test"]["corpus"]["id"]
    whole = search_of(task, None, depth=3)
    best = {query_id: next(iter(found), None) for query_id, found in whole.items()}
    lists = {query_id: [doc_id for doc_id in doc_ids if doc_id != top] for query_id, top in best.items()}
    found = search_of(task, lists, depth=3)
    deeper = search_of(task, None, depth=4)
    for query_id, top in best.items():
        assert list(found[query_id]) == [doc_id for doc_id in deeper[query_id] if doc_id != top][:3]


def test_lists_of_a_reranking_task_are_taken_whole_and_in_no_order(task):
    """Their first documents may be the relevant ones."""
    lists = {"q0": ["d0_5", "d0_1", "d3_3", "d0_0"], "q1": ["d1_1"]}
    found = search_of(task, lists, depth=4, type="Reranking")
    assert set(found["q0"].values()) == {0.0}
    with pytest.raises(DataError, match=r"a query has 4 candidates, which have no order, .* Set depth=4"):
        search_of(task, lists, depth=3, type="Reranking")


def test_instructions_of_queries_follow_their_texts_as_mteb_has_it(task):
    seen = []

    def reading(pairs):
        seen.extend(query for query, _ in pairs)
        return [0.0] * len(pairs)

    lists = {"q0": ["d0_5", "d0_1"]}
    search_of(task, lists, depth=2, reranker=reading, instruction="only bees", type="InstructionReranking")
    assert set(seen) == {"what is query 0 about only bees"}


def test_a_function_that_asks_for_the_instruction_gets_it_apart_from_the_query(task):
    seen = []

    def asked(query, documents, instruction):
        seen.append((query, instruction))
        return [0.0] * len(documents)

    given, lists = (asked, {"instructions": "query"}), {"q0": ["d0_5", "d0_1"]}
    search_of(task, lists, depth=2, reranker=given, instruction="only bees", type="InstructionReranking")
    assert seen == [("what is query 0 about", "only bees")]
