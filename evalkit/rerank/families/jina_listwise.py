r"""jina-reranker-v3: all documents of a query in one causal prompt (Wang, Li and Xiao 2025, arXiv 2509.25085).

A special token closes each document, and another one closes the query, which comes last. The states of these tokens go
through a projector, and the score of a document is the cosine of its vector with the query's. A document sees those
before it, so scores depend on order and company. From `rerank` in modeling.py of jinaai/jina-reranker-v3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.config.limits import at_least, given
from evalkit.config.reranker import RerankerConfig
from evalkit.errors import ModelError
from evalkit.inference.tokens import Tokenizer, distinct_token_ids, shortened
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import TOKENIZER, tokenizer_length
from evalkit.models.layout import JINA_RANKING
from evalkit.models.requirements import architectures, require_whole

DOCUMENT_MARK, QUERY_MARK = "<|embed_token|>", "<|rerank_token|>"
BLOCK = 125  # documents of a prompt, at most
_CODE = {"AutoModel": f"modeling.{JINA_RANKING}"}
_BEFORE = (
    "<|im_start|>system\nYou are a search relevance expert who can determine a ranking of the passages based on how "
    "relevant they are to the query. If the query is a question, how relevant a passage is depends on how well it "
    "answers the question. If not, try to analyze the intent of the query and assess how well each passage satisfies "
    "the intent. If an instruction is provided, you should follow the instruction when determining the ranking."
    "<|im_end|>\n<|im_start|>user\n"
)
_BEHIND = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


@dataclass
class JinaListwiseConfig(RerankerConfig):
    """jina-reranker-v3: cosines of documents and query that are read in one prompt."""

    implementation: ClassVar[str] = "evalkit.rerank.listwise:ListwiseReranker"
    reads_instructions: ClassVar[bool] = True

    model: str | None = None
    """A hub id, a folder, or `package:NAME/PATH` for weights inside an installed package."""
    revision: str | None = None
    """Commit of the hub id."""
    max_length: int = 2048
    """Tokens of a document; a longer one is cut."""
    query_length: int = 512
    """Tokens of the query; a longer one is cut."""
    window: int | None = None
    """Tokens that decide how many documents share a prompt; the tokenizer's `model_max_length` when not set."""
    instructions: str = "none"
    """Task instruction, as for MiniCPM-Reranker. The template of the model's authors has a place for it."""

    def __post_init__(self) -> None:
        """Check that there is a model, and ranges."""
        super().__post_init__()
        given("reranker.model", self.model, "HUB_ID_OR_FOLDER")
        for name in ("max_length", "query_length", "window"):
            at_least(f"reranker.{name}", getattr(self, name), 8)


class Text(NamedTuple):
    """A document or a query as it is put into a prompt.

    Attributes:
        text: the text, decoded from its first tokens if it has as many as are read.
        tokens: how many count in `blocks`.
        cut: whether it has more.
    """

    text: str
    tokens: int
    cut: bool


def read(tokenizer: Tokenizer, texts: Sequence[str], limit: int) -> dict[str, Text]:
    """Text -> what of it is put into a prompt, each text once."""
    found = {}
    for text, ids in distinct_token_ids(tokenizer, texts).items():
        kept = shortened(ids, limit, left=tokenizer.cuts_left)
        shown = tokenizer.text(kept.tolist()) if len(kept) >= limit else text
        found[text] = Text(shown, len(kept), len(ids) > limit)
    return found


def blocks(lengths: Sequence[int], query: int, *, window: int | None, max_length: int) -> list[slice]:
    """The documents of each prompt: it is closed at 125, or when a longest one might not fit any more.

    Args:
        lengths: tokens of each document, as it is read.
        query: tokens of the query, which a prompt has twice.
        window: tokens of a prompt; nothing limits them when None. Those of the template do not count.
        max_length: tokens of the longest document that is read.
    """
    found, start, used = [], 0, 2 * query
    for stop, length in enumerate(lengths, start=1):
        used += length
        if stop - start >= BLOCK or (window is not None and window - used <= max_length):
            found.append(slice(start, stop))
            start, used = stop, 2 * query
    return [*found, slice(start, len(lengths))] if start < len(lengths) else found


