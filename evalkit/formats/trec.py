"""TREC and BEIR file formats: judgments and runs, in and out, plain or gzip.

    qrels   query_id 0 doc_id relevance                   TREC
            query-id <tab> corpus-id <tab> score          BEIR, first line a header
    run     query_id Q0 doc_id rank score tag             TREC; scores decide, as in trec_eval

`rows.py` has other layouts of lines and columns, `run_json.py` has JSON, and `runfile.py` reads any run.
"""

import gzip
import logging
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from evalkit.errors import DataError
from evalkit.formats import run_json
from evalkit.formats.ids import are_ids
from evalkit.formats.rows import GRADES, QRELS_LAYOUTS, TREC_RUN, Row, is_number, qrels_layout
from evalkit.formats.run_rows import checked
from evalkit.formats.runfile import RunFile, read_run_file
from evalkit.formats.tabular import is_table, table_columns, table_rows
from evalkit.formats.textfile import fields, read_lines
from evalkit.run import Run
from evalkit.types import Qrels

logger = logging.getLogger(__name__)

# trec_eval keeps a relevance in a C int. pandas writes 1 as 1.0.
_GRADE = re.compile(r"([+-]?[0-9]{1,9})(?:\.0*)?")


def read_qrels(path: str | Path) -> Qrels:
    """Judgments from a TREC, BEIR, CSV, Parquet or JSON file, whichever its first bytes show.

    Raises:
        DataError: a malformed line, a relevance that is not an integer, a pair judged twice differently, no judgment.
    """
    path = Path(path)
    if is_table(path):
        return _gathered(table_rows(path, table_columns(path, GRADES)), path)
    if run_json.is_json(path, _is_judgment):
        return _gathered(run_json.read_judgments(path), path)
    return parse_qrels(read_lines(path), path)


def _is_judgment(line: str) -> bool:
    """Whether a line ends in a grade, as JSON never does."""
    row = fields(line, (3, 4))
    return len(row) in QRELS_LAYOUTS and is_number(row[-1])


def parse_qrels(numbered: Iterable[tuple[int, str]], name: object) -> Qrels:
    """`read_qrels` for numbered lines that come from elsewhere than a plain file."""
    numbered = iter(numbered)
    first = next(numbered, None)
    if first is None:
        return _gathered((), name)
    layout = qrels_layout(first[1], f"{name}:{first[0]}")
    return _gathered(layout.rows(chain([first], numbered), name), name)


def _gathered(rows: Iterable[Row], name: object) -> Qrels:
    qrels: dict[str, dict[str, int]] = {}
    for row in rows:
        add_judgment(qrels, row.query_id, row.doc_id, row.value or "", where=f"{name}:{row.number}")
    if not qrels:
        raise DataError(f"{name}: holds no judgments. Expected lines of {' or '.join(QRELS_LAYOUTS.values())}.")
    return qrels


def add_judgment(qrels: dict[str, dict[str, int]], query_id: str, doc_id: str, relevance: str, *, where: str) -> None:
    """Add a judgment, refusing one that contradicts an earlier one or is not an integer; `where` begins the error."""
    if not are_ids(query_id, doc_id):
        raise DataError(f"{where}: an id is empty or holds a NUL character.")
    if not (found := _GRADE.fullmatch(relevance)):
        raise DataError(f"{where}: the relevance is {relevance!r}, expected an integer such as 0, 1 or 2.")
    grade = int(found[1])
    judged = qrels.setdefault(query_id, {})
    if judged.setdefault(doc_id, grade) != grade:
        raise DataError(
            f"{where}: document {doc_id!r} is judged {relevance} for query {query_id!r}, "
            f"but {judged[doc_id]} further up. Keep one judgment."
        )


def read_run(path: str | Path, *, order: str | None = None) -> Run:
    """A run from a file of any layout that `runfile.read_run_file` reads; doubts about it are logged.

    Args:
        path: the file, plain or gzip.
        order: `score`, or `rank` to go by the ranks of the file instead; None for scores, and doubts about them.

    Raises:
        DataError: a malformed line, a score that is not a finite number, a document twice for a query, no rows.
    """
    found = read_run_file(path, order=order)
    log_doubts(found, path)
    return found.run


def log_doubts(found: RunFile, name: object) -> None:
    """Log how a run was read where that is not obvious."""
    for note in found.notes:
        logger.info("%s: %s", name, note.text)
    if found.disagreeing:
        logger.warning(
            "%s: ranks and scores disagree for %d queries, such as %s. Read by score; order='rank' reads the ranks.",
            name,
            len(found.disagreeing),
            found.disagreeing[0],
        )


def read_trec_run(path: Path) -> Run:
    """A TREC run by score; it may be empty."""
    return checked(lambda: TREC_RUN.rows(read_lines(path), path), path)[1]


def run_lines(run: Run, tag: str) -> Iterator[str]:
    """The run as TREC lines. Scores are the shortest decimals that read back as the same float32."""
    for query_id, doc_ids, scores in run:
        separator = "\t" if any(text.split() != [text] for text in (query_id, *doc_ids)) else " "
        for rank, (doc_id, score) in enumerate(zip(doc_ids, scores, strict=True), start=1):
            yield separator.join((query_id, "Q0", doc_id, str(rank), str(score), tag)) + "\n"


def qrels_lines(qrels: Qrels) -> Iterator[str]:
    """Judgments as TREC lines."""
    for query_id, judged in qrels.items():
        for doc_id, grade in judged.items():
            separator = "\t" if any(text.split() != [text] for text in (query_id, doc_id)) else " "
            yield separator.join((query_id, "0", doc_id, str(grade))) + "\n"


def write_run(run: Run, path: Path, *, tag: str) -> None:
    """Write a gzip TREC run; the same run gives the same bytes."""
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as stream:
        for line in run_lines(run, tag):
            stream.write(line.encode())
