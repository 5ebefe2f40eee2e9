"""Datasets of the user's own: corpus, queries and judgments as objects."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict
from in_process import evalkit as command
from stubs import DOCUMENTS, QRELS, QUERIES, overlap, toy_evaluation

import evalkit
from evalkit import EvalkitError, datasets
from evalkit.load import config_of
from evalkit.results.gather import dataset_of
from evalkit.store import open_store

ROWS = [{"_id": doc_id, "title": title, "text": text} for doc_id, (title, text) in DOCUMENTS.items()]
CORPUS = {row["_id"]: {"title": row["title"], "text": row["text"]} for row in ROWS}
JUDGED = [(query_id, doc_id, grade) for query_id, judged in QRELS.items() for doc_id, grade in judged.items()]
QRELS_FRAME = pd.DataFrame(JUDGED, columns=["query_id", "doc_id", "relevance"])
QUERY_ROWS = {"_id": list(QUERIES), "text": list(QUERIES.values())}


class Attributes:
    corpus, queries, qrels = CORPUS, QUERIES, QRELS


@pytest.fixture
def toy(tmp_path):
    return {**toy_evaluation(tmp_path), "reranker": overlap}


@pytest.mark.parametrize(
    "dataset",
    [
        (CORPUS, QUERIES, QRELS),
        [CORPUS, QUERIES, QRELS],
        {"corpus": ROWS, "queries": QUERIES, "qrels": QRELS},
        Attributes(),
        Attributes,
        (pd.DataFrame(ROWS).rename(columns={"_id": "docno"}), pd.DataFrame(QUERY_ROWS), QRELS_FRAME),
        (pd.DataFrame(ROWS).set_index("_id"), QUERIES, QRELS_FRAME.astype({"relevance": float})),
        (pa.Table.from_pylist(ROWS), pa.table(QUERY_ROWS), pa.Table.from_pandas(QRELS_FRAME)),
        (Dataset.from_list(ROWS), Dataset.from_dict(QUERY_ROWS), Dataset.from_pandas(QRELS_FRAME)),
        (
            DatasetDict(corpus=Dataset.from_list(ROWS)),
            DatasetDict(queries=Dataset.from_dict(QUERY_ROWS)),
            DatasetDict(test=Dataset.from_pandas(QRELS_FRAME), dev=Dataset.from_pandas(QRELS_FRAME[:1])),
        ),
        ((row for row in ROWS), iter([{"qid": key, "query": text} for key, text in QUERIES.items()]), QRELS),
    ],
)
def test_objects_of_any_kind_give_the_numbers_of_the_files(toy, dataset):
    files = evalkit.evaluate(**toy)
    toy["dataset"] = dataset
    found = evalkit.evaluate(**toy, **{"dataset.name": "own"})
    assert found.measures == files.measures
    assert found.run.digest() == files.run.digest()
    assert "own" == found.dataset


def test_ids_may_be_integers_of_python_or_numpy(toy):
    corpus = {np.int64(1): "bees make honey", 2: "cows give milk"}
    qrels = pd.DataFrame({"qid": [7], "docno": [1], "label": [np.int8(2)]})
    found = evalkit.evaluate(**toy | {"dataset": (corpus, {7: "who makes honey"}, qrels), "retriever": "bm25"})
    assert 1.0 == found.measures["nDCG@10"]
    assert ("7",) == found.run.query_ids


def test_the_content_is_the_identity_and_the_name_is_not(toy):
    toy["reranker"] = "none"
    first = evalkit.evaluate(**toy | {"dataset": (CORPUS, QUERIES, QRELS)})
    assert "dataset" == first.dataset
    again = evalkit.evaluate(**toy | {"dataset": {"corpus": ROWS, "queries": QUERIES, "qrels": QRELS}})
    assert not again.result.fresh
    other = evalkit.evaluate(**toy | {"dataset": (CORPUS | {"d9": "one more"}, QUERIES, QRELS)})
    assert other.result.fresh
    assert other.candidates.folder != first.candidates.folder


def test_results_find_texts_and_judgments_again_in_the_cache(toy, tmp_path):
    found = evalkit.evaluate(**toy | {"dataset": (CORPUS, QUERIES, QRELS)})
    dataset = dataset_of(found.result)
    assert dict(sorted(QUERIES.items())).items() >= dataset.queries.items()
    assert ["Bees make honey from nectar."] == dataset.documents.texts([1])
    for words in (["report", "--html", "page.html"], ["analyse"]):
        assert 0 == command(*words, str(found.result.folder), cwd=tmp_path).returncode
    toy["cache_dir"].rename(tmp_path / "elsewhere")
    lost = command("analyse", str(found.result.folder), cwd=tmp_path)
    assert 2 == lost.returncode
    assert "the texts and judgments of dataset cannot be read. Set dataset.object=" in lost.stderr
    assert 0 == command("gate", str(found.result.folder), "--baseline", "b.json", "--update", cwd=tmp_path).returncode


def test_what_pandas_says_is_missing_is_an_empty_text(toy, caplog):
    """Its nullable texts have NA, which cannot be compared."""
    rows = [{**row, "title": None} for row in ROWS]
    frame = pd.DataFrame([*rows, {"_id": "d9", "title": None, "text": None}]).convert_dtypes()
    assert frame["text"].iloc[-1] is pd.NA
    toy["dataset"] = (frame, QUERIES, QRELS)
    assert evalkit.evaluate(**toy).run.query_ids
    assert "2 documents have no text" in caplog.text  # one of them is empty in the collection


def test_documents_that_occur_twice_are_kept_once_or_refused(toy, caplog):
    toy["dataset"] = ([*ROWS, ROWS[0]], QUERIES, QRELS)
    evalkit.evaluate(**toy)
    assert "1 document repeats an earlier one" in caplog.text
    toy["dataset"] = ([*ROWS, {**ROWS[0], "text": "other"}], QUERIES, QRELS)
    with pytest.raises(
        EvalkitError, match="dataset: corpus: row 6: document id 'd1' occurs twice, with different texts"
    ):
        evalkit.evaluate(**toy)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ((CORPUS, [QUERIES], QRELS, 3), "Expected corpus, queries and qrels"),
        ({"corpus": CORPUS, "queries": QUERIES}, "Expected corpus, queries and qrels"),
        (3, r"int is int 3. Expected corpus"),
        (({}, QUERIES, QRELS), "dataset: corpus: holds no documents"),
        ((3, QUERIES, QRELS), r"dataset: corpus: is 3. Give \{id: text\}"),
        (([1, 2], QUERIES, QRELS), "dataset: corpus: a row is 1, expected an object"),
        (([{"text": "a"}], QUERIES, QRELS), "dataset: corpus: row 1: has no id"),
        (({"d1": 3.5j}, QUERIES, QRELS), "dataset: corpus: row 1: text is"),
        (
            ({"d1": np.ones(2)}, QUERIES, QRELS),
            r"dataset: corpus: row 1: text is \[np.float64\(1.0\), np.*expected a str",
        ),
        ((np.array(3), QUERIES, QRELS), r"dataset: corpus: is array\(3\). Give"),
        ((CORPUS, QUERIES, np.array(3)), r"dataset: qrels: is array\(3\) "),
        ((CORPUS, QUERIES, "\ud800"), "is not the path of a file or folder"),
        ((CORPUS, {"q1": "only"}, QRELS), "dataset: queries: lacks the text of 1 judged query, such as 'q2'"),
        ((CORPUS, QUERIES, {"q1": {"d1": 0.5}}), "dataset: qrels: query 'q1': the relevance is '0.5'"),
        ((CORPUS, QUERIES, {}), "dataset: qrels: holds no judgments"),
    ],
)
def test_what_is_no_dataset_is_refused_in_one_line(toy, dataset, message):
    with pytest.raises(EvalkitError, match=message) as caught:
        evalkit.evaluate(**toy | {"dataset": dataset})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "meant"),
    [("instruction", "instructions"), ("candidate", "candidates"), ("exclude", "excluded"), ("query", "queries")],
)
def test_a_dict_with_another_key_is_refused_and_an_object_with_another_attribute_is_not(toy, key, meant):
    dataset = {"corpus": CORPUS, "queries": QUERIES, "qrels": QRELS, key: {}}
    message = f"dataset: '{key}' is no part of a dataset. Did you mean {meant}? Legal are: corpus, queries, qrels, "
    with pytest.raises(EvalkitError, match=re.escape(message)):
        evalkit.evaluate(**toy | {"dataset": dataset})
    found = evalkit.evaluate(**toy | {"dataset": type("Toy", (), dataset)(), "reranker": "none"})
    assert found.measures["nDCG@10"] > 0


def test_on_the_command_line_a_function_returns_the_three(tmp_path):
    text = f"def load():\n    return {CORPUS!r}, {QUERIES!r}, {QRELS!r}\n"
    (tmp_path / "own_data.py").write_text(text)
    chosen = ["dataset=python", "dataset.object=own_data:load", "retriever=bm25", "reranker=none"]
    places = ["results_dir=results", "cache_dir=cache"]
    assert 0 == command("evaluate", *chosen, *places, cwd=tmp_path).returncode
    assert 0 == command("report", "results/load/bm25-100/none", "--html", "page.html", cwd=tmp_path).returncode
    missing = command("evaluate", "dataset=python", *chosen[2:], *places, cwd=tmp_path)
    assert 2 == missing.returncode
    assert "dataset.object is not set" in missing.stderr


@pytest.mark.parametrize("other", [{"instruction": "Find."}, {"answers": ("a",)}, {"text": "other"}])
def test_queries_that_occur_twice_with_other_fields_are_refused(toy, other):
    row = {"_id": "q1", "text": QUERIES["q1"], "answers": ["tides"]}
    same, different = {**row, "answers": ("tides",)}, {**row, **other}
    config = config_of("dataset", "python", {"name": "own"})
    store = open_store(str(toy["cache_dir"]))
    config.attach((CORPUS, [row, same], {"q1": QRELS["q1"]}))
    assert 1 == datasets.load(config, store).notes["queries_repeated"]
    config.attach((CORPUS, [row, same, different], {"q1": QRELS["q1"]}))
    with pytest.raises(EvalkitError, match="queries: row 3: query id 'q1' occurs twice, with different texts, instr"):
        datasets.load(config, store)


def test_instructions_and_answers_of_queries_are_read(toy):
    queries = [{"_id": key, "text": text, "instruction": f"Find {key}."} for key, text in QUERIES.items()]
    config = config_of("dataset", "python", {"name": "own"})
    config.attach((CORPUS, queries, QRELS))
    store = open_store(str(toy["cache_dir"]))
    assert {"q1": "Find q1.", "q2": "Find q2."} == datasets.load(config, store).instructions
    answered = [{**query, "answers": ["tides"]} for query in queries]
    config.attach((CORPUS, answered, QRELS))
    assert {"q1": ("tides",), "q2": ("tides",)} == datasets.load(config, store).answers
    del answered[0]["answers"]
    with pytest.raises(EvalkitError, match="queries: row 1: 1 of 2 judged queries have answers, and this has none"):
        datasets.load(config, store)


def test_an_error_while_rows_are_made_names_its_line(toy):
    def rows():
        yield ROWS[0]
        raise KeyError("gone")

    with pytest.raises(EvalkitError, match=r"^dataset raised KeyError: 'gone' \(.*test_own_dataset.py:\d+\)"):
        evalkit.evaluate(**toy | {"dataset": {"corpus": rows(), "queries": QUERIES, "qrels": QRELS}})


def test_the_digest_of_objects_that_are_kept_stays(toy):
    """Results of earlier versions find their queries and judgments by it."""
    queries = [{"_id": "q1", "text": "bees", "instruction": "x"}]
    parts = {"corpus": {"d1": "bees", "d2": "cows"}, "queries": queries, "qrels": {"q1": {"d1": 1}}, "name": "toy"}
    found = evalkit.evaluate(**{**toy, "dataset": parts, "retriever": "bm25"})
    content = found.result.manifest["config"]["dataset"]["content"]
    assert content == "c6715e407eac76f17c158178f1bfd8a5c04ecc7063a25a9326d3722c445a948a"


MODULE = f"""
D = {{"corpus": {CORPUS!r}, "queries": {QUERIES!r}, "qrels": {QRELS!r}, "name": "farm"}}


