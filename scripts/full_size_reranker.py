"""Does a reranker of the published size load and score, how fast, and in how much memory?

Writes a checkpoint with random weights in the published layout (MiniCPM-Reranker: 2.7 billion parameters, 5.5 GB in
bfloat16; bge-reranker-v2-gemma: 2.5 billion) and scores pairs with it. The scores mean nothing; time and memory do.

    python scripts/full_size_reranker.py --family minicpm --folder DIR --tokenizer DIR --device cuda

then, against peers, `scripts/benchmark_rerank.py --family minicpm --model DIR`. A bge-reranker-v2-m3 of full size is
`scripts/benchmark_rerank.py --xlmr --layers 24 --hidden 1024`.
"""

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from evalkit import Pair, load_reranker
from evalkit.models.packing import contents

MINICPM = {
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
    "torch_dtype": "bfloat16",
    "vocab_size": 122753,
    "scale_emb": 12,
    "dim_model_base": 256,
    "scale_depth": 1.4,
}
GEMMA = {
    "architectures": ["GemmaForCausalLM"],
    "model_type": "gemma",
    "bos_token_id": 2,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "head_dim": 256,
    "hidden_act": "gelu",
    "hidden_size": 2048,
    "intermediate_size": 16384,
    "max_position_embeddings": 8192,
    "num_attention_heads": 8,
    "num_hidden_layers": 18,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "torch_dtype": "float32",
    "vocab_size": 256000,
}
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json")
# Config, the published name of `reranker=`, and what its norms multiply by where the stored weight is this.
FAMILIES = {"minicpm": (MINICPM, "minicpm_reranker", 1.0), "gemma": (GEMMA, "bge_reranker_v2_gemma", 0.0)}


def shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every published tensor."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    width = config.get("head_dim", hidden // config["num_attention_heads"])
    heads, key_heads = config["num_attention_heads"] * width, config["num_key_value_heads"] * width
    found = {"model.embed_tokens.weight": (config["vocab_size"], hidden), "model.norm.weight": (hidden,)}
    for layer in range(config["num_hidden_layers"]):
        block = f"model.layers.{layer}."
        found[f"{block}self_attn.q_proj.weight"] = (heads, hidden)
        found |= {f"{block}self_attn.{part}_proj.weight": (key_heads, hidden) for part in "kv"}
        found[f"{block}self_attn.o_proj.weight"] = (hidden, heads)
        found |= {f"{block}mlp.{part}_proj.weight": (inner, hidden) for part in ("gate", "up")}
        found[f"{block}mlp.down_proj.weight"] = (hidden, inner)
        found |= {f"{block}{norm}_layernorm.weight": (hidden,) for norm in ("input", "post_attention")}
    return found | ({"score.weight": (1, hidden)} if "num_labels" in config else {})


def write(folder: Path, tokenizer: Path, family: str) -> None:
    """A checkpoint in two shards with random weights."""
    config, _, norm = FAMILIES[family]
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    shards: list[dict[str, torch.Tensor]] = [{}, {}]
    names = shapes(config)
    for place, (name, shape) in enumerate(names.items()):
        tensor = torch.empty(shape, dtype=torch.bfloat16)
        shards[place * 2 // len(names)][name] = tensor.fill_(norm) if "norm" in name else tensor.normal_(std=0.02)
    index = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / file)
        index |= dict.fromkeys(shard, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    for name in TOKENIZER_FILES:
        if (tokenizer / name).is_file():
            (folder / name).write_bytes((tokenizer / name).read_bytes())
    (folder / "config.json").write_text(json.dumps(config))


def main() -> None:
    """Write, load, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, default="minicpm")
    parser.add_argument("--folder", type=Path, required=True, help="where the checkpoint is written, 5.5 GB")
    parser.add_argument("--tokenizer", type=Path, required=True, help="a folder with a tokenizer of the family")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--attention", default="auto")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--words", type=int, default=60, help="of a document")
    options = parser.parse_args()
    if not (options.folder / "config.json").is_file():
        write(options.folder, options.tokenizer, options.family)
    compute = {"device": options.device, "dtype": options.dtype, "attention": options.attention, "batch_tokens": None}
    _, name, _ = FAMILIES[options.family]
    # A random model has no use for an instruction, and MiniCPM-Reranker asks which.
    settings = {"instructions": "none"} if options.family == "minicpm" else {}
    start = time.perf_counter()
    reranker = load_reranker(name, model=options.folder, compute=compute, **settings)
    reranker.score([Pair("warm", "up")])
    loaded = time.perf_counter() - start
    pairs = [Pair(f"what is number {row}?", f"number {row} " * options.words) for row in range(options.pairs)]
    tokens = int(reranker.tokenize(pairs).lengths.sum())
    start = time.perf_counter()
    scores = reranker.score(pairs).scores
    seconds = time.perf_counter() - start
    facts = {
        "parameters": contents(reranker.model).parameters,
        "load_seconds": round(loaded, 1),
        "pairs_per_second": round(len(pairs) / seconds, 2),
        "tokens_per_second": round(tokens / seconds),
        "peak_host_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "finite": bool(torch.isfinite(torch.from_numpy(scores)).all()),
        "different": len(set(scores.tolist())),
    }
    if torch.cuda.is_available():
        facts["peak_device_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
