"""Encoder-decoders that answer with one word: monoT5, and RankT5 by its settings.

monoT5 (Nogueira et al. 2020, arXiv:2003.06713) reads `Query: Q Document: D Relevant:` and scores the first word that
the decoder would write, `true` against `false`. pygaggle 0.0.3.1: the prompt is cut on the right, so that a long one
loses `Relevant:`, and only `</s>` stays behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError, ModelError
from evalkit.inference.tokens import Ids, TokenizedPairs, Tokenizer, distinct_token_ids
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import declared
from evalkit.models.requirements import architectures, require_no_code
from evalkit.rerank.families.pairs import PairIds, collect, document_span, require_right
from evalkit.rerank.pair_reranker import Family, PairRerankerConfig
from evalkit.types import Identity, Pair

_PLACES = ("{query}", "{document}")
_KINDS = {"t5", "mt5", "umt5"}


@dataclass
class T5RerankerConfig(PairRerankerConfig):
    """monoT5; with another template and other words also RankT5 and multilingual ones."""

    implementation: ClassVar[str] = "evalkit.rerank.families.t5:T5Family"

    template: str = "Query: {query} Document: {document} Relevant:"
    """The prompt, with `{query}` and `{document}` in their places."""
    positive: str = "true"
    """The word whose logit is the score, at the decoder's first step."""
    negative: str | None = "false"
    """The word whose logit is taken off; none when null."""

    def __post_init__(self) -> None:
        """Check that the template has a place for both texts."""
        super().__post_init__()
        if any(self.template.count(place) != 1 for place in _PLACES) or self.template.index(
            _PLACES[0]
        ) > self.template.index(_PLACES[1]):
            raise ConfigError(
                f"reranker.template={self.template!r} needs {{query}} once and then {{document}} once, as in "
                "'Query: {query} Document: {document} Relevant:'."
            )

    def written(self, pair: Pair) -> str:
        """The prompt of a pair."""
        before, behind = self.template.split(_PLACES[0])
        between, end = behind.split(_PLACES[1])
        return f"{before}{pair.query}{between}{pair.document}{end}"


class T5Family(Family):
    """One prompt, and the logits of the decoder's first step."""

    config: T5RerankerConfig

    def __init__(self, config: T5RerankerConfig) -> None:
        super().__init__(config)
        self.answers = tuple(word for word in (config.positive, config.negative) if word is not None)

    @property
    def settings(self) -> Identity:
        """See `Family`."""
        config = self.config
        return {"kind": "t5", "template": config.template, "positive": config.positive, "negative": config.negative}

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse another architecture."""
        require_no_code(checkpoint)
        declared(checkpoint, pairs=True)
        names, kind = architectures(checkpoint), checkpoint.config.get("model_type")
        if kind not in _KINDS or not any(name.endswith("ForConditionalGeneration") for name in names):
            raise ModelError(
                f"{checkpoint.path}/config.json: is {kind!r} ({', '.join(names)}), expected the "
                "...ForConditionalGeneration of t5, mt5 or umt5."
            )

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`."""
        require_right(tokenizer)
        texts = [self.config.written(pair) for pair in pairs]
        without = [self.config.written(pair._replace(document="")) for pair in pairs]
        ids_of = distinct_token_ids(tokenizer, [*texts, *without])
        behind = tokenizer.frame(1).behind
        room = self.config.tokens - len(behind)
        rows = [_row(ids_of[text], ids_of[empty], behind, room) for text, empty in zip(texts, without, strict=True)]
        return collect(rows)

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        from evalkit.models.answer import answer_ids
        from evalkit.models.first_step import load_first_step

        return load_first_step(checkpoint, compute, answer_ids(tokenizer, self.answers))


def _row(ids: Ids, without: Ids, behind: Ids, room: int) -> PairIds:
    """One pair, from the tokens of its prompt and of the same prompt with an empty document."""
    start, end = document_span(ids, without)
    kept = ids[:room]
    first, stop = min(start, len(kept)), min(end, len(kept))
    row = np.concatenate([kept, behind])
    return PairIds(row, np.zeros_like(row), (first, stop), (start - first, end - start - (stop - first)))
