"""Runs as people give them, measured: which queries count, and what is odd about a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc

from evalkit.errors import ConfigError, DataError
from evalkit.formats import doubts
from evalkit.formats.notes import Note
from evalkit.formats.runfile import RunFile
from evalkit.measures import measure, parse_measure
from evalkit.measures.ties import tie_bounds
from evalkit.run import Run
from evalkit.types import PerQuery, Qrels, Subtopics

MEASURES = ("nDCG@10", "R@20")
"""The measures of a run if none are asked for."""


class GivenRun(NamedTuple):
    """A run to be measured.

    Attributes:
        file: the run, and how it was read.
        source: its file, or what it is called.
    """

    file: RunFile
    source: Path


class MeasuredRun(NamedTuple):
    """A run and its values.

    Attributes:
        source: its file, or what it is called.
        run: its rows that count.
        values: of every judged query.
        notes: what is odd about it, most important first.
    """

    source: Path
    run: Run
    values: PerQuery
    notes: Sequence[Note]


class Rules(NamedTuple):
    """Which queries count, and what notes propose instead.

    Attributes:
        common: whether only queries count that every run has; otherwise one that a run lacks counts 0.
        own_ids: whether a document with the id of its query counts.
        by_rank: remedy that takes the ranks of a file instead of its scores.
        without_own_ids: remedy that leaves out documents with the id of their query.
    """

    common: bool = False
    own_ids: bool = True
    by_rank: str = "--order rank"
    without_own_ids: str = "--drop-identical-ids"


def of_documents(runs: Mapping[str, GivenRun], delimiter: str | None) -> dict[str, GivenRun]:
    """The runs, with documents in place of passages where there is a delimiter of their ids; see `Run.by_document`."""
    if not delimiter:
        return dict(runs)
    found = {}
    for name, given in runs.items():
        by_rank = given.file.by_rank and given.file.by_rank.by_document(delimiter)
        notes = given.file.notes
        if not pc.any(pc.match_substring(given.file.run.doc_ids, delimiter)).as_py():
            nothing = Note("no_passages", f"no id holds {delimiter!r}, so each document is taken as it is", {})
            notes = (*notes, nothing)
        file = given.file._replace(run=given.file.run.by_document(delimiter), by_rank=by_rank, notes=notes)
        found[name] = given._replace(file=file)
    return found


def counting(qrels: Qrels, runs: Mapping[str, GivenRun], rules: Rules, *, name: object) -> Qrels:
    """The judgments of the queries that count.

    Args:
        qrels: judgments.
        runs: name -> run.
        rules: whether queries must be common to all runs.
        name: of the judgments, for errors.

    Raises:
        DataError: a run has no judged query or document, or no judged query is common to all.
    """
    for given in runs.values():
        doubts.require_judged(qrels, given.file.run, name=given.source, judged_in=name)
    if not rules.common:
        return qrels
    shared = set(qrels).intersection(*(given.file.run.query_ids for given in runs.values()))
    if not shared:
        raise DataError("no judged query is in every run, so there are no common queries.")
    return {query_id: judged for query_id, judged in qrels.items() if query_id in shared}


def by_subtopics(measures: Sequence[str]) -> bool:
    """Whether the measures are judged by subtopics.

    Raises:
        ConfigError: some are, and some are not.
    """
    found = {parse_measure(name).by_subtopics: name for name in measures}
    if len(found) > 1:
        raise ConfigError(
            f"{found[True]} takes a grade for each subtopic of a document, and {found[False]} one for a document. "
            "Measure one after the other."
        )
    return True in found


def measured(
    qrels: Qrels, given: GivenRun, measures: Sequence[str], rules: Rules, subtopics: Subtopics | None = None
) -> MeasuredRun:
    """Values of a run.

    Args:
        qrels: judgments of exactly the queries that count.
        given: the run.
        measures: names.
        rules: what counts.
        subtopics: judgments of subtopics, for measures that are all judged by these.
    """
    run = given.file.run.only_queries(qrels)
    if not rules.own_ids:
        run = run.select(~run.own_ids())
    if subtopics is not None:
        subtopics = {query_id: subtopics[query_id] for query_id in qrels}
    values = measure(qrels, run, measures, subtopics=subtopics)
    tied = doubts.ties(given.file, run, remedy=rules.by_rank)
    if tied and not subtopics:
        tied = doubts.with_bounds(tied, tie_bounds(qrels, run, values))
    return MeasuredRun(given.source, run, values, _notes(qrels, given.file, run, values, rules, tied))


def _notes(qrels: Qrels, file: RunFile, run: Run, values: PerQuery, rules: Rules, tied: Note | None) -> list[Note]:
    found = [
        *file.notes,
        doubts.missing_queries(values.missing, file.run, len(values.query_ids)),
        doubts.nothing_relevant(qrels),
        doubts.other_spelling(run, qrels),
        doubts.disagreement(file, qrels, remedy=rules.by_rank),
        tied,
        doubts.own_ids(run, qrels, remedy=rules.without_own_ids),
        None if rules.common else doubts.unjudged_queries(file.run, qrels),
    ]
    return [note for note in found if note is not None]
