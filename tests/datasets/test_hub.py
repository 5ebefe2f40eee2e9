"""Published datasets, through the real `datasets` and `huggingface_hub` clients and a hub on 127.0.0.1."""

import hashlib
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from local_files import Delivery
from local_hub import LocalHub, ask
from omegaconf import OmegaConf
from published import CORPUS, QRELS, QUERIES, Columns, write_parquet

from evalkit.config.resources import shipped
from evalkit.datasets import load
from evalkit.datasets.hub_dataset import HubDatasetConfig
from evalkit.errors import DataError
from evalkit.store import Store

PUBLISHED = OmegaConf.load(shipped("conf") / "dataset" / "scifact.yaml")
# For each `hub id[@revision][:split[:subset]]`: what was loaded, or the error; for `files HUB_ID` what would be
# downloaded; for `here HUB_ID` whether it can be loaded without that. What is asked for twice is answered twice.
# `patient=no` leaves out the client's pauses between attempts.
PROGRAM = """
import json, sys, time
from pathlib import Path
from evalkit.datasets import hub, load, loader
from evalkit.datasets.hub_dataset import HubDatasetConfig
from evalkit.errors import DataError
from evalkit.store import Store
import pyarrow as pa

store, revision, patient, *wanted = sys.argv[1:]
if patient == "no":
    time.sleep = lambda seconds: None
answers = {}
for asked in wanted:
    name = f"{asked} again" if asked in answers else asked
    place, split, subset = (asked.split(":") + ["", ""])[:3]
    hub_id, _, commit = place.partition("@")
    commit = commit or revision
    called = hub_id.rpartition("/")[2]
    config = HubDatasetConfig(called, hub_id=hub_id, revision=commit, split=split or "test", subset=subset or None)
    try:
        if asked.startswith("files "):
            answers[name] = hub.remote_files(hub.Repository(hub_id.removeprefix("files "), commit))
            continue
        if asked.startswith("here "):
            config = HubDatasetConfig("mini", hub_id=hub_id.removeprefix("here "), revision=commit)
            answers[name] = loader(config, Store(Path(store))).is_here()
            continue
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


def write_layout(folder: Path, layout: Mapping[str, Mapping[str, Columns]]) -> Path:
    """A repository with these splits in these configurations, each in a file of its own."""
    card = []
    for name, splits in layout.items():
        for split, columns in splits.items():
            path = folder / name / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(dict(columns)), path)
        files = [{"split": split, "path": f"{name}/{split}-*"} for split in splits]
        card.append({"config_name": name, "data_files": files})
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': card})}---\n", encoding="utf-8")
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
    "bad/qrels-columns": {"qrels": {"qid": ["3"], "passage": ["4983"], "found": [1]}},
    "bad/corpus-columns": {"corpus": {"docid": ["1"], "words": ["a"]}},
    "bad/unknown-query": {"qrels": {**QRELS, "query-id": ["3", "0", "77"]}},
    "bad/no-query": {"queries": {"_id": QUERIES["_id"][:2], "text": ["a", "b"]}},
    "fault/damaged": {},
    "fault/cut": {},
}
QUERY_SPLIT, CORPUS_SPLIT = {"queries": QUERIES}, {"corpus": CORPUS}
OTHER_CORPUS = {"_id": ["1"], "title": ["Pchela"], "text": ["med"]}
GRADES = {
    split: {"query-id": ["0"], "corpus-id": ["18670"], "score": [grade]}
    for split, grade in (("train", 1), ("dev", 2), ("test", 3))
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "layout/qrels": {"qrels": {"test": QRELS}, "corpus": CORPUS_SPLIT, "queries": QUERY_SPLIT},
    "layout/subsets": {
        "zho-qrels": {"test": QRELS},
        "zho-corpus": CORPUS_SPLIT,
        "zho-queries": QUERY_SPLIT,
        "rus-qrels": {"test": {"query-id": ["3"], "corpus-id": ["1"], "score": [1]}},
        "rus-corpus": {"corpus": OTHER_CORPUS},
        "rus-queries": QUERY_SPLIT,
    },
    "layout/all-test": {"default": {"test": QRELS}, "corpus": {"test": CORPUS}, "queries": {"test": QUERIES}},
    "layout/all-dev": {"default": {"dev": QRELS}, "corpus": {"dev": CORPUS}, "queries": {"dev": QUERIES}},
    "layout/splits": {"default": GRADES, "corpus": CORPUS_SPLIT, "queries": QUERY_SPLIT},
    "layout/corpora": {"default": GRADES, "corpus": {"dev": OTHER_CORPUS, "test": CORPUS}, "queries": QUERY_SPLIT},
}
# As they are asked for, and which of them must give just what mteb/scifact gives.
SAME = ["layout/qrels", "layout/subsets:test:zho", "layout/all-test", "layout/all-dev:dev"]
SPLITS = ["layout/splits:train", "layout/splits:dev", "layout/splits:test", "layout/splits:validation"]
SUBSETS = ["layout/subsets:test:rus", "layout/subsets:test:fas", "layout/subsets"]
CORPORA = ["layout/corpora:dev", "layout/corpora:train"]
LISTED = ["files other/listed", "files mteb/unknown"]
AGAIN = ["fault/damaged", "mteb/scifact"]
CORPUS_OF_ANOTHER = {"_id": ["1"], "title": [""], "text": ["other"]}
CORPUS_FILE = "corpus/corpus-00000-of-00001.parquet"
OTHER_COMMIT = "1" * 40
HERE = ["here mteb/scifact", f"here mteb/scifact@{OTHER_COMMIT}"]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything asked of the hub while it ran, and once more of the same cache after it was stopped."""
    folder = tmp_path_factory.mktemp("hub")
    served = {name: write_parquet(folder / "served" / name, **columns) for name, columns in VARIANTS.items()}
    served |= {name: write_layout(folder / "served" / name, layout) for name, layout in LAYOUTS.items()}
    served |= {"other/listed": write_parquet(folder / "served" / "other" / "listed")}
    keys = {f"datasets/{name}@{PUBLISHED.revision}": place for name, place in served.items()}
    layouts = [*SAME, *SPLITS, *SUBSETS, *CORPORA]
    asked = ["here mteb/scifact", *VARIANTS, "mteb/unknown", "mteb/scifact:dev", *layouts, *LISTED, *AGAIN]
    home, fixed = folder / "home", (folder / "store", PUBLISHED.revision, "no")
    with LocalHub(keys, gated=["datasets/other/gated"]) as hub:
        hub.deliveries[f"datasets/fault/damaged/{CORPUS_FILE}"] = Delivery(damaged=1)
        hub.deliveries[f"datasets/fault/cut/{CORPUS_FILE}"] = Delivery(cut_after=500)
        online = ask(hub.endpoint, PROGRAM, *fixed, *asked, home=home)
        requests = list(hub.requests)
        ask(hub.endpoint, PROGRAM, *fixed, "mteb/scifact", home=home)
        again = hub.requests[len(requests) :]
    asked = ["mteb/scifact", "mteb/other", f"mteb/scifact@{OTHER_COMMIT}", *SAME[:2], *HERE]
    offline = ask(hub.endpoint, PROGRAM, *fixed, *asked, home=home, offline=True)
    return {**online, "offline": offline, "requests": requests, "asked for again": again, "folder": folder / "served"}


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


def test_whether_a_dataset_is_here_needs_no_answer_of_the_hub(answers: dict[str, Any]):
    assert answers["here mteb/scifact"] is False  # nothing was loaded yet
    assert [answers["offline"][asked] for asked in HERE] == [True, False]


def test_another_commit_than_the_one_in_the_cache_is_refused_offline(answers: dict[str, Any]):
    answer = answers["offline"][f"mteb/scifact@{OTHER_COMMIT}"]
    assert answer.startswith("mteb/scifact@11111111 (qrels) is not on this machine, and HF_HUB_OFFLINE forbids the net")
    assert answer.endswith(" The cache of the hub has only other commits of it: d56462d0.")


def test_what_was_loaded_is_not_downloaded_again(answers: dict[str, Any]):
    assert answers["mteb/scifact again"] == answers["mteb/scifact"]
    files = [line.split(" ")[1] for line in answers["requests"] if "GET /datasets/mteb/scifact/" in line]
    parquet = [Path(file).name for file in files if file.endswith(".parquet")]
    assert sorted(parquet) == [f"{part}-00000-of-00001.parquet" for part in ("corpus", "queries", "test")]


@pytest.mark.parametrize("name", SAME)
def test_every_published_layout_gives_the_same_dataset(answers: dict[str, Any], name: str):
    plain, answer = answers["mteb/scifact"], answers[name]
    assert isinstance(answer, dict), answer
    for key in ("ids", "texts", "queries", "qrels", "rows", "notes"):
        assert answer[key] == plain[key], key


@pytest.mark.parametrize("name", SAME[:2])
def test_every_name_of_the_judgments_is_found_offline(answers: dict[str, Any], name: str):
    assert answers["offline"][name] == answers[name]


def test_subsets_of_a_repository_are_datasets_of_their_own(answers: dict[str, Any]):
    zho, rus = answers["layout/subsets:test:zho"], answers["layout/subsets:test:rus"]
    assert (rus["ids"], rus["qrels"]) == (["1"], {"3": {"1": 1}})
    assert zho["corpus_digest"] == f"hub:layout/subsets@{PUBLISHED.revision}#zho"
    assert rus["corpus_digest"] == f"hub:layout/subsets@{PUBLISHED.revision}#rus"


@pytest.mark.parametrize("name", ["layout/subsets:test:fas", "layout/subsets"])
def test_a_subset_that_is_not_published_lists_the_ones_that_are(answers: dict[str, Any], name: str):
    one_line_about_the_folder(answers[name], "layout/subsets@d56462d0", "zho-qrels", "rus-qrels")


@pytest.mark.parametrize(("split", "grade"), [("train", 1), ("dev", 2), ("test", 3)])
def test_the_judgments_of_the_wanted_split_are_read(answers: dict[str, Any], split: str, grade: int):
    assert answers[f"layout/splits:{split}"]["qrels"] == {"0": {"18670": grade}}


def test_a_split_that_is_not_published_lists_all_that_are(answers: dict[str, Any]):
    assert answers["layout/splits:validation"] == (
        "layout/splits@d56462d0: no split 'validation' of qrels. It has train, dev, test: set dataset.split."
    )


def test_queries_without_judgments_in_the_split_are_counted(answers: dict[str, Any]):
    assert answers["mteb/scifact"]["notes"]["unjudged_queries"] == 1
    assert answers["layout/splits:dev"]["notes"]["unjudged_queries"] == 2
    assert answers["layout/splits:dev"]["queries"] == [["0", "0-dimensional biomaterials"]]


def test_of_several_corpora_the_one_of_the_split_is_read(answers: dict[str, Any]):
    assert answers["layout/corpora:dev"]["ids"] == ["1"]
    assert answers["layout/corpora:train"] == (
        "layout/corpora@d56462d0: no split 'train' of corpus. It has dev, test: set dataset.split."
    )


def test_a_file_with_a_wrong_checksum_is_downloaded_again(answers: dict[str, Any]):
    published = (answers["folder"] / "fault" / "damaged" / CORPUS_FILE).read_bytes()
    damaged = bytes(byte ^ 0xFF for byte in published)
    found, expected = (hashlib.sha256(content).hexdigest() for content in (damaged, published))
    assert answers["fault/damaged"] == (
        f"fault/damaged@d56462d0: {CORPUS_FILE}: sha256 is {found}, and {expected} was published. "
        "It is removed: run again, and if it comes back, its publisher changed it."
    )
    assert answers["fault/damaged again"]["ids"] == CORPUS["_id"]
    assert downloads(answers, f"fault/damaged/resolve/{PUBLISHED.revision}/{CORPUS_FILE}") == ["200", "200"]


