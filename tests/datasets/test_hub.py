"""Published datasets, through the real `datasets` and `huggingface_hub` clients and a hub on 127.0.0.1."""

import socket
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from local_hub import LocalHub, ask
from omegaconf import OmegaConf

from evalkit.config import HubDatasetConfig
from evalkit.datasets import hub as hub_datasets
from evalkit.errors import DataError
from evalkit.resources import shipped
from evalkit.store import Store

PUBLISHED = OmegaConf.load(shipped("conf") / "dataset" / "scifact.yaml")
CORPUS = {
    "_id": ["4983", "5836", "7912", "18670"],
    "title": ["Microstructural development", "", "BC1 RNA", "The DNA Methylome"],
    "text": ["of human newborn white matter.", "Induction of myelodysplasia.", "", " of human cells. "],
}
QUERIES = {"_id": ["0", "1", "3"], "text": ["0-dimensional biomaterials", "not judged", "1,000 genomes"]}
QRELS = {"query-id": ["3", "0", "3"], "corpus-id": ["4983", "18670", "31715818"], "score": [1.0, 1.0, 0.0]}
CARD = """---
configs:
- config_name: default
  data_files:
  - split: test
    path: data/test-*
- config_name: corpus
  data_files:
  - split: corpus
    path: corpus/corpus-*
- config_name: queries
  data_files:
  - split: queries
    path: queries/queries-*
---
# A miniature
"""
# For each (hub id, split): what was loaded, or the error. `patient=no` leaves out the client's pauses between attempts.
PROGRAM = """
import json, sys, time
from pathlib import Path
from evalkit.config import HubDatasetConfig
from evalkit.datasets import load
from evalkit.errors import DataError
from evalkit.store import Store
import pyarrow as pa

store, revision, patient, *wanted = sys.argv[1:]
if patient == "no":
    time.sleep = lambda seconds: None
answers = {}
for name in wanted:
    hub_id, _, split = name.partition(":")
    config = HubDatasetConfig(name="mini", hub_id=hub_id, revision=revision, split=split or "test")
    try:
        dataset = load(config, Store(Path(store)))
        answers[name] = {
            "ids": dataset.documents.ids.to_pylist(),
            "texts": dataset.documents.texts(range(len(dataset.documents))),
            "queries": list(dataset.queries.items()),
            "qrels": dataset.qrels,
            "notes": dict(dataset.notes),
            "corpus_digest": dataset.corpus_digest,
            "digest": dataset.digest,
            "rows": dataset.rows(pa.array(["18670", "absent", "4983"])).tolist(),
        }
    except DataError as error:
        answers[name] = str(error)
    except Exception as error:  # a bug; told apart from a refusal, so that one does not hide the others
        answers[name] = {"crash": f"{type(error).__name__}: {error}"}
print(json.dumps(answers))
"""


def write_parquet(folder: Path, corpus: Any = CORPUS, queries: Any = QUERIES, qrels: Any = QRELS) -> Path:
    """A repository in the layout of mteb/scifact."""
    files = {"corpus/corpus": corpus, "queries/queries": queries, "data/test": qrels}
    for name, columns in files.items():
        path = folder / f"{name}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table(columns), path)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    return folder


