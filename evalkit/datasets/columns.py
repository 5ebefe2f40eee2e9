"""Judgments, query texts and a digest from columns of a table: of the hub, of a snapshot on disk, of mteb."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from evalkit.datasets.assemble import Judged
from evalkit.datasets.candidate_lists import with_columns
from evalkit.datasets.delimited import Columns
from evalkit.datasets.records import (
    DOCUMENTS,
    NO_TEXT,
    NO_TITLE,
    OF_QUERIES,
    QUERIES,
    REPEATED_QUERIES,
    add_once,
    is_missing,
)
from evalkit.errors import DataError
from evalkit.formats.ids import plain_text
from evalkit.formats.judgments import add_judgment
from evalkit.formats.notes import counted
from evalkit.formats.rows import GRADES, name_columns
from evalkit.system.progress import progress
from evalkit.types import Qrels

_WINDOW = 10_000  # documents in memory at a time
_Split = TypeVar("_Split")


def choose(splits: Mapping[str, _Split], split: str, *, part: str, label: str) -> _Split:
    """The split of this name, or the only one of a corpus or of queries; one without a name (`""`, `qrels`) is any."""
    if split in splits:
        return splits[split]
    if len(splits) == 1 and (part != "qrels" or not {"", part}.isdisjoint(splits)):
        return next(iter(splits.values()))
    raise DataError(f"{label}: no split {split!r} of {part}. It has {', '.join(splits)}: set dataset.split.")


def key_columns(names: Sequence[str], label: str, legal: Columns = DOCUMENTS) -> tuple[str, str]:
    """The columns of a corpus or of queries that hold ids and texts."""
    id_name, text = (next((name for name in known if name in names), None) for known in legal)
    if id_name is None or text is None:
        raise DataError(f"{label}: columns {', '.join(names)}, expected _id, text and perhaps title.")
    return id_name, text


def as_documents(table: Any, label: str) -> tuple[Any, str]:
    """A `datasets.Dataset` of documents whose texts are in the column `text`, and the name of the column of ids."""
    id_name, text = key_columns(table.column_names, label)
    return table if text == "text" else table.rename_column(text, "text"), id_name


def judged(qrels: pa.Table, queries: pa.Table, label: str) -> Judged:
    """Judgments, and the queries that they are of: texts, and what else their table says of them."""
    names = qrels.column_names
    places = name_columns(names, GRADES, graded=len(names) > 2, where=label)  # noqa: PLR2004
    if places is None:
        raise DataError(f"{label}: columns {', '.join(names)}, expected query-id, corpus-id and score.")
    query_ids, doc_ids = (qrels.column(place).to_pylist() for place in (places.query, places.document))
    # NanoBEIR lists the relevant documents alone.
    grades = [1] * len(qrels) if places.value is None else qrels.column(places.value).to_pylist()
    found = judgments(zip(query_ids, doc_ids, grades, strict=True), label)
    ids, texts = (queries.column(name).to_pylist() for name in key_columns(queries.column_names, label, QUERIES))
    kept = judged_texts(ids, texts, found, label)
    distinct = len(set(ids))
    notes = {f"{OF_QUERIES}{NO_TEXT}": sum(map(is_missing, texts)), REPEATED_QUERIES: len(ids) - distinct}
    notes = {name: count for name, count in notes.items() if count}
    others = set(map(str, ids)).difference(kept)
    one = Judged(kept, found, unjudged_queries=distinct - len(kept), notes=notes, other_queries=others)
    return with_columns(one, queries, ids)


def first_of_each(table: Any, repeats: Mapping[int, int], label: str) -> Any:
    """A `datasets.Dataset` of documents without those that repeat an earlier one; `repeats` has the rows of both."""
    import datasets

    columns = [name for name in ("title", "text") if name in table.column_names]
    for row, earlier in repeats.items():
        if any((table[row][name] or "") != (table[earlier][name] or "") for name in columns):
            raise DataError(
                f"{label}: the id of row {row + 1} is that of row {earlier + 1}, with another title or text. Ids are "
                "unique."
            )
    return datasets.Dataset(table.data.table.filter(pa.array(row not in repeats for row in range(len(table)))))


def judgments(rows: Iterable[tuple[Any, Any, Any]], where: str) -> Qrels:
    """Judgments from (query id, document id, score); a score may be a float, as long as it is a whole number."""
    qrels: dict[str, dict[str, int]] = {}
    for query_id, doc_id, score in rows:
        add_judgment(qrels, *map(plain_text, (query_id, doc_id, score)), where=where)
    return qrels


def judged_texts(ids: Sequence[Any], texts: Sequence[Any], qrels: Qrels, where: str) -> dict[str, str]:
    """Texts of the judged queries, in ascending order of id; NaN and null are empty ones."""
    queries: dict[str, Any] = {}
    for key, text in zip(ids, texts, strict=True):
        found = "" if is_missing(text) else text
        add_once(queries, str(key), found, where)
    absent = sorted(query_id for query_id in qrels if not isinstance(queries.get(query_id), str))
    if absent:
        raise DataError(
            f"{where}: lacks the text of {counted(len(absent), 'judged query', 'judged queries')}, such as "
            f"{absent[0]!r}."
        )
    return {query_id: queries[query_id] for query_id in sorted(qrels)}


def missing_parts(table: Any) -> dict[str, int]:
    """How many titles and texts of a `datasets.Dataset` are null or NaN, by their names in `records.SAID`."""
    return {
        name: int(pc.sum(pc.is_null(table.data.column(part), nan_is_null=True)).as_py() or 0)
        for name, part in ((NO_TITLE, "title"), (NO_TEXT, "text"))
        if part in table.column_names
    }


def content_digest(table: Any, id_column: str = "id") -> str:
    """SHA-256 of the documents of a `datasets.Dataset` in their order, whatever the column of ids is called.

    Path and revision do not fix them: tasks of mteb select from the same repository by a list of their own, and some
    put the documents in an order that differs between processes.
    """
    state = hashlib.sha256()
    wanted = [name for name in (id_column, "title", "text") if name in table.column_names]
    with progress("checking corpus", len(table), "documents") as advance:
        for window in table.select_columns(wanted).with_format("arrow").iter(_WINDOW):
            for column in wanted:
                # One array a column: how the table is cut into chunks must not show.
                part = window.column(column).cast(pa.large_string()).combine_chunks()
                name = "id" if column == id_column else column
                state.update(pa.record_batch([part], [name]).serialize())
            advance(len(window))
    return state.hexdigest()