def test_a_cut_connection_is_survived(answers: dict[str, Any]):
    assert answers["fault/cut"]["ids"] == CORPUS["_id"]
    assert len(downloads(answers, f"fault/cut/resolve/{PUBLISHED.revision}/{CORPUS_FILE}")) == 2


def downloads(answers: dict[str, Any], address: str) -> list[str]:
    """Status of every answer to a GET of an address."""
    lines = [line.split(" ") for line in answers["requests"]]
    return [words[3] for words in lines if words[0] == "GET" and words[1] == f"/datasets/{address}"]


def test_files_to_download_are_listed_with_sizes(answers: dict[str, Any]):
    folder = answers["folder"] / "other" / "listed"
    files = ["data/test", "queries/queries", "corpus/corpus"]
    names = [f"{file}-00000-of-00001.parquet" for file in files]
    listed = [[f"other/listed/{name}", (folder / name).stat().st_size, False] for name in names]
    assert answers["files other/listed"] == listed
    assert [line for line in answers["requests"] if "other/listed/" in line and ".parquet" in line] == []
    one_line_about_the_folder(answers["files mteb/unknown"], "mteb/unknown@d56462d0", "doesn't exist")


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
    one_line_about_the_folder(answer["mteb/scifact"], "mteb/scifact@d56462d0", "does not answer")
    assert not (tmp_path / "store").exists()


DOWNLOAD = """
import json, sys
from huggingface_hub import snapshot_download
revision, patterns, *names = sys.argv[1:]
for name in names:
    where = snapshot_download(name, repo_type="dataset", revision=revision, allow_patterns=patterns)
print(json.dumps(where))
"""


