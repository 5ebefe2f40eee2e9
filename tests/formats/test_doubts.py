"""What cannot be meant of a run, and what may not be."""

import pytest

from evalkit.errors import DataError
from evalkit.formats import doubts
from evalkit.formats.runfile import RunFile
from evalkit.run import Run


def refuse(qrels, scores):
    doubts.require_judged(qrels, Run.from_dict(scores), name="run", judged_in="qrels")


def test_a_run_with_a_judged_document_is_fine_also_where_it_is_judged_0():
    refuse({"q": {"d": 0}, "other": {"x": 1}}, {"q": {"d": 1.0, "e": 2.0}, "more": {"y": 1.0}})


def test_a_run_without_any_judged_query_is_refused_with_two_ids_that_look_alike():
    with pytest.raises(
        DataError, match=r"^run: no query of the run is judged in qrels\. '1\.0' stands in the run and '1'"
    ):
        refuse({"1": {"d": 1}, "3": {"d": 1}}, {"1.0": {"d": 1.0}, "3.0": {"d": 1.0}})


def test_a_run_without_any_judged_document_is_refused_with_two_ids_that_look_alike():
    with pytest.raises(
        DataError,
        match=r"^run: no retrieved document is judged in qrels for its query\. 'd1' stands in the run and 'D1'",
    ):
        refuse({"q": {"D1": 1}, "other": {"d2": 1}}, {"q": {"d1": 1.0, "d2": 2.0}})


def test_documents_that_are_judged_for_other_queries_alone_are_refused_too():
    with pytest.raises(DataError, match="They are judged for other queries"):
        refuse({"q1": {"a": 1}, "q2": {"b": 1}}, {"q1": {"b": 1.0}, "q2": {"a": 1.0}})


def test_without_judgments_or_documents_there_is_nothing_to_compare():
    refuse({}, {"q": {"d": 1.0}})
    refuse({"q": {"d": 1}}, {})


def test_missing_query_is_shown_with_its_lookalike_in_the_run():
    note = doubts.missing_queries(("07",), Run.from_dict({"1": {"d": 1.0}, "7": {"d": 1.0}}), 2)
    assert note is not None
    assert note.text == (
        "1 of 2 judged queries are not in the run and count 0, such as 07; "
        "the run has '7' where the judgments have '07'"
    )
    assert note.as_json() == {
        "kind": "queries_missing", "queries": 1, "of": 2, "example": "07", "lookalike": ["07", "7"], "text": note.text
    }  # fmt: skip


def test_disagreement_is_counted_over_the_queries_that_count():
    run = Run.from_dict({"q1": {"a": 1.0}, "q2": {"a": 1.0}, "q3": {"a": 1.0}})
    file = RunFile(run, by_rank=run, disagreeing=("q1", "q3"))
    note = doubts.disagreement(file, {"q1", "q2"}, remedy="--order rank")
    assert note is not None
    assert {"queries": 1, "of": 2, "example": "q1"} == note.facts
    assert "--order rank takes the rank column" in note.text
    assert doubts.disagreement(file, {"q2"}, remedy="") is None


def test_ties_are_noted_with_the_range_of_each_measure():
    run = Run.from_dict({"q1": {"a": 1.0, "b": 1.0}, "q2": {"a": 1.0, "b": 2.0}})
    note = doubts.with_bounds(doubts.ties(RunFile(run), run, remedy="--order rank"), {"RR@10": (0.25, 0.75)})
    assert {"queries": 1, "of": 2, "example": "q1"}.items() <= note.facts.items()
    assert note.facts["values"] == {"RR@10": {"least": 0.25, "greatest": 0.75}}
    assert "RR@10 0.2500 to 0.7500" in note.text
    assert "--order rank" not in note.text  # there are no ranks to take
    assert "--order rank" in doubts.ties(RunFile(run, by_rank=run), run, remedy="--order rank").text


def test_ties_below_the_first_ten_are_ignored():
    run = Run.from_dict({"q": {f"d{place}": float(-min(place, 11)) for place in range(14)}})
    assert doubts.ties(RunFile(run), run, remedy="") is None


def test_own_ids_are_counted_unless_they_are_judged_relevant():
    run = Run.from_dict({"a": {"a": 1.0, "b": 2.0}, "b": {"b": 1.0}, "c": {"a": 1.0}})
    note = doubts.own_ids(run, {"a": {"a": 0}, "b": {"b": 1}, "c": {}}, remedy="--drop-identical-ids")
    assert note is not None
    assert {"queries": 1, "of": 3, "example": "a"} == note.facts
    assert doubts.own_ids(Run.from_dict({"c": {"a": 1.0}}), {}, remedy="") is None


def test_a_relevant_document_under_an_id_of_other_zeros_is_noted():
    qrels = {"q": {"00042": 1, "00007": 1}, "r": {"9": 1}}
    run = Run.from_dict({"q": {"42": 2.0, "00007": 1.0}, "r": {"8": 1.0}})
    note = doubts.other_spelling(run, qrels)
    assert (1, 2, ["42", "00042"]) == (note.facts["queries"], note.facts["of"], note.facts["example"])
    whole = Run.from_dict({"q": {"00042": 2.0, "42": 1.5, "00007": 1.0}, "r": {"8": 1.0}})
    assert doubts.other_spelling(whole, qrels) is None


def test_judgments_without_a_relevant_document_are_noted():
    assert "every measure is 0" in doubts.nothing_relevant({"q": {"d": 0}, "r": {"d": -1}}).text
    assert doubts.nothing_relevant({"q": {"d": 0}, "r": {"e": 1}}) is None
