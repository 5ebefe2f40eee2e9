"""`evalkit export RESULTS --to trec|mteb|mteb-predictions DIR`: results for other tools. Needs no model."""

from pathlib import Path

from evalkit.commands.options import Parser
from evalkit.interchange.writers import LAYOUTS, export
from evalkit.results.gather import gather
from evalkit.system.terminal import say


def main(arguments: list[str]) -> int:
    """Write results in another tool's layout, and print the files."""
    parser = Parser(
        prog="evalkit export",
        description="Results, and the first stages that they started from, for other tools. trec: runs and judgments. "
        "mteb: its folder of results, for mteb.ResultCache(DIR).load_results(). mteb-predictions: its predictions, a "
        "folder for each first stage and reranker, for task.convert_to_reranking(folder).",
    )
    parser.add_argument("results", nargs="+", help="results, or folders of results")
    parser.add_argument("--to", choices=tuple(LAYOUTS), required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)
    written = export(gather(options.results), options.to, options.out)
    say("".join(f"{path}\n" for path in written))
    return 0
