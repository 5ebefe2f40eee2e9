"""What cannot be meant of a run, or may not be: ids that nobody judged, ranks against scores, ties, a query's own id.

The first is an error; the others are notes, since a measure can be computed. Knows no settings and no measures.
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
_QUERIES_LOOKED_AT = 200
TOP = 10  # documents of which ties are looked for


def require_judged(qrels: Qrels, run: Run, *, name: object, judged_in: object) -> None:
    """Refuse a run without any judged query, or without any judged document.

    Args:
        qrels: judgments; with none there is nothing to compare with.
        run: what is measured.
        name: of the run's file, for the error.
        judged_in: where the judgments are from.

    Raises:
        DataError: the ids are of another collection, or written in another way; the message has two that look alike.
    """
    if not qrels or not len(run):
        return
    queries = [query_id for query_id in run.query_ids if query_id in qrels]
    if not queries:
        beside = compared(run.query_ids, qrels, place="the run", other="the judgments")
        raise DataError(f"{name}: no query of the run is judged in {judged_in}: {beside}")
    found = run.only_queries(set(queries))
    if any(not qrels[query_id].keys().isdisjoint(doc_ids) for query_id, doc_ids, _ in found):
        return
    beside = _of_documents(found, qrels)
    raise DataError(f"{name}: no retrieved document is judged in {judged_in} for its query: {beside}")


def _of_documents(run: Run, qrels: Qrels) -> str:
    """What the documents of a run look like beside those that are judged for its queries."""
    judged = dict.fromkeys(doc_id for query_id in run.query_ids for doc_id in qrels[query_id])
    ranked = dict.fromkeys(doc_id for _, doc_ids, _ in run for doc_id in doc_ids)
    others = [doc_id for doc_id in ranked if doc_id not in judged]
    if not others or not judged:
        return "they are judged for other queries. Does a query id mean the same query in both?"
    return compared(others, [one for one in judged if one not in ranked], place="the run", other="the judgments")


def unjudged_queries(run: Run, queries: Collection[str]) -> Note | None:
    """Queries of the run that nobody judged."""
    others = [query_id for query_id in run.query_ids if query_id not in queries]
    if not others:
        return None
    of = len(run.query_ids)
    text = f"{len(others)} of {of} queries of the run have no judgments and are left out, such as {others[0]}"
    return Note("queries_unjudged", text, {"queries": len(others), "of": of, "example": others[0]})


def missing_queries(missing: Sequence[str], run: Run, of: int) -> Note | None:
    """Judged queries that the run has no document for.

    Args:
        missing: these.
        run: with all its queries, since one of them may be meant.
        of: how many queries are judged.
    """
    if not missing:
        return None
    text = f"{len(missing)} of {of} judged queries are not in the run and count 0, such as {missing[0]}"
    facts: dict[str, Any] = {"queries": len(missing), "of": of, "example": missing[0]}
    known = set(missing)
    if pair := lookalike(missing, (query_id for query_id in run.query_ids if query_id not in known), loosely=False):
        text += f"; the run has {pair.theirs!r} where the judgments have {pair.ours!r}"
        facts["lookalike"] = [pair.ours, pair.theirs]
    return Note("queries_missing", text, facts)


def nothing_relevant(qrels: Qrels) -> Note | None:
    """Judgments of which none is above 0."""
    if any(grade > 0 for grades in qrels.values() for grade in grades.values()):
        return None
    return Note("nothing_relevant", "no judged document has a grade above 0, so every measure is 0", {"of": len(qrels)})


def other_spelling(run: Run, qrels: Qrels) -> Note | None:
    """Relevant documents that the run lacks, and has under an id of other zeros: `42` or `42.0` for `00042`.

    Looks at the first queries only that lack a relevant document, as one example is enough.
    """
    found: list[tuple[str, str]] = []
    looked = 0
    for query_id, doc_ids, _ in run:
        judged = qrels.get(query_id, {})
        absent = {doc_id for doc_id, grade in judged.items() if grade > 0} - set(doc_ids)
        if not absent or looked == _QUERIES_LOOKED_AT:
            continue
        looked += 1
        relevant = {unpadded(doc_id): doc_id for doc_id in absent}
        others = ((relevant.get(unpadded(doc_id)), doc_id) for doc_id in doc_ids if doc_id not in judged)
        found += [(meant, doc_id) for meant, doc_id in others if meant is not None][:1]
    if not found:
        return None
    meant, doc_id = found[0]
    text = (
        f"{len(found)} of {looked} queries that lack a relevant document have one whose id differs in zeros alone: "
        f"the run has {doc_id!r} where the judgments have {meant!r}. pandas reads ids as numbers unless it is given "
        "dtype=str"
    )
    return Note("other_spelling", text, {"queries": len(found), "of": looked, "example": [doc_id, meant]})


def disagreement(file: RunFile, queries: Collection[str], *, remedy: str) -> Note | None:
    """Ranks against scores.

    Args:
        file: what was read.
        queries: those that count.
        remedy: the setting that takes the ranks, such as `--order rank`.
    """
    found = [query_id for query_id in file.disagreeing if query_id in queries]
    if not found:
        return None
    of = sum(query_id in queries for query_id in file.run.query_ids)
    what = "ranks and scores" if file.ranks_are == "the rank column" else f"{file.ranks_are} and the scores"
    text = (
        f"{what} disagree for {len(found)} of {of} queries, such as {found[0]}; scores decide, the higher the better, "
        f"as in trec_eval; {remedy} takes {file.ranks_are}"
    )
    return Note("ranks_disagree", text, {"queries": len(found), "of": of, "example": found[0]})


def ties(file: RunFile, run: Run, *, remedy: str) -> Note | None:
    """Documents of one score in the top 10.

    Args:
        file: what was read.
        run: of the queries that count.
        remedy: the setting that takes the ranks.
    """
    tied = run.queries_with_ties(TOP)
    if not tied:
        return None
    of = len(run.query_ids)
    text = f"ties in the top {TOP} of {len(tied)} of {of} queries, such as {tied[0]}, are broken by document id"
    if file.by_rank is not None and not set(tied) <= set(file.disagreeing):
        text += f"; {remedy} takes {file.ranks_are}"
    return Note(TIES, text, {"queries": len(tied), "of": of, "example": tied[0]})


def with_bounds(note: Note, bounds: Mapping[str, tuple[float, float]]) -> Note:
    """A note on ties with what they leave to chance.

    Args:
        note: of `ties`.
        bounds: measure -> least and greatest mean over the orders of tied documents.
    """
    ranges = ", ".join(f"{name} {low:.4f} to {high:.4f}" for name, (low, high) in bounds.items())
    values = {name: {"least": low, "greatest": high} for name, (low, high) in bounds.items()}
    text = f"{note.text}; over the orders of tied documents {ranges}"
    return note._replace(text=text, facts={**note.facts, "values": values})


def own_ids(run: Run, qrels: Qrels, *, remedy: str) -> Note | None:
    """Queries that retrieve themselves, unless that document is judged relevant.

    Args:
        run: of the queries that count.
        qrels: judgments.
        remedy: the setting that leaves these documents out.
    """
    found = [run.query_ids[index] for index in np.unique(run.row_queries[run.own_ids])]
    found = [query_id for query_id in found if qrels.get(query_id, {}).get(query_id, 0) <= 0]
    if not found:
        return None
    text = (
        f"{len(found)} of {len(run.query_ids)} queries retrieved their own id as a document, such as {found[0]}; "
        f"{remedy} leaves it out"
    )
    return Note("own_ids", text, {"queries": len(found), "of": len(run.query_ids), "example": found[0]})
