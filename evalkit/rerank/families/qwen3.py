r"""Qwen3-Reranker 0.6B, 4B and 8B: a chat that asks for "yes" or "no", with the model's thinking left empty.

From the model card of Qwen/Qwen3-Reranker-0.6B. The middle has the tokens of one text and is cut on the right, so that
prefix and suffix always stay whole. Its parts before and behind the last colon are tokenised apart where the tokenizer
splits every text there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.inference.tokens import Ids, TokenizedPairs, Tokenizer, distinct_token_ids
from evalkit.models.chat_template import rendered, writes_pairs
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.pair_head import LOGIT_SCORE
from evalkit.models.requirements import require_no_code
from evalkit.rerank.families.pairs import PairIds, collect, common, require_right
from evalkit.rerank.pair_reranker import Family, PairRerankerConfig
from evalkit.types import Identity, Pair

CARD_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
_PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
_SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
_SAMPLE = Pair("what do bees make?", "Bees make honey.", "Find what answers")


@dataclass
class Qwen3RerankerConfig(PairRerankerConfig):
    """Qwen3-Reranker: the logit of `yes` less that of `no` after a chat prompt."""

    implementation: ClassVar[str] = "evalkit.rerank.families.qwen3:Qwen3Family"
    reads_instructions: ClassVar[bool] = True
    prompt_setting: ClassVar[str] = "default_instruction"

    max_length: int | None = 8192
    instructions: str = "none"
    """Task instruction: `none` for `default_instruction`; else as for MiniCPM-Reranker: `generic`, `dataset`, `card`,
    `query`, a text, or a .json file."""
    default_instruction: str | None = None
    """The task where there is no other; the checkpoint's default prompt when not set, else that of the model card."""


class Qwen3Family(Family):
    """The logit of "yes" less that of "no" after a chat prompt."""

    config: Qwen3RerankerConfig
    padding_side = "left"
    answers = ("yes", "no")

    @property
    def settings(self) -> Identity:
        """See `Family`."""
        return {"kind": "qwen3", "default_instruction": self._default}

    @property
    def _default(self) -> str:
        return self.config.default_instruction or CARD_INSTRUCTION

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse another architecture, another prompt or another head."""
        require_no_code(checkpoint)
        names = checkpoint.config.get("architectures", [])
        if checkpoint.config.get("model_type") != "qwen3" or "Qwen3ForCausalLM" not in names:
            raise ModelError(f"{checkpoint.path}/config.json: names {names}, expected Qwen3ForCausalLM.")
        kinds = checkpoint.kinds
        if kinds and kinds != ["Transformer", LOGIT_SCORE]:
            raise ModelError(
                f"{checkpoint.path}: modules.json has {', '.join(kinds)}, so it is not a Qwen3-Reranker, which has "
                f"Transformer and {LOGIT_SCORE}, or no modules.json."
            )
        if asks_otherwise(checkpoint):
            raise ModelError(
                f"{checkpoint.path}: its chat template writes another prompt than Qwen3-Reranker's, so its scores "
                "would not be those that it was trained for. Use reranker=auto or reranker=language_model."
            )

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`. The middle is cut so that all of it has at most `max_length` tokens.

        The document starts where the tokens differ from those of the same pair with an empty document: the blank before
        it may be part of its first token.

        Raises:
            ModelError: `max_length` is less than the prompt itself.
        """
        require_right(tokenizer)
        prefix, suffix = tokenizer.token_ids([_PREFIX, _SUFFIX])
        budget = self.config.tokens - len(prefix) - len(suffix)
        if budget < 1:
            raise ModelError(
                f"reranker.max_length={self.config.tokens} leaves no room after {len(prefix) + len(suffix)} tokens of "
                "prompt."
            )
        parts = _parts(tokenizer, pairs, self._default)
        starts = np.array([len(prefix) + part.query for part in parts], dtype=np.int64)
        return collect([_row(prefix, part, suffix, budget) for part in parts])._replace(starts=starts)

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        from evalkit.models.answer import answer_ids, load_answer_reranker

        ids = answer_ids(tokenizer, self.answers)
        _require_answers(checkpoint, ids, self.answers)
        return load_answer_reranker(checkpoint, compute, ids)


def asks_otherwise(checkpoint: Checkpoint) -> bool:
    """Whether a chat template of the checkpoint's writes pairs into another prompt."""
    return bool(writes_pairs(checkpoint)) and _as_its_own(checkpoint) != written(_SAMPLE, CARD_INSTRUCTION)


