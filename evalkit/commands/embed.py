"""`evalkit embed retriever=NAME texts.jsonl`: the retriever's vector of any texts, outside any dataset."""

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evalkit import retrieval
from evalkit.commands.json_lines import shortest, split_arguments, write_line
from evalkit.commands.options import Parser
from evalkit.commands.settings.compose import compose
from evalkit.errors import ConfigError
from evalkit.formats.jsonl import Text, read_texts
from evalkit.retrieval.encoding_retriever import EncodingRetriever
from evalkit.store import open_store
from evalkit.system.progress import progress
from evalkit.system.stages import LOADING
from evalkit.system.terminal import tell

_OF_RERANKERS = "`evalkit embed` makes vectors with a retriever; `evalkit score` scores pairs with a reranker."
_TEXTS_PER_WINDOW = 16_384  # whose vectors are printed together


def main(arguments: list[str]) -> int:
    """Print a line for every text, in the order given."""
    parser = Parser(
        prog="evalkit embed",
        config="embed",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="""Vectors of texts with a dense or sparse retriever.

  evalkit embed retriever=bge_m3_dense texts.jsonl > vectors.jsonl
  evalkit embed retriever=bge_large_en_v1_5 retriever.model=DIR --ids < texts.jsonl

In: JSON lines {"role": "query" or "document", "text", "instruction"?}; further keys, such as ids, are passed on.
Out: JSON lines with "embedding" (float32), in the same order; of retriever=splade "weights" by token id.
Settings are those of the retriever (`evalkit list retrievers`) and compute.dtype, compute.device, ...
In retriever.query_instruction and other texts \\n is a newline, \\t a tab, and two backslashes are one.""",
    )
    parser.add_argument("--ids", action="store_true", help="add input_ids, the tokens that the model reads")
    options, settings, file = split_arguments(parser, arguments)
    config = compose("embed", settings, elsewhere=_OF_RERANKERS)
    retriever = retrieval.build(config.retriever, config.compute, open_store())
    if not isinstance(retriever, EncodingRetriever):
        raise ConfigError(f"retriever={config.retriever.name} has no encoder, so it makes no vectors.")
    texts = read_texts(file)
    if not texts:
        tell("no texts were read")
    # An instruction that there is no place for is refused before anything is printed.
    for instruction in {text.instruction for text in texts if text.role == "query"}:
        retriever.before_query(instruction)
    with progress("encoding", len(texts), "texts") as meter:
        if texts:
            with meter.not_working(LOADING):
                retriever.encoder.load()
        for start in range(0, len(texts), _TEXTS_PER_WINDOW):
            window = texts[start : start + _TEXTS_PER_WINDOW]
            for text, fields in zip(window, _embed(retriever, window, meter, ids=options.ids), strict=True):
                write_line({**text.rest, **fields})
    return 0


def _embed(
    retriever: Any, texts: Sequence[Text], advance: Callable[[float], None], *, ids: bool
) -> list[dict[str, Any]]:
    """The fields of every text's line; texts with the same words before them are encoded together."""
    encoder, rows_of = retriever.encoder, defaultdict[tuple[bool, str], list[int]](list)
    for row, text in enumerate(texts):
        is_query = text.role == "query"
        before = retriever.before_query(text.instruction) if is_query else encoder.reading.document_instruction
        rows_of[is_query and encoder.queries is not encoder, before].append(row)
    fields: list[dict[str, Any]] = [{} for _ in texts]
    for (apart, before), rows in rows_of.items():
        of_rows = [texts[row].text for row in rows]
        reader = encoder.queries if apart else encoder
        tokens = reader.tokenize(of_rows, instruction=before).ids if ids else None
        vectors = reader.encode(of_rows, instruction=before, advance=advance)
        for place, row in enumerate(rows):
            fields[row] = _vector(vectors[place])
            if tokens:
                fields[row]["input_ids"] = tokens[place].tolist()
    return fields


def _vector(vector: Any) -> dict[str, Any]:
    """`embedding`; of a sparse vector the `weights` above 0, largest first, by their places in the vocabulary."""
    if isinstance(vector, np.ndarray):
        return {"embedding": shortest(vector)}
    order = np.argsort(-vector.data, kind="stable")
    numbers = shortest(vector.data[order])
    return {"weights": dict(zip(map(str, vector.coords[-1][order].tolist()), numbers, strict=True))}
