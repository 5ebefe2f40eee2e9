"""Candidates that a dataset brings, documents that its queries exclude, and lists that give the answer away."""

import logging

import numpy as np
import pytest
from stubs import toy_evaluation

import evalkit
from evalkit.errors import ConfigError, DataError
from evalkit.results.gather import dataset_of

COUNT = 8  # queries, so that a pattern in all of them is not taken for a coincidence
CORPUS = {
    f"{kind}{query}{number}": f"{kind} text {query} {number}"
    for query in range(COUNT)
    for kind in "ab"
    for number in range(3)
}
QUERIES = {f"q{query}": f"text {query}" for query in range(COUNT)}
QRELS = {f"q{query}": {f"a{query}0": 1, f"a{query}1": 1, f"b{query}0": 0} for query in range(COUNT)}
LISTS = {  # positives first, as in many published lists
    f"q{query}": [f"a{query}0", f"a{query}1", f"b{query}0", f"b{query}1", f"b{query}2"] for query in range(COUNT)
}


def constant(pairs):
    return [0.5] * len(pairs)


@pytest.fixture
def given(tmp_path):
    dataset = {"corpus": CORPUS, "queries": QUERIES, "qrels": QRELS, "candidates": LISTS}
    return {
        **toy_evaluation(tmp_path),
        "dataset": dataset,
        "retriever": "own",
        "reranker": "none",
        "measures": "nDCG@10",
    }


def evaluated(given, **changed):
    return evalkit.evaluate(**{**given, **changed})


def kinds(result):
    return [note["kind"] for note in result.manifest.get("notes", ())]


def loaded(given, **parts):
    """The dataset of some parts."""
    return dataset_of(evaluated(given, dataset={**given["dataset"], **parts}, depth=50).result)


def test_candidates_with_scores_are_the_first_stage_in_their_order(given):
    scores = {query: {doc: float(place) for place, doc in enumerate(listed)} for query, listed in LISTS.items()}
    given["dataset"]["candidates"] = scores
    found = evaluated(given, depth=2)
    assert {query: listed[:2:-1] for query, listed in LISTS.items()} == {query: ids for query, ids, _ in found.run}
    assert found.measures["nDCG@10"] == 0.0
    assert ("own-2", "own") == (found.first_stage, found.candidates.manifest["retriever"]["kind"])
    assert kinds(found.candidates) == []


def test_lists_without_scores_have_no_order_and_say_so(given):
    found = evaluated(given, depth=50)
    run = found.candidates.read_run()
    assert set(run.scores.tolist()) == {0.0}
    assert {query: sorted(listed, reverse=True) for query, listed in LISTS.items()} == {
        query: ids for query, ids, _ in run
    }
    assert kinds(found.candidates) == ["ties", "all_relevant"]
    ties, added = (note["text"] for note in found.candidates.manifest["notes"])
    assert ties.startswith(f"the candidates of {COUNT} of {COUNT} queries have no order; ")
    assert f"{COUNT} queries, as in lists to which relevant documents were added; " in added
    bounds = found.candidates.manifest["notes"][0]["values"]["nDCG@10"]
    assert bounds["greatest"] == 1.0
    assert bounds["least"] == pytest.approx(found.measures["nDCG@10"])  # ids of the others come first here


def test_a_note_about_the_list_of_one_query_is_in_the_singular(given):
    one = {part: {"q0": given["dataset"][part]["q0"]} for part in ("queries", "qrels", "candidates")}
    found = evaluated(given, dataset=given["dataset"] | one, depth=50)
    text = found.candidates.manifest["notes"][0]["text"]
    assert text.startswith("the candidates of 1 of 1 query have no order; ")


def test_lists_that_are_said_to_be_ranked_are_a_first_stage(given):
    found = evaluated(given, dataset=(given["dataset"], {"candidates_ranked": True}), depth=3)
    assert {query: listed[:3] for query, listed in LISTS.items()} == {query: ids for query, ids, _ in found.run}


def test_a_constant_reranker_over_lists_with_added_positives_gives_what_the_first_stage_gives(given):
    """A tie that the published order broke would give 1."""
    first = evaluated(given, depth=50)
    found = evaluated(given, reranker=constant, depth=50)
    assert found.measures == first.measures
    assert first.measures["nDCG@10"] < 0.7
    assert COUNT == found.result.manifest["queries_with_ties_in_top_10"]


