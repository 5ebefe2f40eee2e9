"""Candidates, exclusions and instructions in published tables: on the hub, and as `hf download` left them."""

from types import SimpleNamespace

import pyarrow as pa
import pytest
from local_hub import LocalHub, hub_clients
from miniatures import write_parquet

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load, loader, mteb_task
from evalkit.datasets.candidate_lists import candidates_of_lists, excluded_by_lists, with_tables
from evalkit.datasets.columns import judged
from evalkit.datasets.hub_dataset import HubDatasetConfig
from evalkit.datasets.hub_examples import ExamplesDatasetConfig
from evalkit.errors import DataError

REVISION = "c" * 40
LISTS = {"q1": ["d2", "d1", "d3"], "q2": ["d3", "d1"]}
INSTRUCTIONS = {"q1": "only wild ones", "q2": None}


def tables(prefix="", *, lists="top_ranked"):
    """A reranking dataset of mteb, whose lists have the relevant document first; perhaps of one subset."""
    made = {
        "corpus": {"corpus": {"_id": ["d1", "d2", "d3"], "title": [""] * 3, "text": ["bees", "wild bees", "bread"]}},
        "queries": {"queries": {"_id": ["q1", "q2"], "text": ["bees", "bread"]}},
        "qrels": {"test": {"query-id": ["q1", "q2"], "corpus-id": ["d2", "d3"], "score": [1, 1]}},
        lists: {"test": {"query-id": list(LISTS), "corpus-ids": list(LISTS.values())}},
        "instruction": {"instruction": {"query-id": list(INSTRUCTIONS), "instruction": list(INSTRUCTIONS.values())}},
    }
    return {f"{prefix}{part}": splits for part, splits in made.items()}


def card(**settings):
    return HubDatasetConfig(
        "made", hub_id="made/lists", revision=REVISION, candidates="top_ranked", instructions="instruction", **settings
    )


def scores(dataset):
    return {query_id: dict(zip(ids, values.tolist(), strict=True)) for query_id, ids, values in dataset.candidates}


@pytest.mark.parametrize("subset", [None, "zho"])
def test_lists_and_instructions_of_the_hub_are_read_and_there_offline(subset, tmp_path, store):
    served = write_parquet(tmp_path / "served", tables(f"{subset}-" if subset else ""))
    with (
        LocalHub({f"datasets/made/lists@{REVISION}": served}) as hub,
        hub_clients(hub.endpoint, tmp_path / "home"),
    ):
        dataset = load(card(subset=subset), store)
        listed = loader(card(subset=subset), store).remote_files()
        assert {file.name.split("/")[-2].removeprefix("zho-") for file in listed} == set(tables())
    assert scores(dataset) == {
        query_id: dict.fromkeys(sorted(ids, reverse=True), 0.0) for query_id, ids in LISTS.items()
    }
    assert dataset.instructions == {"q1": "only wild ones"}
    with hub_clients("http://127.0.0.1:9", tmp_path / "home", offline=True):
        again, plain = load(card(subset=subset), store), loader(card(subset=subset), store)
        assert plain.is_here()
    assert (again.digest, scores(again)) == (dataset.digest, scores(dataset))


def test_lists_that_a_card_calls_a_ranking_keep_their_order(tmp_path, store):
    folder = write_parquet(tmp_path / "left", tables())
    ranked = load(card(path=str(folder), candidates_ranked=True), store)
    unranked = load(card(path=str(folder)), store)
    assert [ids for _, ids, _ in ranked.candidates] == list(LISTS.values())
    assert scores(unranked)["q1"] == {"d1": 0.0, "d2": 0.0, "d3": 0.0}
    assert ranked.digest != unranked.digest


def test_lists_under_another_name_are_those_that_the_card_names(tmp_path, store):
    folder = write_parquet(tmp_path / "left", tables(lists="bm25"))
    config = HubDatasetConfig("made", hub_id="made/lists", revision=REVISION, candidates="bm25", path=str(folder))
    dataset = load(config, store)
    assert len(dataset.candidates) == 5
    assert dataset.instructions == {}


@pytest.mark.parametrize("called", ["instruction", "instructions"])
def test_what_hf_download_left_is_read_with_its_lists_and_instructions(tmp_path, store, called):
    made = tables()
    made[called] = made.pop("instruction")
    dataset = load(FolderDatasetConfig(path=str(write_parquet(tmp_path / "left", made))), store)
    assert scores(dataset) == {
        query_id: dict.fromkeys(sorted(ids, reverse=True), 0.0) for query_id, ids in LISTS.items()
    }
    assert dataset.instructions == {"q1": "only wild ones"}