def window_of(config: JinaListwiseConfig, checkpoint: Checkpoint) -> int | None:
    """Tokens that limit the documents of a prompt; None where nothing does."""
    return tokenizer_length(checkpoint) if config.window is None else config.window


def written(query: str, documents: Sequence[str], instruction: str) -> str:
    """The prompt of one block. The two marks are deleted from all texts before."""
    query = _unmarked(query)
    passages = "".join(
        f'<passage id="{number}">\n{_unmarked(document)}{DOCUMENT_MARK}\n</passage>\n'
        for number, document in enumerate(documents)
    )
    task = f"<instruct>\n{_unmarked(instruction)}\n</instruct>\n" if instruction else ""
    return (
        f"{_BEFORE}I will provide you with {len(documents)} passages, each indicated by a numerical identifier. Rank "
        f"the passages based on their relevance to query: {query}\n{task}{passages}<query>\n{query}{QUERY_MARK}\n"
        f"</query>{_BEHIND}"
    )


def _unmarked(text: str) -> str:
    while QUERY_MARK in text or DOCUMENT_MARK in text:  # one may hold another in its middle
        text = text.replace(QUERY_MARK, "").replace(DOCUMENT_MARK, "")
    return text


def scores_of(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The scores of a list, of shape (documents,).

    The vector of the query is the mean of those of its prompts, each weighted by the largest (1 + cosine) / 2 in it.

    Args:
        vectors: of each prompt its documents' and behind them its query's, of shape (documents + 1, width).
    """
    parts = [part.astype(np.float64) for part in vectors]
    weights = [(1 + _cosines(part[:-1], part[-1]).max()) / 2 for part in parts]
    query = np.average([part[-1] for part in parts], axis=0, weights=weights)
    return np.concatenate([_cosines(part[:-1], query) for part in parts]).astype(np.float32)


def _cosines(documents: NDArray[np.float64], query: NDArray[np.float64]) -> NDArray[np.float64]:
    cosines: NDArray[np.float64] = documents @ query / (np.linalg.norm(documents, axis=1) * np.linalg.norm(query))
    return cosines


def check(checkpoint: Checkpoint) -> None:
    """Refuse at once what is not jina-reranker-v3, as far as its files say. Loads no weights.

    Raises:
        ModelError: another architecture, code of its own that is not the known one, modules, or sliding windows.
    """
    require_whole(checkpoint)
    file, config = f"{checkpoint.path}/config.json", checkpoint.config
    if config.get("model_type") != "qwen3" or JINA_RANKING not in architectures(checkpoint):
        raise ModelError(f"{file}: names {architectures(checkpoint)}, expected {JINA_RANKING} over qwen3.")
    tokenizer = checkpoint.read_json(TOKENIZER) or {}
    for name, code in ((file, config.get("auto_map")), (f"{checkpoint.path}/{TOKENIZER}", tokenizer.get("auto_map"))):
        if code not in (None, {}, _CODE):
            raise ModelError(f"{name}: auto_map={code} is not that of jina-reranker-v3, and evalkit runs no such code.")
    if checkpoint.modules():
        raise ModelError(f"{checkpoint.path}: has modules.json, and jina-reranker-v3 has none.")
    if config.get("sliding_window") is not None or set(config.get("layer_types", ())) - {"full_attention"}:
        raise ModelError(
            f"{file}: layers see a sliding window, as in jina-reranker-v3.5, which evalkit does not run. The nearest "
            "is reranker=jina_reranker_v3."
        )
    checkpoint.require_sizes("num_key_value_heads", "rms_norm_eps")
