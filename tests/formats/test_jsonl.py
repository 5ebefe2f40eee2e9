"""Lines that `score` and `embed` read: pairs and texts with what else a line holds, and errors that name the line."""

import gzip
import io
import sys

import pytest

from evalkit.errors import DataError
from evalkit.formats.jsonl import Text, read_pairs, read_texts
from evalkit.types import Pair

PAIR = '{"query": "q", "document": "d"}'


@pytest.fixture
def write(tmp_path):
    def to_file(*lines, name="in.jsonl"):
        (tmp_path / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return str(tmp_path / name)

    return to_file


def test_pairs_come_in_order_with_the_other_fields_of_their_lines(write):
    file = write(
        '{"id": 7, "query": "q", "document": "d", "instruction": "i", "more": {"a": [1, null]}}',
        '{"document": "", "query": "中"}',
        '{"query": "q", "document": "d", "instruction": ""}',
        '{"query": "q", "document": "d", "instruction": null}',
    )
    assert [
        (Pair("q", "d", "i"), {"id": 7, "more": {"a": [1, None]}}),
        (Pair("中", "", None), {}),
        (Pair("q", "d", ""), {}),
        (Pair("q", "d", None), {}),
    ] == read_pairs(file)


def test_texts_come_in_order_with_role_and_other_fields(write):
    file = write('{"role": "query", "text": "t", "instruction": "i", "id": "a"}', '{"text": "", "role": "document"}')
    assert [Text("query", "t", "i", {"id": "a"}), Text("document", "", None, {})] == read_texts(file)


def test_blank_lines_are_no_pairs_and_keep_the_numbers_of_the_others(write):
    file = write("", PAIR, "   ", PAIR, "[]")
    with pytest.raises(DataError, match=r"in\.jsonl:5: "):
        read_pairs(file)


def test_an_empty_file_holds_nothing(write):
    assert [] == read_pairs(write())
    assert [] == read_texts(write())


def test_gzip_is_read_whatever_its_name(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(gzip.compress(PAIR.encode()))
    assert [(Pair("q", "d"), {})] == read_pairs(str(tmp_path / "in.jsonl"))


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_line(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(b"\xef\xbb\xbf" + f"{PAIR}\r\n{PAIR}\r\n".encode())
    assert [(Pair("q", "d"), {})] * 2 == read_pairs(str(tmp_path / "in.jsonl"))


def test_a_line_separator_inside_a_text_does_not_end_the_line(write):
    assert [(Pair("a\u2028b\x85c", "d"), {})] == read_pairs(write('{"query": "a\u2028b\x85c", "document": "d"}'))


def test_a_dash_is_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{PAIR}\n{{}}\n".encode())))
    with pytest.raises(DataError, match=r"^standard input:2: has no query\."):
        read_pairs("-")


def test_a_home_folder_is_expanded(write, tmp_path, monkeypatch):
    write(PAIR)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert 1 == len(read_pairs("~/in.jsonl"))


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("{query: 1}", ["not JSON", "query, document and perhaps instruction"]),
        (PAIR + PAIR, ["not JSON", "Extra data"]),
        ("[" * 100_000, ["not JSON"]),
        ('["q", "d"]', ["an array", "expected an object with query, document and perhaps instruction"]),
        ('"q"', ["a text"]),
        ("null", ["null"]),
        ("{}", ["has no query", "has no query."]),
        ('{"doc": "d", "id": 1}', ["has no query", "but doc, id"]),
        ('{"query": "q", "text": "d"}', ["has no document", "text"]),
        ('{"query": 5, "document": "d"}', ["query is a number", "expected a text"]),
        ('{"query": "q", "document": null}', ["document is null", "expected a text"]),
        ('{"query": "q", "document": ["d"]}', ["document is an array", "expected a text"]),
        ('{"query": "q", "document": "d", "instruction": 1}', ["instruction is a number", "expected a text"]),
        (r'{"query": "\ud800", "document": "d"}', ["query holds half of a surrogate pair"]),
        (r'{"query": "q", "document": "d\udfff"}', ["document holds half of a surrogate pair"]),
        (r'{"query": "q", "document": "d", "instruction": "\ud83d"}', ["instruction holds half of a surrogate pair"]),
    ],
)
def test_line_that_is_not_a_pair_is_refused_with_file_and_number(write, line, parts):
    with pytest.raises(DataError) as caught:
        read_pairs(write(PAIR, line))
    for part in ["in.jsonl:2: ", *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("text", ["not JSON", "role and text"]),
        ("[1]", ["an array", "role and text"]),
        ('{"text": "t"}', ["has no role but text", '"role": "query" or "role": "document"']),
        ('{"role": "query", "document": "t"}', ["has no text", "document"]),
        ('{"role": "passage", "text": "t"}', ["role is 'passage'", "Legal are: query, document."]),
        ('{"role": 1, "text": "t"}', ["role is a number"]),
        ('{"role": "query", "text": 1.5}', ["text is a number"]),
        (r'{"role": "query", "text": "\udc00"}', ["text holds half of a surrogate pair"]),
    ],
)
def test_line_that_is_not_a_text_is_refused_with_file_and_number(write, line, parts):
    with pytest.raises(DataError) as caught:
        read_texts(write('{"role": "query", "text": "t"}', line))
    for part in ["in.jsonl:2: ", *parts]:
        assert part in str(caught.value)


def test_a_whole_surrogate_pair_is_a_character(write):
    assert Pair("😀", "d") == read_pairs(write(r'{"query": "\ud83d\ude00", "document": "d"}'))[0][0]


def test_bytes_that_are_not_utf_8_are_refused_by_file_and_number(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(PAIR.encode() + b'\n{"query": "\xe9"}\n')
    with pytest.raises(DataError, match=r"in\.jsonl:2: byte 12 is not UTF-8\. Convert"):
        read_pairs(str(tmp_path / "in.jsonl"))


def test_gzip_that_ends_early_is_refused_by_name(tmp_path):
    lines = "".join(f'{{"query": "q{index}", "document": "d"}}\n' for index in range(1000))
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(lines.encode())[:-100])
    with pytest.raises(DataError, match=r"in\.jsonl\.gz:\d+: the compressed data is damaged or cut short"):
        read_pairs(str(tmp_path / "in.jsonl.gz"))


def test_an_absent_file_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl: No such file or directory\. Check the path"):
        read_pairs(str(tmp_path / "nowhere.jsonl"))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_nan_is_refused_before_anything_is_scored(write, value):
    with pytest.raises(DataError, match=rf"in\.jsonl:2: not JSON \({value} is not a JSON number"):
        read_pairs(write(PAIR, f'{{"query": "q", "document": "d", "grade": {value}}}'))


def test_keys_that_the_output_has_are_not_passed_on(write):
    line = '{"query": "q", "document": "d", "id": 7, "score": 1, "input_ids": [2]}'
    assert [{"id": 7}] == [rest for _, rest in read_pairs(write(line))]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"query": "q", "query": "r", "document": "d"}', "'query' occurs twice in one object"),
        ('{"query": "q", "document": "d", "id": 1e999}', "1e999 is beyond any float"),
        ('{"query": "q", "document": "d", "id": ' + "[" * 100_000, "nested too deeply"),
    ],
    ids=["twice", "infinite", "deep"],
)
def test_ambiguous_or_unwritable_line_is_refused(write, line, told):
    with pytest.raises(DataError, match=f":1: not JSON .*{told}"):
        read_pairs(write(line))
