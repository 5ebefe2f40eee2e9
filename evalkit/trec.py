"""TREC and BEIR file formats: judgments and runs, in and out, plain or gzip.

    qrels   query_id 0 doc_id relevance                   TREC
            query-id <tab> corpus-id <tab> score          BEIR, first line a header
    run     query_id Q0 doc_id rank score tag             TREC; the rank column is ignored, as trec_eval does

Runs in JSON are in `run_json.py`; `read_run` takes either.
"""

import gzip
import re
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit import run_json
from evalkit.errors import DataError
from evalkit.run import Run
from evalkit.textfile import fields, peek, read_lines
from evalkit.types import Qrels

_QRELS_LAYOUTS = {3: "query-id corpus-id score", 4: "query_id 0 doc_id relevance"}
_RUN_LAYOUT = "query_id Q0 doc_id rank score tag"
_IDS_AT_A_TIME = 65_536
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")  # trec_eval keeps a relevance in a C int


def read_qrels(path: str | Path) -> Qrels:
    """Judgments from a TREC or BEIR file, whichever its first line shows.

    Raises:
        DataError: a malformed line, a relevance that is not an integer, a pair judged twice differently, no judgment.
    """
    return parse_qrels(read_lines(Path(path)), path)


def parse_qrels(numbered: Iterable[tuple[int, str]], name: object) -> Qrels:
    """`read_qrels` for numbered lines that come from elsewhere than a plain file."""
    qrels: dict[str, dict[str, int]] = {}
    width = 0
    for number, line in numbered:
        row = fields(line, (width,) if width else (3, 4))
        if not width:
            width = len(row)
            if width == 3 and _is_header(row):  # noqa: PLR2004
                continue
        if len(row) != width or width not in _QRELS_LAYOUTS:
            legal = _QRELS_LAYOUTS.get(width) or " or ".join(_QRELS_LAYOUTS.values())
            raise DataError(
                f"{name}:{number}: {_count(row)}, expected {width if width in _QRELS_LAYOUTS else '3 or 4'} ({legal})."
            )
        add_judgment(qrels, row[0], row[-2], row[-1], where=f"{name}:{number}")
    if not qrels:
        raise DataError(f"{name}: holds no judgments. Expected lines of {' or '.join(_QRELS_LAYOUTS.values())}.")
    return qrels


def _is_header(row: list[str]) -> bool:
    """Whether these are the column names of a BEIR file: query, document, score, in this order."""
    query, document, _ = (name.lower() for name in row)
    named = any(part in document for part in ("corpus", "doc", "passage", "pid"))
    return ("query" in query or query == "qid") and named and not _is_number(row[2])


def add_judgment(qrels: dict[str, dict[str, int]], query_id: str, doc_id: str, relevance: str, *, where: str) -> None:
    """Add a judgment, refusing one that contradicts an earlier one or is not an integer; `where` begins the error."""
    _require_ids(query_id, doc_id, where)
    if not _INTEGER.fullmatch(relevance):
        raise DataError(f"{where}: the relevance is {relevance!r}, expected an integer such as 0, 1 or 2.")
    judged = qrels.setdefault(query_id, {})
    if judged.setdefault(doc_id, int(relevance)) != int(relevance):
        raise DataError(
            f"{where}: document {doc_id!r} is judged {relevance} for query {query_id!r}, "
            f"but {judged[doc_id]} further up. Keep one judgment."
        )


