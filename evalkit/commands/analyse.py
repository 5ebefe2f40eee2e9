"""`evalkit analyse RESULT ...`: what else one scoring pass says. Reads results; needs no model."""

import json

from evalkit.analysis import DEPTHS, analyse, as_json
from evalkit.commands.options import Parser
from evalkit.errors import ConfigError
from evalkit.gather import gather, joiner, names
from evalkit.measures import parse_measure
from evalkit.report.analysis import grids
from evalkit.report.grid import FORMATS, write
from evalkit.report.table import console
from evalkit.terminal import say


def main(arguments: list[str]) -> int:
    """Print what every evaluation of a reranker comes to."""
    options = _parser().parse_args(arguments)
    measure = parse_measure(options.measure).name if options.measure else None
    depths = _depths(options.depths)
    evaluations = [one for one in gather(options.results) if not one.is_first_stage]
    if not evaluations:
        raise ConfigError("there are only first stages. Give the result of a reranker.")
    found, dataset_of = [], joiner()
    for one, name in zip(evaluations, names(evaluations), strict=True):
        asked = measure or one.result.manifest["config"]["measures"][0]
        found.append((f"{one.dataset}: {name}, {asked}", analyse(one, dataset_of(one.result), asked, depths)))
    if options.format == "json":
        whole = [{"title": title, **as_json(analysis)} for title, analysis in found]
        say(json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return 0
    write([grid for title, analysis in found for grid in grids(title, analysis)], options.format, console())
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit analyse",
        description="What else one scoring pass says, without a model: the measure at smaller depths, headroom "
        "captured, least, expected and greatest value over the orders of tied documents, judged@10, unjudged documents "
        "that were brought up, quality by length of the query, speed, and impossible or suspicious values.",
    )
    parser.add_argument("results", nargs="+", help="results, or folders of results")
    parser.add_argument("--measure", help="default: the first that the evaluation was asked for")
    parser.add_argument("--depths", default=",".join(map(str, DEPTHS)), metavar="N[,...]")
    parser.add_argument("--format", choices=("table", *FORMATS), default="table")
    return parser


def _depths(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--depths {text} is no list of numbers, such as 10,20,50.") from error
    if min(found) < 1:
        raise ConfigError(f"--depths {text}: a depth is at least 1.")
    return found
