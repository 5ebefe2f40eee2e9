"""BGE's rerankers from language models: v2-gemma, v2-minicpm-layerwise and v2.5-gemma2-lightweight.

All three are asked as FlagEmbedding asks them (`flag_llm_template.py`) and differ in the model and its head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.config import ComputeConfig, FlagLLMConfig, LayerwiseConfig, LightweightConfig
from evalkit.errors import ConfigError, ModelError
from evalkit.inference.tokens import TokenizedPairs, Tokenizer
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import require_no_code
from evalkit.models.layer_heads import assemble_with_heads, layers_with_heads
from evalkit.rerank.families import flag_llm_template
from evalkit.types import Identity, Pair


def _tokenize(config: FlagLLMConfig, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
    return flag_llm_template.tokenize(
        tokenizer,
        pairs,
        max_length=config.tokens,
        prompt=config.prompt,
        query_prefix=config.query_prefix,
        document_prefix=config.document_prefix,
    )


def _template(config: FlagLLMConfig) -> Identity:
    return {
        "prompt": config.prompt,
        "query_prefix": config.query_prefix,
        "document_prefix": config.document_prefix,
    }


def _cutoffs(
    config: LayerwiseConfig | LightweightConfig, checkpoint: Checkpoint, model_type: str
) -> tuple[list[int], range]:
    """The cut-offs, the last layer when none are asked for; and the layers that have a head."""
    legal = layers_with_heads(checkpoint, model_type)
    cutoffs = [legal[-1]] if config.cutoff_layers is None else list(config.cutoff_layers)
    wrong = [cutoff for cutoff in cutoffs if cutoff not in legal]
    if wrong:
        raise ConfigError(
            f"{checkpoint.path}: reranker.cutoff_layers={cutoffs}, but layer {wrong[0]} has no head. Legal are "
            f"{legal[0]} to {legal[-1]}."
        )
    return cutoffs, legal


@dataclass(frozen=True)
class GemmaFamily:
    """bge-reranker-v2-gemma: the logit of "Yes" after the prompt."""

    config: FlagLLMConfig
    softcap: bool = False
    padding_side: str | None = "left"
    answers: tuple[str, ...] = ("Yes",)

    @property
    def settings(self) -> Identity:
        """See `Family`."""
        return {"kind": "gemma", **_template(self.config)}

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse another architecture."""
        require_no_code(checkpoint)
        model_type = checkpoint.config.get("model_type")
        if model_type != "gemma":
            raise ModelError(f"{checkpoint.path}/config.json: model_type is {model_type!r}, expected 'gemma'.")

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`."""
        return _tokenize(self.config, tokenizer, pairs)

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        import transformers

        from evalkit.models.answer import answer_ids, load_answer_reranker

        return load_answer_reranker(checkpoint, compute, transformers.GemmaModel, answer_ids(tokenizer, self.answers))


@dataclass(frozen=True)
class LayerwiseFamily:
    """bge-reranker-v2-minicpm-layerwise: a head on every layer; nothing above the last cut-off is computed."""

    config: LayerwiseConfig
    softcap: bool = False
    padding_side: str | None = "left"
    answers: tuple[str, ...] = ()
    model_type: str = "minicpm"

    @property
    def settings(self) -> Identity:
        """See `Family`."""
        return {"kind": "layerwise", **_template(self.config), "cutoff_layers": self.config.cutoff_layers}

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse another architecture, or a layer without a head."""
        _cutoffs(self.config, checkpoint, self.model_type)

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`."""
        return _tokenize(self.config, tokenizer, pairs)

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        del tokenizer
        from evalkit.models.minicpm_decoder import granite_config
        from evalkit.models.minicpm_layerwise import LayerwiseMiniCPM

        cutoffs, legal = _cutoffs(self.config, checkpoint, self.model_type)
        heads = [cutoff - legal[0] for cutoff in cutoffs]
        config = granite_config(checkpoint, compute.padded_attention, is_causal=True, layers=cutoffs[-1])
        return assemble_with_heads(
            lambda: LayerwiseMiniCPM(config, cutoffs), checkpoint, compute, legal=legal, last=cutoffs[-1], heads=heads
        )


@dataclass(frozen=True)
class LightweightFamily:
    """bge-reranker-v2.5-gemma2-lightweight: cut-offs, and passage tokens merged on the way."""

    config: LightweightConfig
    padding_side: str | None = "left"
    answers: tuple[str, ...] = ()
    model_type: str = "cost_wise_gemma"

    @property
    def softcap(self) -> bool:
        """As configured; the architecture has it."""
        return self.config.attention_softcap

    @property
    def settings(self) -> Identity:
        """See `Family`."""
        return {
            "kind": "lightweight",
            **_template(self.config),
            "cutoff_layers": self.config.cutoff_layers,
            "compress_ratio": self.config.compress_ratio,
            "compress_layers": self.config.compress_layers if self.config.compress_ratio > 1 else [],
            "attention_softcap": self.config.attention_softcap,
            "head_index": self.config.head_index,
        }

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse another architecture, or a layer without a head."""
        _cutoffs(self.config, checkpoint, self.model_type)

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`."""
        return _tokenize(self.config, tokenizer, pairs)

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        del tokenizer
        from evalkit.models.gemma2_lightweight import LightweightGemma2, gemma2_config

        cutoffs, legal = _cutoffs(self.config, checkpoint, self.model_type)
        config = gemma2_config(checkpoint, softcap=self.softcap, layers=cutoffs[-1])
        # BAAI's code takes head i for the i-th output, whatever layer it is of.
        official = self.config.head_index == "official"
        heads = list(range(len(cutoffs))) if official else [cutoff - legal[0] for cutoff in cutoffs]
        attention = "eager" if self.softcap else compute.padded_attention
        ratio, layers = self.config.compress_ratio, self.config.compress_layers
        return assemble_with_heads(
            lambda: LightweightGemma2(config, attention, cutoffs, ratio, layers),
            checkpoint,
            compute,
            legal=legal,
            last=cutoffs[-1],
            heads=heads,
        )
