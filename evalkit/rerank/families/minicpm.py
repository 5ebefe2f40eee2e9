"""MiniCPM-Reranker and -Light: `<s>Instruction: I Query: Q</s>D`, and `<s>Query: Q</s>D` without an instruction.

From the model card of openbmb/MiniCPM-Reranker. Nothing follows the document. Query and document are encoded apart, so
both start with sentencepiece's blank.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from evalkit.config import ComputeConfig
from evalkit.config.limits import one_of
from evalkit.errors import ModelError
from evalkit.inference.tokens import TokenizedPairs, Tokenizer, distinct_token_ids
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.layout import is_minicpm
from evalkit.models.loading import assemble
from evalkit.models.weights import Stored
from evalkit.rerank.families.pairs import collect, join, longest_first, require_right
from evalkit.rerank.pair_reranker import Family, PairRerankerConfig
from evalkit.types import Identity, Pair

MINICPM_TRUNCATIONS = ("longest_first", "separate")
MINICPM_POOLINGS = ("last", "first", "mean")


@dataclass
class MiniCPMRerankerConfig(PairRerankerConfig):
    """MiniCPM-Reranker and -Light: bidirectional MiniCPM with a score head."""

    implementation: ClassVar[str] = "evalkit.rerank.families.minicpm:MiniCPMFamily"
    reads_instructions: ClassVar[bool] = True

    max_length: int | None = 1024
    truncation: str = "longest_first"
    """`longest_first` as in the model card; `separate` cuts query and document to `max_length // 2` tokens each, as the
    card did before 2024-09-24 (512 and 512)."""
    pooling: str = "last"
    """Which token's state is scored, or the mean of all."""
    instructions: str = "none"
    """Task instruction: `none`; `generic`; `dataset` for its entry in `instructions.json`; `card` for that entry where
    the card's authors published it; `query` for that of each query; a text; or a .json file."""

    def __post_init__(self) -> None:
        """Check choices."""
        super().__post_init__()
        one_of("reranker.truncation", self.truncation, MINICPM_TRUNCATIONS)
        one_of("reranker.pooling", self.pooling, MINICPM_POOLINGS)


class MiniCPMFamily(Family):
    """A bidirectional language model with a score head, asked as its card says."""

    config: MiniCPMRerankerConfig
    padding_side = "right"
    poolings = MINICPM_POOLINGS

    @property
    def settings(self) -> Identity:
        """See `Family`."""
        return {"kind": "minicpm", "truncation": self.config.truncation, "pooling": self.config.pooling}

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse another architecture."""
        if not is_minicpm(checkpoint):
            raise ModelError(
                f"{checkpoint.path}/config.json: has no scale_emb and scale_depth, so it is not a MiniCPM-Reranker. "
                "Use reranker=auto."
            )

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`.

        Raises:
            ModelError: the tokenizer does not know `<s>` and `</s>`.
        """
        require_right(tokenizer)
        bos, eos = tokenizer.token_ids(["<s>", "</s>"])
        if len(bos) != 1 or len(eos) != 1:
            raise ModelError("this tokenizer does not have <s> and </s> as special tokens, so it is not a MiniCPM's.")
        queries = distinct_token_ids(tokenizer, [query_text(pair) for pair in pairs])
        documents = distinct_token_ids(tokenizer, [pair.document for pair in pairs])
        rows = []
        for pair in pairs:
            query, document = queries[query_text(pair)], documents[pair.document]
            kept = self._kept(len(query), len(document))
            dropped = (len(query) - kept[0], len(document) - kept[1])
            rows.append(join(bos, query[: kept[0]], eos, document[: kept[1]], bos[:0], dropped))
        return collect(rows)

    def _kept(self, query: int, document: int) -> tuple[int, int]:
        """How many tokens of query and document stay; those cut `separate` have the special ones on top."""
        limit = self.config.tokens
        if self.config.truncation == "separate":
            return min(query, limit // 2), min(document, limit // 2)
        return longest_first(query, document, limit - 2, odd_to_second=False)

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        del tokenizer
        from evalkit.models.minicpm_decoder import MiniCPMReranker, granite_config

        config = granite_config(checkpoint, compute.padded_attention)
        return assemble(
            lambda: MiniCPMReranker(config, self.config.pooling), checkpoint, compute, lambda name, _: Stored(name)
        )


def query_text(pair: Pair) -> str:
    """The query as the model reads it."""
    return f"Instruction: {pair.instruction} Query: {pair.query}" if pair.instruction else f"Query: {pair.query}"
