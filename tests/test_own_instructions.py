"""Queries that bring an instruction of their own: used where a reranker has a place for it, and said where not."""

import inspect
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from stubs import StubReranker, overlap
from tiny_checkpoints import write_minicpm_reranker

import evalkit
from evalkit.cli import main
from evalkit.config import ComputeConfig, DenseConfig, EvaluateConfig, FolderDatasetConfig
from evalkit.errors import ConfigError, EvalkitError
from evalkit.pipeline import evaluate
from evalkit.rerank.families.minicpm import MiniCPMRerankerConfig
from evalkit.rerank.passthrough import KeepOrderConfig
from evalkit.retrieval.bm25 import BM25Config

ASKED = {"q1": "find what pulls the sea", "q2": "find what rises"}


@pytest.fixture
def config(tmp_path, collection):
    rows = [json.loads(line) for line in (collection / "queries.jsonl").read_text().splitlines()]
    for row in rows:
        row["instruction"] = ASKED.get(row["_id"], "not judged")
    (collection / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = write_minicpm_reranker(tmp_path / "model")
    return EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(collection)),
        retriever=BM25Config(name="bm25"),
        reranker=MiniCPMRerankerConfig(name="minicpm", model=str(model), max_length=64, instructions="query"),
        compute=ComputeConfig(device="cpu"),
        results_dir=str(tmp_path / "results"),
        cache_dir=str(tmp_path / "cache"),
    )


def scores(config):
    """Query -> document -> score."""
    run = evaluate(config).result.read_run()
    return {one.query_id: dict(zip(one.doc_ids, one.scores.tolist(), strict=True)) for one in run}


def test_each_query_is_reranked_with_its_own_instruction(config):
    own = scores(config)
    for query_id, instruction in ASKED.items():
        alone = scores(replace(config, reranker=replace(config.reranker, instructions=instruction)))
        assert own[query_id] == pytest.approx(alone[query_id], abs=1e-6)
        other = next(key for key in ASKED if key != query_id)
        assert own[other] != pytest.approx(alone[other], abs=1e-6)


def test_another_instruction_is_another_result_and_finds_no_old_score(config, collection):
    first = evaluate(config)
    text = (collection / "queries.jsonl").read_text()
    (collection / "queries.jsonl").write_text(text.replace(ASKED["q1"], "find bread"))
    second = evaluate(config)
    assert second.result.fresh
    assert second.result.manifest["key"] != first.result.manifest["key"]
    assert second.result.manifest["kept_pairs"] == len(first.result.read_run().only_queries(["q2"]))
    assert second.candidates.manifest["key"] == first.candidates.manifest["key"]
    (collection / "queries.jsonl").write_text(text)
    assert not evaluate(config).result.fresh


@pytest.mark.parametrize(
    ("reranker", "part"),
    [
        (KeepOrderConfig(name="none"), "reranker=none does not use. It has no place for one."),
        (None, "reranker=minicpm does not use. Set reranker.instructions=query to use it."),
    ],
)
def test_an_instruction_that_is_not_used_is_said_and_changes_no_key(config, collection, reranker, part, caplog):
    config = replace(config, reranker=reranker or replace(config.reranker, instructions="none"))
    with caplog.at_level(logging.WARNING):
        first = evaluate(config)
    assert f"2 of 2 queries have an instruction of their own, which {part}" in caplog.text
    rows = [json.loads(line) for line in (collection / "queries.jsonl").read_text().splitlines()]
    (collection / "queries.jsonl").write_text(
        "".join(json.dumps({k: row[k] for k in ("_id", "text")}) + "\n" for row in rows)
    )
    again = evaluate(config)
    assert not again.result.fresh
    assert again.result.manifest["key"] == first.result.manifest["key"]


def test_instructions_that_no_query_has_are_refused(config, collection):
    (collection / "queries.jsonl").write_text('{"_id": "q1", "text": "a"}\n{"_id": "q2", "text": "b"}\n')
    with pytest.raises(ConfigError, match=r"no query of collection has an instruction\. Put one next to each query"):
        evaluate(config)


def test_queries_without_one_are_counted_and_get_the_default(config, collection, caplog):
    rows = (
        '{"_id": "q1", "text": "sea tides", "instruction": "x"}\n{"_id": "q2", "text": "bread", "instruction": null}\n'
    )
    (collection / "queries.jsonl").write_text(rows)
    with caplog.at_level(logging.WARNING):
        own = scores(config)
    assert "1 of 2 queries have no instruction of their own." in caplog.text
    assert own["q2"] == pytest.approx(
        scores(replace(config, reranker=replace(config.reranker, instructions="none")))["q2"], abs=1e-6
    )


