"""Models that read a prompt with query and document, written by a template: mxbai-rerank-v2, zerank, Qwen3 and others.

The prompt is either one string, written by a chat template and cut as sentence-transformers 6 cuts it, or pieces that
are tokenised one by one, as mxbai-rerank's own package does. The score is the logit of one word, the difference of two,
or what a head of the checkpoint's own gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError, ModelError
from evalkit.inference.tokens import TokenizedPairs, Tokenizer
from evalkit.models.chat_template import chat_template, reads_parts, special_tokens, writes_pairs
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import Declared, declared
from evalkit.models.pair_head import LOGIT_SCORE, head_of, require_head, stored_answers
from evalkit.models.requirements import require_language_model, require_no_code
from evalkit.rerank.families.pairs import require_right
from evalkit.rerank.families.prompt_pieces import require_pieces, tokenize_pieces
from evalkit.rerank.families.prompt_string import Prompt, tokenize_strings
from evalkit.rerank.pair_reranker import Family, PairRerankerConfig
from evalkit.types import Identity, Pair


@dataclass
class LanguageModelConfig(PairRerankerConfig):
    """Any model that reads a prompt: by its own chat template and head, or by a template and words given here."""

    implementation: ClassVar[str] = "evalkit.rerank.families.language_model:LanguageModelFamily"
    reads_instructions: ClassVar[bool] = True
    prompt_setting: ClassVar[str] = "default_instruction"

    max_length: int | None = None
    """Tokens of the whole prompt; with `pieces` those of query and document and what is between them. As many as the
    checkpoint says when not set."""
    template: str | None = None
    """Chat template in Jinja over messages of the roles `query`, `document` and, where there is an instruction,
    `system`; the checkpoint's own when not set."""
    structured: bool | None = None
    """Whether the template is given each text in a list of parts; as the checkpoint says when not set."""
    template_arguments: dict[str, Any] = field(default_factory=dict)
    """Further variables of the template, such as `{add_generation_prompt: true}`; the checkpoint's come on top."""
    pieces: list[str] = field(default_factory=list)
    """Parts of a prompt that are tokenised one by one, in Jinja over `query`, `document` and `instruction`; in place of
    a template."""
    positive: str | None = None
    """The word whose logit is the score; the tokens that the checkpoint stores when not set."""
    negative: str | None = None
    """The word whose logit is taken off; none when not set."""
    instructions: str = "none"
    """Task instruction: `none` for `default_instruction`; else as for MiniCPM-Reranker: `generic`, `dataset`, `card`,
    `query`, a text, or a .json file."""
    default_instruction: str | None = None
    """The task where there is no other; the checkpoint's default prompt when not set."""

    def __post_init__(self) -> None:
        """Check that settings go together."""
        super().__post_init__()
        if self.pieces and self.template is not None:
            raise ConfigError("reranker.pieces and reranker.template are two ways to write a prompt. Give one of them.")
        if self.negative is not None and self.positive is None:
            raise ConfigError("reranker.negative is taken off the logit of reranker.positive, which is not set.")
        if self.pieces:
            require_pieces(self.pieces)

    def filled(self, checkpoint: Checkpoint, said: Declared) -> dict[str, Any]:
        """See `PairRerankerConfig`: also the template and its variables."""
        found = super().filled(checkpoint, said)
        if self.pieces:
            return found
        template = chat_template(checkpoint) if self.template is None else self.template
        structured = said.structured if self.structured is None else self.structured
        return {
            **found,
            "template": template,
            "structured": reads_parts(template or "") if structured is None else structured,
            "template_arguments": {
                **special_tokens(checkpoint),
                **said.template_arguments,
                **self.template_arguments,
            },
        }


class LanguageModelFamily(Family):
    """A prompt, and a head of the checkpoint's own or the logits of words."""

    config: LanguageModelConfig
    padding_side = "left"

    def __init__(self, config: LanguageModelConfig) -> None:
        super().__init__(config)
        self.answers = tuple(word for word in (config.positive, config.negative) if word is not None)

    @property
    def settings(self) -> Identity:
        """See `Family`."""
        config = self.config
        found = {
            "template": config.template,
            "structured": config.structured,
            "template_arguments": config.template_arguments,
            "pieces": config.pieces,
            "positive": config.positive,
            "negative": config.negative,
            "default_instruction": config.default_instruction,
        }
        return {"kind": "language_model", **{key: value for key, value in found.items() if value not in (None, [], {})}}

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse a checkpoint without a prompt for pairs, or without words and a head to score by."""
        if self.answers:
            require_no_code(checkpoint)
            require_language_model(checkpoint)
        else:
            head = require_head(checkpoint, declared(checkpoint, pairs=True))
            if head == "answers":
                require_language_model(checkpoint)
                stored_answers(checkpoint)
        if not self.config.pieces and self.config.template is None and not writes_pairs(checkpoint):
            raise ModelError(
                f"{checkpoint.path}: has no chat template that writes a query and a document, so nothing says how the "
                "model is asked. Set reranker.template, or reranker.pieces."
            )

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`."""
        config = self.config
        asked = [pair._replace(instruction=pair.instruction or config.default_instruction or "") for pair in pairs]
        if config.pieces:
            require_right(tokenizer)
            return tokenize_pieces(tokenizer, asked, config.pieces, config.tokens)
        # A plan of a model that is not on disk has no template.
        template = (
            "{{ messages | map(attribute='content') | join(' ') }}" if config.template is None else config.template
        )
        prompt = Prompt(template, config.template_arguments, structured=bool(config.structured), source=config.name)
        return tokenize_strings(tokenizer, asked, prompt, config.tokens)

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        from evalkit.models.answer import answer_ids, load_answer_reranker
        from evalkit.models.classifier import load_pair_head

        if self.answers:
            ids = answer_ids(tokenizer, self.answers)
            if LOGIT_SCORE in checkpoint.kinds and stored_answers(checkpoint) != ids:
                raise ModelError(
                    f"{checkpoint.path}: modules.json has {LOGIT_SCORE}, which scores by the tokens "
                    f"{stored_answers(checkpoint)}, and {' and '.join(self.answers)} are {ids}. Remove "
                    "reranker.positive and reranker.negative."
                )
            return load_answer_reranker(checkpoint, compute, ids)
        if head_of(checkpoint) == "answers":
            return load_answer_reranker(checkpoint, compute, stored_answers(checkpoint))
        return load_pair_head(checkpoint, compute, None)
