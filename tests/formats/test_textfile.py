"""Lines of plain and compressed files, and errors that name file and line."""

import gzip
import io
import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from evalkit.errors import DataError
from evalkit.formats import textfile
from evalkit.formats.filekind import KIND_BYTES, file_kind
from evalkit.formats.textfile import fields, lines, open_binary, read_lines


@pytest.mark.parametrize("name", ["a.gz", "a.txt", "a"])
def test_gzip_is_recognised_by_its_bytes_not_by_its_name(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    assert [(1, "one"), (2, "two")] == list(read_lines(path))


def test_plain_file_named_gz_is_read_as_it_is(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(b"one\ntwo")
    assert [(1, "one"), (2, "two")] == list(read_lines(path))


@pytest.mark.parametrize("content", [b"", b"\x1f", b"x"])
def test_files_shorter_than_the_gzip_magic_are_plain(tmp_path, content):
    path = tmp_path / "short"
    path.write_bytes(content)
    with open_binary(path) as stream:
        assert content == stream.read()


def test_two_gzip_members_are_one_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    assert [(1, "one"), (2, "two")] == list(read_lines(path))


def test_blank_lines_are_left_out_but_counted():
    stream = io.BytesIO(b"one\n\n \t\r\nfour\n")
    assert [(1, "one"), (4, "four")] == list(lines(stream, "f"))


def test_line_ends_are_cut_but_inner_and_outer_blanks_stay():
    stream = io.BytesIO(b" a b \r\nc\t\n\td")
    assert [(1, " a b "), (2, "c\t"), (3, "\td")] == list(lines(stream, "f"))


def test_byte_order_mark_is_skipped_on_the_first_line_only():
    stream = io.BytesIO(b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n")
    assert [(1, "one"), (2, "\ufefftwo")] == list(lines(stream, "f"))


def test_only_newlines_end_a_line():
    stream = io.BytesIO("a\u2028b\x0bc\x85d\n".encode())
    assert [(1, "a\u2028b\x0bc\x85d")] == list(lines(stream, "f"))


def test_byte_that_is_not_utf8_is_an_error_with_line_and_column():
    with pytest.raises(DataError, match=r"^f:2: byte 3 is not UTF-8"):
        list(lines(io.BytesIO(b"fine\nab\xffc\n"), "f"))


def test_lines_before_a_bad_one_are_given_first():
    given = lines(io.BytesIO(b"fine\n\xff\n"), "f")
    assert (1, "fine") == next(given)
    with pytest.raises(DataError, match=r"^f:2:"):
        next(given)


def test_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(DataError, match=r"absent\.trec: No such file"):
        open_binary(tmp_path / "absent.trec")


def test_folder_in_place_of_a_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(DataError, match=r"is a folder. Give the files in it"):
        open_binary(tmp_path)


def test_truncated_gzip_is_an_error_that_names_file_and_line(tmp_path):
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n")[:-9])
    with pytest.raises(DataError, match=r"cut\.gz:\d+: the compressed data is damaged or cut short"):
        list(read_lines(path))


def test_gzip_with_a_wrong_checksum_is_an_error(tmp_path):
    content = bytearray(gzip.compress(b"one\ntwo\n"))
    content[-8] ^= 0xFF
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with pytest.raises(DataError, match="the compressed data is damaged"):
        list(read_lines(path))


@pytest.mark.parametrize(
    ("line", "counts", "expected"),
    [
        ("a\tb\tc", (3,), ["a", "b", "c"]),
        ("a b\tc\t d", (3,), ["a b", "c", "d"]),
        ("a \t b  c", (3,), ["a", "b", "c"]),
        ("a\tb c\td", (4,), ["a", "b", "c", "d"]),
        ("a b\tc\td\te", (3, 4), ["a b", "c", "d", "e"]),
        ("a\t\tc", (3,), ["a", "", "c"]),
        ("  a  b  ", (2,), ["a", "b"]),
        ("a b c", (2,), ["a", "b", "c"]),
    ],
)
def test_fields_are_split_at_tabs_when_that_gives_the_right_number_else_at_blanks(line, counts, expected):
    assert expected == fields(line, counts)


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000", "\u2009"], ids=["no-break", "ideographic", "thin"])
def test_only_ascii_blanks_separate_fields(blank):
    """trec_eval splits at isspace of single bytes; Unicode blanks are part of an id."""
    assert ["q", f"d{blank}1", "2"] == fields(f"q d{blank}1 2", (3,))


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(textfile, "LONGEST", 1_000)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"a\n" + b"0" * 1_001))
    with pytest.raises(DataError, match=r"bomb.gz:2: a line of more than 0 MiB"):
        list(textfile.read_lines(tmp_path / "bomb.gz"))


def test_the_longest_line_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(textfile, "LONGEST", 1_000)
    (tmp_path / "long").write_bytes(b"0" * 999 + b"\n" + b"1" * 1_000)
    assert [(1, "0" * 999), (2, "1" * 1_000)] == list(textfile.read_lines(tmp_path / "long"))


def test_a_file_without_end_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(textfile, "LARGEST", 1 << 20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"0" * (3 << 20)))
    with pytest.raises(DataError, match=r"bomb.gz: is more than 1 MiB"):
        textfile.read_bytes(tmp_path / "bomb.gz")


def _written(tmp_path, kind):
    path = tmp_path / f"made.{kind}"
    if kind == "sqlite":
        connection = sqlite3.connect(path)
        connection.execute("create table run (query text)")
        connection.commit()
        connection.close()
    elif kind == "parquet":
        pq.write_table(pa.table({"query": ["q"]}), path)
    elif kind == "feather":
        feather.write_feather(pa.table({"query": ["q"]}), path)
    elif kind == "arrow":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, pa.schema([("query", pa.string())])) as writer:
            writer.write_table(pa.table({"query": ["q"]}))
    return path


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("sqlite", "an SQLite database"),
        ("parquet", "a Parquet file"),
        ("feather", r"an Arrow \(Feather\) file"),
        ("arrow", "an Arrow stream"),
    ],
)
def test_file_of_another_kind_is_named(tmp_path, kind, told):
    with pytest.raises(DataError, match=rf"made\.{kind}: is {told}\. [A-Z]"):
        list(read_lines(_written(tmp_path, kind)))


LINE = b"q1 Q0 d1 1 2.5 tag\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(LINE, mtime=0), "gzip"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "zstd"),
        (b"\x80\x04\x95\x15\x00\x00\x00\x00\x00\x00\x00}", "pickle"),
        (LINE.decode().encode("utf-16-le"), "UTF-16"),
        (LINE.decode().encode("utf-16-be"), "UTF-16"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html><body>Not found", "HTML page"),
    ],
)
def test_the_kind_of_a_file_shows_in_its_first_bytes(content, told):
    kind = file_kind(content[:KIND_BYTES])
    assert kind is not None
    assert told in kind.name
    assert kind.remedy.endswith(".")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"P",
        LINE,
        b"\xef\xbb\xbf" + LINE,
        b"PAR1 Q0 d1 1 2.5 t\n",
        b"BZh Q0 d1 1 2.5 t\n",
        b"q\0 Q0 d 1 2 t\n",
        b"\xff",
        "查询".encode() * 100,
        "查询".encode()[:-1],
        "caf\xe9".encode("latin-1"),
    ],
)
def test_lines_of_text_are_not_mistaken_for_another_kind(content):
    assert file_kind(content[:KIND_BYTES]) is None
