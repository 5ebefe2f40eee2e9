"""`evalkit analyse RESULT ...`: depth curves, headroom, ties and flags of saved results. Needs no model."""

import json
from collections.abc import Sequence
from pathlib import Path

from evalkit.analysis.differences import falls
from evalkit.analysis.flags import Fall
from evalkit.analysis.one_pass import DEPTHS, analyse, as_json
from evalkit.analysis.pairwise import Settings, compare
from evalkit.commands.options import Parser
from evalkit.commands.runs_alone import add_runs, gathered
from evalkit.errors import ConfigError
from evalkit.measures import parse_measure
from evalkit.reports.analysis_grids import grids
from evalkit.reports.grid import write
from evalkit.results import Evaluation
from evalkit.results.gather import joiner, measure_of
from evalkit.results.labels import legend, names
from evalkit.system.terminal import say, tell


def main(arguments: list[str]) -> int:
    """Print the analysis of every evaluation of a reranker."""
    options = _parser().parse_args(arguments)
    if options.measure:
        parse_measure(options.measure)  # a typing mistake shows before results are read
    depths = _depths(options.depths)
    given = gathered(options, [options.measure] if options.measure else ())
    evaluations = given if options.qrels else [one for one in given if not one.is_first_stage]
    if not evaluations:
        raise ConfigError("there are only first stages. Give the result of a reranker.")
    used = {one.candidates.folder for one in evaluations}
    alone = [
        f"{one.reranker} on {one.dataset}" for one in given if one.is_first_stage and one.candidates.folder not in used
    ]
    if alone:
        tell(f"left out, because a first stage without a reranker has nothing to analyse: {', '.join(alone)}.")
    found, dataset_of, fell = [], joiner(), _falls(given, options.measure)
    for one, name in zip(evaluations, names(evaluations), strict=True):
        asked = _asked(one, options.measure)
        analysis = analyse(one, dataset_of(one.result), asked, depths, fall=fell.get((one.result.folder, asked)))
        found.append((f"{one.dataset}: {name}, {asked}", analysis))
    if options.format == "json":
        whole = [{"title": title, **as_json(analysis)} for title, analysis in found]
        say(json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return 0
    exact = options.format == "csv"
    write([grid for title, analysis in found for grid in grids(title, analysis, exact=exact)], options.format)
    for line in legend(evaluations):
        tell(f"{line}.")
    return 0


def _asked(evaluation: Evaluation, measure: str | None) -> str:
    return measure_of([evaluation], measure or evaluation.result.manifest["config"]["measures"][0])


def _falls(evaluations: Sequence[Evaluation], measure: str | None) -> dict[tuple[Path, str], Fall]:
    """Result and measure -> the verdict on a reranker below its first stage, as `compare` of all given has it."""
    together: dict[tuple[str, str], list[Evaluation]] = {}
    for one in evaluations:
        facts = one.result.manifest["dataset"]
        together.setdefault((facts["name"], facts["digest"]), []).append(one)
    found: dict[tuple[Path, str], Fall] = {}
    for some in together.values():
        for asked in {_asked(one, measure) for one in some if not one.is_first_stage}:
            settings = Settings(asked, same_candidates=False)
            (comparison,) = compare(some, settings)
            found |= {(folder, asked): fall for folder, fall in falls(comparison, settings).items()}
    return found


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit analyse",
        description="What saved results say besides their means, without a model: the measure at smaller depths, "
        "headroom captured, least, expected and greatest value over the orders of tied documents, judged@10, unjudged "
        "documents that were moved up, quality by length of the query, speed, and impossible or suspicious values. "
        "With --qrels also of runs alone.",
    )
    add_runs(parser, texts=False)
    parser.add_argument("--queries", type=Path, dest="query_texts", metavar="FILE", help="with --qrels: their texts")
    parser.add_argument("--measure", help="default: the first that the evaluation was asked for")
    parser.add_argument("--depths", default=",".join(map(str, DEPTHS)), metavar="N[,...]")
    parser.add_format()
    return parser


def _depths(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--depths {text} is not a list of numbers, such as 10,20,50.") from error
    if min(found) < 1:
        raise ConfigError(f"--depths {text}: a depth is at least 1.")
    return found
