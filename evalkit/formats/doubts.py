"""Doubts about a run: ids that nobody judged, ranks that contradict scores, ties, a query's own id.

The first is an error; the others are notes, since measures can be computed. Knows no settings and no measures.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from evalkit.errors import DataError
from evalkit.formats.notes import Note
from evalkit.formats.runfile import RunFile
from evalkit.formats.similar_ids import compared, lookalike, unpadded
from evalkit.run import Run
from evalkit.types import Qrels

TIES = "ties"  # kind of the note that `with_bounds` completes
ALL_RELEVANT, RELEVANT_FIRST = "all_relevant", "relevant_first"  # of candidates that a dataset brings
_QUERIES_LOOKED_AT = 200
TOP = 10  # documents in which ties are looked for


def _note(kind: str, text: str, found: Sequence[Any], of: int, **more: Any) -> Note | None:
    """A note on some queries of so many, with `{count}`, `{of}` and `{example}` in its text; None for no queries."""
    if not found:
        return None
    shown = text.format(count=len(found), of=of, example=found[0])
    return Note(kind, shown, {"queries": len(found), "of": of, "example": found[0], **more})


def require_judged(qrels: Qrels, run: Run, *, name: object, judged_in: object) -> None:
    """Refuse a run without any judged query, or without any judged document; but nothing if there are no judgments.

    Raises:
        DataError: the ids are of another collection, or written differently; the message has two that look alike.
    """
    if not qrels or not len(run):
        return
    queries = [query_id for query_id in run.query_ids if query_id in qrels]
    if not queries:
        alike = compared(run.query_ids, qrels, place="the run", other="the judgments")
        raise DataError(f"{name}: no query of the run is judged in {judged_in}. {alike}")
    found = run.only_queries(set(queries))
    if all(qrels[query_id].keys().isdisjoint(doc_ids) for query_id, doc_ids, _ in found):
        alike = _compared_documents(found, qrels)
        raise DataError(f"{name}: no retrieved document is judged in {judged_in} for its query. {alike}")


def _compared_documents(run: Run, qrels: Qrels) -> str:
    """An example of a document of the run and the nearest one that is judged."""
    judged = dict.fromkeys(doc_id for query_id in run.query_ids for doc_id in qrels[query_id])
    ranked = dict.fromkeys(doc_id for _, doc_ids, _ in run for doc_id in doc_ids)
    others = [doc_id for doc_id in ranked if doc_id not in judged]
    if not others or not judged:
        return "They are judged for other queries. Does a query id mean the same query in both?"
    unranked = [doc_id for doc_id in judged if doc_id not in ranked]
    return compared(others, unranked, place="the run", other="the judgments")


def unjudged_queries(run: Run, queries: Collection[str]) -> Note | None:
    """Queries of the run that nobody judged."""
    others = [query_id for query_id in run.query_ids if query_id not in queries]
    text = "{count} of {of} queries of the run have no judgments and are left out, such as {example}"
    return _note("queries_unjudged", text, others, len(run.query_ids))


def missing_queries(missing: Sequence[str], run: Run, of: int) -> Note | None:
    """Judged queries without a document in the run; `run` has all its queries, as one may be there under another id."""
    text = "{count} of {of} judged queries are not in the run and count 0, such as {example}"
    note, known = _note("queries_missing", text, missing, of), set(missing)
    others = (query_id for query_id in run.query_ids if query_id not in known)
    if note is None or (pair := lookalike(missing, others, loosely=False)) is None:
        return note
    more = f"; the run has {pair.theirs!r} where the judgments have {pair.ours!r}"
    return note._replace(text=note.text + more, facts={**note.facts, "lookalike": [pair.ours, pair.theirs]})


def nothing_relevant(qrels: Qrels) -> Note | None:
    """Judgments without a grade above 0."""
    if any(grade > 0 for grades in qrels.values() for grade in grades.values()):
        return None
    return Note("nothing_relevant", "no judged document has a grade above 0, so every measure is 0", {"of": len(qrels)})


def other_spelling(run: Run, qrels: Qrels) -> Note | None:
    """Relevant documents that the run has under an id that differs in zeros: `42` or `42.0` for `00042`.

    Looks only at the first queries that lack a relevant document, as one example is enough.
    """
    found: list[list[str]] = []
    looked = 0
    for query_id, doc_ids, _ in run:
        judged = qrels.get(query_id, {})
        absent = {doc_id for doc_id, grade in judged.items() if grade > 0} - set(doc_ids)
        if not absent or looked == _QUERIES_LOOKED_AT:
            continue
        looked += 1
        relevant = {unpadded(doc_id): doc_id for doc_id in absent}
        others = ((relevant.get(unpadded(doc_id)), doc_id) for doc_id in doc_ids if doc_id not in judged)
        found += [[doc_id, meant] for meant, doc_id in others if meant is not None][:1]
    text = (
        "{count} of {of} queries that lack a relevant document have one whose id differs in zeros alone: "
        "the run has {example[0]!r} where the judgments have {example[1]!r}. pandas reads ids as numbers unless it is "
        "given dtype=str"
    )
    return _note("other_spelling", text, found, looked)


def disagreement(file: RunFile, queries: Collection[str], *, remedy: str) -> Note | None:
    """Queries in which ranks contradict scores; `remedy` takes the ranks, such as `--order rank`."""
    found = [query_id for query_id in file.disagreeing if query_id in queries]
    of = sum(query_id in queries for query_id in file.run.query_ids)
    both = "ranks and scores" if file.ranks_are == "the rank column" else f"{file.ranks_are} and the scores"
    text = (
        f"{both} disagree for {{count}} of {{of}} queries, such as {{example}}; scores decide, the higher the better, "
        f"as in trec_eval; {remedy} takes {file.ranks_are}"
    )
    return _note("ranks_disagree", text, found, of)


def ties(file: RunFile, run: Run, *, remedy: str) -> Note | None:
    """Documents with the same score in the top 10; `run` has the queries that count."""
    tied = run.queries_with_ties(TOP)
    text = f"ties in the top {TOP} of {{count}} of {{of}} queries, such as {{example}}, are broken by document id"
    if file.by_rank is not None and not set(tied) <= set(file.disagreeing):
        text += f"; {remedy} takes {file.ranks_are}"
    return _note(TIES, text, tied, len(run.query_ids))


def with_bounds(note: Note, bounds: Mapping[str, tuple[float, float]]) -> Note:
    """A note of `ties`, with the least and greatest mean of each measure over the orders of tied documents."""
    ranges = ", ".join(f"{name} {low:.4f} to {high:.4f}" for name, (low, high) in bounds.items())
    values = {name: {"least": low, "greatest": high} for name, (low, high) in bounds.items()}
    text = f"{note.text}; over the orders of tied documents {ranges}"
    return note._replace(text=text, facts={**note.facts, "values": values})


def own_ids(run: Run, qrels: Qrels, *, remedy: str) -> Note | None:
    """Queries that retrieve themselves, unless that document is judged relevant."""
    found = [run.query_ids[index] for index in np.unique(run.row_queries[run.own_ids()])]
    found = [query_id for query_id in found if qrels.get(query_id, {}).get(query_id, 0) <= 0]
    text = (
        f"{{count}} of {{of}} queries retrieved their own id as a document, such as {{example}}; {remedy} leaves it out"
    )
    return _note("own_ids", text, found, len(run.query_ids))
