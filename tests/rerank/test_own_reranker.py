"""Rerankers of the user's own: identity, calls, errors, and what is found again."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from in_process import evalkit as command
from stubs import overlap, toy_evaluation

import evalkit
from evalkit.analysis.regression import entries
from evalkit.errors import ConfigError, DataError, ObjectError, ResultError
from evalkit.rerank import own_reranker
from evalkit.rerank.own_reranker import PythonReranker, PythonRerankerConfig
from evalkit.results import without_identity
from evalkit.results.gather import gather
from evalkit.types import Pair

TESTS = Path(__file__).parents[1]
MODULE = """
class Weighted:
    def __init__(self, weight=1.0):
        self.weight = weight

    @property
    def identity(self):
        return {"weight": self.weight}

    def score(self, pairs):
        return [self.weight * len({*query.lower().split()} & {*text.lower().split()}) for query, text in pairs]


def broken(query, documents):
    return {}["nothing"]
"""


@pytest.fixture
def toy(tmp_path):
    return toy_evaluation(tmp_path)


class Counted:
    """A function of query and documents with an identity, which counts its calls."""

    identity = "words"

    def __init__(self):
        self.calls = []

    def __call__(self, query, documents):
        self.calls.append(len(documents))
        return overlap(query, documents)


def test_without_an_identity_nothing_is_found_again_and_a_note_says_how_to_give_one(toy, caplog):
    runs = [evalkit.evaluate(**toy, reranker=overlap).result for _ in range(2)]
    assert all(run.fresh for run in runs)
    assert runs[0].folder != runs[1].folder
    assert "none" == runs[0].manifest["reranker"]["identity"]
    assert "Give the object an attribute `identity`" in caplog.text
    assert not list(toy["cache_dir"].glob("scores/*"))


def test_without_an_identity_an_earlier_result_of_the_same_settings_is_replaced(toy, monkeypatch):
    """But not one of this process, which may still be read, nor one of other settings or with an identity."""
    known = evalkit.evaluate(**toy, reranker=Counted())
    others = [evalkit.evaluate(**toy, reranker=overlap).result.folder for _ in range(2)]
    with pytest.raises(ResultError, match="differ in nothing that is known, since the object has no identity"):
        entries(gather([toy["results_dir"]]))
    address = PythonRerankerConfig(object="stubs:overlap")  # the same on the command line
    others.append(evalkit.evaluate(**toy, reranker=address).result.folder)
    with pytest.raises(ResultError, match=r"differ in reranker.object \(none and stubs:overlap\)"):
        entries(gather([others[0], others[2]]))
    third = evalkit.evaluate(**toy, reranker=(overlap, {"name": "third"})).result.folder
    assert all((folder / "manifest.json").exists() for folder in (*others, third))

    monkeypatch.setattr(without_identity, "_MADE", set())  # as in another process
    found = evalkit.evaluate(**toy, reranker=overlap).result
    assert others[0] == found.folder
    assert found.fresh
    names = sorted(path.name for path in found.folder.parent.iterdir() if not path.name.startswith("."))
    assert sorted(["candidates", "Counted", "overlap", "third"]) == names
    assert evalkit.evaluate(**toy, reranker=Counted()).result.folder == known.result.folder


def test_a_failing_reranker_leaves_the_earlier_result(toy, monkeypatch):
    def score(query, documents):
        return overlap(query, documents) if works else 1 / 0

    works = True
    folder = evalkit.evaluate(**toy, reranker=score).result.folder
    monkeypatch.setattr(without_identity, "_MADE", set())
    works = False
    with pytest.raises(ObjectError, match="ZeroDivisionError"):
        evalkit.evaluate(**toy, reranker=score)
    assert (folder / "manifest.json").exists()


def test_the_manifest_says_whether_a_score_may_depend_on_the_other_candidates(toy):
    def pairs(pairs):
        return [overlap(query, [document])[0] for query, document in pairs]

    found = [evalkit.evaluate(**toy, reranker=one).result.manifest["by_query"] for one in (overlap, pairs, "none")]
    assert [True, False, False] == found


@pytest.mark.parametrize("identity", ["v1", {"layers": 3}, lambda: "v1"])
def test_with_an_identity_the_result_is_found_again_and_with_another_it_is_not(toy, identity):
    reranker = Counted()
    reranker.identity = identity
    assert evalkit.evaluate(**toy, reranker=reranker).result.fresh
    assert not evalkit.evaluate(**toy, reranker=reranker).result.fresh
    reranker.identity = "other"
    assert evalkit.evaluate(**toy, reranker=reranker).result.fresh


def test_the_identity_of_one_object_is_not_that_of_another_class(toy):
    class Other(Counted):
        pass

    evalkit.evaluate(**toy, reranker=Counted())
    assert evalkit.evaluate(**toy, reranker=Other()).result.fresh


def test_an_identity_may_be_a_setting(toy):
    settings = {"reranker.identity": "words 1"}
    assert evalkit.evaluate(**toy, reranker=overlap, **settings).result.fresh
    assert not evalkit.evaluate(**toy, reranker=overlap, **settings).result.fresh


def test_scores_of_a_function_of_pairs_are_found_at_another_depth_and_those_of_a_list_are_not(toy):
    """A function that sees all documents of a query may score each by the others."""
    calls = []

    def by_pairs(pairs):
        calls.append(len(pairs))
        return [overlap(query, [text])[0] for query, text in pairs]

    by_pairs.identity = "words"
    by_list = Counted()
    for depth in (2, 5, 1):
        toy["depth"] = depth
        for reranker in (by_pairs, by_list):
            evalkit.evaluate(**toy, reranker=reranker)
    assert [3, 1] == calls
    assert [1, 2, 3, 1] == by_list.calls  # the only candidate of q1, and three times those of q2


def test_all_candidates_of_a_query_come_in_one_call_in_their_order_however_small_a_window_is(toy, monkeypatch):
    monkeypatch.setattr("evalkit.rerank.texts.PAIRS_PER_WINDOW", 1)
    first = evalkit.evaluate(**toy, reranker="none").run
    seen = []

    def ranks(_, documents):
        seen.append(len(documents))
        return [-float(rank) for rank in range(len(documents))]

    found = evalkit.evaluate(**toy, reranker=ranks).run
    assert [doc_ids for _, doc_ids, _ in first] == [doc_ids for _, doc_ids, _ in found]
    assert np.diff(first.offsets).tolist() == seen


@pytest.mark.parametrize("identity", [3, "", {"of": {1, 2}}, {}])
def test_an_identity_that_json_cannot_hold_is_refused(toy, identity):
    reranker = Counted()
    reranker.identity = identity
    with pytest.raises(ObjectError, match=r"Counted\.identity is"):
        evalkit.evaluate(**toy, reranker=reranker)


def test_an_error_of_the_users_code_names_its_line_and_is_the_cause(toy):
    def divides(_, __):
        return 1 / 0

    with pytest.raises(
        ObjectError, match=r"^divides raised ZeroDivisionError: .* \(.*test_own_reranker.py:\d+\)"
    ) as caught:
        evalkit.evaluate(**toy, reranker=divides)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_reranker_of_evalkit_needs_a_kind_in_its_identity(toy):
    class Kindless(evalkit.Reranker):
        identity = {"weight": 1}  # noqa: RUF012

        def stream(self, pairs, known):
            raise NotImplementedError

    with pytest.raises(ConfigError, match=r"Kindless\.identity has no kind"):
        evalkit.evaluate(**toy, reranker=Kindless())


@pytest.mark.usefixtures("toy")
def test_on_the_command_line_a_class_is_made_with_its_settings(tmp_path):
    (tmp_path / "weighted_module.py").write_text(MODULE)
    places = ["dataset=folder", "dataset.path=toy", "results_dir=results", "cache_dir=cache", "retriever=bm25"]
    chosen = ["reranker=python", "reranker.object=weighted_module:Weighted"]
    arguments = ["evaluate", *places, *chosen, "reranker.settings={weight: 2}"]
    assert 0 == command(*arguments, cwd=tmp_path).returncode
    (result,) = (tmp_path / "results").rglob("Weighted")
    manifest = evalkit.results.read(result).manifest
    assert {"weight": 2} == manifest["reranker"]["identity"]
    assert "nothing to do" in command(*arguments, cwd=tmp_path).stdout
    swept = command("evaluate", "-m", *places, *chosen, "reranker.settings.weight=3,4", cwd=tmp_path)
    assert 0 == swept.returncode
    assert " reranker.settings.weight=3 " in swept.stdout
    broken = command("evaluate", *places, chosen[0], "reranker.object=weighted_module:broken", cwd=tmp_path)
    assert 2 == broken.returncode
    assert "error: broken raised KeyError: 'nothing' (" in broken.stderr
    assert "weighted_module.py:15)." in broken.stderr


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "reranker.object is not set"),
        ("weighted_module", "is not of the form module:name"),
        ("nowhere_at_all:x", "there is no module nowhere_at_all in "),
        ("json:dumbs", "has no dumbs. Did you mean dump"),
    ],
)
def test_an_object_that_is_not_there_is_one_line(address, message):
    config = PythonRerankerConfig(object=address)
    with pytest.raises(evalkit.EvalkitError, match=message):
        config.get()


DYING = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import evalkit
from stubs import overlap, toy_evaluation

done = []

def dying(query, documents):
    if done and sys.argv[3] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(query)
    return overlap(query, documents)

dying.identity = "words"
result = evalkit.evaluate(**toy_evaluation(Path(sys.argv[2])), reranker=dying)
print(result.result.manifest["kept_pairs"], len(done), result.run.digest(), "torch" in sys.modules)
"""


