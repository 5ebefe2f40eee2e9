"""Judgments, query texts and a digest from columns of a table: of the hub, of a snapshot on disk, of mteb."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from evalkit.datasets.assemble import Judged
from evalkit.datasets.records import ID_KEYS, NO_TEXT, OF_QUERIES, is_missing
from evalkit.errors import DataError
from evalkit.formats.judgments import add_judgment
from evalkit.formats.notes import counted
from evalkit.system.progress import progress
from evalkit.types import Qrels

QRELS_COLUMNS = ("query-id", "corpus-id", "score")
_WINDOW = 10_000  # documents in memory at a time
_Split = TypeVar("_Split")


def choose(splits: Mapping[str, _Split], split: str, *, part: str, label: str) -> _Split:
    """The split of this name, or the only one of a corpus or of queries; one without a name (`""`) is any."""
    if split in splits:
        return splits[split]
    if len(splits) == 1 and (part != "qrels" or "" in splits):
        return next(iter(splits.values()))
    raise DataError(f"{label}: no split {split!r} of {part}. It has {', '.join(splits)}: set dataset.split.")


def id_column(names: Sequence[str], label: str) -> str:
    """Which column of a corpus or of queries holds the ids."""
    for name in ID_KEYS:
        if name in names and "text" in names:
            return name
    raise DataError(f"{label}: columns {', '.join(names)}, expected _id, text and perhaps title.")


def judged(qrels: pa.Table, queries: pa.Table, label: str) -> Judged:
    """Judgments, and the texts of the queries that they are of."""
    if not set(QRELS_COLUMNS) <= set(qrels.column_names):
        raise DataError(f"{label}: columns {', '.join(qrels.column_names)}, expected {', '.join(QRELS_COLUMNS)}.")
    rows = zip(*(qrels.column(name).to_pylist() for name in QRELS_COLUMNS), strict=True)
    found = judgments(rows, label)
    ids = queries.column(id_column(queries.column_names, label)).to_pylist()
    texts = queries.column("text").to_pylist()
    kept = judged_texts(ids, texts, found, label)
    missing = sum(map(is_missing, texts))
    notes = {f"{OF_QUERIES}{NO_TEXT}": missing} if missing else {}
    return Judged(kept, found, unjudged_queries=len(ids) - len(kept), notes=notes)


def judgments(rows: Iterable[tuple[Any, Any, Any]], where: str) -> Qrels:
    """Judgments from (query id, document id, score); a score may be a float, as long as it is a whole number."""
    qrels: dict[str, dict[str, int]] = {}
    for query_id, doc_id, score in rows:
        whole = str(int(score)) if isinstance(score, float) and score.is_integer() else str(score)
        add_judgment(qrels, str(query_id), str(doc_id), whole, where=where)
    return qrels


def judged_texts(ids: Sequence[Any], texts: Sequence[Any], qrels: Qrels, where: str) -> dict[str, str]:
    """Texts of the judged queries, in ascending order of id; NaN and null are empty ones."""
    queries = {str(key): "" if is_missing(text) else text for key, text in zip(ids, texts, strict=True)}
    if len(queries) < len(ids):
        raise DataError(f"{where}: {len(ids) - len(queries)} query ids occur twice. Ids are unique.")
    absent = sorted(query_id for query_id in qrels if not isinstance(queries.get(query_id), str))
    if absent:
        raise DataError(
            f"{where}: lacks the text of {counted(len(absent), 'judged query', 'judged queries')}, such as "
            f"{absent[0]!r}."
        )
    return {query_id: queries[query_id] for query_id in sorted(qrels)}


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