def _as_its_own(checkpoint: Checkpoint) -> str:
    """The sample pair as the checkpoint's own template writes it."""
    roles = {"system": _SAMPLE.instruction, "query": _SAMPLE.query, "document": _SAMPLE.document}
    return rendered(checkpoint, [{"role": role, "content": str(text)} for role, text in roles.items()])


def _require_answers(checkpoint: Checkpoint, ids: Sequence[int], answers: Sequence[str]) -> None:
    """Refuse a stored head that reads the logits of other tokens."""
    folder = next((folder for kind, folder in checkpoint.modules() if kind == LOGIT_SCORE), None)
    if folder is None:
        return
    stored = checkpoint.read_json(f"{folder}/config.json") or {}
    found = [stored.get("true_token_id"), stored.get("false_token_id")]
    if found != list(ids):
        raise ModelError(
            f"{checkpoint.path}/{folder}/config.json: scores by the tokens {found}, and {' and '.join(answers)} are "
            f"{list(ids)}, so it is not a Qwen3-Reranker."
        )


def written(pair: Pair, default_instruction: str) -> str:
    """All that the model reads of a pair that is not cut."""
    return _PREFIX + body(pair, default_instruction) + _SUFFIX


def body(pair: Pair, default_instruction: str) -> str:
    """The text between prefix and suffix."""
    return f"{_before(pair, default_instruction)} {pair.document}"


def _before(pair: Pair, default_instruction: str) -> str:
    return f"<Instruct>: {pair.instruction or default_instruction}\n<Query>: {pair.query}\n<Document>:"


class _Parts(NamedTuple):
    """The tokens between prefix and suffix.

    Attributes:
        before: those up to the colon before the document.
        behind: those from the blank before the document on; of the whole, where a tokenizer may join both.
        start: where the document starts in both.
        query: where the query starts.
    """

    before: Ids
    behind: Ids
    start: int
    query: int


def _parts(tokenizer: Tokenizer, pairs: Sequence[Pair], default_instruction: str) -> list[_Parts]:
    """Each pair in parts that others have, too: a query is tokenised once for its documents, which the cache knows."""
    if not tokenizer.splits_after_colon:
        return _wholes(tokenizer, pairs, default_instruction)
    befores = [_before(pair, default_instruction) for pair in pairs]
    bare = [_before(pair._replace(query=""), default_instruction) for pair in pairs]
    documents = [f" {pair.document}" for pair in pairs]
    ids_of = distinct_token_ids(tokenizer, [*befores, *bare, *documents, " "])
    blank = ids_of[" "]
    blanks = {text: common(ids_of[text], blank) for text in dict.fromkeys(documents)}
    queries = {
        text: common(ids_of[text], ids_of[start]) for text, start in dict(zip(befores, bare, strict=True)).items()
    }
    return [
        _Parts(ids_of[before], ids_of[document], len(ids_of[before]) + blanks[document], queries[before])
        for before, document in zip(befores, documents, strict=True)
    ]


def _wholes(tokenizer: Tokenizer, pairs: Sequence[Pair], default_instruction: str) -> list[_Parts]:
    bodies = [body(pair, default_instruction) for pair in pairs]
    empty = [body(pair._replace(document=""), default_instruction) for pair in pairs]
    bare = [body(pair._replace(query="", document=""), default_instruction) for pair in pairs]
    ids_of = distinct_token_ids(tokenizer, [*bodies, *empty, *bare])
    # Of each query once: up to its document, a pair has the tokens of the same pair with an empty one.
    queries = {text: common(ids_of[text], ids_of[start]) for text, start in dict(zip(empty, bare, strict=True)).items()}
    return [
        _Parts(ids_of[whole][:0], ids_of[whole], common(ids_of[whole], ids_of[without]), queries[without])
        for whole, without in zip(bodies, empty, strict=True)
    ]


def _row(prefix: Ids, part: _Parts, suffix: Ids, budget: int) -> PairIds:
    count = len(part.before) + len(part.behind)
    dropped = max(count - budget, 0)
    kept = count - dropped
    # A cut that reaches the query has taken the whole document.
    of_document = min(dropped, count - part.start)
    before = part.before[:kept]
    ids = np.concatenate([prefix, before, part.behind[: kept - len(before)], suffix])
    span = (len(prefix) + min(part.start, kept), len(prefix) + kept)
    return PairIds(ids, np.zeros_like(ids), span, (dropped - of_document, of_document))
