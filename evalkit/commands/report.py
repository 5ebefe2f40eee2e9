"""`evalkit report RESULTS --html report.html`: a page to look at, figures and tables. A model only for `--tokens`."""

from pathlib import Path

from evalkit.analysis.pairwise import Settings
from evalkit.commands.options import Parser
from evalkit.commands.report_tokens import rerankers_of, with_tokens
from evalkit.commands.runs_alone import CountOrFile, add_runs, gathered
from evalkit.config.limits import at_least
from evalkit.measures import parse_measure
from evalkit.measures.significance import CORRECTIONS
from evalkit.reports.outputs import Outputs
from evalkit.reports.overview import Overview, overview
from evalkit.results.gather import measure_of
from evalkit.system.progress import progress
from evalkit.system.terminal import say, tell


def main(arguments: list[str]) -> int:
    """Write the page, the tables and the figures that were asked for."""
    options = _parser().parse_args(arguments)
    if options.queries is not None:
        at_least("--queries", options.queries, 0)
    at_least("--seed", options.seed, 0)
    if not (options.html or options.markdown or options.figures):
        options.html = Path("report.html")
    outputs = Outputs(options.html, options.markdown, options.figures)
    outputs.require_possible()
    settings = Settings(parse_measure(options.measure).name, options.correction, seed=options.seed)
    evaluations = gathered(options, [options.measure])
    settings = settings._replace(measure=measure_of(evaluations, options.measure))
    late = rerankers_of(evaluations) if options.tokens else {}
    with progress("report", None, "systems") as advance:
        found = overview(evaluations, settings, queries=options.queries, baseline=options.baseline, advance=advance)
    written = outputs.write(with_tokens(found, late) if late else found)
    for reason, systems in _without_curve(found).items() if options.figures else ():
        tell(f"no depth curve of {', '.join(systems)}: {reason}.")
    say("".join(f"{path}\n" for path in written))
    return 0


def _without_curve(found: Overview) -> dict[str, list[str]]:
    """Why -> the rerankers that have no depth curve."""
    reasons: dict[str, list[str]] = {}
    for view in found.datasets:
        for one, system in zip(view.comparison.systems, view.systems, strict=True):
            if system.no_curve:
                reasons.setdefault(system.no_curve, []).append(f"{one.name} on {view.comparison.dataset}")
    return reasons


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit report",
        description="One self-contained page about results: what was found, differences by dataset, critical "
        "differences, quality and cost, fewer candidates, two systems query by query, and a browser of single queries. "
        "Figures and Markdown for papers and READMEs from the same data.",
    )
    add_runs(parser)
    parser.add_argument("--html", type=Path, metavar="FILE", help="default, where nothing is asked for: report.html")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="all tables")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="every chart as PNG, SVG and PDF")
    parser.add_argument("--measure", default="nDCG@10", help="default: nDCG@10")
    parser.add_argument(
        "--baseline", default="", metavar="SYSTEM", help="that differences are to; default: each one's own first stage"
    )
    parser.add_argument("--correction", choices=CORRECTIONS, default="holm", help="for the number of pairs")
    parser.add_argument(
        "--queries",
        action=CountOrFile,
        metavar="N|FILE",
        help="of each dataset to browse, default: 30, fewer for many datasets; with --qrels also their texts",
    )
    parser.add_argument(
        "--tokens",
        action="store_true",
        help="encode the shown documents again, and show which tokens late interaction matches; loads its checkpoint",
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser
