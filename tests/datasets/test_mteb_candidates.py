"""Tasks of mteb with candidates, exclusions and instructions have the values that mteb itself computes for them."""

import miniatures
import numpy as np
import pytest
from library_collection import arguments, triple
from local_hub import LocalHub, hub_clients
from mteb_made import WordCrossEncoder, WordEncoder, scores, task_of

import evalkit
from evalkit.interchange.writers import export

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,  # importing mteb takes seconds
    pytest.mark.filterwarnings("default"),
]

NAMES = {"nDCG@10": "ndcg_at_10", "MAP@1000": "map_at_1000", "RR@10": "mrr_at_10", "R@5": "recall_at_5"}
CORPUS, QUERIES, QRELS = triple()
INSTRUCTIONS = {query_id: f"moon and bees {number}" for number, query_id in enumerate(QUERIES)}
LISTS = {  # relevant documents first, then every third of the others
    query_id: [
        *sorted(QRELS[query_id]),
        *[doc_id for doc_id in list(CORPUS)[place::3] if doc_id not in QRELS[query_id]],
    ]
    for place, query_id in enumerate(QUERIES)
}


class Constant(WordCrossEncoder):
    """A cross-encoder of mteb that says nothing."""

    def predict(self, inputs1, inputs2, **_):
        del inputs2
        return np.zeros(sum(len(batch["text"]) for batch in inputs1))


@pytest.fixture
def given(tmp_path):
    pytest.importorskip("mteb")
    return {**arguments(tmp_path), "measures": list(NAMES), "depth": 100, "retriever": "own"}


def made(**parts):
    return task_of(CORPUS, QUERIES, QRELS, **parts)


def equal(found, theirs):
    """Whether measures are mteb's, which are rounded to five digits."""
    ours = {name: found.measures[name] for name in NAMES}
    return ours == pytest.approx({name: theirs[name_of] for name, name_of in NAMES.items()}, abs=6e-6)


@pytest.mark.parametrize("model", [WordCrossEncoder, Constant])
@pytest.mark.parametrize("kind", ["Reranking", "Retrieval", "InstructionReranking"])
def test_candidates_of_a_task_reranked_have_the_values_of_mteb(given, tmp_path, kind, model):
    """With relevant documents first in each list, a query without a list, and judged documents in no list."""
    lists = dict(LISTS)
    del lists[next(iter(QUERIES))]
    last = list(QUERIES)[-1]
    lists[last] = lists[last][1:]
    theirs = scores(model(), made(type=kind, top_ranked=lists), tmp_path / "mteb")
    found = evalkit.evaluate(**{**given, "dataset": made(type=kind, top_ranked=lists), "reranker": model()})
    assert equal(found, theirs)
    assert found.result.manifest["queries_without_candidates"] == [next(iter(QUERIES))]


def test_a_constant_reranker_over_candidates_of_a_task_gives_what_none_gives(given):
    task = {"type": "Reranking", "top_ranked": LISTS}
    none = evalkit.evaluate(**{**given, "dataset": made(**task), "reranker": "none"})
    constant = evalkit.evaluate(**{**given, "dataset": made(**task), "reranker": Constant()})
    assert constant.measures == none.measures
    assert none.measures["nDCG@10"] < 0.9
    assert [note["kind"] for note in none.candidates.manifest["notes"]] == ["ties", "all_relevant"]


def test_documents_that_queries_of_a_task_exclude_are_as_in_mteb(given, tmp_path):
    """As tasks of BRIGHT say it: each query lists all documents that it may have."""
    allowed = {
        query_id: [doc_id for doc_id in list(CORPUS)[place % 5 :] if doc_id not in sorted(QRELS[query_id])[:1]]
        for place, query_id in enumerate(QUERIES)
    }
    theirs = scores(WordEncoder(), made(top_ranked=allowed), tmp_path / "mteb")
    found = evalkit.evaluate(**{**given, "dataset": made(top_ranked=allowed), "retriever": WordEncoder()})
    assert equal(found, theirs)
    whole = evalkit.evaluate(**{**given, "dataset": made(), "retriever": WordEncoder()})
    assert not equal(whole, theirs)
    assert found.result.manifest["dataset"]["excluded"] > 0


@pytest.mark.parametrize("kind", ["InstructionReranking", "InstructionRetrieval"])
def test_instructions_appended_to_queries_are_what_mteb_gives_to_models(given, tmp_path, kind):
    parts = {"type": kind, "instructions": INSTRUCTIONS, "name": "MadeRetrieval"}
    reranks = kind == "InstructionReranking"
    if reranks:
        parts["top_ranked"] = LISTS
    model = WordCrossEncoder if reranks else WordEncoder
    theirs = scores(model(), made(**parts), tmp_path / "mteb")
    given |= {"reranker": model()} if reranks else {"retriever": model()}
    found = evalkit.evaluate(**{**given, "dataset": (made(**parts), {"append_instructions": True})})
    assert equal(found, theirs)
    assert not equal(evalkit.evaluate(**{**given, "dataset": made(**parts)}), theirs)