@pytest.fixture(scope="module")
def left_by_download(answers: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the cache gives after `hf download`, once where the network is forbidden, once where nothing answers."""
    folder, home = tmp_path_factory.mktemp("left"), tmp_path_factory.mktemp("home")
    names = ["mteb/scifact", "layout/subsets", "layout/corpora", "other/null-titles"]
    served = {f"datasets/{name}@{PUBLISHED.revision}": answers["folder"] / name for name in names}
    with LocalHub(served) as hub:
        ask(hub.endpoint, DOWNLOAD, PUBLISHED.revision, "*", *names, home=home)
        part = ask(hub.endpoint, DOWNLOAD, PUBLISHED.revision, "data/*", "mteb/scifact", home=home / "part")
    assert Path(part).is_dir()
    asked = ["here mteb/scifact", *names[:1], "layout/subsets:test:zho", "layout/corpora:dev", *names[3:]]
    fixed, silent = (PUBLISHED.revision, "no"), "http://127.0.0.1:9"
    return {
        "forbidden": ask(silent, PROGRAM, folder / "a", *fixed, *asked, home=home, offline=True),
        "silent": ask(silent, PROGRAM, folder / "b", *fixed, *asked, home=home),
        "part": ask(silent, PROGRAM, folder / "c", *fixed, "here mteb/scifact", "mteb/scifact", home=home / "part"),
        "prepared": (home / "datasets").exists(),
    }


@pytest.mark.parametrize("network", ["forbidden", "silent"])
def test_what_hf_download_left_in_the_cache_is_the_published_dataset(
    answers: dict[str, Any], left_by_download: dict[str, Any], network: str
):
    found = left_by_download[network]
    assert found["here mteb/scifact"] is True
    assert found["mteb/scifact"] == answers["mteb/scifact"]
    assert found["layout/subsets:test:zho"] == answers["layout/subsets:test:zho"]
    assert found["layout/corpora:dev"] == answers["layout/corpora:dev"]
    for key in ("texts", "notes"):
        assert found["other/null-titles"][key] == answers["other/null-titles"][key]
    assert left_by_download["prepared"] is False  # `datasets` has nothing of it: the files were read where they lie


def test_a_part_that_was_not_downloaded_is_named(left_by_download: dict[str, Any]):
    assert left_by_download["part"]["here mteb/scifact"] is False
    message = left_by_download["part"]["mteb/scifact"]
    one_line_about_the_folder(message, "mteb/scifact@d56462d0 (queries) is not on this machine", "does not answer")


def test_a_damaged_file_in_the_cache_is_refused_by_its_checksum(answers: dict[str, Any], tmp_path: Path):
    with LocalHub({f"datasets/mteb/scifact@{PUBLISHED.revision}": answers["folder"] / "mteb/scifact"}) as hub:
        place = ask(hub.endpoint, DOWNLOAD, PUBLISHED.revision, "*", "mteb/scifact", home=tmp_path / "home")
    (Path(place) / CORPUS_FILE).resolve().write_bytes(b"damaged")
    fixed = (tmp_path / "store", PUBLISHED.revision, "no", "mteb/scifact")
    answer = ask("http://127.0.0.1:9", PROGRAM, *fixed, home=tmp_path / "home", offline=True)["mteb/scifact"]
    assert answer.startswith("mteb/scifact@d56462d0: corpus-00000-of-00001.parquet: sha256 is ")
    assert "\n" not in answer


def test_what_was_loaded_once_is_read_without_asking_anyone(answers: dict[str, Any]):
    """At a pinned commit there is nothing to ask."""
    assert answers["asked for again"] == []


def test_of_several_commits_in_the_cache_the_pinned_one_is_read(answers: dict[str, Any], tmp_path: Path):
    served, other = answers["folder"] / "mteb/scifact", write_parquet(tmp_path / "other", corpus=CORPUS_OF_ANOTHER)
    for commit, folder in ((PUBLISHED.revision, served), (OTHER_COMMIT, other)):
        with LocalHub({f"datasets/mteb/scifact@{commit}": folder}) as hub:
            ask(hub.endpoint, PROGRAM, tmp_path / "store", commit, "no", "mteb/scifact", home=tmp_path / "home")
    fixed = (tmp_path / "store", PUBLISHED.revision, "no")
    asked = ["mteb/scifact", f"mteb/scifact@{OTHER_COMMIT}"]
    found = ask("http://127.0.0.1:9", PROGRAM, *fixed, *asked, home=tmp_path / "home", offline=True)
    assert found["mteb/scifact"] == answers["mteb/scifact"]
    assert found[f"mteb/scifact@{OTHER_COMMIT}"]["texts"] == ["other"]


def test_an_offline_session_without_a_cache_is_refused_at_once(store: Store):
    """This process has HF_HUB_OFFLINE=1 (conftest)."""
    config = HubDatasetConfig(name="x", hub_id="evalkit-tests/never-published", revision="0" * 40)
    with pytest.raises(DataError) as caught:
        load(config, store)
    one_line_about_the_folder(str(caught.value), "evalkit-tests/never-published@00000000")


def test_other_columns_and_types_that_are_published_are_read(answers: dict[str, Any]):
    plain = answers["mteb/scifact"]
    assert answers["other/untitled"]["ids"] == plain["ids"]
    assert answers["other/untitled"]["texts"] == [text.strip() for text in CORPUS["text"]]
    assert answers["other/null-titles"]["texts"] == ["", "a b", "c", "d"]
    notes = answers["other/null-titles"]["notes"]
    assert (notes["titles_missing"], notes["texts_missing"]) == (2, 1)
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
        ("bad/qrels-columns", "columns qid, passage, found, expected query-id, corpus-id and score"),
        ("bad/corpus-columns", "columns docid, words, expected _id, text"),
        ("bad/unknown-query", "lacks the text of 1 judged query, such as '77'"),
        ("bad/no-query", "lacks the text of 1 judged query, such as '3'"),
    ],
)
def test_a_malformed_publication_is_refused_in_one_line(answers: dict[str, Any], name: str, part: str):
    message = answers[name]
    assert isinstance(message, str), f"not a DataError: {message}"
    assert message.startswith(name)
    assert part in message
    assert "\n" not in message
