"""What rerankers of published sizes are: their configuration, tokenizer and modules. scripts/full_size.py writes them.

Tokenizers of the models here are those of the tests: a few hundred pieces, whatever size the embeddings have.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import tiny_tokenizers
from tiny_tokenizers import TinyTokenizer

Config = dict[str, Any]

BFLOAT16 = {"torch_dtype": "bfloat16"}
ONE_LABEL = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
_MINICPM: Config = {
    "architectures": ["MiniCPMForSequenceClassification"],
    "auto_map": {"AutoConfig": "configuration_minicpm.MiniCPMConfig"},
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 2304,
    "intermediate_size": 5760,
    "is_causal": False,
    "max_position_embeddings": 2048,
    "num_attention_heads": 36,
    "num_hidden_layers": 40,
    "num_key_value_heads": 36,
    "num_labels": 1,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "vocab_size": 122_753,
    "scale_emb": 12,
    "dim_model_base": 256,
    "scale_depth": 1.4,
}
_GEMMA: Config = {
    "architectures": ["GemmaForCausalLM"],
    "model_type": "gemma",
    "bos_token_id": 2,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "head_dim": 256,
    "hidden_act": "gelu",
    "hidden_size": 2048,
    "intermediate_size": 16_384,
    "max_position_embeddings": 8192,
    "num_attention_heads": 8,
    "num_hidden_layers": 18,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 10_000.0,
    "vocab_size": 256_000,
}
QWEN3: Config = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "attention_bias": False,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "max_position_embeddings": 40_960,
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 1_000_000,
    "tie_word_embeddings": True,
    "vocab_size": 151_669,
}
_QWEN3_4B = {"hidden_size": 2560, "intermediate_size": 9728, "num_attention_heads": 32, "num_hidden_layers": 36}
_XLM_ROBERTA: Config = {
    "architectures": ["XLMRobertaForSequenceClassification"],
    "model_type": "xlm-roberta",
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
    "hidden_act": "gelu",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "layer_norm_eps": 1e-5,
    "max_position_embeddings": 8194,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "type_vocab_size": 1,
    "vocab_size": 250_002,
}
MODERN_BERT: Config = {
    "architectures": ["ModernBertForSequenceClassification"],
    "model_type": "modernbert",
    "classifier_pooling": "mean",
    "global_attn_every_n_layers": 3,
    "hidden_activation": "gelu",
    "hidden_size": 1024,
    "intermediate_size": 2624,
    "local_attention": 128,
    "max_position_embeddings": 8192,
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "pad_token_id": 0,
    "vocab_size": 50_368,
}
TINY: Config = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "vocab_size": 32_000,
}


class Modules(NamedTuple):
    """What a folder holds besides the model, its configuration and its tokenizer.

    Attributes:
        files: contents by name; a text is written as it is, all else as JSON.
        layers: shapes of the tensors of each folder with a layer.
    """

    files: Mapping[str, Any] = {}
    layers: Mapping[str, Mapping[str, tuple[int, ...]]] = {}


class Size(NamedTuple):
    """A model of a published size.

    Attributes:
        family: as `benchmark_setup.FAMILIES` calls it.
        config: `config.json`.
        tokenizer: of the same kind as the published one.
        norm: stored weight of a norm that multiplies by 1.
        modules: the configuration -> what else the folder holds.
    """

    family: str
    config: Config
    tokenizer: Callable[[], TinyTokenizer]
    norm: float = 1.0
    modules: Callable[[Config], Modules] = lambda _: Modules()

    def tiny(self) -> "Size":
        """The same layout, a few thousand parameters wide."""
        heads = {"num_key_value_heads": min(self.config["num_key_value_heads"], 2)} if self.decoder else {}
        return self._replace(
            config=self.config | TINY | heads | ({"head_dim": 16} if "head_dim" in self.config else {})
        )

    @property
    def decoder(self) -> bool:
        """Whether it is named like a Llama."""
        return "num_key_value_heads" in self.config


SIZES: Mapping[str, Size] = {
    "minicpm_2_4b": Size("minicpm", _MINICPM | BFLOAT16, tiny_tokenizers.minicpm),
    "qwen3_0_6b": Size("qwen3", QWEN3 | BFLOAT16, tiny_tokenizers.qwen),
    "qwen3_4b": Size("qwen3", QWEN3 | _QWEN3_4B | BFLOAT16, tiny_tokenizers.qwen),
    "gemma_2b": Size("gemma", _GEMMA | BFLOAT16, tiny_tokenizers.gemma, norm=0.0),
    "bge_v2_m3_568m": Size(
        "cross_encoder", _XLM_ROBERTA | ONE_LABEL | BFLOAT16, lambda: tiny_tokenizers.xlm_roberta(8192)
    ),
    "modernbert_large": Size("cross_encoder", MODERN_BERT | ONE_LABEL | BFLOAT16, tiny_tokenizers.bert),
}
