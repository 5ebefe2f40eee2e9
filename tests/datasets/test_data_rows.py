"""The same documents in every format, and what is refused of each."""

import gzip
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.datasets import corpus
from evalkit.datasets.data_rows import format_of, rows
from evalkit.datasets.records import DOCUMENTS
from evalkit.datasets.source import FolderSource
from evalkit.errors import DataError

TEXTS = [("d1", "Bees", 'Bees, "busy" ones'), ("d2", "", "Cows")]
OBJECTS = [{"_id": one, "title": title, "text": text} for one, title, text in TEXTS]


def write(folder, name, content):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return FolderSource(folder), name


def read(source, name):
    form = format_of(source, name)
    with source.open(name) as stream:
        return list(rows(stream, source.label(name), name, form, DOCUMENTS))


def converted(source, name, store):
    found = corpus.from_file(source, name, store)
    return [tuple(row[key] for key in ("_id", "title", "text")) for row in found.table]


FORMATS = {
    "lines": ("c.jsonl", "".join(json.dumps(one) + "\n" for one in OBJECTS)),
    "lines under another name": ("c.json", "".join(json.dumps(one) + "\n" for one in OBJECTS)),
    "array": ("c.jsonl", json.dumps(OBJECTS)),
    "array, one a line": ("c.json", "[\n" + ",\n".join(map(json.dumps, OBJECTS)) + "\n]\n"),
    "array, indented, with a mark": ("c.json", "\ufeff" + json.dumps(OBJECTS, indent=1)),
    "object by id": ("c.json", json.dumps({one: {"title": title, "text": text} for one, title, text in TEXTS})),
    "csv": ("c.csv", '_id,title,text\nd1,Bees,"Bees, ""busy"" ones"\nd2,,Cows\n'),
    "csv of Excel": ("c.csv", '\ufeffID;Title;Text\r\nd1;Bees;"Bees, ""busy"" ones"\r\n\r\nd2;;Cows\r\n'),
    "csv of pandas": ("c.csv", ',docid,title,contents,url\n0,d1,Bees,"Bees, ""busy"" ones",x\n1,d2,,Cows,y\n'),
    "tsv": ("c.tsv", 'pid\ttitle\tpassage\nd1\tBees\t"Bees, ""busy"" ones"\nd2\t\tCows\n'),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_documents_are_the_same_in_every_format(tmp_path, store, kind):
    assert converted(*write(tmp_path, *FORMATS[kind]), store) == TEXTS


def test_documents_are_read_from_parquet_whatever_its_name(tmp_path, store):
    table = pa.table({"id": ["d1", "d2"], "title": ["Bees", None], "text": ['Bees, "busy" ones', "Cows"]})
    for name in ("c.parquet", "c.parq", "c.jsonl"):
        pq.write_table(table, tmp_path / name)
        assert converted(FolderSource(tmp_path), name, store) == TEXTS


def test_a_table_without_names_has_ids_and_texts_with_their_quotes(tmp_path, store):
    source = write(tmp_path, "c.tsv", '0\tBees "make" honey\n1\t"Cows\n\n2\t\n')
    assert converted(*source, store) == [("0", "", 'Bees "make" honey'), ("1", "", '"Cows'), ("2", "", "")]


def test_a_text_in_quotes_may_hold_line_ends_and_lines_are_counted_all_the_same(tmp_path, store):
    text = '_id,text\nd1,"two\r\nlines"\nd2,a,b\n'
    with pytest.raises(DataError, match=r"c.csv:4: 3 columns, expected 2 \(_id, text\)"):
        converted(*write(tmp_path, "c.csv", text), store)
    assert converted(*write(tmp_path, "c.csv", text[:-7]), store) == [("d1", "", "two\r\nlines")]


def test_a_text_of_a_table_may_be_long(tmp_path, store):
    """The csv module stops at 131,072 characters unless it is told otherwise."""
    source = write(tmp_path, "c.csv", "_id,text\nd1," + "x" * 200_000 + "\n")
    assert len(converted(*source, store)[0][2]) == 200_000


def test_the_digest_of_lines_is_that_of_their_bytes_and_other_formats_have_others(tmp_path, store):
    digests = {kind: corpus.from_file(*write(tmp_path, *FORMATS[kind]), store).digest for kind in FORMATS}
    assert digests["lines"] == digests["lines under another name"]
    assert len(digests["lines"]) == 64
    assert len(set(digests.values())) == len(digests) - 1


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("c.jsonl", '["d1", "a"]\n["d2", "b"]\n', ": holds more than one JSON value (Extra data: line 2"),
        ("c.jsonl", '\n[{"_id": "d1"},\n{"_id"', ": is not JSON (Expecting ':' delimiter: line 3"),
        ("c.jsonl", '[{"_id": "d1", "text": "a"}, ["d2"]]', " item:2: a JSON list, expected an object"),
        ("c.jsonl", '[{"_id": "d1", "text": "a", "text": "b"}]', " item:1: 'text' occurs twice in one object"),
        ("c.jsonl", '{\n "_id": "d1",\n "text": "a"\n}\n', ":1: not JSON"),
        ("c.jsonl", b"[" * 100_000, ": is not JSON"),
        (
            "c.csv",
            "d1,Bees\n",
            ":1: 2 columns, and the first line does not name columns of ids and texts. Legal are _id",
        ),
        ("c.tsv", "d1\tBees\tx\n", ":1: 3 columns, and the first line does not name columns"),
        ("c.tsv", "d1\tBees\nd2\tCows\tx\n", ":2: 3 columns, expected 2 (_id, text)"),
        ("c.csv", '_id,text\nd1,"open\nd2,a\n', ":2: not a row of a table (unexpected end of data)"),
        ("c.csv", '_id,text\nd1,"Bees" busy\n', ":2: not a row of a table"),
        ("c.csv", "_id,text,text\nd1,a,b\n", ":1: column 'text' occurs twice"),
        ("c.csv", b"_id,text\nd1,caf\xe9\n", ":2: byte 7 is not UTF-8"),
        ("c.csv", "_id,text\nd1,a\n".encode("utf-16-le"), ": is a text in UTF-16"),
        ("c.csv", b"PK\x03\x04\0\0\0\xff", ": is a zip archive that is damaged or cut short"),
        ("c.parquet", b"PAR1 and no more", ": is not parquet, or is damaged"),
    ],
)
def test_a_malformed_file_names_its_place(tmp_path, name, content, part):
    with pytest.raises(DataError) as caught:
        read(*write(tmp_path, name, content))
    assert str(caught.value).startswith(f"{tmp_path / name}{part}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_compressed_parquet_that_is_cut_short_is_an_error_of_one_line(tmp_path, pack):
    texts = [f"{number * number}" for number in range(20_000)]
    pq.write_table(pa.table({"_id": texts, "text": texts}), tmp_path / "plain.parquet")
    packed = pack((tmp_path / "plain.parquet").read_bytes())
    with pytest.raises(DataError, match=r"c\.parquet: is not parquet, or is damaged \(.*\)\.$"):
        read(*write(tmp_path, "c.parquet", packed[: len(packed) // 2]))
