"""Judgments and runs in Parquet and Arrow files, whose columns have names. Knows nothing of the meaning of values."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import pyarrow as pa

from evalkit.errors import DataError
from evalkit.formats.compressed import DAMAGE
from evalkit.formats.ids import fault, plain_text
from evalkit.formats.rows import GRADES, FieldPlaces, Row, name_columns
from evalkit.formats.textfile import File, opened, peek

_PARQUET, _FEATHER, _STREAM = b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff"
_ROWS_AT_A_TIME = 65_536
_Rows = TypeVar("_Rows", pa.RecordBatch, pa.Table)


class _Table(NamedTuple):
    """An open file: the names of its columns, and a function that reads some of them, some rows at a time."""

    names: list[str]
    batches: Callable[[list[str]], Iterator[pa.RecordBatch]]


def is_table(file: File) -> bool:
    """Whether a file is Parquet, Feather or an Arrow stream, by its first bytes; an id may begin with these letters."""
    start = peek(file, 8)
    return start.startswith((_FEATHER, _STREAM)) or (
        start.startswith(_PARQUET) and any(byte < ord("\t") for byte in start)
    )


def table_columns(file: File, values: tuple[str, ...]) -> FieldPlaces:
    """The index of each field in a table.

    Args:
        file: the file.
        values: legal names of the column of values: `rows.SCORES` or `rows.GRADES`.

    Raises:
        DataError: the file is damaged, or its columns have other names.
    """
    with _opened(file) as table:
        if columns := name_columns(table.names, values, where=file):
            return columns
        wanted = f"query_id, doc_id and {'relevance' if values is GRADES else 'score'}"
        raise DataError(f"{file}: has the columns {', '.join(table.names)}. Expected {wanted}, or names like these.")


def table_rows(file: File, columns: FieldPlaces) -> Iterator[Row]:
    """The rows of a table, numbered from 1.

    Raises:
        DataError: the file is damaged, or a cell is empty.
    """
    number = 0
    with _opened(file) as table:
        wanted = [None if place is None else table.names[place] for place in columns[:4]]
        for batch in table.batches([name for name in wanted if name is not None]):
            found = [[None] * batch.num_rows if name is None else batch.column(name).to_pylist() for name in wanted]
            for cells in zip(*found, strict=True):
                number += 1
                if any(cell is None and name is not None for cell, name in zip(cells, wanted, strict=True)):
                    raise DataError(
                        f"{file}: row {number} has an empty cell. A row has a query, a document and a value."
                    )
                query_id, doc_id = (plain_text(cell) for cell in cells[:2])
                if wrong := fault(query_id) or fault(doc_id):
                    raise DataError(f"{file}: row {number} has an id that {wrong}.")
                rank, value = (None if cell is None else str(cell) for cell in cells[2:])
                yield Row(number, query_id, doc_id, rank, value)


def valid(batch: _Rows) -> _Rows:
    """The same rows, once it is sure that no text of them reaches beyond their bytes, as those of a damaged file may.

    Raises:
        pyarrow.ArrowInvalid: one does, or is not UTF-8.
    """
    batch.validate(full=True)
    return batch


@contextmanager
def _opened(file: File) -> Iterator[_Table]:
    import pyarrow.parquet as pq
    from pyarrow import ipc

    try:
        with opened(file) as stream:
            if peek(file, len(_STREAM)) == _STREAM:
                rows = ipc.open_stream(stream)
                yield _Table(rows.schema.names, lambda _: map(valid, rows))
            elif stream.read(len(_PARQUET)) == _PARQUET:
                parquet = pq.ParquetFile(stream)
                names = parquet.schema_arrow.names
                yield _Table(names, lambda wanted: parquet.iter_batches(_ROWS_AT_A_TIME, columns=wanted))
            else:
                feather = ipc.open_file(stream)
                batches = range(feather.num_record_batches)
                yield _Table(feather.schema.names, lambda _: (valid(feather.get_batch(number)) for number in batches))
    except (pa.ArrowException, *DAMAGE) as error:
        raise DataError(
            f"{file}: the table is damaged or cut short ({' '.join(str(error).split())}). Write it again."
        ) from error