@pytest.mark.slow
def test_a_killed_evaluation_with_an_identity_resumes(tmp_path):
    def run(folder, how):
        arguments = [sys.executable, "-c", DYING, str(TESTS), str(folder), how]
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    assert -9 == run(tmp_path / "killed", "die").returncode
    kept, calls, digest, has_torch = run(tmp_path / "killed", "live").stdout.split()
    assert ("1", "1", "False") == (kept, calls, has_torch)
    assert digest == evalkit.evaluate(**toy_evaluation(tmp_path / "whole"), reranker=overlap).run.digest()


@pytest.mark.slow
@pytest.mark.usefixtures("toy")
def test_processes_of_a_sweep_find_the_module_in_the_current_folder(tmp_path):
    (tmp_path / "swept_module.py").write_text(MODULE)
    places = ["dataset=folder", "dataset.path=toy", "results_dir=results", "cache_dir=cache", "retriever=bm25"]
    chosen = ["reranker=python", "reranker.object=swept_module:Weighted", "reranker.settings.weight=1,2"]
    swept = command("evaluate", "-m", "hydra/launcher=joblib", *places, *chosen, cwd=tmp_path)
    assert 0 == swept.returncode, swept.stderr
    assert 2 == len(list((tmp_path / "results").rglob("Weighted*/manifest.json")))


