"""`evalkit doctor reranker=NAME`, or `retriever=NAME`: checks of a checkpoint in a table; exit code 1 if one failed."""

import argparse

from evalkit.commands.json_lines import write_line
from evalkit.commands.options import Parser
from evalkit.commands.settings.compose import compose_one_stage
from evalkit.config import DoctorConfig
from evalkit.doctor import rerankers, retrievers
from evalkit.doctor.checks import FAILED, Check
from evalkit.reports.grid import Column, Grid, write


def main(arguments: list[str]) -> int:
    """Print a row for every check."""
    parser = Parser(
        prog="evalkit doctor",
        config="doctor",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="""Check a checkpoint before a long run: all tensors loaded, tokens as they should be, scores or
vectors that do not depend on the batch, differ, and put the relevant document first. Scores of a reranker are also
those its authors published, and vectors of a dense retriever have the length that they should.
Exit code 1 if a check failed.

  evalkit doctor reranker=minicpm_reranker compute=cuda compute.dtype=float16
  evalkit doctor reranker=bge_reranker_v2_m3 reranker.model=DIR
  evalkit doctor retriever=bge_m3_dense
  evalkit doctor retriever=dense retriever.model=DIR retriever.languages=[en]""",
    )
    parser.add_argument("settings", nargs="*", default=[], metavar="SETTING=VALUE")
    parser.add_argument("--no-float32", action="store_true", help="do not load the weights once more in float32")
    parser.add_format()
    parser.add_argument("--json", action="store_true", help="JSON lines: an object a check")
    options = parser.parse_intermixed_args(arguments)
    config: DoctorConfig = compose_one_stage("doctor", options.settings)
    if config.reranker is not None:
        name = config.reranker.name
        found = list(rerankers.examine(config.reranker, config.compute, float32=not options.no_float32))
    else:
        assert config.retriever is not None
        name = config.retriever.name
        found = list(retrievers.examine(config.retriever, config.compute, float32=not options.no_float32))
    if options.json:
        for check in found:
            write_line(check._asdict())
    else:
        write([_grid(name, found)], options.format)
    return 1 if any(check.outcome == FAILED for check in found) else 0


def _grid(name: str, checks: list[Check]) -> Grid:
    colours = {"passed": "green", FAILED: "bold red", "skipped": "dim"}
    columns = [Column("check"), Column("outcome", colours=colours), Column("detail")]
    failed = sum(check.outcome == FAILED for check in checks)
    return Grid(f"{name}: {failed} of {len(checks)} checks failed", columns, list(checks))
