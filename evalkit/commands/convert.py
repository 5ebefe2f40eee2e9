"""`evalkit convert IN OUT`: any collection in BEIR layout, any judgments or run as a TREC file. Needs no model."""

from pathlib import Path

from evalkit.commands.options import Parser
from evalkit.formats.runfile import ORDERS
from evalkit.interchange.conversion import KINDS, LAYOUTS, converted, write_files
from evalkit.store import open_store
from evalkit.system.terminal import say, tell


def main(arguments: list[str]) -> int:
    """Write what IN holds to OUT, and print as what it was recognised, and the files."""
    options = _parser().parse_args(arguments)
    found = converted(
        options.source.expanduser(),
        open_store(options.cache_dir),
        to=options.to,
        kind=options.kind,
        split=options.split,
        folder=options.folder,
        order=options.order,
    )
    written = write_files(found.files, options.out.expanduser(), force=options.force)
    say(f"{options.source}: {found.recognised}; {found.counts}\n" + "".join(f"{path}\n" for path in written))
    for note in found.notes:
        tell(note)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit convert",
        description="Writes a collection in BEIR layout, a folder of corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv; "
        "judgments and runs as TREC files, with gzip where OUT ends in .gz. IN is anything that evalkit reads.",
    )
    parser.add_argument("source", type=Path, metavar="IN", help="a file, a folder or an archive")
    parser.add_argument("out", type=Path, metavar="OUT", help="a folder for a collection, else a file")
    parser.add_argument(
        "--to", choices=LAYOUTS, help="beir: judgments as query-id, corpus-id, score; trec: a collection's judgments"
    )
    parser.add_argument("--as", dest="kind", choices=KINDS, help="what IN is, where that is not clear")
    parser.add_argument("--split", default="test", help="which judgments of a collection; default: test")
    parser.add_argument("--folder", metavar="NAME", help="which collection, where IN holds several")
    parser.add_argument("--order", choices=ORDERS, help="what orders documents where ranks and scores disagree")
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    parser.add_argument("--cache-dir", metavar="DIR", help="where the corpus is kept; default: ~/.cache/evalkit")
    return parser
