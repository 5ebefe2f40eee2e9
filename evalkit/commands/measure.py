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
    _print(per_query, notes, each=options.per_query, as_json=options.json)
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
    parser.add_argument(
        "--json", action="store_true", help="one object, measure name to mean, unrounded; `notes` where there are some"
    )
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


def _print(per_query: PerQuery, notes: Sequence[Note], *, each: bool, as_json: bool) -> None:
    columns = {name: values.tolist() for name, values in per_query.values.items()}
    if as_json:
        rows = {
            query_id: {name: values[row] for name, values in columns.items()}
            for row, query_id in enumerate(per_query.query_ids)
        }
        means = {"mean": per_query.means, "per_query": rows} if each else per_query.means
        told = {"notes": [note.as_json() for note in notes]} if notes else {}
        say(json.dumps({**means, **told}, ensure_ascii=False) + "\n")
        return
    if each:
        say("\t".join(["query_id", *columns]) + "\n")
        for row, query_id in enumerate(per_query.query_ids):
            say("\t".join([query_id, *(f"{values[row]:.4f}" for values in columns.values())]) + "\n")
        say("\t".join(["all", *(f"{mean:.4f}" for mean in per_query.means.values())]) + "\n")
        return
    width = max(len(name) for name in columns)
    for name, mean in per_query.means.items():
        say(f"{name:{width}}  {mean:.4f}\n")
