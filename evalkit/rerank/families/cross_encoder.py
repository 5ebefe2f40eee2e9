"""Sequence classifiers: bge-reranker-base, -large and -v2-m3, jina-reranker-v2, gte-multilingual, ms-marco-MiniLM.

They read the tokenizer's own pair, `[CLS] Q [SEP] D [SEP]` or `<s> Q </s></s> D </s>`. What the tokenizer puts before,
between and behind two texts is read off a sample pair. The cuts are those of the `tokenizers` library, without the
overflowing pieces that it keeps, whose number grows with the product of both lengths.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig
from evalkit.config.limits import one_of
from evalkit.errors import ModelError
from evalkit.inference.tokens import (
    Frame,
    Ids,
    TokenizedPairs,
    Tokenizer,
    distinct_token_ids,
    prompt_tokens,
    require_tokens,
    shortened,
    tokenize,
)
from evalkit.models.chat_template import writes_pairs
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import Declared, declared
from evalkit.models.layout import layout
from evalkit.models.pair_head import head_of, require_head
from evalkit.models.sentence_transformer import skips_prompt
from evalkit.rerank.families.pairs import PairIds, collect, common, longest_first
from evalkit.rerank.pair_reranker import Family, PairRerankerConfig
from evalkit.types import Identity, Pair

logger = logging.getLogger(__name__)

TRUNCATIONS = ("longest_first", "only_second", "flag_embedding")
_RULES = 2  # of which files of a checkpoint are obeyed; raise it to have old scores recomputed


@dataclass
class CrossEncoderConfig(PairRerankerConfig):
    """Any sequence-classification checkpoint: BERT, XLM-R, and the published layouts of jina-reranker-v2 and gte."""

    implementation: ClassVar[str] = "evalkit.rerank.families.cross_encoder:CrossEncoderFamily"
    prompt_setting: ClassVar[str] = "query_instruction"

    max_length: int | None = None
    """Tokens of query and document together, special ones included; as many as the checkpoint says when not set."""
    query_instruction: str | None = None
    """Put before every query as it is; the checkpoint's default prompt when not set."""
    truncation: str = "longest_first"
    """`flag_embedding` cuts the query to 3/4 of `max_length`, then the document; `only_second` just the document."""
    label: int | None = None
    """Which logit is the score, for checkpoints with several. When not set, the only one; of two, the second less the
    first, as monoBERT scores."""
    layout: str | None = None
    """The required `model_type` of the checkpoint, or `jina` for a layout without one; any when not set."""

    def __post_init__(self) -> None:
        """Check choices."""
        super().__post_init__()
        one_of("reranker.truncation", self.truncation, TRUNCATIONS)


class CrossEncoderFamily(Family):
    """The tokenizer's own pair; one logit of the classification head."""

    config: CrossEncoderConfig
    padding_side = "right"

    @property
    def settings(self) -> Identity:
        """See `Family`."""
        instruction = self.config.query_instruction
        return {
            "kind": "cross_encoder",
            "rules": _RULES,
            "truncation": self.config.truncation,
            "label": self.config.label,
            **({"query_instruction": instruction} if instruction else {}),
        }

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse a checkpoint that does not classify the bare pair, or another model than the name says."""
        said = declared(checkpoint, pairs=True)
        if require_head(checkpoint, said) == "answers":
            raise ModelError(
                f"{checkpoint.path}: scores by the logits of answer tokens (LogitScore) after a prompt. Use "
                "reranker=auto or reranker=language_model."
            )
        _require_pair(checkpoint, said)
        found = layout(checkpoint)
        if self.config.layout not in {None, found}:
            raise ModelError(
                f"{checkpoint.path}: is a checkpoint of type {found}, and {self.config.name} one of type "
                f"{self.config.layout}. Use it as reranker=cross_encoder."
            )

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`.

        Raises:
            ModelError: only the document may be cut, and a query leaves no room for it; or a pair has no token at all.
        """
        instruction, frame = self.config.query_instruction or "", tokenizer.frame(2)
        queries = distinct_token_ids(tokenizer, [instruction + pair.query for pair in pairs])
        documents = distinct_token_ids(tokenizer, [pair.document for pair in pairs])
        rows = []
        for pair in pairs:
            query, document = queries[instruction + pair.query], documents[pair.document]
            kept = self._kept(len(query), len(document), frame.tokens)
            if kept[1] < min(len(document), 1):
                raise ModelError(
                    f"the query {pair.query[:40]!r} leaves no room for its document: it has {len(query)} tokens, and "
                    f"max_length={self.config.tokens} with {frame.tokens} special ones. Set a greater "
                    "reranker.max_length, or reranker.truncation=longest_first."
                )
            dropped = (len(query) - kept[0], len(document) - kept[1])
            left = tokenizer.cuts_left
            kept_ids = shortened(query, kept[0], left=left), shortened(document, kept[1], left=left)
            rows.append(_join(frame, *kept_ids, dropped))
        require_tokens([row.ids for row in rows])
        return collect(rows)._replace(starts=_starts(tokenizer, rows, instruction, frame) if instruction else None)

    def _kept(self, query: int, document: int, special: int) -> tuple[int, int]:
        """How many tokens of query and document stay."""
        budget, truncation = self.config.tokens - special, self.config.truncation
        if truncation == "flag_embedding":  # as FlagEmbedding's encoder rerankers
            query = min(query, self.config.tokens * 3 // 4)
        if query + document <= budget:
            return query, document
        if truncation == "longest_first":
            return longest_first(query, document, budget, odd_to_second=True)
        return query, budget - query

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        from evalkit.models.classifier import load_pair_head

        unpooled = 0
        if (prompt := self.config.query_instruction) and head_of(checkpoint) == "chain" and skips_prompt(checkpoint):
            alone = tokenize(tokenizer, [prompt], max_length=self.config.tokens).ids[0]
            unpooled = prompt_tokens(tokenizer, alone)
        return load_pair_head(checkpoint, compute, self.config.label, unpooled=unpooled)


def _require_pair(checkpoint: Checkpoint, said: Declared) -> None:
    """Refuse a checkpoint that is given a prompt written by a chat template, and not the pair."""
    if said.chat is False:  # it says that it reads bare pairs
        return
    template = writes_pairs(checkpoint)
    if said.chat or template:
        raise ModelError(
            f"{checkpoint.path}: its chat template writes query and document into a prompt, and this reranker reads "
            "the bare pair. Use reranker=auto or reranker=language_model. If the model does read the bare pair, remove "
            "chat_template in a copy of the folder."
        )
    if template is False:
        logger.warning("%s: its chat template is for conversations. The model is given the bare pair.", checkpoint.path)


def _starts(tokenizer: Tokenizer, rows: Sequence[PairIds], instruction: str, frame: Frame) -> NDArray[np.int64]:
    """Tokens of the instruction before each query, and of what is before it."""
    alone = np.concatenate([frame.before, *tokenizer.token_ids([instruction])])
    return np.array([common(row.ids, alone) for row in rows], dtype=np.int64)


def _join(frame: Frame, query: Ids, document: Ids, dropped: tuple[int, int]) -> PairIds:
    ids = np.concatenate([frame.before, query, frame.between, document, frame.behind])
    before, of_query, between, of_document, behind = frame.segments
    segments = np.concatenate(
        [before, np.full(len(query), of_query), between, np.full(len(document), of_document), behind]
    ).astype(np.int32)
    start = len(frame.before) + len(query) + len(frame.between)
    return PairIds(ids, segments, (start, start + len(document)), dropped)
