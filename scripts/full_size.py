"""Rerankers of published sizes with random weights, in the layout in which they are published.

    python scripts/full_size.py --model minicpm_2_4b --folder DIR [--device cuda]
    python scripts/full_size.py --model ettin_17m --folder DIR

The scores mean nothing; time and memory do. Weights are drawn on the device, and written in bfloat16. What the models
are and which tokenizers they have is in scripts/published_sizes.py and scripts/cpu_sizes.py.
"""

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from cpu_sizes import CPU_SIZES
from published_sizes import SIZES, Config, Size
from safetensors.torch import save_file

_SPREAD = 0.02
_SHARD_BYTES = 4 << 30


def write(size: Size, folder: Path, *, device: str = "cpu") -> Path:
    """The checkpoint in a folder, sharded; config.json is written last, so that a folder with one is whole."""
    if (folder / "config.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in size.tokenizer().files.items():
        (folder / name).write_bytes(content)
    shapes = shapes_of(size)
    generator = torch.Generator(device).manual_seed(0)
    index: dict[str, str] = {}
    for number, names in enumerate(_shards(shapes), start=1):
        file = f"model-{number:05}.safetensors"
        _save({name: shapes[name] for name in names}, folder / file, size, generator)
        index |= dict.fromkeys(names, file)
    _write_modules(size, folder, generator)
    _write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": index})
    _write_json(folder / "config.json", size.config)
    return folder


def _write_modules(size: Size, folder: Path, generator: torch.Generator) -> None:
    files, layers = size.modules(size.config)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        if isinstance(content, str):
            (folder / name).write_text(content, encoding="utf-8")
        else:
            _write_json(folder / name, content)
    for name, shapes in layers.items():
        _save(shapes, folder / name / "model.safetensors", size, generator)


def _save(shapes: Mapping[str, tuple[int, ...]], file: Path, size: Size, generator: torch.Generator) -> None:
    tensors = {name: _drawn(name, shape, size, generator).cpu() for name, shape in shapes.items()}
    save_file(tensors, file, metadata={"format": "pt"})


def shapes_of(size: Size) -> dict[str, tuple[int, ...]]:
    """The tensors of a model, without the layers of its modules."""
    return _decoder_shapes(size.config) if size.decoder else _encoder_shapes(size.config)


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
    scores = "num_labels" in config or "id2label" in config
    return found | ({"score.weight": (1, hidden)} if scores else {})


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


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Write one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=[*SIZES, *CPU_SIZES], required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    write({**SIZES, **CPU_SIZES}[options.model], options.folder, device=options.device)


if __name__ == "__main__":
    main()
