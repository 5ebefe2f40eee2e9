"""Qwen3-Reranker 0.6B, 4B and 8B."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.config import ComputeConfig, Qwen3RerankerConfig
from evalkit.errors import ModelError
from evalkit.inference.tokens import TokenizedPairs, Tokenizer
from evalkit.models.chat_template import rendered, writes_pairs
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import require_no_code
from evalkit.rerank.families import qwen3_template
from evalkit.rerank.families.qwen3_template import CARD_INSTRUCTION
from evalkit.types import Identity, Pair

_HEAD = "LogitScore"
_SAMPLE = Pair("what do bees make?", "Bees make honey.", "Find what answers")


@dataclass(frozen=True)
class Qwen3Family:
    """The logit of "yes" less that of "no" after a chat prompt."""

    config: Qwen3RerankerConfig
    softcap: bool = False
    padding_side: str | None = "left"
    answers: tuple[str, ...] = ("yes", "no")

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
        kinds = [kind for kind, _ in checkpoint.modules()]
        if kinds and kinds != ["Transformer", _HEAD]:
            raise ModelError(
                f"{checkpoint.path}: modules.json has {', '.join(kinds)}, so it is not a Qwen3-Reranker, which has "
                f"Transformer and {_HEAD}, or no modules.json."
            )
        if writes_pairs(checkpoint) and _as_its_own(checkpoint) != qwen3_template.written(_SAMPLE, CARD_INSTRUCTION):
            raise ModelError(
                f"{checkpoint.path}: its chat template writes another prompt than Qwen3-Reranker's, so its scores "
                "would not be those that it was trained for. evalkit does not run other prompts yet."
            )

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`."""
        return qwen3_template.tokenize(
            tokenizer,
            pairs,
            max_length=self.config.tokens,
            default_instruction=self._default,
        )

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        import transformers

        from evalkit.models.answer import answer_ids, load_answer_reranker

        ids = answer_ids(tokenizer, self.answers)
        _require_answers(checkpoint, ids, self.answers)
        return load_answer_reranker(checkpoint, compute, transformers.Qwen3Model, ids)


def _as_its_own(checkpoint: Checkpoint) -> str:
    """The sample pair as the checkpoint's own template writes it."""
    roles = {"system": _SAMPLE.instruction, "query": _SAMPLE.query, "document": _SAMPLE.document}
    return rendered(checkpoint, [{"role": role, "content": str(text)} for role, text in roles.items()])


def _require_answers(checkpoint: Checkpoint, ids: Sequence[int], answers: Sequence[str]) -> None:
    """Refuse a stored head that reads the logits of other tokens."""
    folder = next((folder for kind, folder in checkpoint.modules() if kind == _HEAD), None)
    if folder is None:
        return
    stored = checkpoint.read_json(f"{folder}/config.json") or {}
    found = [stored.get("true_token_id"), stored.get("false_token_id")]
    if found != list(ids):
        raise ModelError(
            f"{checkpoint.path}/{folder}/config.json: scores by the tokens {found}, and {' and '.join(answers)} are "
            f"{list(ids)}, so it is not a Qwen3-Reranker."
        )
