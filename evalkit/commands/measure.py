"""`evalkit measure QRELS RUN nDCG@10 R@20`: measures of a run file. Needs no model and no configuration."""

import json
from pathlib import Path

from evalkit.commands.options import Parser
from evalkit.measures import measure, parse_measure
from evalkit.terminal import say, tell
from evalkit.trec import read_qrels, read_run
from evalkit.types import PerQuery


def main(arguments: list[str]) -> int:
    """Print the measures; mean over all judged queries, those that the run lacks counting 0."""
    parser = Parser(
        prog="evalkit measure",
        description="Measures of a run against judgments. Ranks as trec_eval does: float32 score, then document id, "
        "both descending. Every judged query counts; one that the run lacks counts 0.",
    )
    parser.add_argument("qrels", type=Path, help="TREC or BEIR judgments, plain or gzip")
    parser.add_argument(
        "run", type=Path, help="TREC run, or JSON of BEIR, FlagEmbedding, mteb or rank_llm; plain or gzip"
    )
    parser.add_argument("measures", nargs="*", default=["nDCG@10", "R@20"], help="default: nDCG@10 R@20")
    parser.add_argument("--per-query", action="store_true", help="one line a judged query")
    parser.add_argument("--json", action="store_true", help="one object, measure name to mean, unrounded")
    options = parser.parse_args(arguments)
    names = [parse_measure(name).name for name in options.measures]  # a typing mistake shows before files are read
    per_query = measure(read_qrels(options.qrels), read_run(options.run), names)
    _print(per_query, each=options.per_query, as_json=options.json)
    if per_query.missing:
        # On stderr, so that a pipe gets the numbers and a person the warning.
        tell(
            f"{len(per_query.missing)} of {len(per_query.query_ids)} judged queries are not in the run and count 0, "
            f"such as {per_query.missing[0]}"
        )
    return 0


def _print(per_query: PerQuery, *, each: bool, as_json: bool) -> None:
    columns = {name: values.tolist() for name, values in per_query.values.items()}
    if as_json:
        rows = {
            query_id: {name: values[row] for name, values in columns.items()}
            for row, query_id in enumerate(per_query.query_ids)
        }
        say(
            json.dumps({"mean": per_query.means, "per_query": rows} if each else per_query.means, ensure_ascii=False)
            + "\n"
        )
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
