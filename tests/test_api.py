"""`evalkit.evaluate`: stages as names, names with settings, paths and objects."""

import asyncio
import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from stubs import StubReranker, overlap, toy_evaluation
from tiny_checkpoints import write_bert_embedder, write_bert_reranker

import evalkit
from evalkit import EvalkitError
from evalkit.config import EvaluateConfig
from evalkit.errors import ConfigError, ResultError
from evalkit.load import config_of
from evalkit.results.gather import gather


@pytest.fixture
def toy(tmp_path):
    """The arguments of an evaluation of the toy collection."""
    return toy_evaluation(tmp_path)


def test_a_function_of_query_and_documents_reranks_as_the_replayed_file_of_its_scores(toy, tmp_path):
    found = evalkit.evaluate(**toy, reranker=overlap)
    evalkit.write_run(found.result.read_run(), tmp_path / "scores.trec", tag="overlap")
    replayed = evalkit.evaluate(**toy, reranker=tmp_path / "scores.trec")
    assert replayed.result.manifest["measures"] == found.result.manifest["measures"]
    assert ("toy", "overlap") == (found.dataset, found.reranker)


def test_a_function_of_pairs_and_an_object_with_score_give_the_same_run(toy):
    class Scorer:
        def score(self, pairs):
            return np.array([[overlap(query, [document])[0]] for query, document in pairs])

    found = [evalkit.evaluate(**toy, reranker=one).result.read_run() for one in (overlap, Scorer(), Scorer().score)]
    assert len({run.digest() for run in found}) == 1


def test_an_evalkit_reranker_is_taken_as_it_is(toy):
    assert {"kind": "stub", "name": "StubReranker"}.items() <= (
        evalkit.evaluate(**toy, reranker=StubReranker(), **{"reranker.name": "StubReranker"})
        .result.manifest["reranker"]
        .items()
    )


def test_settings_follow_a_name_in_a_tuple_or_as_on_the_command_line(toy):
    del toy["retriever"]
    for given, settings in ((("bm25", {"k1": 0.9}), {}), ("bm25", {"retriever.k1": 0.9})):
        found = evalkit.evaluate(**toy, retriever=given, **settings)
        assert 0.9 == found.candidates.manifest["retriever"]["k1"]
    assert not found.candidates.fresh


class Unreadable:
    """An object that cannot even be looked at."""

    def __getattr__(self, name):
        return 1 / 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"reranker": lambda *texts: texts},
            r"lambda: cannot tell how to call it .*f\(query, documents\).* or f\(pairs\)",
        ),
        ({"reranker": 3}, "int is 3, which cannot rerank"),
        ({"retriever": None}, "evaluate needs a retriever"),
        ({"retriever": "bm52"}, "retriever=bm52 is not a choice. Did you mean bm25?"),
        ({"depth": 1.5}, "depth=1.5 is not a whole number"),
        ({"measures": 3}, "measures has 3, expected names such as"),
        ({"depth": True}, "depth=True is not a whole number"),
        ({"reranker": Unreadable()}, r"^reranker raised ZeroDivisionError: division by zero \(.*test_api.py:\d+\)"),
        ({"retriever": Unreadable()}, r"^retriever raised ZeroDivisionError: division by zero \(.*test_api.py:\d+\)"),
        (
            {"dataset": {"corpus": {}, "queries": {}, "qrels": {}, "name": 3}},
            "the name of a dataset is 3, expected a text",
        ),
        (
            {"dataset": {"corpus": {"d": "x"}, "queries": {"q": "x"}}},
            "^dataset lacks qrels. Expected corpus, queries and",
        ),
        ({"reranker.max_lenght": 3}, "reranker.max_lenght is not a setting"),
        ({"reranker": overlap, "reranker.weight": 3}, r"made with goes into settings, as in \{'settings': \{'weight'"),
        ({"retriever": ("bm25", {"k1": "high"})}, r"retriever\.k1: Value 'high' .* converted to Float\.$"),
        ({"retriever": ("bm25", {3: 1})}, "retriever.3 is not a setting"),
        ({"max_length": 3}, "max_length is not an argument of evaluate"),
    ],
)
def test_wrong_arguments_are_one_line(toy, change, message):
    with pytest.raises(EvalkitError, match=message) as caught:
        evalkit.evaluate(**toy | change)
    assert "\n" not in str(caught.value)


def test_what_the_table_of_the_command_line_notes_is_logged(toy, caplog):
    toy["retriever"] = {"q1": {"d1": 1.0, "d2": 0.5}}
    evalkit.evaluate(**toy, reranker=lambda pairs: [0.0 for _ in pairs])
    noted = [text.removeprefix("toy, lambda: ") for text in caplog.messages]
    assert "ties in the top 10 of 1 query" in noted
    assert "1 query has no candidate and counts as 0, such as q2" in noted
    assert any(text.startswith("reranking lowered nDCG@10 from 0.3801 to 0.2398") for text in noted)


