r"""BGE's rerankers from language models: v2-gemma, v2-minicpm-layerwise and v2.5-gemma2-lightweight.

All three read `<bos>A: Q\nB: D\nprompt`, built as FlagEmbedding builds it, and differ in the model and its head.
FlagEmbedding, `inference/reranker/decoder_only/*.py` (7ed43d67). The query is cut to 3/4 of `max_length` before the
beginning-of-text token is added, the document first to `max_length` and then to what is left. The second newline and
the prompt come after the cut: a pair has up to `max_length` + 2 newlines + 2 prompts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from evalkit.config import ComputeConfig
from evalkit.config.limits import at_least, one_of
from evalkit.errors import ConfigError, ModelError
from evalkit.inference.tokens import TokenizedPairs, Tokenizer, distinct_token_ids
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.layer_heads import assemble_with_heads, layers_with_heads
from evalkit.models.requirements import require_no_code
from evalkit.rerank.families.pairs import collect, join, require_right
from evalkit.rerank.pair_reranker import Family, PairRerankerConfig
from evalkit.types import Identity, Pair

HEAD_INDICES = ("official", "layer")


@dataclass
class FlagLLMConfig(PairRerankerConfig):
    """BGE's rerankers from language models, with FlagEmbedding's prompt; on its own, bge-reranker-v2-gemma.

    As in FlagEmbedding, `max_length` counts the query, the document and what joins them. The prompt comes on top.
    """

    implementation: ClassVar[str] = "evalkit.rerank.families.flag_llm:GemmaFamily"

    max_length: int | None = 1024
    query_prefix: str = "A: "
    document_prefix: str = "B: "
    prompt: str = (
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
        "prediction of either 'Yes' or 'No'."
    )


@dataclass
class LayerwiseConfig(FlagLLMConfig):
    """bge-reranker-v2-minicpm-layerwise: a score head after every layer from `start_layer` on."""

    implementation: ClassVar[str] = "evalkit.rerank.families.flag_llm:LayerwiseFamily"

    cutoff_layers: list[int] | None = None
    """After which layers to score; the last when not set. Several give several scores, with `evalkit score` alone."""

    def __post_init__(self) -> None:
        """Check the layers."""
        super().__post_init__()
        _layers("reranker.cutoff_layers", self.cutoff_layers)

    @property
    def layers_scored(self) -> list[int]:
        """See `RerankerConfig`."""
        return self.cutoff_layers or []


@dataclass
class LightweightConfig(LayerwiseConfig):
    """bge-reranker-v2.5-gemma2-lightweight: cut-off layers, and passage tokens merged on the way."""

    implementation: ClassVar[str] = "evalkit.rerank.families.flag_llm:LightweightFamily"

    prompt: str = "Predict whether passage B contains an answer to query A."
    compress_ratio: int = 1
    """How many passage tokens become one at each of `compress_layers`."""
    compress_layers: list[int] = field(default_factory=lambda: [8])
    attention_softcap: bool = True
    """The architecture's cap on attention scores. The official code leaves it out where it runs SDPA."""
    head_index: str = "official"
    """`official` takes the head by its position in the list of cut-offs, as BAAI's code; `layer` the layer's own."""

    def __post_init__(self) -> None:
        """Check layers, ranges and choices."""
        super().__post_init__()
        _layers("reranker.compress_layers", self.compress_layers or None)
        at_least("reranker.compress_ratio", self.compress_ratio, 1)
        if self.compress_ratio > 1 and not any(self.compress_layers):
            raise ConfigError(
                f"reranker.compress_ratio={self.compress_ratio} has no layer to work at. Set reranker.compress_layers."
            )
        one_of("reranker.head_index", self.head_index, HEAD_INDICES)

    def share_computed(self, layers: int) -> float:
        """See `RerankerConfig`; as if all tokens were the passage's."""
        if self.compress_ratio == 1:
            return 1.0
        left, share = 1.0, 0.0
        for layer in range(layers):
            left = left / self.compress_ratio if layer in self.compress_layers and layer else left
            share += left / layers
        return share


def _layers(key: str, layers: list[int] | None) -> None:
    """Layers are written in ascending order, so that scores come in the order in which they were asked for."""
    if layers is not None and (not layers or layers != sorted(set(layers)) or layers[0] < 0):
        raise ConfigError(f"{key}={layers} is not a list of ascending layer numbers, such as [24,40].")


