"""`evalkit compare A B ... --measure nDCG@10`: is one better, or is it chance? Reads results; needs no model."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from evalkit.analysis.findings import Finding, findings
from evalkit.analysis.moves import Move, moves
from evalkit.analysis.over_stages import over_stages
from evalkit.analysis.overall import Overall, left_out, overall
from evalkit.analysis.pairwise import DIFFERENT_DOCUMENTS, Comparison, Settings, compare, require_pairs
from evalkit.commands.options import IN_MARKDOWN, Parser, put_summary, require_one_form, require_place
from evalkit.commands.runs_alone import CountOrFile, add_runs, gathered
from evalkit.config.limits import at_least
from evalkit.errors import ConfigError, EvalkitError
from evalkit.measures import parse_measure
from evalkit.measures.significance import CORRECTIONS
from evalkit.reports import comparison as report
from evalkit.reports.grid import Grid, write
from evalkit.reports.heat_grid import heat_grid
from evalkit.reports.over_stages_grid import over_stages_grid
from evalkit.reports.pull_request import summary
from evalkit.reports.sentences import markdown_list, write_findings
from evalkit.results import Evaluation
from evalkit.results.gather import dataset_of, measure_of
from evalkit.results.judged_runs import notes_of
from evalkit.results.labels import names
from evalkit.system.terminal import say, tell
from evalkit.types import Dataset

_FEW = 4  # datasets that a heading names


def main(arguments: list[str]) -> int:
    """Print systems and pairs of every dataset, and over all of them."""
    options = _parser().parse_args(arguments)
    require_one_form(options)
    settings = _settings(options)
    require_place("--summary", options.summary)
    evaluations = gathered(options, [settings.measure])
    settings = settings._replace(measure=measure_of(evaluations, settings.measure))
    comparisons = compare(evaluations, settings)
    require_pairs(comparisons)
    if options.qrels and comparisons[0].ceiling is None:
        tell(DIFFERENT_DOCUMENTS)
    if (options.corpus or options.query_texts) and not options.queries:
        tell("no text is shown without --queries N, the number of queries to show.")
    total = overall(comparisons, settings)
    sentences, absent = findings(comparisons, total, settings), left_out(comparisons)
    known = {
        one.result.folder: name for each in comparisons for name, one in zip(each.names, each.evaluations, strict=True)
    }
    shown = _moved(evaluations, options.queries, settings, known) if options.queries else None
    moved = report.moves_grids(*shown, settings.measure) if shown else []
    tables = [*_across(comparisons, total, settings, options.baseline)]
    tables += [*report.grids(comparisons, total, settings, absent), *moved]
    if options.summary:
        put_summary(options.summary, _summary(sentences, tables, comparisons, settings.measure))
    if options.format == "json":
        found = report.as_json(comparisons, total, settings, absent)
        found["findings"] = [{**one._asdict(), "numbers": dict(one.numbers)} for one in sentences]
        found["notes"] = [{"run": str(path), **note.as_json()} for path, note in notes_of(evaluations)]
        found["moves"] = report.moves_as_json(*shown) if shown else None
        say(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return 0
    if options.summary != IN_MARKDOWN:
        write_findings(sentences, options.format)
        write(tables, options.format)
    for line in absent if total is None else ():
        tell(f"{line}.")
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    at_least("--samples", options.samples, 1)
    at_least("--seed", options.seed, 0)
    at_least("--queries", options.queries, 0)
    if not 0 < options.alpha < 1:
        raise ConfigError(f"--alpha {options.alpha:g} is not between 0 and 1.")
    return Settings(
        parse_measure(options.measure).name,
        options.correction,
        options.alpha,
        options.seed,
        options.samples,
        same_candidates=not (options.allow_different_candidates or options.qrels),
        first_stage=options.first_stage,
    )


def _across(comparisons: list[Comparison], total: Overall | None, settings: Settings, baseline: str) -> list[Grid]:
    """Tables of several datasets or first stages, and that of differences to a baseline."""
    heat = heat_grid(comparisons, total, settings, baseline) if len(comparisons) > 1 or baseline else None
    stages = over_stages(comparisons, total, settings)
    return [*([heat] if heat else []), *([over_stages_grid(stages, settings)] if stages else [])]


def _summary(found: list[Finding], tables: list[Grid], comparisons: list[Comparison], measure: str) -> str:
    names = [one.dataset for one in comparisons]
    on = ", ".join(names) if len(names) < _FEW else f"{len(names)} datasets"
    return summary(f"evalkit compare: {measure} on {on}", markdown_list(found), tables[0], tables[1:], "More tables")


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit compare",
        description="Paired comparison of systems over the same candidates: means with 95 % bootstrap intervals, "
        "randomisation test and t-test with Holm's correction, wins, ties and losses, the smallest difference that so "
        "many queries can show, and groups that cannot be told apart; for several datasets also over them. The "
        "randomisation test decides what is called a difference, here as in analyse, report, gate and ablations.",
    )
    add_runs(parser)
    parser.add_argument("--measure", default="nDCG@10", help="default: nDCG@10")
    parser.add_argument("--correction", choices=CORRECTIONS, default="holm", help="for the number of pairs")
    parser.add_argument("--alpha", type=float, default=0.05, help="below this, a difference is called one")
    parser.add_argument("--allow-different-candidates", action="store_true", help="compare whole pipelines")
    parser.add_argument(
        "--no-first-stage", dest="first_stage", action="store_false", help="leave the first stages of rerankers out"
    )
    parser.add_argument(
        "--queries",
        action=CountOrFile,
        default=0,
        metavar="N|FILE",
        help="then the N queries that moved most; with --qrels also the file of their texts",
    )
    parser.add_argument(
        "--baseline", default="", metavar="NAME", help="the system that a table of differences is to; else first stages"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=Settings().samples, help="draws of bootstrap and test")
    parser.add_format()
    parser.add_summary()
    return parser


def _moved(
    evaluations: list[Evaluation], count: int, settings: Settings, known: Mapping[Path, str]
) -> tuple[list[Move], tuple[str, str]]:
    """The queries that moved most from the first system given to the last one; from the first stage, if it is alone."""
    own = [one for one in evaluations if one.dataset == evaluations[0].dataset]
    others = dict.fromkeys(one.dataset for one in evaluations if one.dataset != own[0].dataset)
    if others:
        tell(
            f"--queries shows {own[0].dataset} only. Give the results on {', '.join(others)} by themselves for theirs."
        )
    first, last = own[0], own[-1]
    if first is last:
        first = Evaluation(first.candidates, first.candidates)
    both = first, last
    found = moves(first, last, settings.measure, count=count, dataset=_dataset(last))
    left, right = (known.get(one.result.folder, name) for one, name in zip(both, names(both), strict=True))
    return found, (left, right)


def _dataset(evaluation: Evaluation) -> Dataset | None:
    try:
        return dataset_of(evaluation.result)
    except EvalkitError as error:
        tell(f"without texts and judgments: {error}")
        return None