def read_run(path: str | Path) -> Run:
    """A run from a TREC file, or from one of the JSON layouts of `run_json`.

    Raises:
        DataError: a malformed line, a score that is not a finite number, a document twice for a query, no rows.
    """
    path = Path(path)
    start = peek(path, 4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    first_line = start.split(b"\n", 1)[0].decode(errors="replace")
    # A query id may begin with a bracket too; no line of JSON has six fields with numbers in the right places.
    looks_like_json = start[:1] in (b"{", b"[") and not _is_trec_line(first_line)
    run = run_json.read(path) if looks_like_json else read_trec_run(path)
    if not len(run):
        raise DataError(f"{path}: holds no scored documents. Expected lines of {_RUN_LAYOUT}.")
    return run


def _is_trec_line(line: str) -> bool:
    row = fields(line, (6,))
    return len(row) == 6 and row[3].isdigit() and _is_number(row[4])  # noqa: PLR2004


def read_trec_run(path: Path) -> Run:
    """`read_run` for a file that is known to be TREC; it may be empty."""
    queries: dict[str, int] = {}
    documents = _Distinct()
    query_codes, scores = array("i"), array("d")
    for number, line in read_lines(path):
        row = fields(line, (6,))
        if len(row) != 6:  # noqa: PLR2004
            raise DataError(f"{path}:{number}: {_count(row)}, expected 6 ({_RUN_LAYOUT}).")
        _require_ids(row[0], row[2], f"{path}:{number}")
        if not _is_number(row[4]):
            raise DataError(f"{path}:{number}: the score is {row[4]!r}, expected a number.")
        scores.append(float(row[4]))
        query_codes.append(queries.setdefault(row[0], len(queries)))
        documents.add(row[2])
    doc_ids, doc_codes = documents.encoded()
    try:
        return Run.rank(
            list(queries),
            doc_ids,
            queries=np.frombuffer(query_codes, dtype=np.int32),
            documents=doc_codes,
            scores=np.frombuffer(scores, dtype=np.float64),
            source=str(path),
        )
    except DataError:
        # `rank` looks for faults over all rows at once; only a faulty file is read again, to name the line.
        _raise_not_finite(path)
        _raise_repeated(path)
        raise


class _Distinct:
    """Ids in a row, as codes into the distinct ones."""

    def __init__(self) -> None:
        self._parts: list[pa.Array] = []
        self._some: list[str] = []

    def add(self, text: str) -> None:
        """The next id."""
        self._some.append(text)
        if len(self._some) == _IDS_AT_A_TIME:
            self._close()

    def _close(self) -> None:
        self._parts.append(pa.array(self._some, pa.string()))
        self._some = []

    def encoded(self) -> tuple[pa.Array, NDArray[np.int32]]:
        """The distinct ids, ascending, and the code of each of all.

        By sorting: a table of millions of ids by their hashes takes several times the memory.
        """
        self._close()
        ids, self._parts = pa.chunked_array(self._parts).combine_chunks(), []
        order = pc.array_sort_indices(ids)
        ids = ids.take(order)
        is_new = np.ones(len(ids), dtype=bool)
        is_new[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
        codes = np.empty(len(ids), dtype=np.int32)
        codes[order.to_numpy()] = np.cumsum(is_new, dtype=np.int32) - np.int32(1)
        return ids.filter(pa.array(is_new)), codes


def _raise_repeated(path: Path) -> None:
    seen: set[tuple[str, str]] = set()
    for number, line in read_lines(path):
        row = fields(line, (6,))
        if (row[0], row[2]) in seen:
            raise DataError(f"{path}:{number}: document {row[2]!r} occurs twice for query {row[0]!r}. Keep one line.")
        seen.add((row[0], row[2]))


def _raise_not_finite(path: Path) -> None:
    for number, line in read_lines(path):
        score = fields(line, (6,))[4]
        with np.errstate(over="ignore"):
            finite = np.isfinite(np.float32(float(score)))
        if not finite:
            raise DataError(
                f"{path}:{number}: the score is {score}, which cannot be ranked. Expected a finite float32 number."
            )


def _require_ids(query_id: str, doc_id: str, where: str) -> None:
    # Splitting has dealt with blanks and line ends. A NUL would end the id early in trec_eval's C.
    if not query_id or not doc_id or "\0" in query_id or "\0" in doc_id:
        raise DataError(f"{where}: an id is empty or holds a NUL character.")


def _is_number(text: str) -> bool:
    """Whether C would read this as a number: Python also takes `1_0` and digits of other scripts."""
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def _count(row: list[str]) -> str:
    return f"{len(row)} field{'' if len(row) == 1 else 's'}"


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
