"""`evalkit prompt reranker=NAME dataset=NAME`: a dataset's pairs as the reranker reads them, to the token.

With `retriever=NAME` it shows queries and documents as a first stage reads them.
"""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit import datasets, rerank, retrieval
from evalkit.commands.json_lines import write_line
from evalkit.commands.options import Parser
from evalkit.commands.settings.compose import compose_one_stage
from evalkit.config import ComputeConfig, PromptConfig
from evalkit.datasets.samples import Sample, sample_pairs
from evalkit.errors import ConfigError
from evalkit.inference.tokens import TokenizedPairs, Tokenizer
from evalkit.rerank.late_interaction import LateInteractionReranker
from evalkit.rerank.listwise import ListwiseReranker
from evalkit.retrieval.encoding_retriever import EncodingRetriever
from evalkit.store import Store, open_store
from evalkit.types import Dataset

if TYPE_CHECKING:
    from rich.console import Console

_ANYWHERE = ComputeConfig(device="cpu")  # tokens do not depend on where they would be computed
_SHOWN_AT_EACH_END = 40  # tokens of a long pair


def main(arguments: list[str]) -> int:
    """Print the rendered text and the tokens of sample pairs. Needs the tokenizer, and no weights."""
    parser = Parser(
        prog="evalkit prompt",
        config="prompt",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="""Show what a model reads of a dataset: text and tokens, special ones included, and where
they are cut. The pairs are relevant ones, from the shortest to the longest. Needs no weights.
A listwise reranker, which reads all candidates of a query together, is shown with a list of the one document.
Of a dense or sparse retriever query and document are shown apart, each with its prompt.

  evalkit prompt reranker=minicpm_reranker dataset=scifact
  evalkit prompt reranker=cross_encoder reranker.model=DIR reranker.max_length=128 --samples 5
  evalkit prompt retriever=e5_base_v2 dataset=scifact""",
    )
    parser.add_argument("settings", nargs="*", default=[], metavar="SETTING=VALUE")
    parser.add_argument("--samples", type=int, default=3, metavar="N", help="how many pairs (default: 3)")
    parser.add_argument("--all-tokens", action="store_true", help="also those in the middle of long pairs")
    parser.add_argument("--json", action="store_true", help="one object a pair, with all tokens")
    options = parser.parse_intermixed_args(arguments)
    if options.samples < 1:
        raise ConfigError(f"--samples {options.samples} is out of range. Legal are numbers from 1.")
    config: PromptConfig = compose_one_stage("prompt", options.settings)
    store = open_store(config.cache_dir)
    read = _of_reranker if config.retriever is None else _of_retriever
    return read(config, store, options)


def _of_retriever(config: PromptConfig, store: Store, options: argparse.Namespace) -> int:
    """Print queries and documents, which a first stage reads apart."""
    assert config.retriever is not None
    retriever = retrieval.build(config.retriever, _ANYWHERE, store, dataset=config.dataset, weights=False)
    if not isinstance(retriever, EncodingRetriever):
        raise ConfigError(f"retriever={config.retriever.name} has no tokenizer of a model, so a text has no tokens.")
    documents = retriever.encoder
    for sample in _samples(config, datasets.load(config.dataset, store), options.samples):
        parts = []
        for name, encoder, before, text in (
            ("query_", documents.queries, retriever.before_query(None), sample.pair.query),
            ("document_", documents, documents.reading.document_instruction, sample.pair.document),
        ):
            tokenized = encoder.tokenize([text], instruction=before)
            cut = bool(tokenized.truncated[0])
            parts.append(_Part(name, tokenized.ids[0].tolist(), encoder.tokenizer, cut=cut))
        _show_parts(parts, sample, as_json=options.json, everything=options.all_tokens)
    return 0


def _of_reranker(config: PromptConfig, store: Store, options: argparse.Namespace) -> int:
    """Print pairs, or what is read of them apart."""
    assert config.reranker is not None
    settings = config.reranker.settled(weights=False)
    built = rerank.build(settings, _ANYWHERE, dataset=config.dataset, weights=False)
    reranker = built if isinstance(built, LateInteractionReranker | ListwiseReranker) else rerank.require_pairs(built)
    samples = _samples(config, rerank.instructed(settings, datasets.load(config.dataset, store)), options.samples)
    if isinstance(reranker, LateInteractionReranker | ListwiseReranker):
        for sample in samples:
            found = rerank.tokens_of(reranker, [sample.pair])[0]
            parts = [_Part(name.removesuffix("input_ids"), ids, reranker.tokenizer) for name, ids in found.items()]
            _show_parts(parts, sample, as_json=options.json, everything=options.all_tokens)
        return 0
    tokenized = reranker.tokenize([sample.pair for sample in samples])
    if options.json:
        for row, sample in enumerate(samples):
            write_line(_as_json(sample, tokenized, row, reranker.tokenizer))
        return 0
    _show(samples, tokenized, reranker.tokenizer, reranker.config.tokens, everything=options.all_tokens)
    return 0


