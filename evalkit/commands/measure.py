"""`evalkit measure QRELS RUN RUN ... nDCG@10 R@20`: measures of run files. Needs no model and no configuration."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.commands.options import Parser
from evalkit.commands.runs_alone import add_reading, rules_of, tell_left_out
from evalkit.errors import ConfigError
from evalkit.formats.judgments import QrelsFile, read_judgments
from evalkit.formats.subtopics import over_subtopics, read_subtopics
from evalkit.measures import canonical, parse_measure
from evalkit.measures.given_runs import MEASURES, MeasuredRun, by_subtopics, counting, measured, of_documents
from evalkit.reports.grid import Column, Grid, write
from evalkit.results.reading_runs import read_runs
from evalkit.system.lookalikes import did_you_mean
from evalkit.system.terminal import say, tell
from evalkit.types import PerQuery


def main(arguments: list[str]) -> int:
    """Print the measures of every run; mean over all judged queries, those that a run lacks counting 0."""
    options = _parser().parse_intermixed_args(arguments)
    paths, typed = _runs_and_measures(options.runs)
    names, rules = canonical(typed or MEASURES), rules_of(options)
    subtopics = read_subtopics(options.qrels) if by_subtopics(names) else None
    judged = read_judgments(options.qrels) if subtopics is None else QrelsFile(over_subtopics(subtopics))
    runs = of_documents(read_runs(paths, order=options.order), options.maxp)
    counted = counting(judged.qrels, runs, rules, name=options.qrels)
    found = {name: measured(counted, given, names, rules, subtopics) for name, given in runs.items()}
    values = {name: run.values for name, run in found.items()}
    match options.format:
        case "json":
            noted = {name: run._replace(notes=[*judged.notes, *run.notes]) for name, run in found.items()}
            objects = {name: _as_json(run, each=options.per_query) for name, run in noted.items()}
            say(json.dumps(objects if len(found) > 1 else _only(objects), ensure_ascii=False) + "\n")
        case "table" if options.per_query or len(found) == 1:
            _print(values, each=options.per_query)
        case form:
            write([_grid(values, each=options.per_query)], form)
    # On stderr, so that a pipe gets the numbers and a person the warning.
    tell_left_out(rules, queries=len(counted), of=len(judged.qrels))
    for note in judged.notes:
        tell(note.text)
    for name, run in found.items():
        for note in run.notes:
            tell(f"{name}: {note.text}" if len(found) > 1 else note.text)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit measure",
        description="Measures of runs against judgments. Ranks as trec_eval does: float32 score, then document id, "
        "both descending. Every judged query counts; one that a run lacks counts 0. Runs and measures may be given in "
        "any order: an argument that names a file is a run, and one that is a measure and not a file is a measure.",
    )
    parser.add_argument("qrels", type=Path, help="TREC or BEIR judgments, CSV, Parquet or JSON, however packed")
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="run|measure",
        help="a TREC, MS MARCO or tevatron run, CSV, Parquet, or JSON of BEIR, ranx, FlagEmbedding, mteb, rank_llm or "
        f"DPR; or a measure, such as MAP or R(rel=2)@100; default: {' '.join(MEASURES)}",
    )
    add_reading(parser)
    parser.add_argument("--per-query", action="store_true", help="one line a judged query")
    parser.add_format(
        json_help="one object, measure name to mean, unrounded; `notes` where there are some; of several runs by name"
    )
    return parser


def _runs_and_measures(given: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Which arguments are files, and which measures.

    Raises:
        ConfigError: an argument is neither, or no run is among them.
    """
    runs, measures = [], []
    for text in given:
        if Path(text).exists() or Path(text).is_symlink():
            runs.append(Path(text))
            continue
        try:
            measures.append(parse_measure(text).name)
        except ConfigError as error:
            path = Path(text)
            others = [str(path.with_name(other.name)) for other in path.parent.glob("*")] if path.name else []
            near = did_you_mean(text, others)
            raise ConfigError(f"{text}: No such file, so not a run. {near}Nor is it a measure: {error}") from error
    if not runs:
        raise ConfigError(f"no run is given, only {', '.join(measures)}. Usage: evalkit measure QRELS RUN [RUN ...].")
    return runs, measures


def _only(found: Mapping[str, Any]) -> Any:
    (value,) = found.values()
    return value


def _as_json(run: MeasuredRun, *, each: bool) -> dict[str, Any]:
    means = run.values.means
    found: dict[str, Any] = dict(means)
    if each:
        rows = _grid({"": run.values}, each=True).rows
        found = {"mean": means, "per_query": {query: dict(zip(means, row, strict=True)) for query, *row in rows}}
    return {**found, **({"notes": [note.as_json() for note in run.notes]} if run.notes else {})}


def _grid(found: Mapping[str, PerQuery], *, each: bool) -> Grid:
    """A row a run, or a row a query of each run; of a single run, a row a measure, or a row a query."""
    (first, *others) = found.values()
    if not (each or others):
        return Grid("measures", [Column("measure"), Column("mean", ".4f")], list(first.means.items()))
    columns = [Column(name, ".4f") for name in first.values]
    label = [Column("run")] if others else []
    if not each:
        return Grid("measures", [*label, *columns], [[name, *values.means.values()] for name, values in found.items()])
    rows = [
        [*([name] if others else []), *row]
        for name, run in found.items()
        for row in zip(run.query_ids, *(column.tolist() for column in run.values.values()), strict=True)
    ]
    return Grid("measures by query", [*label, Column("query_id"), *columns], rows)


def _print(found: Mapping[str, PerQuery], *, each: bool) -> None:
    """Plain lines as trec_eval prints them: names and means, or a row a query with tabs and the means last."""
    if each:
        grid = _grid(found, each=True)
        rows = [[column.name for column in grid.columns], *grid.texts()]
        for name, run in found.items():
            label = [name] if len(found) > 1 else []
            rows.append([*label, "all", *(f"{mean:.4f}" for mean in run.means.values())])
        say("".join("\t".join(row) + "\n" for row in rows))
        return
    means = _only(found).means
    width = max(len(name) for name in means)
    say("".join(f"{name:{width}}  {mean:.4f}\n" for name, mean in means.items()))
