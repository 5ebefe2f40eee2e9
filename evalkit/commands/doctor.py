"""`evalkit doctor reranker=NAME`: a table of checks of the checkpoint at hand; exit code 1 if one failed."""

import argparse

from evalkit.commands.json_lines import write_line
from evalkit.commands.options import Parser
from evalkit.commands.settings.compose import compose
from evalkit.reports.grid import Column, Grid, write
from evalkit.rerank.doctor import examine
from evalkit.rerank.doctor.checks import FAILED, Check

_OF_RETRIEVERS = (
    "`evalkit doctor` checks rerankers; `evalkit embed retriever=NAME --ids` prints the tokens and vectors of a "
    "retriever."
)


def main(arguments: list[str]) -> int:
    """Print a row for every check."""
    parser = Parser(
        prog="evalkit doctor",
        config="score",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="""Check a reranker's checkpoint before a long run: all tensors loaded, tokens as they should be,
scores that do not depend on the batch, differ, put the relevant document first, and are those its authors published.
Exit code 1 if a check failed. Of a retriever, `evalkit embed retriever=NAME --ids` prints tokens and vectors.

  evalkit doctor reranker=minicpm_reranker compute=cuda compute.dtype=float16
  evalkit doctor reranker=bge_reranker_v2_m3 reranker.model=DIR""",
    )
    parser.add_argument("settings", nargs="*", default=[], metavar="SETTING=VALUE")
    parser.add_argument("--no-float32", action="store_true", help="do not load the weights once more in float32")
    parser.add_format()
    parser.add_argument("--json", action="store_true", help="JSON lines: an object a check")
    options = parser.parse_intermixed_args(arguments)
    config = compose("score", options.settings, elsewhere=_OF_RETRIEVERS)
    found = list(examine(config, float32=not options.no_float32))
    if options.json:
        for check in found:
            write_line(check._asdict())
    else:
        write([_grid(config.reranker.name, found)], options.format)
    return 1 if any(check.outcome == FAILED for check in found) else 0


def _grid(name: str, checks: list[Check]) -> Grid:
    colours = {"passed": "green", FAILED: "bold red", "skipped": "dim"}
    columns = [Column("check"), Column("outcome", colours=colours), Column("detail")]
    failed = sum(check.outcome == FAILED for check in checks)
    return Grid(f"{name}: {failed} of {len(checks)} checks failed", columns, list(checks))
