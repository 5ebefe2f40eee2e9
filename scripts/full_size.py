"""Rerankers of published sizes with random weights, in the layout in which they are published.

    python scripts/full_size.py --model minicpm_2_4b --folder DIR [--device cuda]

The scores mean nothing; time and memory do. Tokenizers are those of the tests: a few hundred pieces, whatever size the
embeddings have. Weights are drawn on the device, and written in bfloat16.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import tiny_tokenizers
from tiny_tokenizers import TinyTokenizer

Config = dict[str, Any]

_SPREAD = 0.02
_SHARD_BYTES = 4 << 30
_BFLOAT16 = {"torch_dtype": "bfloat16"}
_ONE_LABEL = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
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
_QWEN3: Config = {
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
_MODERN_BERT: Config = {
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
    "vocab_size": 1000,
}


class Size(NamedTuple):
    """A model of a published size.

    Attributes:
        family: as `benchmark_contenders.FAMILIES` calls it.
        config: `config.json`.
        tokenizer: of the same kind as the published one.
        norm: stored weight of a norm that multiplies by 1.
    """

    family: str
    config: Config
    tokenizer: Callable[[], TinyTokenizer]
    norm: float = 1.0

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
    "minicpm_2_4b": Size("minicpm", _MINICPM | _BFLOAT16, tiny_tokenizers.minicpm),
    "qwen3_0_6b": Size("qwen3", _QWEN3 | _BFLOAT16, tiny_tokenizers.qwen),
    "qwen3_4b": Size("qwen3", _QWEN3 | _QWEN3_4B | _BFLOAT16, tiny_tokenizers.qwen),
    "gemma_2b": Size("gemma", _GEMMA | _BFLOAT16, tiny_tokenizers.gemma, norm=0.0),
    "bge_v2_m3_568m": Size(
        "cross_encoder", _XLM_ROBERTA | _ONE_LABEL | _BFLOAT16, lambda: tiny_tokenizers.xlm_roberta(8192)
    ),
    "modernbert_large": Size("cross_encoder", _MODERN_BERT | _ONE_LABEL | _BFLOAT16, tiny_tokenizers.bert),
}


def write(size: Size, folder: Path, *, device: str = "cpu") -> Path:
    """The checkpoint in a folder, sharded; config.json is written last, so that a folder with one is whole."""
    if (folder / "config.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in size.tokenizer().files.items():
        (folder / name).write_bytes(content)
    shapes = _decoder_shapes(size.config) if size.decoder else _encoder_shapes(size.config)
    generator = torch.Generator(device).manual_seed(0)
    index: dict[str, str] = {}
    for number, names in enumerate(_shards(shapes), start=1):
        tensors = {name: _drawn(name, shapes[name], size, generator).cpu() for name in names}
        file = f"model-{number:05}.safetensors"
        save_file(tensors, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(names, file)
    _write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": index})
    _write_json(folder / "config.json", size.config)
    return folder


def _decoder_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    width = config.get("head_dim", hidden // config["num_attention_heads"])
    heads, key_heads = config["num_attention_heads"] * width, config["num_key_value_heads"] * width
    found: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config["vocab_size"], hidden),
        "model.norm.weight": (hidden,),
    }
    for layer in range(config["num_hidden_layers"]):
        block = f"model.layers.{layer}."
        found[f"{block}self_attn.q_proj.weight"] = (heads, hidden)
        found |= {f"{block}self_attn.{part}_proj.weight": (key_heads, hidden) for part in "kv"}
        found[f"{block}self_attn.o_proj.weight"] = (hidden, heads)
        found |= {f"{block}mlp.{part}_proj.weight": (inner, hidden) for part in ("gate", "up")}
        found[f"{block}mlp.down_proj.weight"] = (hidden, inner)
        found |= {f"{block}{norm}_layernorm.weight": (hidden,) for norm in ("input", "post_attention")}
        if config.get("model_type") == "qwen3":
            found |= {f"{block}self_attn.{part}_norm.weight": (width,) for part in "qk"}
    return found | ({"score.weight": (1, hidden)} if "num_labels" in config else {})


def _encoder_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Those of transformers' own class, whose layout is the published one."""
    import transformers

    kind = getattr(transformers, config["architectures"][0])
    with torch.device("meta"):
        model = kind(kind.config_class.from_dict(config))
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def _shards(shapes: Mapping[str, tuple[int, ...]]) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    held = 0
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        if held and held + size > _SHARD_BYTES:
            shards.append([])
            held = 0
        shards[-1].append(name)
        held += size
    return shards


def _drawn(name: str, shape: tuple[int, ...], size: Size, generator: torch.Generator) -> torch.Tensor:
    tensor = torch.empty(shape, dtype=torch.bfloat16, device=generator.device)
    if len(shape) > 1:
        return tensor.normal_(std=_SPREAD, generator=generator)
    return tensor.fill_(0.0 if name.endswith("bias") else size.norm)


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Write one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SIZES, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    write(SIZES[options.model], options.folder, device=options.device)


if __name__ == "__main__":
    main()