VARIANTS: dict[str, dict[str, Any]] = {
    "mteb/scifact": {},
    "other/gated": {},
    "other/untitled": {"corpus": {"id": CORPUS["_id"], "text": CORPUS["text"]}},
    "other/null-titles": {"corpus": {**CORPUS, "title": [None, "a", None, ""], "text": [None, "b", "c", "d"]}},
    "other/large-strings": {"corpus": {name: pa.array(column, pa.large_string()) for name, column in CORPUS.items()}},
    "other/integer-grades": {"qrels": {**QRELS, "score": [1, 1, 0]}},
    "other/integer-ids": {
        "corpus": {**CORPUS, "_id": [int(text) for text in CORPUS["_id"]]},
        "queries": {**QUERIES, "_id": [0, 1, 3]},
        "qrels": {"query-id": [3, 0, 3], "corpus-id": [4983, 18670, 31715818], "score": [1, 1, 0]},
    },
    "bad/half-grade": {"qrels": {**QRELS, "score": [1.0, 0.5, 0.0]}},
    "bad/null-grade": {"qrels": {**QRELS, "score": [1.0, None, 0.0]}},
    "bad/nan-grade": {"qrels": {**QRELS, "score": [1.0, float("nan"), 0.0]}},
    "bad/qrels-columns": {"qrels": {"qid": ["3"], "pid": ["4983"], "score": [1]}},
    "bad/corpus-columns": {"corpus": {"docid": ["1"], "body": ["a"]}},
    "bad/unknown-query": {"qrels": {**QRELS, "query-id": ["3", "0", "77"]}},
    "bad/null-query": {"queries": {**QUERIES, "text": ["a", "b", None]}},
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything asked of the hub while it ran, and once more of the same cache after it was stopped."""
    folder = tmp_path_factory.mktemp("hub")
    keys = {f"datasets/{name}@{PUBLISHED.revision}": name for name in VARIANTS}
    served = {key: write_parquet(folder / "served" / name, **VARIANTS[name]) for key, name in keys.items()}
    home, fixed = folder / "home", (folder / "store", PUBLISHED.revision, "yes")
    with LocalHub(served, gated=["datasets/other/gated"]) as hub:
        online = ask(hub.endpoint, PROGRAM, *fixed, *VARIANTS, "mteb/unknown", "mteb/scifact:dev", home=home)
        requests = list(hub.requests)
    offline = ask(hub.endpoint, PROGRAM, *fixed, "mteb/scifact", "mteb/other", home=home, offline=True)
    return {**online, "offline": offline, "requests": requests}


def test_a_published_dataset_is_read_as_it_was_uploaded(answers: dict[str, Any]):
    actual = answers["mteb/scifact"]
    assert PUBLISHED.hub_id == "mteb/scifact"
    assert actual["ids"] == CORPUS["_id"]
    assert actual["texts"] == [
        "Microstructural development of human newborn white matter.",
        "Induction of myelodysplasia.",
        "BC1 RNA",
        "The DNA Methylome  of human cells.",
    ]
    assert actual["queries"] == [["0", "0-dimensional biomaterials"], ["3", "1,000 genomes"]]
    assert actual["qrels"] == {"3": {"4983": 1, "31715818": 0}, "0": {"18670": 1}}
    assert actual["rows"] == [3, -1, 0]


def test_the_notes_of_a_published_dataset_count_absent_documents(answers: dict[str, Any]):
    notes = answers["mteb/scifact"]["notes"]
    assert (notes["documents"], notes["queries"], notes["judgments"]) == (4, 2, 3)
    assert (notes["judged_documents_absent"], notes["relevant_documents_absent"]) == (1, 0)


def test_the_pinned_revision_fixes_the_corpus_and_is_what_is_asked_for(answers: dict[str, Any]):
    assert answers["mteb/scifact"]["corpus_digest"] == f"hub:mteb/scifact@{PUBLISHED.revision}"
    resolved = [line for line in answers["requests"] if "/resolve/" in line]
    assert resolved != []
    assert [line for line in resolved if f"/resolve/{PUBLISHED.revision}/" not in line] == []


def test_a_dataset_that_was_loaded_once_is_there_offline(answers: dict[str, Any]):
    assert answers["offline"]["mteb/scifact"] == answers["mteb/scifact"]


def one_line_about_the_folder(message: object, *parts: str) -> None:
    assert isinstance(message, str), f"not a DataError: {message}"
    assert "\n" not in message
    assert "dataset.path" in message
    assert [part for part in parts if part not in message] == []


def test_an_unknown_repository_is_refused_with_what_to_do(answers: dict[str, Any]):
    one_line_about_the_folder(answers["mteb/unknown"], "mteb/unknown@d56462d0", "doesn't exist")


def test_a_gated_repository_is_refused_with_what_to_do(answers: dict[str, Any]):
    one_line_about_the_folder(answers["other/gated"], "other/gated@d56462d0", "gated", "authenticated")


def test_a_dataset_that_was_never_loaded_is_refused_offline(answers: dict[str, Any]):
    one_line_about_the_folder(answers["offline"]["mteb/other"], "mteb/other@d56462d0")


def test_a_split_that_is_not_published_lists_the_ones_that_are(answers: dict[str, Any]):
    answer = answers["mteb/scifact:dev"]
    assert answer == "mteb/scifact@d56462d0: no split 'dev' of qrels. It has test: set dataset.split."


def test_a_hub_that_cannot_be_reached_is_refused_with_what_to_do(tmp_path: Path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and never listening: every connection is refused
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        answer = ask(
            endpoint, PROGRAM, tmp_path / "store", PUBLISHED.revision, "no", "mteb/scifact", home=tmp_path / "home"
        )
    one_line_about_the_folder(answer["mteb/scifact"], "mteb/scifact@d56462d0", "reach")
    assert not (tmp_path / "store").exists()


def test_an_offline_session_without_a_cache_is_refused_at_once(store: Store):
    """This process has HF_HUB_OFFLINE=1 (conftest)."""
    config = HubDatasetConfig(name="x", hub_id="evalkit-tests/never-published", revision="0" * 40)
    with pytest.raises(DataError) as caught:
        hub_datasets.load(config, store)
    one_line_about_the_folder(str(caught.value), "evalkit-tests/never-published@00000000")


def test_other_columns_and_types_that_are_published_are_read(answers: dict[str, Any]):
    plain = answers["mteb/scifact"]
    assert answers["other/untitled"]["ids"] == plain["ids"]
    assert answers["other/untitled"]["texts"] == [text.strip() for text in CORPUS["text"]]
    assert answers["other/null-titles"]["texts"] == ["", "a b", "c", "d"]
    assert answers["other/integer-grades"]["qrels"] == plain["qrels"]
    for key in ("ids", "texts", "queries", "qrels", "rows", "notes"):
        assert answers["other/large-strings"][key] == plain[key], key


def test_integer_ids_are_read_as_their_digits(answers: dict[str, Any]):
    assert "crash" not in answers["other/integer-ids"], answers["other/integer-ids"]
    for key in ("ids", "queries", "qrels", "rows"):
        assert answers["other/integer-ids"][key] == answers["mteb/scifact"][key], key


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("bad/half-grade", "the relevance is '0.5', expected an integer"),
        ("bad/null-grade", "the relevance is 'None', expected an integer"),
        ("bad/nan-grade", "the relevance is 'nan', expected an integer"),
        ("bad/qrels-columns", "columns qid, pid, score, expected query-id, corpus-id, score"),
        ("bad/corpus-columns", "columns docid, body, expected _id, text"),
        ("bad/unknown-query", "lacks the text of 1 judged queries, such as '77'"),
        ("bad/null-query", "lacks the text of 1 judged queries, such as '3'"),
    ],
)
def test_a_malformed_publication_is_refused_in_one_line(answers: dict[str, Any], name: str, part: str):
    message = answers[name]
    assert isinstance(message, str), f"not a DataError: {message}"
    assert message.startswith(name)
    assert part in message
    assert "\n" not in message