def test_pairs_come_some_at_a_time_without_those_that_are_known(monkeypatch):
    monkeypatch.setattr(own_reranker, "_PAIRS_PER_CALL", 2)
    calls = []

    def by_pairs(pairs):
        calls.append([text for _, text in pairs])
        return np.arange(len(pairs))

    reranker = PythonReranker(PythonRerankerConfig(name="own"), by_pairs)
    pairs = [Pair("q", text) for text in "abcdef"]
    known = np.array([False, True, True, True, False, False])
    found = list(reranker.stream(pairs, known))
    assert [["a"], ["e", "f"]] == calls
    assert [[0], [4, 5]] == [part.rows.tolist() for part in found]


def test_it_runs_in_this_process_and_says_so_where_ray_is_asked_for(toy, caplog):
    with caplog.at_level(logging.WARNING):
        evalkit.evaluate(**toy, reranker=overlap, compute={"backend": "ray", "device": "cpu"})
    assert "overlap is an object of Python, so it runs in this process" in caplog.text


def test_an_error_in_a_generator_of_scores_names_its_line(toy):
    def scores(_, documents):
        for document in documents:
            yield float(document)

    with pytest.raises(ObjectError, match=r"^scores raised ValueError: could not .* \(.*test_own_reranker.py:\d+\)"):
        evalkit.evaluate(**toy, reranker=scores)


def test_a_query_without_candidates_is_not_asked_about(toy):
    reranker = Counted()
    toy["retriever"] = {"q1": {"d1": 1.0}}
    found = evalkit.evaluate(**toy, reranker=reranker)
    assert [1] == reranker.calls
    assert ["q2"] == found.result.manifest["queries_without_candidates"]


def test_a_run_in_memory_is_replayed_as_its_file(toy, tmp_path):
    scored = evalkit.evaluate(**toy, reranker=overlap)
    evalkit.write_run(scored.run, tmp_path / "scores.trec", tag="t")
    scores = {query: dict(zip(docs, values, strict=True)) for query, docs, values in scored.run}
    rows = [(query, doc, value) for query, docs in scores.items() for doc, value in docs.items()]
    table = pd.DataFrame(rows, columns=["query_id", "doc_id", "score"])
    of_file = evalkit.evaluate(**toy, reranker=tmp_path / "scores.trec")
    for given in (scored.run, scores, table):
        found = evalkit.evaluate(**toy, reranker=given)
        assert "reranker" == found.reranker
        assert found.measures == of_file.measures
        assert "replay" == found.result.manifest["reranker"]["kind"]
    assert not found.result.fresh
    del scores["q1"]
    with pytest.raises(DataError, match=r"reranker: has no score for .* Set reranker\.missing=below"):
        evalkit.evaluate(**toy, reranker=scores)
    below = evalkit.evaluate(**toy, reranker=(scores, {"missing": "below", "name": "part"}))
    assert below.result.manifest["unscored_pairs"] > 0


def test_an_address_in_place_of_a_choice_says_how_to_give_one(toy):
    hint = "For an object of your own: reranker=python reranker.object=mine:score."
    expected = f"reranker=mine:score is not a choice. {hint}"
    with pytest.raises(ConfigError, match=f"^{re.escape(expected)}$"):
        evalkit.evaluate(**toy, reranker="mine:score")
    found = command("evaluate", "dataset=mini", "reranker=mine:score", cwd=toy["results_dir"].parent)
    assert (2, f"evalkit: error: {expected}\n") == (found.returncode, found.stderr)


def test_a_reranker_called_as_the_first_stage_alone_is_is_refused(toy):
    class Object:
        name, identity = "none", "x"

        def score(self, query, documents):
            return [len(query) for _ in documents]

    with pytest.raises(ConfigError, match="a reranker is called none, as the first stage alone is"):
        evalkit.evaluate(**toy, reranker=Object())
