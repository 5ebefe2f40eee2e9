"""JSON files of judgments and runs as values with their places: one value, an array, or one object a line."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from evalkit.errors import DataError
from evalkit.formats.rows import GRADES, name_columns
from evalkit.formats.strict_json import RepeatedKeyError, distinct
from evalkit.formats.textfile import File, peek, read_bytes, read_lines


def begins_as_json(file: File, is_row: Callable[[str], bool]) -> bool:
    """Whether a file begins as JSON and not as a row of text: a query id may begin with a bracket, too."""
    start = peek(file, 4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    return start[:1] in (b"{", b"[") and not is_row(start.split(b"\n", 1)[0].decode(errors="replace"))


def json_rows(file: File) -> Iterator[tuple[str, Any]]:
    """(place for errors, value) of every item of an array, every line, or of the only value.

    Raises:
        DataError: not JSON, or a key twice in one object.
    """
    parsed, by_line = _parsed(file)
    if not by_line and not isinstance(parsed, list):
        rows = rows_of_columns(parsed)
        yield from (
            ((f"{file} row:{number}", row) for number, row in enumerate(rows, start=1))
            if rows
            else ((str(file), parsed),)
        )
        return
    unit = "" if by_line else " item"
    yield from ((f"{file}{unit}:{number}", value) for number, value in parsed)


def json_value(file: File) -> Any:
    """The value of a file; a list of objects where there is one a line.

    Raises:
        DataError: not JSON, or a key twice in one object.
    """
    parsed, by_line = _parsed(file)
    if by_line or isinstance(parsed, list):
        return [value for _, value in parsed]
    return rows_of_columns(parsed) or parsed


def rows_of_columns(parsed: Any) -> list[dict[str, Any]]:
    """The rows of `{column: {row: cell}}`, as pandas' `to_json` writes a table; none of anything else.

    The names of the columns tell it from `{query: {document: value}}`.
    """
    known = isinstance(parsed, dict) and name_columns(list(parsed), GRADES, graded=False)
    return transposed(parsed) if known else []


def transposed(columns: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows from `{column: {row: cell}}`; none where the columns have not the same rows."""
    first = next(iter(columns.values()), None)
    if not isinstance(first, dict):
        return []
    if not all(isinstance(column, dict) and column.keys() == first.keys() for column in columns.values()):
        return []
    return [{name: column[row] for name, column in columns.items()} for row in first]


def _parsed(file: File) -> tuple[Any, bool]:
    """The value, items of an array with their numbers; or the values of lines with theirs, and True."""
    content = read_bytes(file)
    try:
        parsed = json.loads(content, object_pairs_hook=distinct)
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 ({error.reason} at byte {error.start + 1}).") from error
    except RepeatedKeyError as error:
        raise DataError(f"{file}: {error}. Keep one entry.") from error
    except (ValueError, RecursionError) as error:
        return list(_lines(file, error)), True
    return (list(enumerate(parsed, start=1)) if isinstance(parsed, list) else parsed), False


def _lines(file: File, whole: Exception) -> Iterator[tuple[int, Any]]:
    """(line number, value) of every line; `whole` is why the file is not one value."""
    first = True
    for number, line in read_lines(file):
        try:
            value = json.loads(line, object_pairs_hook=distinct)
        except (ValueError, RecursionError) as error:
            if first:  # a single document spread over lines, not one object a line
                line_number = whole.lineno if isinstance(whole, json.JSONDecodeError) else 1
                raise DataError(f"{file}:{line_number}: not JSON: {whole}.") from error
            raise DataError(f"{file}:{number}: not JSON: {error}.") from error
        first = False
        yield number, value
