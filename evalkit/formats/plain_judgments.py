"""Judgments in plain lines, read column by column: the same judgments in a tenth of the time.

Whatever is not plain is left to `judgments`, which reads it line by line or refuses it.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from evalkit.formats.compressed import DAMAGE
from evalkit.formats.rows import Layout
from evalkit.formats.textfile import File, fields, opened
from evalkit.types import Qrels

_LARGEST = 1 << 28  # bytes of a file that is read whole
# Plain lines hold none of these, and of tab and blank only one.
_OTHER = (b"\v", b"\f", b"\r", b"\0", b"\x1c", b"\x1d", b"\x1e", b"\x1f", b"\xef\xbb\xbf")


def plain_judgments(file: File, layout: Layout, grade_of: Callable[[str], int | None]) -> Qrels | None:
    """The judgments of a file with a single tab or blank between fields and each pair once; None for any other.

    Args:
        file: the file.
        layout: of its lines.
        grade_of: the grade that a text means; None where it means none.
    """
    query, document, rank, value, _ = layout.columns
    is_split_at_blanks = isinstance(layout.split, partial) and layout.split.func is fields
    if not is_split_at_blanks or value is None or rank is not None or not (text := _plain_text(file)):
        return None
    names = [*map(str, range(layout.width))]
    kept = [names[place] for place in (query, document, value)]
    try:
        table = csv.read_csv(
            pa.BufferReader(text),
            csv.ReadOptions(column_names=names, skip_rows=int(layout.has_header), use_threads=False),
            csv.ParseOptions(delimiter="\t" if b"\t" in text else " ", quote_char=False),
            csv.ConvertOptions(column_types=dict.fromkeys(kept, pa.string()), include_columns=kept, null_values=[]),
        )
    except pa.ArrowInvalid:
        return None
    queries, documents, values = (table[name].combine_chunks() for name in kept)
    values = values.dictionary_encode()
    grades = [grade_of(text) for text in values.dictionary.to_pylist()]
    is_whole = len(table) and all(pc.min(pc.binary_length(ids)).as_py() for ids in (queries, documents))
    if None in grades or not is_whole:
        return None
    return _by_query(queries.dictionary_encode(), documents, np.array(grades)[values.indices.to_numpy()])


def _plain_text(file: File) -> bytes | None:
    try:
        with opened(file) as stream:
            text = stream.read(_LARGEST + 1)
        text.decode()
    except DAMAGE:
        return None
    has_others = any(part in text for part in _OTHER) or (b"\t" in text and b" " in text)
    return None if len(text) > _LARGEST or text[:1] == b"\n" or has_others else text


def _by_query(queries: pa.DictionaryArray, documents: pa.Array, grades: NDArray[np.integer]) -> Qrels | None:
    """Queries and their documents in the order in which they come; None where a pair is judged twice."""
    codes = queries.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    doc_ids, given = documents.take(pa.array(order)).to_pylist(), grades[order].tolist()
    found: dict[str, dict[str, int]] = {}
    start = 0
    for query_id, end in zip(queries.dictionary.to_pylist(), np.cumsum(np.bincount(codes)).tolist(), strict=True):
        found[query_id] = dict(zip(doc_ids[start:end], given[start:end], strict=True))
        start = end
    return found if sum(map(len, found.values())) == len(given) else None