def test_an_order_that_knows_the_judgments_is_reported(given, caplog):
    with caplog.at_level(logging.WARNING):
        given["dataset"]["candidates"] = {
            query: {doc: -float(place) for place, doc in enumerate(listed)} for query, listed in LISTS.items()
        }
        found = evaluated(given, depth=50)
    assert found.measures["nDCG@10"] == 1.0
    assert kinds(found.candidates) == ["all_relevant", "relevant_first"]
    assert f"relevant documents come first in all {COUNT} queries" in caplog.text


def test_ids_that_tell_the_relevant_documents_are_reported(given):
    """Ties are broken by id, descending."""
    renamed = {doc: doc.replace("a", "z") for doc in CORPUS}
    given["dataset"] = {
        "corpus": {renamed[doc]: text for doc, text in CORPUS.items()},
        "queries": QUERIES,
        "qrels": {query: {renamed[doc]: grade for doc, grade in grades.items()} for query, grades in QRELS.items()},
        "candidates": {query: [renamed[doc] for doc in listed] for query, listed in LISTS.items()},
    }
    assert "relevant_first" in kinds(evaluated(given, depth=50).candidates)


def test_honest_candidates_have_a_ceiling_and_no_such_note(given):
    given["dataset"]["candidates"] = {query: listed[1:] for query, listed in LISTS.items()}
    found = evaluated(given, depth=50)
    assert kinds(found.candidates) == ["ties"]
    assert found.candidates.manifest["ceiling"]["R@20"] == 0.5


def test_a_cut_of_what_has_no_order_is_refused(given):
    with pytest.raises(DataError, match=r"has 5 candidates, which have no order, .* Set depth=5\."):
        evaluated(given, depth=4)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"Q0": ["a00"]}, "its candidates are of none of its queries"),
        ({"q0": ["A00", "B00"]}, "candidates: no retrieved document is judged in the judgments for its query"),
    ],
)
def test_candidates_of_another_collection_are_refused(given, lists, message):
    given["dataset"]["candidates"] = lists
    with pytest.raises(DataError, match=message):
        evaluated(given)


def test_a_dataset_without_candidates_is_refused_with_what_to_do(given):
    del given["dataset"]["candidates"]
    with pytest.raises(ConfigError, match=r"brings no candidates\. Choose a first stage, such as retriever=bm25"):
        evaluated(given)


def test_a_first_stage_that_leaves_candidates_unused_is_warned_of(given, caplog):
    with caplog.at_level(logging.WARNING):
        evaluated(given, retriever="bm25")
    assert "brings candidates of its own, which retriever=bm25 does not use. Set retriever=own" in caplog.text


def test_candidates_and_exclusions_are_part_of_the_digest_and_lists_of_judged_documents_are_not(given):
    del given["dataset"]["candidates"]
    given["retriever"] = "bm25"
    plain = loaded(given).digest
    scores = {query: {doc: 1.0 + place for place, doc in enumerate(ids)} for query, ids in LISTS.items()}
    others = [
        loaded(given, candidates=LISTS),
        loaded(given, candidates=scores),
        loaded(given, candidates={**scores, "q0": {**scores["q0"], "a00": 9.0}}),
        loaded(given, excluded={"q0": ["b01"]}),
        loaded(given, excluded={"q0": ["b01", "b02"]}),
    ]
    assert len({plain, *(dataset.digest for dataset in others)}) == 6
    judged = {query: list(grades) for query, grades in QRELS.items()}
    assert loaded(given, candidates=judged).digest == plain
    assert loaded(given, excluded={"q0": []}).digest == plain
    assert (others[0].notes["candidates"], others[4].notes["excluded"]) == (5 * COUNT, 2)


@pytest.mark.parametrize("retriever", ["bm25", "own", "saved", "python"])
def test_documents_that_a_query_excludes_are_dropped_before_the_cut(given, tmp_path, retriever):
    scores = {query: {doc: 9.0 - place for place, doc in enumerate(listed)} for query, listed in LISTS.items()}
    given["dataset"]["candidates"] = scores
    lines = [f"{query} Q0 {doc} 0 {score} t\n" for query, row in scores.items() for doc, score in row.items()]
    (tmp_path / "run.trec").write_text("".join(lines))
    given["retriever"] = {"saved": tmp_path / "run.trec", "python": scores}.get(retriever, retriever)
    whole = {query: ids for query, ids, _ in evaluated(given, depth=5).run}
    given["dataset"]["excluded"] = {"q0": whole["q0"][:2], "q1": (whole["q1"][1],), "q2": {"absent"}}
    found = {query: ids for query, ids, _ in evaluated(given, depth=3).run}
    assert found["q0"] == whole["q0"][2:5]
    assert found["q1"] == [whole["q1"][0], *whole["q1"][2:4]]
    assert {query: found[query] for query in list(QUERIES)[2:]} == {
        query: whole[query][:3] for query in list(QUERIES)[2:]
    }