QUERIES = {"_id": ["q1", "q2"], "text": ["bees", "bread"]}
QRELS = pa.table({"query-id": ["q1", "q2"], "corpus-id": ["d2", "d3"], "score": [1, 1]})


def test_columns_of_the_queries_say_what_they_exclude_and_ask_for():
    """BRIGHT has `N/A` for nothing."""
    columns = {"instruction": ["only wild ones", None], "excluded_ids": [["d1", "d3", "d1"], ["N/A"]]}
    found = judged(QRELS, pa.table({**QUERIES, **columns}), "x")
    assert found.excluded == {"q1": ["d1", "d3"]}
    assert found.instructions == {"q1": "only wild ones"}


def test_queries_of_bright_exclude_documents(tmp_path, store):
    examples = {
        "id": ["q1", "q2"],
        "query": ["why", "how"],
        "gold_ids": [["b"], ["a"]],
        "excluded_ids": [["a"], ["N/A"]],
    }
    documents = {"id": ["a", "b", "c"], "content": ["Why not.", "Because.", "So."]}
    served = write_parquet(tmp_path / "served", {"documents": {"aops": documents}, "examples": {"aops": examples}})
    with LocalHub({f"datasets/made/bright@{REVISION}": served}) as hub, hub_clients(hub.endpoint, tmp_path / "home"):
        dataset = load(ExamplesDatasetConfig("bright", hub_id="made/bright", revision=REVISION, part="aops"), store)
    assert (dataset.queries, dataset.excluded) == ({"q1": "why", "q2": "how"}, {"q1": ["a"]})


def test_tables_with_other_columns_are_refused_with_what_is_expected():
    found = judged(QRELS, pa.table(QUERIES), "x")
    wrong = pa.table({"query-id": ["q1"], "passages": [["d1"]]})
    with pytest.raises(DataError, match="x: columns query-id, passages, expected query-id and corpus-ids"):
        with_tables(found, candidates=wrong, instructions=None, is_ranking=False, label="x")


def test_lists_in_the_order_of_a_first_stage_keep_it():
    run, notes = candidates_of_lists({"q": ["b", "a", "b", "c"], "p": []}, is_ranking=True, source="x")
    assert ([ids for _, ids, _ in run], notes) == ([["b", "a", "c"]], {"candidates_repeated": 1})


def test_what_lists_of_allowed_documents_leave_out_is_excluded():
    assert excluded_by_lists({"q": ["a", "b"], "p": ["a", "b", "c"]}, ["a", "b", "c"]) == {"q": ["c"]}


# Lists of mteb's tasks, without mteb


def of_task(kind, lists, *, made_of_predictions=False, is_ranking=False):
    task = SimpleNamespace(
        metadata=SimpleNamespace(name="Made", type=kind),
        _previous_results_model_meta={"name": "bm25"} if made_of_predictions else None,
    )
    return mteb_task.lists_of_task(
        task, {"corpus": {"id": ["a", "b", "c"]}, "top_ranked": lists}, is_ranking=is_ranking
    )


@pytest.mark.parametrize("kind", ["Reranking", "InstructionReranking"])
def test_lists_of_a_reranking_task_are_candidates_without_an_order(kind):
    """Also where they are most of a small corpus."""
    found = of_task(kind, {"q": ["c", "a", "b", "a"]})
    assert found.excluded == {}
    assert [(ids, values.tolist()) for _, ids, values in found.candidates] == [(["c", "b", "a"], [0.0] * 3)]
    assert found.notes == {"candidates_repeated": 1}


@pytest.mark.parametrize("said", [{"made_of_predictions": True}, {"is_ranking": True}])
def test_lists_made_of_predictions_or_said_to_be_ranked_keep_their_order(said):
    found = of_task("Retrieval", {"q": ["b", "c"], "p": ["c"]}, **said)
    assert [ids for _, ids, _ in found.candidates] == [["c"], ["b", "c"]]


def test_lists_of_most_documents_of_a_retrieval_task_exclude_the_others():
    found = of_task("Retrieval", {"q": ["a", "b"], "p": ["a", "b", "c"]})
    assert (found.candidates, found.excluded) == (None, {"q": ["c"]})


@pytest.mark.parametrize("lists", [None, {}])
def test_a_task_without_lists_has_neither(lists):
    found = of_task("Retrieval", lists)
    assert (found.candidates, found.excluded, found.notes) == (None, {}, {})
