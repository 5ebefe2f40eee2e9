"""Rerankers that read no text: keep the order, and replay scores from a file."""

import json

import numpy as np
import pytest

from evalkit.config import ComputeConfig
from evalkit.errors import DataError
from evalkit.rerank import build
from evalkit.rerank.passthrough import KeepOrder, KeepOrderConfig, Replay, ReplayConfig
from evalkit.run import Run

CANDIDATES = {"q1": {"a": 3.0, "b": 2.0, "c": 1.0, "d": 0.5}, "q2": {"a": 9.0, "z": 8.0}}


@pytest.fixture
def candidates() -> Run:
    return Run.from_dict(CANDIDATES)


@pytest.fixture
def replay(tmp_path):
    """A replay of these scores."""

    def made(scores: dict[str, dict[str, float]], **settings) -> Replay:
        path = tmp_path / "scores.json"
        path.write_text(json.dumps(scores), encoding="utf-8")
        return Replay(ReplayConfig(name="replay", path=str(path), **settings))

    return made


def listed(run: Run) -> dict[str, list[str]]:
    return {query_id: doc_ids for query_id, doc_ids, _ in run}


def test_none_returns_the_same_run(candidates):
    before = candidates.digest()
    assert candidates is KeepOrder().reorder(candidates)[0]
    assert before == candidates.digest()


def test_configuration_named_none_keeps_the_order(candidates):
    assert candidates is build(KeepOrderConfig(name="none"), ComputeConfig(device="cpu")).reorder(candidates)[0]


def test_candidates_get_the_scores_of_the_file(replay, candidates):
    scores = {"q1": {"a": -1.0, "b": 0.25, "c": 7.5, "d": 0.25}, "q2": {"a": 0.0, "z": 1.0}}
    actual = replay(scores).reorder(candidates)[0]
    assert listed(actual) == {"q1": ["c", "d", "b", "a"], "q2": ["z", "a"]}
    assert actual.scores.tolist() == [7.5, 0.25, 0.25, -1.0, 1.0, 0.0]


def test_trec_run_is_replayed_by_its_scores(tmp_path, candidates):
    lines = [
        f"{query} Q0 {doc} 1 {-score} tag\n" for query, found in CANDIDATES.items() for doc, score in found.items()
    ]
    (tmp_path / "run.trec").write_text("".join(lines), encoding="utf-8")
    actual = Replay(ReplayConfig(name="replay", path=str(tmp_path / "run.trec"))).reorder(candidates)[0]
    assert {query_id: doc_ids[::-1] for query_id, doc_ids in listed(candidates).items()} == listed(actual)


def test_rows_of_the_file_outside_the_candidates_are_left_out(replay, candidates):
    scores = {query: dict.fromkeys([*found, "other"], 1.0) for query, found in [*CANDIDATES.items(), ("q9", {"a": 1})]}
    actual = replay(scores).reorder(candidates)[0]
    assert {"q1": {"a", "b", "c", "d"}, "q2": {"a", "z"}} == {
        query: set(docs) for query, docs in listed(actual).items()
    }


def kinds(reordered) -> list[str]:
    return [note.kind for note in reordered.notes]


def test_scored_documents_outside_the_candidates_are_counted_in_a_note(replay, candidates):
    scores = {**CANDIDATES, "q1": {**CANDIDATES["q1"], "other": 9.0, "more": 0.1}, "q9": {"a": 1.0}}
    (note,) = replay(scores).reorder(candidates).notes
    assert (note.kind, note.facts) == ("not_candidates", {"documents": 3, "example": ["q1", "other"]})
    assert note.text == "3 scored documents are not candidates and were left out, such as other for query q1"
    assert [] == kinds(replay(CANDIDATES).reorder(candidates))


def test_ranks_against_scores_are_a_note_and_can_be_taken(tmp_path, candidates):
    rows = [(query, doc, rank) for query, found in CANDIDATES.items() for rank, doc in enumerate(found, start=1)]
    path = tmp_path / "run.trec"
    path.write_text("".join(f"{query} Q0 {doc} {rank} {rank / 10} l2\n" for query, doc, rank in rows))
    by_score = Replay(ReplayConfig(name="replay", path=str(path))).reorder(candidates)
    assert (listed(by_score.run)["q1"], kinds(by_score)) == (["d", "c", "b", "a"], ["ranks_disagree"])
    assert "reranker.order=rank" in by_score.notes[0].text
    by_rank = Replay(ReplayConfig(name="replay", path=str(path), order="rank")).reorder(candidates)
    assert (listed(by_rank.run)["q1"], kinds(by_rank)) == (["a", "b", "c", "d"], [])