def test_results_of_candidates_in_python_are_read_again(given):
    """Queries, judgments, candidates and exclusions are kept with the corpus."""
    given["dataset"] = {**given["dataset"], "excluded": {"q0": {"b00"}}, "instructions": {"q1": "only letters"}}
    found = dataset_of(evaluated(given, depth=50).result)
    assert {query: set(listed) for query, listed in LISTS.items()} == {q: set(ids) for q, ids, _ in found.candidates}
    assert (found.excluded, found.instructions) == ({"q0": ["b00"]}, {"q1": "only letters"})


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"candidates": 7}, "own: candidates"),
        ({"candidates": {"q0": np.int8(1)}}, "query 'q0' has np.int8"),
        (
            {"candidates": {"q0": [("a00", 1.0), ("b00", 2.0)]}},
            r"own: candidates: query 'q0' has \('a00', 1\.0\) \(tuple\), expected an id\. Give lists of ids, or \{doc",
        ),
        ({"excluded": {"q0": [["b00"]]}}, r"own: excluded: query 'q0' has \['b00'\] \(list\), expected an id"),
        ({"candidates": {"q0": ["a00", None]}}, r"query 'q0' has None \(NoneType\), expected an id"),
        (
            {"candidates": {"q0": ["a00"], "q1": {"a10": 1.0}}},
            r"'q1' has \{'a10': 1\.0\} \(dict\)\. Give lists of ids for all queries, or \{document: score\} for all\.",
        ),
        (
            {"candidates": {"q0": {"a00": 1.0}, "q1": ["a10"]}},
            r"'q1' has \['a10'\] \(list\)\. Give lists of ids for all queries, or \{document: score\} for all\.",
        ),
        ({"candidates": {"q0": "a00"}}, r"'q0' has 'a00' \(str\)\. Give lists of ids for all queries"),
        ({"excluded": ["b00"]}, r"excluded is \['b00'\]\. Give \{query id: \[document id, \.\.\.\]\}"),
        ({"instructions": {"q0": 7}}, r"instructions are \{'q0': 7\}\. Give \{query id: text\}"),
    ],
)
def test_parts_of_another_kind_are_refused(given, parts, message):
    given["dataset"] = {**given["dataset"], **parts, "name": "own"}
    with pytest.raises(evalkit.EvalkitError, match=message):
        evaluated(given)


@pytest.mark.parametrize(
    ("absent", "said"),
    [(["gone"], "1 candidate, such as 'gone', is not in "), (["g1", "g2"], "2 candidates, such as 'g1', are not in ")],
)
def test_candidates_that_the_corpus_lacks_are_measured_with_a_warning_and_not_reranked(given, caplog, absent, said):
    given["dataset"]["candidates"] = {**LISTS, "q0": [*LISTS["q0"], *absent]}
    found = evaluated(given, depth=50)
    assert {*LISTS["q0"], *absent} == {doc for query, ids, _ in found.run if query == "q0" for doc in ids}
    assert f"dataset: {said}the corpus. A reranker has no text" in caplog.text
    with pytest.raises(DataError, match=f"^{said}the corpus of .* Add the documents to it, or remove the candidates"):
        evaluated(given, reranker=constant, depth=50)


def test_repeated_candidates_of_a_list_count_once(given):
    given["dataset"]["candidates"] = {**LISTS, "q0": [*LISTS["q0"], "a00"]}
    found = evaluated(given, depth=50)
    assert (len(found.run), found.result.manifest["dataset"]["candidates_repeated"]) == (5 * COUNT, 1)


def test_a_result_under_the_older_name_of_the_first_stage_is_found_again(tmp_path):
    """Reranking samples had a first stage called `judged`; key and folder of its results are the same."""
    (tmp_path / "s.jsonl").write_text('{"query": "bees", "positive": ["honey"], "negative": ["milk"]}\n')
    config = evalkit.evaluate(
        tmp_path / "s.jsonl", results_dir=tmp_path / "results", cache_dir=tmp_path / "cache", depth=5
    )
    assert config.candidates.manifest["retriever"]["kind"] == "judged"
    own = tmp_path / "results" / "s" / "own-5"
    older = own.rename(own.with_name("judged-5"))
    again = evalkit.evaluate(
        tmp_path / "s.jsonl", results_dir=tmp_path / "results", cache_dir=tmp_path / "cache", depth=5
    )
    assert again.candidates.folder.parent == older
    assert not own.exists()