def load():
    return D


def needs(path):
    return D


def misnamed():
    return {{**D, "name": ".."}}
"""


@pytest.mark.parametrize(
    ("address", "settings", "name"),
    [("farm_data:load", (), "farm"), ("farm_data:D", (), "farm"), ("farm_data:load", ("dataset.name=own",), "own")],
)
def test_a_dict_at_an_address_has_its_own_name_unless_another_is_set(tmp_path, address, settings, name):
    (tmp_path / "farm_data.py").write_text(MODULE)
    places = ["retriever=bm25", "reranker=none", f"cache_dir={tmp_path / 'cache'}", *settings]
    done = command("evaluate", "dataset=python", f"dataset.object={address}", *places, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [name] == [path.name for path in (tmp_path / "results").iterdir() if path.is_dir()]
    told = command("report", "results", cwd=tmp_path)
    assert told.returncode == 0, told.stderr


def test_what_a_function_returns_has_its_own_name_in_python(toy):
    def load():
        return {"corpus": CORPUS, "queries": QUERIES, "qrels": QRELS, "name": "farm"}

    assert "farm" == evalkit.evaluate(**toy | {"dataset": load}).dataset


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("farm_data:needs", "needs is a function that needs arguments, by its parameters (path). Give them in dataset"),
        ("farm_data:misnamed", "the name of a dataset is '..', which cannot name a folder of results."),
    ],
)
def test_functions_that_give_no_dataset_say_what_to_do(tmp_path, address, said):
    (tmp_path / "farm_data.py").write_text(MODULE)
    places = ["retriever=bm25", "reranker=none", f"cache_dir={tmp_path / 'cache'}"]
    done = command("evaluate", "dataset=python", f"dataset.object={address}", *places, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