class FlagLLMFamily(Family):
    """Settings that the three share."""

    config: FlagLLMConfig
    padding_side = "left"

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`.

        Raises:
            ModelError: the tokenizer has no token for the beginning of a text.
        """
        require_right(tokenizer)
        config, most = self.config, self.config.tokens
        # Llama-type tokenizers give a newline two tokens, and no vocabulary gives it a fixed id.
        newline, question = tokenizer.token_ids(["\n", config.prompt])
        before = tokenizer.frame(1).before
        if not len(before):
            raise ModelError("the tokenizer puts no <s> or <bos> before a text, so it is not that of a BGE reranker.")
        limit = most + len(newline) + len(question)
        queries = distinct_token_ids(tokenizer, [config.query_prefix + pair.query for pair in pairs])
        documents = distinct_token_ids(tokenizer, [config.document_prefix + pair.document for pair in pairs])
        behind = np.concatenate([newline, question])
        rows = []
        for pair in pairs:
            query, document = (
                queries[config.query_prefix + pair.query],
                documents[config.document_prefix + pair.document],
            )
            kept_query = query[: most * 3 // 4]
            kept_document = document[: min(most, limit - len(before) - len(kept_query) - len(newline))]
            dropped = (len(query) - len(kept_query), len(document) - len(kept_document))
            rows.append(join(before, kept_query, newline, kept_document, behind, dropped))
        return collect(rows)

    @property
    def _template(self) -> dict[str, str]:
        config = self.config
        return {
            "prompt": config.prompt,
            "query_prefix": config.query_prefix,
            "document_prefix": config.document_prefix,
        }


class GemmaFamily(FlagLLMFamily):
    """bge-reranker-v2-gemma: the logit of "Yes" after the prompt."""

    answers = ("Yes",)

    @property
    def settings(self) -> Identity:
        """See `Family`."""
        return {"kind": "gemma", **self._template}

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse another architecture."""
        require_no_code(checkpoint)
        model_type = checkpoint.config.get("model_type")
        if model_type != "gemma":
            raise ModelError(
                f"{checkpoint.path}/config.json: model_type is {model_type!r}, expected 'gemma'. Use reranker=auto."
            )

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        from evalkit.models.answer import answer_ids, load_answer_reranker

        return load_answer_reranker(checkpoint, compute, answer_ids(tokenizer, self.answers))


class LayerwiseFamily(FlagLLMFamily):
    """bge-reranker-v2-minicpm-layerwise: a head on every layer; nothing above the last cut-off is computed."""

    config: LayerwiseConfig
    model_type = "minicpm"

    @property
    def settings(self) -> Identity:
        """See `Family`."""
        return {"kind": "layerwise", **self._template, "cutoff_layers": self.config.cutoff_layers}

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse another architecture, or a layer without a head."""
        self._cutoffs(checkpoint)

    def _cutoffs(self, checkpoint: Checkpoint) -> tuple[list[int], range]:
        """The cut-offs, the last layer when none are asked for; and the layers that have a head."""
        legal = layers_with_heads(checkpoint, self.model_type)
        cutoffs = list(self.config.layers_scored) or [legal[-1]]
        wrong = [cutoff for cutoff in cutoffs if cutoff not in legal]
        if wrong:
            raise ConfigError(
                f"{checkpoint.path}: reranker.cutoff_layers={cutoffs}, but layer {wrong[0]} has no head. Legal are "
                f"{legal[0]} to {legal[-1]}."
            )
        return cutoffs, legal

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        del tokenizer
        from evalkit.models.minicpm_decoder import granite_config
        from evalkit.models.minicpm_layerwise import LayerwiseMiniCPM

        cutoffs, legal = self._cutoffs(checkpoint)
        heads = [cutoff - legal[0] for cutoff in cutoffs]
        config = granite_config(checkpoint, compute.padded_attention, is_causal=True, layers=cutoffs[-1])
        return assemble_with_heads(
            lambda: LayerwiseMiniCPM(config, cutoffs), checkpoint, compute, legal=legal, last=cutoffs[-1], heads=heads
        )


class LightweightFamily(LayerwiseFamily):
    """bge-reranker-v2.5-gemma2-lightweight: cut-offs, and passage tokens merged on the way."""

    config: LightweightConfig
    model_type = "cost_wise_gemma"

    def __init__(self, config: LightweightConfig) -> None:
        super().__init__(config)
        self.softcap = config.attention_softcap

    @property
    def settings(self) -> Identity:
        """See `Family`."""
        config = self.config
        return {
            **super().settings,
            "kind": "lightweight",
            "compress_ratio": config.compress_ratio,
            "compress_layers": config.compress_layers if config.compress_ratio > 1 else [],
            "attention_softcap": config.attention_softcap,
            "head_index": config.head_index,
        }

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        del tokenizer
        from evalkit.models.gemma2_lightweight import LightweightGemma2, gemma2_config

        cutoffs, legal = self._cutoffs(checkpoint)
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