def test_the_prompt_of_a_pair_shows_the_instruction_of_its_query(config, collection, tmp_path, capsys):
    settings = ["reranker=minicpm_reranker", f"reranker.model={config.reranker.model}", "dataset=folder"]
    arguments = [
        *settings,
        f"dataset.path={collection}",
        f"cache_dir={tmp_path / 'cache'}",
        "reranker.instructions=query",
    ]
    assert main(["prompt", *arguments, "--json"]) == 0
    shown = {row["query_id"]: row["text"] for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert shown.keys() == ASKED.keys()
    assert all(ASKED[query_id].split()[-1] in text for query_id, text in shown.items())


def test_a_first_stage_takes_no_instruction_of_a_query():
    with pytest.raises(ConfigError, match=r"retriever\.instructions=query: only rerankers take"):
        DenseConfig(name="dense", model="m", instructions="query", instructed_query="{instruction}")


def said_by(function, config, tmp_path, setting):
    """Query -> what a function of Python was given as instruction."""
    said = {}

    def noting(query, *given, **named):
        said[query] = named.get("instruction", "nothing")
        return function(query, *given, **named)

    noting.__signature__, noting.identity = inspect.signature(function), "length"
    found = evalkit.evaluate(
        config.dataset.path,
        retriever="bm25",
        reranker=noting,
        results_dir=tmp_path / "results",
        cache_dir=tmp_path / "cache",
        **{"reranker.instructions": setting},
    )
    queries = (json.loads(line) for line in (Path(config.dataset.path) / "queries.jsonl").read_text().splitlines())
    texts = {row["text"]: row["_id"] for row in queries}
    return {texts[query]: instruction for query, instruction in said.items()}, found


def may_have(query, documents, instruction="my own"):  # noqa: ARG001
    return [float(len(document)) for document in documents]


def must_have(query, documents, *, instruction):  # noqa: ARG001
    return [float(len(document)) for document in documents]


@pytest.mark.parametrize(
    ("function", "setting", "expected"),
    [
        (may_have, "query", ASKED),
        (must_have, "query", ASKED),
        (may_have, "find a passage", dict.fromkeys(ASKED, "find a passage")),
        (may_have, "none", dict.fromkeys(ASKED, "nothing")),
        (must_have, "none", dict.fromkeys(ASKED, "")),
    ],
)
def test_a_function_with_the_parameter_is_given_the_instruction(config, tmp_path, function, setting, expected):
    assert expected == said_by(function, config, tmp_path, setting)[0]


def test_scores_of_a_function_are_found_again_for_the_same_instruction_alone(config, tmp_path):
    texts = ("query", "none", "find a passage", "find another one")
    keys = []
    for setting in texts:
        said, found = said_by(may_have, config, tmp_path, setting)
        assert ASKED.keys() == said.keys()
        assert {} == said_by(may_have, config, tmp_path, setting)[0]
        keys.append(found.result.manifest["key"])
    assert len(texts) == len(set(keys))


@pytest.mark.parametrize(
    ("reranker", "setting", "message"),
    [
        (
            overlap,
            "query",
            r"overlap has no place for one\. Give it a parameter called instruction, as in f\(query",
        ),
        (lambda pairs, instruction="": [0.0 for _ in pairs], "query", "has no place for one"),  # noqa: ARG005
        (lambda pairs, instruction: [0.0 for _ in pairs], "query", "perhaps one called instruction"),  # noqa: ARG005
        ({"q1": {"d1": 1.0}}, "query", "reranker.instructions is set, but reranker is a run, which reads no texts"),
        (StubReranker(), "find a passage", "which is given those of queries alone"),
    ],
)
def test_an_object_without_a_place_for_instructions_refuses_them(config, tmp_path, reranker, setting, message):
    with pytest.raises(EvalkitError, match=message):
        evalkit.evaluate(
            config.dataset.path,
            retriever="bm25",
            reranker=reranker,
            results_dir=tmp_path / "results",
            cache_dir=tmp_path / "cache",
            **{"reranker.instructions": setting},
        )


def test_lines_of_score_pass_their_instructions_to_a_function_that_takes_them(tmp_path, monkeypatch, capsys):
    (tmp_path / "own_asked.py").write_text(
        "def asked(query, documents, instruction):\n    return [float(len(instruction)) for _ in documents]\n\n\n"
        "def deaf(query, documents):\n    return [0.0 for _ in documents]\n"
    )
    lines = [{"query": "q", "document": "d", "instruction": text} for text in ("abc", "abcde")]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    own = ["score", "reranker=python", "pairs.jsonl"]
    assert main([*own, "reranker.object=own_asked:asked"]) == 0
    assert [3.0, 5.0] == [json.loads(line)["score"] for line in capsys.readouterr().out.splitlines()]
    assert main([*own, "reranker.object=own_asked:deaf"]) == 0
    assert "2 pairs have an instruction, which this reranker has no place for" in capsys.readouterr().err
