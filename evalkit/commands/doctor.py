"""`evalkit doctor reranker=NAME`: a table of checks of the checkpoint at hand; exit code 1 if one failed."""

import argparse

from evalkit.commands.json_lines import write_line
from evalkit.commands.options import Parser
from evalkit.commands.settings.compose import compose
from evalkit.rerank.doctor import examine
from evalkit.rerank.doctor.checks import FAILED, Check


def main(arguments: list[str]) -> int:
    """Print a row for every check."""
    parser = Parser(
        prog="evalkit doctor",
        config="score",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="""Check a reranker's checkpoint before a long run: all tensors loaded, tokens as they should be,
scores that do not depend on the batch, differ, put the relevant document first, and are those its authors published.
Exit code 1 if a check failed.

  evalkit doctor reranker=minicpm_reranker compute=cuda compute.dtype=float16
  evalkit doctor reranker=bge_reranker_v2_m3 reranker.model=DIR""",
    )
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE")
    parser.add_argument("--no-float32", action="store_true", help="do not load the weights once more in float32")
    parser.add_argument("--json", action="store_true", help="one object a check")
    options = parser.parse_intermixed_args(arguments)
    config = compose("score", options.settings)
    found = list(examine(config, float32=not options.no_float32))
    if options.json:
        for check in found:
            write_line(check._asdict())
    else:
        _show(config.reranker.name, found)
    return 1 if any(check.outcome == FAILED for check in found) else 0


def _show(name: str, checks: list[Check]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from evalkit.report.table import console

    table = Table(title=f"{name}: {sum(check.outcome == FAILED for check in checks)} of {len(checks)} checks failed")
    for column in ("check", "outcome", "detail"):
        table.add_column(column, overflow="fold")
    colours = {"passed": "green", "FAILED": "bold red", "skipped": "dim"}
    for check in checks:
        outcome = f"[{colours[check.outcome]}]{check.outcome}[/]"
        table.add_row(escape(check.name), outcome, escape(check.detail))
    console().print(table)
