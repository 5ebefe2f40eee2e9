"""Does a MiniCPM-Reranker of the published size load and score, how fast, and in how much memory?

Writes a checkpoint with random weights in the published layout (2.7 billion parameters, 5.5 GB in bfloat16) and scores
pairs with it. The scores mean nothing; time and memory do.

    python scripts/full_size_minicpm.py --folder DIR --tokenizer FILE.model --device cuda --dtype float16
"""

import argparse
import json
import resource
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from evalkit import Pair, load_reranker

CONFIG = {
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


def shapes() -> dict[str, tuple[int, ...]]:
    """Name -> shape of every published tensor."""
    hidden, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    found = {"model.embed_tokens.weight": (CONFIG["vocab_size"], hidden), "model.norm.weight": (hidden,)}
    for layer in range(CONFIG["num_hidden_layers"]):
        block = f"model.layers.{layer}."
        found |= {f"{block}self_attn.{part}_proj.weight": (hidden, hidden) for part in "qkvo"}
        found |= {f"{block}mlp.{part}_proj.weight": (inner, hidden) for part in ("gate", "up")}
        found[f"{block}mlp.down_proj.weight"] = (hidden, inner)
        found |= {f"{block}{norm}_layernorm.weight": (hidden,) for norm in ("input", "post_attention")}
    return found | {"score.weight": (1, hidden)}


def write(folder: Path, tokenizer: Path) -> None:
    """A checkpoint in two shards with random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    shards: list[dict[str, torch.Tensor]] = [{}, {}]
    names = shapes()
    for place, (name, shape) in enumerate(names.items()):
        tensor = torch.empty(shape, dtype=torch.bfloat16)
        shards[place * 2 // len(names)][name] = tensor.fill_(1) if "norm" in name else tensor.normal_(std=0.02)
    index = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / file)
        index |= dict.fromkeys(shard, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.model").write_bytes(tokenizer.read_bytes())


def main() -> None:
    """Write, load, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the checkpoint is written, 5.5 GB")
    parser.add_argument("--tokenizer", type=Path, required=True, help="any tokenizer.model of a Llama type")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--attention", default="auto")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--words", type=int, default=60, help="of a document")
    options = parser.parse_args()
    if not (options.folder / "config.json").is_file():
        write(options.folder, options.tokenizer)
    compute = {"device": options.device, "dtype": options.dtype, "attention": options.attention, "batch_tokens": 16384}
    start = time.perf_counter()
    reranker = load_reranker("minicpm_reranker", model=options.folder, instructions="none", compute=compute)
    reranker.score([Pair("warm", "up")])
    loaded = time.perf_counter() - start
    pairs = [Pair(f"what is number {row}?", f"number {row} " * options.words) for row in range(options.pairs)]
    tokens = int(reranker.tokenize(pairs).lengths.sum())
    start = time.perf_counter()
    scores = reranker.score(pairs).scores
    seconds = time.perf_counter() - start
    facts = {
        "parameters": sum(parameter.numel() for parameter in reranker.model.parameters()),
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