def test_a_single_measure_may_be_a_text(toy):
    found = evalkit.evaluate(**toy | {"measures": "RR"}, reranker="none")
    assert ["RR"] == found.result.manifest["config"]["measures"]


def test_reranking_samples_need_no_retriever(toy, tmp_path):
    sample = {"query": "bees", "positive": ["Bees make honey."], "negative": ["The moon has no air."]}
    (tmp_path / "samples.jsonl").write_text(json.dumps(sample) + "\n")
    del toy["retriever"]
    found = evalkit.evaluate(**toy | {"dataset": tmp_path / "samples.jsonl"}, reranker=overlap)
    assert "own-5" == found.first_stage
    assert 1.0 == found.measures["nDCG@10"]


def test_a_configuration_is_taken_alone(toy):
    stages = {group: config_of(group, name, {}) for group, name in (("retriever", "bm25"), ("reranker", "none"))}
    dataset = config_of("dataset", "folder", {"path": toy["dataset"]})
    places = {name: str(toy[name]) for name in ("results_dir", "cache_dir")}
    config = EvaluateConfig(dataset=dataset, **stages, **places)
    assert "toy" == evalkit.evaluate(config).dataset
    with pytest.raises(ConfigError, match="reranker of the EvaluateConfig is 'none', expected a RerankerConfig"):
        evalkit.evaluate(replace(config, reranker="none"))
    with pytest.raises(ConfigError, match="Give it alone"):
        evalkit.evaluate(config, depth=3)


def test_an_evaluation_shows_its_measures_queries_and_run(toy):
    found = evalkit.evaluate(**toy, reranker=overlap)
    assert ["nDCG@10", "RR"] == list(found.measures)[:2]
    assert ["dataset", "system", "query_id", "nDCG@10", "RR"] == list(found.per_query.columns)[:5]
    assert found.measures["nDCG@10"] == pytest.approx(found.per_query["nDCG@10"].mean())
    assert [("toy", "overlap")] == list(found.to_dataframe()[["dataset", "system"]].itertuples(index=False, name=None))
    assert found.run.query_ids == ("q1", "q2")
    assert "bm25-5 + overlap on toy: nDCG@10 0." in repr(found)
    table = found._repr_html_()
    assert "<td>overlap</td>" in table
    assert "MAP@100" not in table


def test_a_saved_copy_is_read_as_the_result_itself(toy, tmp_path):
    found = evalkit.evaluate(**toy, reranker=overlap)
    folder = found.save(tmp_path / "copy")
    (copy,) = gather([folder])
    assert copy.measures == found.measures
    assert copy.candidates.folder.parent == folder
    with pytest.raises(ResultError, match="is there already"):
        found.save(folder)
    with pytest.raises(ConfigError, match=r"3 \(int\) is not the path of a file or folder"):
        found.save(3)


class _Stream:
    """A stream as ipykernel's, which has no file number."""

    encoding = "utf-8"

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return False


@pytest.mark.parametrize("stream", [_Stream, io.StringIO])
def test_it_runs_in_a_notebook(toy, monkeypatch, stream):
    """With an event loop that runs, and streams that are no files."""
    monkeypatch.setattr(sys, "stdout", stream())
    monkeypatch.setattr(sys, "stderr", stream())

    async def cell():
        return evalkit.evaluate(**toy, reranker=overlap)

    assert 2 == len(asyncio.run(cell()).run.query_ids)


def test_the_manifest_holds_the_call_and_nothing_of_the_object(toy):
    manifest = evalkit.evaluate(**toy, reranker=overlap, **{"reranker.name": "words"}).result.manifest
    assert "retriever='bm25', reranker='words', depth=5" in manifest["command"]
    assert {"object": "", "settings": {}, "identity": None, "name": "words"}.items() <= manifest["config"][
        "reranker"
    ].items()


def test_a_folder_is_a_checkpoint_for_a_retriever_and_a_reranker(toy, tmp_path):
    tiny = write_bert_embedder(tmp_path / "tiny")
    checkpoint = write_bert_reranker(tmp_path / "my reranker")
    toy["retriever"] = tiny
    found = evalkit.evaluate(**toy, reranker=str(checkpoint), compute="cpu")
    assert "my_reranker" == found.reranker
    assert f"{tiny.name}-5" == found.first_stage
    assert "dense" == found.candidates.manifest["retriever"]["kind"]
