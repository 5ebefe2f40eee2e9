"""Runs from files that other tools wrote: scored documents, by score or by rank, and doubts about them.

`rows.py` has the layouts of lines and columns, `run_json.py` those of JSON.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import DataError
from evalkit.formats import ranks, run_json
from evalkit.formats.json_values import begins_as_json
from evalkit.formats.notes import Note, counted
from evalkit.formats.rows import RUN_LAYOUT, SCORES, FieldPlaces, Row, is_number, run_layout
from evalkit.formats.run_rows import RunRows, checked, from_mapping
from evalkit.formats.tabular import is_table, table_columns, table_rows
from evalkit.formats.textfile import fields, read_lines
from evalkit.run import Run

ORDERS = ("score", "rank")


class RunFile(NamedTuple):
    """The content of a run file.

    Attributes:
        run: the run in the order that was asked for: by score, or by rank.
        by_rank: the same pairs by rank, if that is another order and nobody chose between them; else None.
        disagreeing: queries in which a document has the better rank and the lower score.
        ranks_are: the source of the ranks, such as `the rank column`.
        is_unordered: whether the file has neither scores nor ranks.
        notes: how the file was read, if that is not obvious.
    """

    run: Run
    by_rank: Run | None = None
    disagreeing: tuple[str, ...] = ()
    ranks_are: str = "the rank column"
    is_unordered: bool = False
    notes: tuple[Note, ...] = ()


def read_run_file(path: str | Path, *, order: str | None = None) -> RunFile:
    """A run from a file of any layout.

    Args:
        path: TREC, MS MARCO, tevatron, CSV, Parquet, or JSON.
        order: `score`, or `rank` to go by the ranks of the file instead; None for scores, and doubts about them.

    Raises:
        DataError: a malformed line, a score that is not a finite number, a document twice for a query, no rows.
    """
    path = Path(path)
    if is_table(path):
        columns = table_columns(path, SCORES)
        found = _from_rows(columns, lambda: table_rows(path, columns), path, order)
    elif begins_as_json(path, _is_trec):
        parsed = run_json.read(path, order=order)
        if isinstance(parsed, tuple):
            columns, rows = parsed
            found = _from_rows(columns, lambda: iter(rows), path, order)
        else:
            found = _ordered(scored := from_mapping(parsed), scored.run(str(path)), order)
    else:
        found = _from_lines(path, order)
    if not len(found.run):
        raise DataError(f"{path}: holds no scored documents. Expected lines of {RUN_LAYOUT}.")
    return found


def _is_trec(line: str) -> bool:
    """Whether a line has six fields with numbers in the right places, which JSON never has."""
    row = fields(line, (6,))
    return len(row) == 6 and row[3].isdigit() and is_number(row[4])  # noqa: PLR2004


def _from_lines(path: Path, order: str | None) -> RunFile:
    first = list(islice(read_lines(path), 2))
    if not first:
        return RunFile(Run.from_dict({}))
    layout = run_layout(first[0][1], f"{path}:{first[0][0]}", [line for _, line in first[1:]])
    return _from_rows(layout.columns, lambda: layout.rows(read_lines(path), path), path, order)


def _from_rows(columns: FieldPlaces, rows: Callable[[], Iterator[Row]], path: Path, order: str | None) -> RunFile:
    scored, run = checked(rows, path, repeats=True)
    if columns.may_be_ranks:
        found = _of_three_columns(scored, run, path, order)
    else:
        if order is None:
            _refuse_swapped(scored, path)
        found = by_score_or_rank(columns, scored, run, path, order)
    return with_repeats(found, scored, "line")


def with_repeats(found: RunFile, scored: RunRows, noun: str) -> RunFile:
    """A run with a note of the rows that were left out of it, which `noun` names."""
    if not scored.repeats:
        return found
    text = f"{counted(scored.repeats, f'{noun} is', f'{noun}s are')} the same as an earlier one, and left out"
    return found._replace(notes=(*found.notes, Note("repeated_lines", text, {"lines": scored.repeats})))


def _refuse_swapped(scored: RunRows, path: Path) -> None:
    """Refuse scores that are the ranks where the ranks are not."""
    if scored.ranks is None or not ranks.are_usable(scored.queries, scored.ranks):
        return
    if ranks.are_ranks(scored.queries, scored.scores) and ranks.are_ranks(scored.queries, scored.ranks) is False:
        raise DataError(
            f"{path}: the scores are 1, 2, 3, ... in each query and the ranks are not, so the two may be swapped. Swap "
            "the columns, or with --order score (retriever.order, reranker.order) take the scores as they are."
        )


def by_score_or_rank(columns: FieldPlaces, scored: RunRows, run: Run, name: object, order: str | None) -> RunFile:
    """The run in the order that was asked for, of rows with scores, ranks, both, or neither.

    Args:
        columns: which fields the rows have.
        scored: the rows.
        run: the same rows by score.
        name: of the file, for errors.
        order: `score`, `rank` or None.

    Raises:
        DataError: there are no scores, and a rank is not a number.
    """
    if columns.value is None:
        scored = _without_scores(scored, name)
        is_unordered = columns.rank is None and order is None
        return _ordered(scored, scored.run(str(name)), order)._replace(is_unordered=is_unordered)
    return _ordered(scored, run, order)


def _without_scores(scored: RunRows, name: object) -> RunRows:
    """Scores from ranks; all 0 where there are none either."""
    if scored.ranks is None:
        return scored._replace(scores=np.zeros(len(scored.queries)))
    bad = np.flatnonzero(~np.isfinite(scored.ranks))
    if len(bad):
        found = counted(len(bad), "document")
        raise DataError(f"{name}: the rank of {found} is not a number, and there are no scores.")
    return scored._replace(scores=0 - scored.ranks, ranks=None)


def _of_three_columns(scored: RunRows, run: Run, path: Path, order: str | None) -> RunFile:
    """A run of query, document and a value that is either a rank, as in MS MARCO, or a score, as tevatron writes it."""
    are_ranks = ranks.are_ranks(scored.queries, scored.scores)
    if are_ranks is None:
        if order is None:
            raise DataError(
                f"{path}: the third column may hold ranks or scores: it has whole numbers that could be either. "
                f"{run_json.CHOOSE}."
            )
        are_ranks = order == "rank"
    if order == "score" or not are_ranks:
        text = "the third column is read as scores, the higher the better"
        found = _ordered(scored, run, order)
        return found._replace(notes=(Note("third_column", text, {"read_as": "score"}), *found.notes))
    note = Note("third_column", "the third column is read as ranks: 1, 2, 3, ... in each query", {"read_as": "rank"})
    return RunFile(scored._replace(scores=0 - scored.scores).run(str(path)), notes=(note,))


def _ordered(scored: RunRows, run: Run, order: str | None) -> RunFile:
    """The run in the order that was asked for, and that by rank if nobody asked."""
    if order == "score" or len(run) == len(run.query_ids):  # one document a query needs no order
        return RunFile(run)
    has_ranks = scored.ranks is not None and ranks.are_usable(scored.queries, scored.ranks)
    given = scored.ranks if scored.ranks is not None and has_ranks else np.arange(len(run), dtype=np.float64)
    codes = scored.documents if run.doc_ids.equals(scored.doc_ids) else run.code_of(scored.doc_ids)[scored.documents]
    of_rows = ranks.aligned(run, scored.query_ids, codes, scored.queries, given)
    where = "the rank column" if has_ranks else "the order of the file"
    if not has_ranks and order is None and not ranks.is_reversed(run, of_rows):
        return RunFile(run)
    found = ranks.by_rank(run, of_rows)
    if order is None:
        return RunFile(run) if found is None else RunFile(run, found[0], tuple(found[1]), where)
    return RunFile(run if found is None else found[0], ranks_are=where, notes=_notes_of_ranks(run, of_rows, has_ranks))


def _notes_of_ranks(run: Run, of_rows: NDArray[np.float64], has_ranks: bool) -> tuple[Note, ...]:
    """Doubts about ranks that were asked for."""
    if not has_ranks:
        text = "the file has no ranks that order anything, so its documents are taken in the order of the file"
        return (Note("no_ranks", text, {}),)
    if shared := ranks.shared_ranks(run, of_rows):
        text = f"in {counted(shared, 'query', 'queries')} documents share a rank; these are ordered by score"
        return (Note("shared_ranks", text, {"queries": shared}),)
    return ()
