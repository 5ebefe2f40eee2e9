"""`evalkit measure QRELS RUN nDCG@10 R@20`: measures of a run file. Needs no model and no configuration."""

import json
from collections.abc import Sequence
from pathlib import Path

from evalkit.commands.options import Parser
from evalkit.formats import doubts
from evalkit.formats.notes import Note
from evalkit.formats.runfile import ORDERS, RunFile, read_run_file
from evalkit.formats.trec import read_qrels
from evalkit.measures import canonical, measure
from evalkit.measures.ties import tie_bounds
from evalkit.report.grid import Column, Grid, write
from evalkit.run import Run
from evalkit.system.terminal import say, tell
from evalkit.types import PerQuery, Qrels


def main(arguments: list[str]) -> int:
    """Print the measures; mean over all judged queries, those that the run lacks counting 0."""
    options = _parser().parse_intermixed_args(arguments)
    names = canonical(options.measures)  # a typing mistake shows before files are read
    qrels, file = read_qrels(options.qrels), read_run_file(options.run, order=options.order)
    doubts.require_judged(qrels, file.run, name=options.run, judged_in=options.qrels)
    run = file.run.only_queries(qrels)
    if options.drop_identical_ids:
        run = run.select(~run.own_ids)
    per_query = measure(qrels, run, names)
    notes = _notes(qrels, file, run, per_query)
    match options.format:
        case "json":
            _print_json(per_query, notes, each=options.per_query)
        case "table":
            _print(per_query, each=options.per_query)
        case form:
            write([_grid(per_query, each=options.per_query)], form)
    for note in notes:
        tell(note.text)  # on stderr, so that a pipe gets the numbers and a person the warning
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit measure",
        description="Measures of a run against judgments. Ranks as trec_eval does: float32 score, then document id, "
        "both descending. Every judged query counts; one that the run lacks counts 0.",
    )
    parser.add_argument("qrels", type=Path, help="TREC or BEIR judgments, CSV, Parquet or JSON; text also as gzip")
    parser.add_argument(
        "run",
        type=Path,
        help="TREC, MS MARCO or tevatron run, CSV, Parquet, or JSON of BEIR, ranx, FlagEmbedding, mteb or rank_llm",
    )
    parser.add_argument(
        "measures", nargs="*", default=["nDCG@10", "R@20"], help="such as MAP or R(rel=2)@100; default: nDCG@10 R@20"
    )
    parser.add_argument("--order", choices=ORDERS, help="what orders documents where ranks and scores disagree")
    parser.add_argument(
        "--drop-identical-ids", action="store_true", help="leave out a document with the id of the query"
    )
    parser.add_argument("--per-query", action="store_true", help="one line a judged query")
    parser.add_format(json_help="one object, measure name to mean, unrounded; `notes` where there are some")
    return parser


def _notes(qrels: Qrels, file: RunFile, run: Run, per_query: PerQuery) -> list[Note]:
    """What is odd about a run, most important first."""
    by_rank = "--order rank"
    tied = doubts.ties(file, run, remedy=by_rank)
    found = [
        *file.notes,
        doubts.missing_queries(per_query.missing, file.run, len(per_query.query_ids)),
        doubts.nothing_relevant(qrels),
        doubts.other_spelling(run, qrels),
        doubts.disagreement(file, qrels, remedy=by_rank),
        tied and doubts.with_bounds(tied, tie_bounds(qrels, run, per_query)),
        doubts.own_ids(run, qrels, remedy="--drop-identical-ids"),
        doubts.unjudged_queries(file.run, qrels),
    ]
    return [note for note in found if note is not None]


def _print_json(per_query: PerQuery, notes: Sequence[Note], *, each: bool) -> None:
    means = per_query.means
    rows = {query_id: dict(zip(means, values, strict=True)) for query_id, *values in _grid(per_query, each=True).rows}
    found = {"mean": means, "per_query": rows} if each else means
    found_notes = {"notes": [note.as_json() for note in notes]} if notes else {}
    say(json.dumps({**found, **found_notes}, ensure_ascii=False) + "\n")


def _grid(per_query: PerQuery, *, each: bool) -> Grid:
    """A row a measure, or a row a query."""
    if not each:
        return Grid("measures", [Column("measure"), Column("mean", ".4f")], list(per_query.means.items()))
    columns = [Column("query_id"), *(Column(name, ".4f") for name in per_query.values)]
    values = (column.tolist() for column in per_query.values.values())
    return Grid("measures by query", columns, list(zip(per_query.query_ids, *values, strict=True)))


def _print(per_query: PerQuery, *, each: bool) -> None:
    """Plain lines as trec_eval prints them: names and means, or a row a query with tabs and the means last."""
    if each:
        grid = _grid(per_query, each=True)
        rows = [[column.name for column in grid.columns], *grid.texts()]
        rows.append(["all", *(f"{mean:.4f}" for mean in per_query.means.values())])
        say("".join("\t".join(row) + "\n" for row in rows))
        return
    width = max(len(name) for name in per_query.means)
    say("".join(f"{name:{width}}  {mean:.4f}\n" for name, mean in per_query.means.items()))
