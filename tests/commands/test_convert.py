"""`evalkit convert`: what it recognises, what it writes, and what it leaves alone."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from in_process import evalkit

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.formats.trec import read_qrels, read_run

DOCUMENTS = [
    {"_id": "d1", "title": "Bees", "text": 'Bees, "busy" ones,\tmake honey\n'},
    {"_id": "d2", "title": "", "text": "Kühe geben Milch"},
]
QRELS = {"q1": {"d1": 2, "d2": -1}, "q2": {"d2": 1}}
RUN = "q1 Q0 d1 1 0.1 t\nq1 Q0 d2 2 1e-3 t\nq2\tQ0\td 3\t1\t7.0\tt\n"


@pytest.fixture
def place(tmp_path):
    """A folder with a collection in CSV, judgments and a run."""
    (tmp_path / "held" / "qrels").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(DOCUMENTS), tmp_path / "held" / "corpus.parquet")
    (tmp_path / "held" / "queries.csv").write_text("qid,query\nq1,bees\nq2,cows\nq3,moon\n")
    (tmp_path / "held" / "qrels" / "test.json").write_text(json.dumps(QRELS))
    (tmp_path / "run.trec").write_text(RUN)
    return tmp_path


def convert(place, *arguments):
    done = evalkit("convert", *arguments, "--cache-dir", str(place / "cache"), cwd=place)
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def read(path, store):
    return load(FolderDatasetConfig(name="toy", path=str(path)), store)


def test_a_collection_is_written_in_beir_layout_and_read_back_the_same(place, store):
    code, printed, notes = convert(place, "held", "out")
    files = ["out/corpus.jsonl", "out/queries.jsonl", "out/qrels/test.tsv"]
    layout = "held: a collection: parts by their names (corpus.parquet, qrels/test.json, queries.csv)"
    assert (code, printed) == (0, [f"{layout}; 2 documents, 2 queries, 3 judgments of 2 queries", *files])
    assert notes == ["evalkit: 1 query without judgments in split test left out"]
    assert [json.loads(line) for line in (place / "out/corpus.jsonl").read_text().splitlines()] == DOCUMENTS
    before, after = read(place / "held", store), read(place / "out", store)
    assert (after.queries, after.qrels) == (before.queries, before.qrels)
    assert after.documents.texts(range(2)) == before.documents.texts(range(2))
    assert convert(place, "out", "again")[0] == 0
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        assert (place / "out" / name).read_bytes() == (place / "again" / name).read_bytes()


def test_questions_with_passages_keep_their_answers_and_instructions(place, store):
    row = {
        "question": "who",
        "answers": ["Bees"],
        "instruction": "find",
        "positive_ctxs": [{"title": "a", "text": "b"}],
    }
    (place / "dpr.json").write_text(json.dumps([row]))
    assert convert(place, "dpr.json", "out")[1][0] == (
        "dpr.json: a collection: questions with passages of their own; 1 document, 1 query, 1 judgment of 1 query"
    )
    before, after = read(place / "dpr.json", store), read(place / "out", store)
    assert (after.answers, after.instructions, after.qrels) == (before.answers, before.instructions, before.qrels)
    assert after.documents.ids.to_pylist() == before.documents.ids.to_pylist()


@pytest.mark.parametrize("out", ["qrels.trec", "deep/er/qrels.trec.gz"])
@pytest.mark.parametrize("source", ["held/qrels/test.json", "held"])
def test_judgments_are_written_as_trec(place, out, source):
    code, printed, _ = convert(place, source, out, *(["--to", "trec"] if source == "held" else []))
    assert (code, printed[-1]) == (0, out)
    raw = (place / out).read_bytes()
    text = gzip.decompress(raw) if out.endswith(".gz") else raw
    assert text == b"q1 0 d1 2\nq1 0 d2 -1\nq2 0 d2 1\n"
    assert read_qrels(place / out) == QRELS


def test_judgments_are_written_with_beirs_header(place):
    assert convert(place, "held/qrels/test.json", "qrels.tsv", "--to", "beir")[0] == 0
    assert (place / "qrels.tsv").read_text().splitlines()[:2] == ["query-id\tcorpus-id\tscore", "q1\td1\t2"]
    assert read_qrels(place / "qrels.tsv") == QRELS


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", json.dumps({"q1": {"d1": 0.1, "d2": 1e-3}, "q2": {"d 3": 7.0}})),
        ("run.csv", "qid,docno,score\nq1,d1,0.1\nq1,d2,0.001\nq2,d 3,7.0\n"),
        ("run.trec", RUN),
    ],
)
def test_runs_are_written_as_trec_and_read_back_the_same(place, name, content):
    (place / name).write_text(content)
    code, printed, _ = convert(place, name, "out.trec")
    assert (code, printed) == (0, [f"{name}: a run; 2 queries, 3 scored documents", "out.trec"])
    assert (place / "out.trec").read_text().splitlines()[0] == "q1 Q0 d1 1 0.1 run"
    assert [list(map(list, row[1:])) for row in read_run(place / "out.trec")] == [
        list(map(list, row[1:])) for row in read_run(place / name)
    ]


def test_files_that_are_there_are_kept_unless_forced(place):
    (place / "out").mkdir()
    (place / "out" / "queries.jsonl").write_text("mine")
    code, printed, errors = convert(place, "held", "out")
    assert (code, printed, len(errors)) == (2, [], 1)
    assert errors[-1].endswith(
        "out/queries.jsonl: is there already. Choose another place, or set --force to replace it."
    )
    assert sorted(path.name for path in (place / "out").iterdir()) == ["queries.jsonl"]
    assert convert(place, "held", "out", "--force")[0] == 0
    assert (place / "out" / "queries.jsonl").read_text().startswith('{"_id": "q1"')
    assert sorted(path.name for path in place.iterdir()) == ["cache", "held", "out", "run.trec"]


@pytest.mark.parametrize(
    ("source", "out", "legal"),
    [
        ("run.trec", "run.json", "a TREC file, or one in gzip"),
        ("run.trec", "run.trec.ZST", "a TREC file, or one in gzip"),
        ("held/qrels/test.json", "qrels.csv", "a TREC file, or one in gzip"),
        ("held", "held.zip", "a folder"),
        ("held", "held.tar.gz", "a folder"),
    ],
)
def test_the_name_of_another_format_is_refused_for_the_output(place, source, out, legal):
    code, printed, (error,) = convert(place, source, out)
    assert (code, printed, (place / out).exists()) == (2, [], False)
    assert f"{out}: is the name of another format" in error
    assert f"and OUT is {legal}. Choose another name." in error


@pytest.mark.parametrize(("name", "count"), [("three.tsv", 1), ("qrels.tsv", 0)])
def test_judgments_that_may_be_a_run_are_noted_unless_their_name_says_so(place, name, count):
    (place / name).write_text("q1 d2 2\nq1 d1 1\nq2 d3 1\n")
    code, printed, errors = convert(place, name, "out.trec")
    assert (code, len(printed)) == (0, 2)
    assert sum("if it is a run, set --as run" in line for line in errors) == count


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["absent", "out"], "absent: no such file or folder."),
        (["run.trec", "out", "--to", "beir"], "is a run, which BEIR layout has no place for"),
        (["run.trec", "out", "--as", "judgments"], "6 fields, expected 3 or 4"),
        (["run.trec", "held"], "held: is a folder. Choose another place."),
        (["held", "run.trec"], "run.trec: is a file. Choose another place."),
        (["whole.tsv", "out"], "may be judgments or a run. Set --as judgments"),
        (["text.txt", "out"], "holds neither judgments (1: 7 fields"),
        (["held", "out", "--split", "dev"], "It has the splits test: set dataset.split."),
    ],
)
def test_what_cannot_be_converted_is_refused_in_one_line(place, arguments, part):
    (place / "whole.tsv").write_text("a\tb\t5\na\tc\t2\n")
    (place / "text.txt").write_text("some text\tof no kind at all\n")
    code, printed, errors = convert(place, *arguments)
    assert (code, printed, len(errors)) == (2, [], 1)
    assert part in errors[0]
    assert not (place / "out").exists()


def test_what_is_not_clear_is_decided_by_an_option_or_by_the_name(place):
    text = "a\tb\t5\na\tc\t2\n"
    for name in ("whole.tsv", "my.qrels.tsv"):
        (place / name).write_text(text)
    assert convert(place, "whole.tsv", "run", "--as", "run")[1][0] == "whole.tsv: a run; 1 query, 2 scored documents"
    assert convert(place, "whole.tsv", "q1", "--as", "judgments")[0] == 0
    assert convert(place, "my.qrels.tsv", "q2")[0] == 0
    assert (place / "q1").read_text() == (place / "q2").read_text() == "a 0 b 5\na 0 c 2\n"
