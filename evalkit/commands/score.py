"""`evalkit score reranker=NAME pairs.jsonl`: the reranker's logit for any pairs of texts, outside any dataset."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from evalkit import rerank
from evalkit.commands.json_lines import shortest, split_arguments, write_line
from evalkit.commands.options import Parser
from evalkit.commands.settings.compose import compose
from evalkit.formats.jsonl import read_pairs
from evalkit.formats.notes import counted
from evalkit.rerank.seam import Reranker
from evalkit.system.progress import progress
from evalkit.system.stages import LOADING
from evalkit.system.terminal import tell
from evalkit.types import Pair

_Line = tuple[Pair, dict[str, Any]]
_OF_RETRIEVERS = "`evalkit score` scores pairs with a reranker; `evalkit embed` makes vectors with a retriever."
_PAIRS_PER_WINDOW = 16_384  # whose scores are printed together, unless one query may have all of them


def main(arguments: list[str]) -> int:
    """Print a line for every pair, in the order given."""
    parser = Parser(
        prog="evalkit score",
        config="score",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="""Score pairs of texts with a reranker.

  evalkit score reranker=bge_reranker_v2_m3 pairs.jsonl > scores.jsonl
  evalkit score reranker=minicpm_reranker reranker.model=DIR reranker.max_length=512 --ids < pairs.jsonl

In: JSON lines {"query", "document", "instruction"?}; further keys, such as ids, are passed on.
Out: JSON lines with "score", the raw logit (float32), in the same order; a list for several cut-off layers.
A listwise reranker takes all lines of a query, and of a "query_id" where there is one, as its list, in their order.
Settings are those of the reranker (`evalkit list rerankers`) and compute.dtype, compute.device, ...""",
    )
    parser.add_argument(
        "--ids",
        action="store_true",
        help="add input_ids, the tokens that the model reads, of query and document where it reads them apart",
    )
    options, settings, file = split_arguments(parser, arguments)
    config = compose("score", settings, elsewhere=_OF_RETRIEVERS)
    config.reranker = config.reranker.settled()
    reranker = rerank.require_texts(rerank.build(config.reranker, config.compute), config.reranker.name)
    if options.ids:
        rerank.tokens_of(reranker, [])
    lines = read_pairs(file)
    if not lines:
        tell("no pairs were read")
    instructed = sum(1 for pair, _ in lines if pair.instruction)
    if instructed and not (config.reranker.reads_instructions and reranker.reads_instructions):
        have = "pair has" if instructed == 1 else "pairs have"
        tell(f"{instructed} {have} an instruction, which this reranker has no place for")
    if cut := _score(reranker, lines, ids=options.ids):
        tell(f"{counted(cut, 'pair')} of {len(lines)} cut to fit the model or reranker.max_length")
    return 0


def _score(reranker: Reranker, lines: Sequence[_Line], *, ids: bool) -> int:
    """Print the line of every pair. How many pairs were cut."""
    cut = 0
    with progress("scoring", len(lines), "pairs") as meter:
        if lines:
            with meter.not_working(LOADING):
                reranker.load()
        for window in _windows(lines, by_query=reranker.by_query):
            pairs = [pair for pair, _ in window]
            tokens = rerank.tokens_of(reranker, pairs) if ids else [{}] * len(pairs)
            scored = reranker.score(pairs, advance=meter)
            cut += scored.truncated
            for row, (_, rest) in enumerate(window):
                write_line({**rest, "score": shortest(scored.scores[row]), **tokens[row]})
    return cut


def _windows(lines: Sequence[_Line], *, by_query: bool) -> Iterator[Sequence[_Line]]:
    """The lines that are scored together: all of them, with the ids of their queries, where a query has a list."""
    if by_query:
        yield [(pair._replace(query_id=str(rest.get("query_id", ""))), rest) for pair, rest in lines]
        return
    for start in range(0, len(lines), _PAIRS_PER_WINDOW):
        yield lines[start : start + _PAIRS_PER_WINDOW]