def _samples(config: PromptConfig, dataset: Dataset, count: int) -> list[Sample]:
    if found := sample_pairs(dataset, count):
        return found
    raise ConfigError(f"dataset {config.dataset.name} has no relevant pair to show.")


class _Part(NamedTuple):
    """Tokens that a model reads in one piece.

    Attributes:
        name: what its keys begin with: `query_`, `document_`, or nothing for a list of one document.
        ids: token ids.
        tokenizer: that made them.
        cut: whether the text has more; None where that is not known.
    """

    name: str
    ids: list[int]
    tokenizer: Tokenizer
    cut: bool | None = None


def _show_parts(parts: Sequence[_Part], sample: Sample, *, as_json: bool, everything: bool) -> None:
    """Query and document of a pair where they are read apart, or the prompt of a list of one document."""
    found: dict[str, Any] = {"query_id": sample.query_id, "doc_id": sample.doc_id, "relevance": sample.grade}
    for name, ids, tokenizer, cut in parts:
        found |= {f"{name}text": tokenizer.text(ids), f"{name}input_ids": ids, f"{name}tokens": tokenizer.tokens(ids)}
        found |= {} if cut is None else {f"{name}truncated": cut}
    if as_json:
        write_line(found)
        return
    from rich.text import Text

    from evalkit.reports.console import console

    out = console()
    titles = {
        "query_": f"query {sample.query_id}",
        "document_": f"document {sample.doc_id}",
        "": f"query {sample.query_id}, a list of document {sample.doc_id} alone",
    }
    for name, ids, tokenizer, cut in parts:
        title = f"{titles[name]} (relevance {sample.grade}): {len(ids)} tokens"
        title += "" if cut is None else "; cut" if cut else "; whole"
        _print(out, title, Text(found[f"{name}text"]), _listed(ids, tokenizer, everything=everything))


def _as_json(sample: Sample, tokenized: TokenizedPairs, row: int, tokenizer: Tokenizer) -> dict[str, Any]:
    ids = tokenized.ids[row].tolist()
    return {
        "query_id": sample.query_id,
        "doc_id": sample.doc_id,
        "relevance": sample.grade,
        "text": tokenizer.text(ids),
        "input_ids": ids,
        "tokens": tokenizer.tokens(ids),
        "document_start": int(tokenized.documents[row][0]),
        "document_stop": int(tokenized.documents[row][1]),
        "query_tokens_cut": int(tokenized.dropped[row][0]),
        "document_tokens_cut": int(tokenized.dropped[row][1]),
    }


def _show(
    samples: Sequence[Sample], tokenized: TokenizedPairs, tokenizer: Tokenizer, max_length: int, *, everything: bool
) -> None:
    from evalkit.reports.console import console

    out = console()
    for row, sample in enumerate(samples):
        ids = tokenized.ids[row].tolist()
        of_query, of_document = (int(count) for count in tokenized.dropped[row])
        cut = (
            f"cut: {of_query} tokens of the query, {of_document} of the document"
            if of_query or of_document
            else "whole"
        )
        title = f"query {sample.query_id}, document {sample.doc_id} (relevance {sample.grade}): {len(ids)} tokens"
        rendered = _rendered(ids, tokenized.documents[row].tolist(), (of_query, of_document), tokenizer)
        listed = _listed(ids, tokenizer, everything=everything)
        _print(out, f"{title}, max_length {max_length}; {cut}", rendered, listed)


def _print(out: "Console", title: str, rendered: Any, listed: Any) -> None:
    """Print a title, and below it a text and its tokens."""
    from rich.text import Text

    out.print(Text(title, style="bold"))
    # A pipe gets every text on one line, whatever its length; only a terminal folds.
    out.print(rendered, soft_wrap=not out.is_terminal)
    out.print(listed, style="dim", soft_wrap=not out.is_terminal)
    out.print()


def _rendered(ids: list[int], document: list[int], dropped: tuple[int, int], tokenizer: Tokenizer) -> Any:
    """The text with its document in another colour, and marks where it was cut."""
    from rich.text import Text

    start, stop = document
    text = Text(tokenizer.text(ids[:start]))
    if dropped[0]:
        text.append(f"[{dropped[0]} tokens of the query were cut off before the document]", style="bold red")
    text.append(tokenizer.text(ids[start:stop]), style="cyan")
    if dropped[1]:
        text.append(f"[{dropped[1]} tokens of the document were cut off here]", style="bold red")
    text.append(tokenizer.text(ids[stop:]))
    return text


def _listed(ids: list[int], tokenizer: Tokenizer, *, everything: bool) -> Any:
    """`id token` of every token, or of both ends."""
    from rich.text import Text

    items = [f"{index} {token!r}" for index, token in zip(ids, tokenizer.tokens(ids), strict=True)]
    hidden = len(items) - 2 * _SHOWN_AT_EACH_END
    if hidden > 0 and not everything:
        items[_SHOWN_AT_EACH_END:-_SHOWN_AT_EACH_END] = [f"... {hidden} more (--all-tokens) ..."]
    return Text("  ".join(items))
