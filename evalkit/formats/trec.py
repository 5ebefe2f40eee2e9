"""TREC file formats: judgments and runs, in and out.

    qrels   query_id 0 doc_id relevance                   TREC
            query-id <tab> corpus-id <tab> score          BEIR, first line a header
    run     query_id Q0 doc_id rank score tag             TREC; scores decide, as in trec_eval

`rows.py` has other layouts of lines and columns, `judgments.py` and `runfile.py` read any file.
"""

import gzip
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from evalkit.errors import DataError
from evalkit.formats.judgments import read_judgments
from evalkit.formats.rows import TREC_RUN
from evalkit.formats.run_rows import checked
from evalkit.formats.runfile import RunFile, read_run_file
from evalkit.formats.textfile import read_lines
from evalkit.run import Run
from evalkit.system.files import expanded
from evalkit.system.reporting import shown
from evalkit.types import Qrels

logger = logging.getLogger(__name__)


def read_qrels(path: str | Path) -> Qrels:
    """Judgments from a TREC, BEIR, CSV, Parquet or JSON file, whichever its first bytes show; notes on it are logged.

    Raises:
        DataError: a malformed line, a relevance that is not an integer, a pair judged twice differently, no judgment.
    """
    qrels, notes = read_judgments(expanded(path))
    for note in notes:
        logger.warning("%s: %s.", path, note.text)
    return qrels


def read_run(path: str | Path, *, order: str | None = None) -> Run:
    """A run from a file of any layout that `runfile.read_run_file` reads; doubts about it are logged.

    Args:
        path: the file, plain or gzip.
        order: `score`, or `rank` to go by the ranks of the file instead; None for scores, and doubts about them.

    Raises:
        DataError: a malformed line, a score that is not a finite number, a document twice for a query, no rows.
    """
    found = read_run_file(expanded(path), order=order)
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


def write_run(run: Run, path: str | Path, *, tag: str = "evalkit") -> None:
    """Write a TREC run, with gzip where the name ends in `.gz`; the same run gives the same bytes.

    Raises:
        DataError: it is not a `Run`, or the file cannot be written.
    """
    if not isinstance(run, Run):
        raise DataError(f"{shown(run)} is not an evalkit.Run. Give result.run, or evalkit.Run.from_dict(run).")
    try:
        write_lines(run_lines(run, tag), expanded(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}).") from error


def write_lines(lines: Iterable[str], path: Path) -> None:
    """Write lines, with gzip where the name ends in `.gz`; the same lines give the same bytes."""
    encoded = (line.encode() for line in lines)
    with path.open("wb") as raw:
        if path.suffix != ".gz":
            raw.writelines(encoded)
            return
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as stream:
            stream.writelines(encoded)
