"""Tables in CSV or TSV. Knows separators, quotes and the line of names, not what the columns mean."""

import csv
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from evalkit.errors import DataError
from evalkit.formats.textfile import KIND_BYTES, LONGEST, file_kind

SEPARATORS = {"csv": ",;\t", "tsv": "\t,;"}
"""Ending of a file's name -> the separators that its columns may have, the usual one first."""

_CALLED = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
_BOM = b"\xef\xbb\xbf"


class Columns(NamedTuple):
    """The names that columns of a table may have, in lower case.

    Attributes:
        ids: of ids.
        texts: of texts.
    """

    ids: Sequence[str]
    texts: Sequence[str]


def table(stream: BinaryIO, label: str, separators: str, columns: Columns) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, cells by lower-case column name) of every row.

    With a line of names, texts may be in quotes, as the csv module and pandas write them. Without one, a table has two
    columns parted by a tab, an id and a text, and quotes are part of the text, as in MS MARCO's files.
    """
    decoded = _decoded(stream, label)
    first = next((pair for pair in decoded if pair[1].strip()), None)
    if first is None:
        return
    number, line = first
    separator = next((one for one in separators if _is_header(_names(line, one), columns)), None)
    if separator is not None:
        yield from _named(decoded, label, separator, names=_names(line, separator), before=number)
    elif separators[0] == "\t" and line.count("\t") == 1:
        yield from _unnamed(chain([first], decoded), label, columns)
    else:
        raise DataError(
            f"{label}:{number}: the first line does not name columns of ids and texts. Legal are "
            f"{', '.join(columns.ids)} and {', '.join(columns.texts)}."
        )


def first_bytes(stream: Any) -> bytes:
    """The first bytes of a buffered stream; none where they are damaged, for whoever reads on to report."""
    try:
        return bytes(stream.peek(KIND_BYTES)[:KIND_BYTES])
    except Exception:  # noqa: BLE001 - zip, gzip and zlib have many errors for damaged bytes
        return b""


def _names(line: str, separator: str) -> list[str]:
    cells = next(csv.reader([line], delimiter=separator), [])
    return [cell.strip().lower() for cell in cells]


def _is_header(cells: Sequence[str], columns: Columns) -> bool:
    return not set(columns.ids).isdisjoint(cells) and not set(columns.texts).isdisjoint(cells)


def _named(
    decoded: Iterator[tuple[int, str]], label: str, separator: str, *, names: Sequence[str], before: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows below a line of names, which is line `before`."""
    if repeated := [name for name in names if name and list(names).count(name) > 1]:
        raise DataError(f"{label}:{before}: column {repeated[0]!r} occurs twice. Leave one of them.")
    csv.field_size_limit(LONGEST)
    reader = csv.reader((line for _, line in decoded), delimiter=separator, strict=True)
    while True:
        number = before + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DataError(
                f"{label}:{number}: not a row of a table ({error}). Put a text with quotes or line ends in quotes, as "
                "the csv module and pandas do."
            ) from error
        if cells is None:
            return
        if not cells:
            continue  # a blank line
        if len(cells) != len(names):
            raise DataError(
                f"{label}:{number}: {len(cells)} columns, expected {len(names)} ({', '.join(names)}). Put a text that "
                f"holds {_CALLED[separator]} in quotes."
            )
        yield f"{label}:{number}", dict(zip(names, cells, strict=True))


def _unnamed(decoded: Iterator[tuple[int, str]], label: str, columns: Columns) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in decoded:
        cells = line.rstrip("\r\n").split("\t")
        if not line.strip():
            continue
        if len(cells) != 2:  # noqa: PLR2004 - an id and a text
            raise DataError(
                f"{label}:{number}: {len(cells)} columns, expected 2 (an id and a text), as the first line names none."
            )
        yield f"{label}:{number}", {columns.ids[0]: cells[0].strip(), columns.texts[0]: cells[1]}


def _decoded(stream: BinaryIO, label: str) -> Iterator[tuple[int, str]]:
    """(line number, line with its end) of a text; `textfile.lines` takes the ends off, and a cell may hold one."""
    if kind := file_kind(first_bytes(stream)):
        raise DataError(f"{label}: is {kind.name}. {kind.remedy}")
    number = 0
    try:
        for raw in iter(partial(stream.readline, LONGEST + 1), b""):
            number += 1
            if len(raw) > LONGEST:
                raise DataError(f"{label}:{number}: a line of more than {LONGEST >> 20:,} MiB. Is this the right file?")
            yield number, raw.removeprefix(_BOM if number == 1 else b"").decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{label}:{number}: byte {error.start + 1} is not UTF-8. Convert the file to UTF-8.") from error
    except (EOFError, zlib.error, zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{label}:{number + 1}: the compressed data is damaged or cut short ({error}).") from error
