"""Tables in CSV or TSV. Knows separators, quotes and the line of names, not what the columns mean."""

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from evalkit.errors import DataError
from evalkit.formats.notes import counted
from evalkit.formats.textfile import LONGEST, lines

SEPARATORS = {"csv": ",;\t", "tsv": "\t,;", "txt": "\t,;"}
"""Ending of a file's name -> the separators that its columns may have, the usual one first."""

_CALLED = {",": "a comma", ";": "a semicolon", "\t": "a tab"}


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
    columns parted by a tab, an id and a text, or four: id, URL, title and text. Quotes are then part of the text, as in
    MS MARCO's files, unless the first id is in quotes.
    """
    decoded = lines(stream, label, ends=True)
    first = next((pair for pair in decoded if pair[1].strip()), None)
    if first is None:
        return
    number, line = first
    separator = next((one for one in separators if _is_header(_names(line, one), columns)), None)
    if separator is not None:
        yield from _named(decoded, label, separator, names=_names(line, separator), before=number)
    elif separators[0] == "\t" and (names := _unnamed_columns(line, columns)):
        if re.match(r'"[^"\t]+"\t', line):  # no id of MS MARCO is in quotes
            yield from _named(chain([first], decoded), label, "\t", names=names, before=number - 1)
        else:
            yield from _unnamed(chain([first], decoded), label, names)
    else:
        count = max(len(_names(line, one)) for one in separators)
        raise DataError(
            f"{label}:{number}: {counted(count, 'column')}, and the first line does not name columns of ids and texts. "
            f"Legal are {', '.join(columns.ids)} and {', '.join(columns.texts)}, and perhaps title. Without names, a "
            "table has an id and a text, separated by a tab; `ir_datasets export --format jsonl` names all fields."
        )


def _names(line: str, separator: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # line ends of old Macs
        cells = line.split(separator)
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


def _unnamed_columns(line: str, columns: Columns) -> tuple[str, ...] | None:
    """Names for the columns of MS MARCO's tables, of passages, queries or documents; None for any other table."""
    cells = line.split("\t")
    match len(cells):
        case 2:
            return columns.ids[0], columns.texts[0]
        case 4 if re.match('"?https?://', cells[1]):
            return columns.ids[0], "url", "title", columns.texts[0]
    return None


def _unnamed(
    decoded: Iterator[tuple[int, str]], label: str, names: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in decoded:
        if not line.strip():
            continue
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) != len(names):
            raise DataError(
                f"{label}:{number}: {len(cells)} columns, expected {len(names)} ({', '.join(names)}), as in the first "
                "line, which names none. A text holds no tab."
            )
        yield f"{label}:{number}", {**dict(zip(names, cells, strict=True)), names[0]: cells[0].strip()}
