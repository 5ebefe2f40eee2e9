"""Judgments and runs in Parquet and Feather files, whose columns have names. Knows nothing of the meaning of values."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from evalkit.errors import DataError
from evalkit.formats.rows import GRADES, FieldPlaces, Row, name_columns
from evalkit.formats.textfile import open_binary, peek

_PARQUET, _FEATHER = b"PAR1", b"ARROW1\0\0"
_ROWS_AT_A_TIME = 65_536


class _Table(NamedTuple):
    """An open file: the names of its columns, and a function that reads some of them, some rows at a time."""

    names: list[str]
    batches: Callable[[list[str]], Iterator[pa.RecordBatch]]


def is_table(path: Path) -> bool:
    """Whether a file is Parquet or Feather, by its first bytes; a query id may begin with the same letters."""
    start = peek(path, 8)
    return start.startswith(_FEATHER) or (start.startswith(_PARQUET) and any(byte < ord("\t") for byte in start))


def table_columns(path: Path, values: tuple[str, ...]) -> FieldPlaces:
    """The index of each field in a table.

    Args:
        path: the file.
        values: legal names of the column of values: `rows.SCORES` or `rows.GRADES`.

    Raises:
        DataError: the file is damaged, or its columns have other names.
    """
    with _opened(path) as table:
        if columns := name_columns(table.names, values):
            return columns
        wanted = f"query_id, doc_id and {'relevance' if values is GRADES else 'score'}"
        raise DataError(f"{path}: has the columns {', '.join(table.names)}. Expected {wanted}, or names like these.")


def table_rows(path: Path, columns: FieldPlaces) -> Iterator[Row]:
    """The rows of a table, numbered from 1.

    Raises:
        DataError: the file is damaged, or a cell is empty.
    """
    number = 0
    with _opened(path) as table:
        wanted = [None if place is None else table.names[place] for place in columns[:4]]
        for batch in table.batches([name for name in wanted if name is not None]):
            found = [[None] * batch.num_rows if name is None else batch.column(name).to_pylist() for name in wanted]
            for cells in zip(*found, strict=True):
                number += 1
                if any(cell is None and name is not None for cell, name in zip(cells, wanted, strict=True)):
                    raise DataError(
                        f"{path}: row {number} has an empty cell. A row has a query, a document and a value."
                    )
                query_id, doc_id, rank, value = (None if cell is None else str(cell) for cell in cells)
                yield Row(number, query_id or "", doc_id or "", rank, value)


@contextmanager
def _opened(path: Path) -> Iterator[_Table]:
    import pyarrow.parquet as pq
    from pyarrow import ipc

    try:
        with open_binary(path) as stream:
            if stream.read(len(_PARQUET)) == _PARQUET:
                parquet = pq.ParquetFile(stream)
                names = parquet.schema_arrow.names
                yield _Table(names, lambda wanted: parquet.iter_batches(_ROWS_AT_A_TIME, columns=wanted))
            else:
                feather = ipc.open_file(stream)
                batches = range(feather.num_record_batches)
                yield _Table(feather.schema.names, lambda _: map(feather.get_batch, batches))
    except (pa.ArrowException, OSError, EOFError) as error:
        raise DataError(
            f"{path}: the table is damaged or cut short ({' '.join(str(error).split())}). Write it again."
        ) from error