def test_a_task_made_of_predictions_has_candidates_in_their_order(given, tmp_path):
    """`convert_to_reranking` sorts the predictions of a first stage and cuts them."""
    first = evalkit.evaluate(**{**given, "dataset": made(), "retriever": "bm25", "depth": 20})
    path = export([first], "mteb-predictions", tmp_path / "out")[0]
    task = made()
    task.load_data()
    task.convert_to_reranking(path, top_k=5)
    found = evalkit.evaluate(**{**given, "dataset": task, "depth": 5})
    assert [ids for _, ids, _ in found.run] == [ids[:5] for _, ids, _ in first.run]
    assert equal(
        evalkit.evaluate(**{**given, "dataset": task, "reranker": WordCrossEncoder(), "depth": 5}),
        scores(WordCrossEncoder(), task, tmp_path / "mteb"),
    )


def test_results_on_a_reranking_task_are_results_of_mteb(given, tmp_path):
    """mteb's own result of the same task, with the same scores, has the same values under the same names."""
    import mteb

    served = miniatures.write_reranking(tmp_path / "served")
    revision = "a34fe6bc0dff185af1228e49a0f6fb1de1565627"
    with (
        LocalHub({f"datasets/mteb/T2Reranking@{revision}": served}) as hub,
        hub_clients(hub.endpoint, tmp_path / "home"),
    ):
        given |= {"dataset": ("mteb", {"task": "T2Reranking"}), "reranker": WordCrossEncoder()}
        found = evalkit.evaluate(**given)
        export([found], "mteb", tmp_path / "ours")
        task = mteb.get_task("T2Reranking")
        theirs = mteb.evaluate(
            WordCrossEncoder(), [task], cache=mteb.ResultCache(tmp_path / "theirs"), co2_tracker=False
        )
    loaded = mteb.ResultCache(tmp_path / "ours").load_results(load_experiments="match_name")
    (result,) = [one for model in loaded.model_results if "WordCross" in model.model_name for one in model.task_results]
    (expected,) = theirs.task_results
    assert result.task_name == "T2Reranking"
    assert result.get_score() == expected.get_score() == result.scores["dev"][0]["map_at_1000"]
    own, of_mteb = result.scores["dev"][0], expected.scores["dev"][0]
    assert {name: of_mteb[name] for name in own} == own
    assert {"map_at_1000", "mrr_at_10", "ndcg_at_10"} <= own.keys()


def test_predictions_of_mteb_on_a_reranking_task_are_read(given, tmp_path):
    """The file that `mteb.evaluate` writes is the order of a reranker, or of a first stage."""
    import mteb

    task = made(type="Reranking", top_ranked=LISTS)
    mteb.evaluate(
        WordCrossEncoder(),
        [task],
        cache=mteb.ResultCache(tmp_path / "mteb"),
        prediction_folder=tmp_path / "predictions",
        co2_tracker=False,
    )
    (path,) = (tmp_path / "predictions").rglob("*_predictions.json")
    given["dataset"] = made(type="Reranking", top_ranked=LISTS)
    replayed = evalkit.evaluate(**{**given, "reranker": ("replay", {"path": str(path)})})
    scored = evalkit.evaluate(**{**given, "reranker": WordCrossEncoder()})
    assert replayed.measures == scored.measures
    assert replayed.result.manifest["unscored_pairs"] == 0
    saved = evalkit.evaluate(**{**given, "retriever": path})
    assert saved.measures == scored.measures


def test_the_p_mrr_of_a_task_of_followir_is_that_of_mteb(given, tmp_path):
    """Each query twice, with two instructions, of which the second makes a relevant document irrelevant."""
    ids = {f"{query_id}-{end}": query_id for query_id in list(QUERIES)[:6] for end in ("og", "changed")}
    queries = {name: QUERIES[query_id] for name, query_id in ids.items()}
    qrels = {name: dict.fromkeys(LISTS[query_id][:4], 1) for name, query_id in ids.items()}
    changed = {}
    for place, query_id in enumerate(list(QUERIES)[:6]):
        changed[query_id] = LISTS[query_id][place % 3 : place % 3 + 2]
        qrels[f"{query_id}-changed"] |= dict.fromkeys(changed[query_id], 0)
    instructions = {name: "moon tides" if name.endswith("-og") else "bees and honey and bread" for name in queries}

    def task_specific_scores(self, scores, qrels, results, hf_split, hf_subset):
        from mteb._evaluators.retrieval_metrics import evaluate_p_mrr_change

        del scores, hf_split, hf_subset
        return evaluate_p_mrr_change(qrels, results, changed, self.k_values)

    def task():
        return task_of(
            CORPUS,
            queries,
            qrels,
            type="InstructionReranking",
            top_ranked={name: LISTS[query_id] for name, query_id in ids.items()},
            instructions=instructions,
            task_specific_scores=task_specific_scores,
        )

    theirs = scores(WordCrossEncoder(), task(), tmp_path / "mteb")
    given |= {"dataset": (task(), {"append_instructions": True}), "measures": [*NAMES, "p-MRR"]}
    found = evalkit.evaluate(**{**given, "reranker": WordCrossEncoder()})
    assert equal(found, theirs)
    assert found.measures["p-MRR"] == pytest.approx(theirs["p-MRR"], abs=1e-6)
    assert abs(found.measures["p-MRR"]) > 0.001