def test_ties_are_a_note(replay, candidates):
    assert ["ties"] == kinds(
        replay({query: dict.fromkeys(found, 1.0) for query, found in CANDIDATES.items()}).reorder(candidates)
    )


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ({"Q1": {"a": 1.0}}, "'Q1' stands in the file and 'q1' in the candidates"),
        ({"q1": {"A": 1.0}}, "'A' stands in the file and 'a' in the candidates"),
    ],
)
def test_a_file_without_a_score_of_any_candidate_is_refused_with_ids_that_look_alike(replay, candidates, scores, told):
    with pytest.raises(DataError, match=told):
        replay(scores, missing="below").reorder(candidates)


def test_missing_candidate_is_an_error_that_names_it(replay, candidates):
    with pytest.raises(DataError, match=r"no score for 2 of 6 candidates, such as 'c' for query 'q1'.*missing=below"):
        replay({"q1": {"a": 1.0, "b": 2.0, "d": 3.0}, "q2": {"a": 1.0}}).reorder(candidates)[0]


def test_missing_candidates_go_below_in_first_stage_order(replay, candidates):
    actual = replay({"q1": {"d": -5.0, "b": 4.0}, "q2": {"z": 2.0}}, missing="below").reorder(candidates)[0]
    assert listed(actual) == {"q1": ["b", "d", "a", "c"], "q2": ["z", "a"]}
    assert actual.scores[:2].tolist() == [4.0, -5.0]


def test_first_stage_order_decides_among_missing_candidates_also_where_ids_say_otherwise(replay):
    first = Run.from_dict({"q1": {"a": 5.0, "b": 5.0, "z": 4.0, "m": 3.0, "y": 2.0}})
    assert listed(first)["q1"] == ["b", "a", "z", "m", "y"]
    actual = replay({"q1": {"y": 1.0}}, missing="below").reorder(first)[0]
    assert listed(actual)["q1"] == ["y", "b", "a", "z", "m"]


@pytest.mark.parametrize("scale", [1e6, 1e8, 1e9, -1e9, 3e38, -3e38])
def test_missing_candidates_go_below_whatever_the_size_of_the_scores(replay, candidates, scale):
    """float32 has no 1e9 - 1: one less than the lowest score is the same score."""
    actual = replay({"q1": {"a": scale}, "q2": {"a": scale, "z": scale}}, missing="below").reorder(candidates)[0]
    assert listed(actual) == {"q1": ["a", "b", "c", "d"], "q2": ["z", "a"]}
    assert (actual.scores[1:4] < actual.scores[0]).tolist() == [True] * 3


def test_file_that_scores_no_candidate_is_refused_even_with_missing_below(replay, candidates):
    with pytest.raises(DataError, match="another dataset"):
        replay({"q9": {"a": 1.0}}, missing="below").reorder(candidates)


def test_candidates_without_a_score_are_counted(replay, candidates):
    scored = {"q1": {"a": 1.0}}
    unscored = replay(scored, missing="below").reorder(candidates).unscored
    assert unscored == len(candidates) - 1


def test_replay_leaves_the_candidates_unchanged(replay, candidates):
    before = candidates.digest()
    replay({"q1": {"d": 9.0}}, missing="below").reorder(candidates)
    assert before == candidates.digest()
    assert np.float32 == candidates.scores.dtype


def test_absent_file_is_refused_at_once(tmp_path):
    with pytest.raises(DataError, match="no such run file"):
        Replay(ReplayConfig(name="replay", path=str(tmp_path / "absent.trec")))


def test_identity_is_the_content_and_the_policy(replay):
    one = replay({"q1": {"a": 1.0}}).identity
    below = replay({"q1": {"a": 1.0}}, missing="below").identity
    other = replay({"q1": {"a": 2.0}}).identity
    assert [[one, below, other].count(identity) for identity in (one, below, other)] == [1] * 3


def test_the_order_is_part_of_the_identity_where_it_is_chosen_alone(replay):
    assert "order" not in replay(CANDIDATES).identity
    assert replay(CANDIDATES, order="rank").identity["order"] == "rank"
