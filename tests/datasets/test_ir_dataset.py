"""Collections of ir_datasets: read by that library, from files on disk and from a server on 127.0.0.1."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from local_hub import LocalHub

import evalkit
from evalkit.cli import main
from evalkit.datasets import load
from evalkit.datasets.ir_dataset import IrDatasetConfig
from evalkit.errors import ConfigError, DataError
from evalkit.store import Store

ir_datasets = pytest.importorskip("ir_datasets")

DOCUMENTS = "d1\tan apple\nd2\ta ripe pear\nd3\ta stone\n"
TOPICS = "q1\tapple\nq2\tpear\nq3\tnobody judged this\n"
GRADES = "q1 0 d1 2\nq2 0 d2 1\nq2 0 d3 0\n"


class Article(NamedTuple):
    doc_id: str
    title: str
    body: str

    def default_text(self) -> str:
        return f"{self.title} {self.body}"


class Topic(NamedTuple):
    query_id: str
    title: str
    description: str

    def default_text(self) -> str:
        return self.title


class Grade(NamedTuple):
    query_id: str
    doc_id: str
    relevance: int
    quality: int


class Subtopic(NamedTuple):
    query_id: str
    doc_id: str
    relevance: int
    subtopic_id: str


def part(name: str, kind: type, rows: list[Any], **more: Any) -> Any:
    """Documents, queries or judgments of a collection made of objects."""
    from ir_datasets import formats

    kinds = {"docs": "BaseDocs", "queries": "BaseQueries", "qrels": "BaseQrels", "scoreddocs": "BaseScoredDocs"}
    base = getattr(formats, kinds[name])
    methods = {f"{name}_iter": lambda _: iter(rows), f"{name}_cls": lambda _: kind}
    return type("Part", (base,), {**methods, **{key: (lambda _, value=value: value) for key, value in more.items()}})()


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IR_DATASETS_DL_TRIES", "1")
    monkeypatch.setenv("IR_DATASETS_DL_DISABLE_PBAR", "true")


@pytest.fixture
def registered() -> Iterator[Callable[..., str]]:
    """Gives a collection a name in the library for the length of a test."""
    names: list[str] = []

    def register(*parts: Any) -> str:
        names.append(f"evalkit-tests/{len(names)}")
        ir_datasets.registry.register(names[-1], ir_datasets.Dataset(*parts))
        return names[-1]

    yield register
    for name in names:
        del ir_datasets.registry._registered[name]


def on_disk(folder: Path) -> Any:
    for name, content in {"docs.tsv": DOCUMENTS, "queries.tsv": TOPICS, "qrels": GRADES}.items():
        (folder / name).write_text(content, encoding="utf-8")
    return ir_datasets.create_dataset(folder / "docs.tsv", folder / "queries.tsv", folder / "qrels")


def objects(*, grades: list[Any] | None = None, kind: type = Grade, **languages: str) -> list[Any]:
    return [
        part("docs", Article, [Article("a", "Pears", "are ripe."), Article("b", "", "Stones.")], **languages),
        part("queries", Topic, [Topic("1", "pear", "What is a ripe pear?")]),
        part("qrels", kind, [Grade("1", "a", 1, 3)] if grades is None else grades),
    ]


def test_a_collection_is_evaluated_from_its_files(tmp_path: Path, registered, capsys: pytest.CaptureFixture[str]):
    name = registered(on_disk(tmp_path))
    folders = [f"results_dir={tmp_path / 'results'}", f"cache_dir={tmp_path / 'cache'}"]
    settings = ["dataset=ir_datasets", f"dataset.id={name}", "retriever=bm25", "reranker=none", *folders]
    assert main(["evaluate", *settings, "--format", "json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)
    assert table["title"].startswith("evalkit-tests-0 (test): bm25")
    assert table["rows"][0] == {"measure": "nDCG@10", "first stage": 1.0, "ceiling": 1.0}


def test_text_is_the_default_text_and_query_the_topic_as_the_library_describes_them(store: Store, registered):
    found = load(IrDatasetConfig(id=registered(*objects(docs_lang="de"))), store)
    assert found.documents.texts([0, 1]) == ["Pears are ripe.", "Stones."]
    assert dict(found.queries) == {"1": "pear"}
    assert (found.language, found.query_language) == ("de", "en")


def test_a_field_of_the_topic_can_be_the_query(store: Store, registered):
    name = registered(*objects())
    found = load(IrDatasetConfig(id=name, query_field="description"), store)
    assert dict(found.queries) == {"1": "What is a ripe pear?"}
    with pytest.raises(ConfigError, match="topics have query_id, title, description and no narrative"):
        load(IrDatasetConfig(id=name, query_field="narrative"), store)


def test_unjudged_topics_are_counted_and_further_grades_are_named(
    tmp_path: Path, store: Store, registered, caplog: pytest.LogCaptureFixture
):
    assert load(IrDatasetConfig(id=registered(on_disk(tmp_path))), store).notes["unjudged_queries"] == 1
    with caplog.at_level(logging.WARNING):
        load(IrDatasetConfig(id=registered(*objects())), store)
    assert "judgments also have quality, which no measure reads" in caplog.text


class Scored(NamedTuple):
    query_id: str
    doc_id: str
    score: float


def test_scored_documents_are_candidates_where_they_are_asked_for(store: Store, registered):
    rows = [Scored("1", "b", 2.0), Scored("1", "a", 1.5)]
    name = registered(*objects(), part("scoreddocs", Scored, rows))
    assert load(IrDatasetConfig(id=name), store).candidates is None
    found = load(IrDatasetConfig(id=name, scored_documents=True), store)
    (ranking,) = found.candidates
    assert (ranking.query_id, list(ranking.doc_ids), list(ranking.scores)) == ("1", ["b", "a"], [2.0, 1.5])
    with pytest.raises(ConfigError, match="has no scored documents"):
        load(IrDatasetConfig(id=registered(*objects()), scored_documents=True), store)


def test_judgments_of_subtopics_are_refused(store: Store, registered):
    name = registered(*objects(kind=Subtopic, grades=[Subtopic("1", "a", 1, "x")]))
    with pytest.raises(DataError, match="Judgments with subtopic_id cannot be read"):
        load(IrDatasetConfig(id=name), store)


def test_changed_documents_are_read_again(tmp_path: Path, store: Store, registered):
    source = on_disk(tmp_path)
    name = registered(source)
    before = load(IrDatasetConfig(id=name), store)
    (tmp_path / "docs.tsv").write_text(DOCUMENTS.replace("stone", "brick and mortar"), encoding="utf-8")
    after = load(IrDatasetConfig(id=name), store)
    assert after.documents.texts([2]) == ["a brick and mortar"]
    assert before.corpus_digest != after.corpus_digest


def test_repeated_documents_count_once_and_other_ones_of_the_same_id_are_refused(store: Store, registered):
    articles = [Article("a", "Pears", "are ripe."), Article("a", "Pears", "are ripe.")]
    _, *rest = objects()
    found = load(IrDatasetConfig(id=registered(part("docs", Article, articles), *rest)), store)
    assert (len(found.documents), found.notes["documents_repeated"]) == (1, 1)
    other = [*articles, Article("a", "Pears", "are not.")]
    with pytest.raises(DataError, match="document id 'a' is already on"):
        load(IrDatasetConfig(id=registered(part("docs", Article, other), *rest)), store)


def test_incomplete_and_unknown_collections_are_refused_with_the_nearest():
    store = Store(Path("unused"))
    with pytest.raises(ConfigError, match=r"has no qrels\. Set dataset\.id to one of: .*beir/scifact/test"):
        load(IrDatasetConfig(id="beir/scifact"), store)
    with pytest.raises(ConfigError, match=r"Did you mean beir/scifact/test\?"):
        load(IrDatasetConfig(id="beir/scifac/test"), store)
    with pytest.raises(ConfigError, match=r"dataset\.id is not set"):
        IrDatasetConfig()
    with pytest.raises(ConfigError, match=r"dataset\.split is not for dataset=ir_datasets"):
        IrDatasetConfig(id="beir/scifact/test", split="train")


def test_files_are_downloaded_once_and_a_wrong_checksum_is_one_line(tmp_path: Path, store: Store, registered):
    from ir_datasets import formats
    from ir_datasets.util.download import Download, RequestsDownload

    content = {"docs.tsv": DOCUMENTS, "queries.tsv": TOPICS, "qrels": GRADES}
    with LocalHub({}, files={name: text.encode() for name, text in content.items()}) as hub:

        def download(name: str, folder: str, *, md5: str | None = None) -> Download:
            checksum = md5 or hashlib.md5(content[name].encode(), usedforsecurity=False).hexdigest()
            source = RequestsDownload(f"{hub.endpoint}/files/{name}")
            return Download([source], cache_path=str(tmp_path / folder / name), expected_md5=checksum)

        def collection(folder: str, *, md5: str | None = None) -> str:
            return registered(
                formats.TsvDocs(download("docs.tsv", folder, md5=md5)),
                formats.TsvQueries(download("queries.tsv", folder)),
                formats.TrecQrels(download("qrels", folder), {}),
            )

        name = collection("whole")
        found = [load(IrDatasetConfig(id=name), store) for _ in range(2)]
        assert found[0].digest == found[1].digest
        assert len(hub.asked("docs.tsv")) == 1
        wrong = collection("wrong", md5="0" * 32)
        with pytest.raises(DataError, match=r"ir_datasets cannot read evalkit-tests/1 \(.*https://ir-datasets.com/"):
            load(IrDatasetConfig(id=wrong), store)


def test_an_object_of_the_library_is_a_dataset_in_python(tmp_path: Path):
    settings = {"retriever": "bm25", "results_dir": tmp_path / "results", "cache_dir": tmp_path / "cache"}
    found = evalkit.evaluate(dataset=on_disk(tmp_path), **settings)
    assert found.measures["nDCG@10"] == 1.0


def beginning(source: Path, folder: Path) -> Path:
    """SciFact of its first 40 judged queries: their documents, and every tenth of the others."""
    header, *judged = (source / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()
    queries = set(list(dict.fromkeys(line.split("\t")[0] for line in judged))[:40])
    judged = [line for line in judged if line.split("\t")[0] in queries]
    documents = {line.split("\t")[1] for line in judged}
    corpus = (source / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [line for row, line in enumerate(corpus) if row % 10 == 0 or json.loads(line)["_id"] in documents]
    asked = (source / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    (folder / "qrels").mkdir(parents=True)
    (folder / "qrels" / "test.tsv").write_text("\n".join([header, *judged]) + "\n", encoding="utf-8")
    (folder / "corpus.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")
    own = [line for line in asked if json.loads(line)["_id"] in queries]
    (folder / "queries.jsonl").write_text("\n".join(own) + "\n", encoding="utf-8")
    return folder


@pytest.mark.shared
def test_scifact_has_the_numbers_of_its_folder(
    tmp_path: Path, shared: Path, registered, capsys: pytest.CaptureFixture[str]
):
    scifact = beginning(shared / "data" / "scifact", tmp_path / "scifact")
    lines = [json.loads(line) for line in (scifact / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    documents = [Article(line["_id"], line["title"], line["text"]) for line in lines]
    queries = (scifact / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    topics = [Topic(line["_id"], line["text"], "") for line in map(json.loads, queries)]
    judged = (scifact / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]
    grades = [Grade(query, document, int(grade), 0) for query, document, grade in map(str.split, judged)]
    name = registered(
        part("docs", Article, documents, docs_lang="en"), part("queries", Topic, topics), part("qrels", Grade, grades)
    )
    common = ["retriever=bm25", "reranker=none", f"results_dir={tmp_path}", f"cache_dir={tmp_path / 'cache'}"]
    tables = []
    for dataset in (["dataset=ir_datasets", f"dataset.id={name}"], ["dataset=folder", f"dataset.path={scifact}"]):
        assert main(["evaluate", *dataset, *common, "--format", "json"]) == 0
        tables.append(json.loads(capsys.readouterr().out)[0]["rows"])
    assert tables[0] == tables[1]
