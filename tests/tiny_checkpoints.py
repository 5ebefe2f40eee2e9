"""Tiny checkpoints with random weights, in the layout in which each model is published.

    folder = write_minicpm_reranker(tmp_path / "model", seed=1, num_hidden_layers=2)

Keys of config.json, names, dtypes and sharding of tensors, and tokenizer files are those of the publishers; sizes are
not. `sizes` replace keys of config.json. The same arguments write the same bytes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tiny_tokenizers
import torch
from safetensors.torch import save_file
from tiny_tokenizers import TinyTokenizer

Config = dict[str, Any]
Shapes = dict[str, tuple[int, ...]]

_MINICPM: Config = {
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 32,
    "initializer_range": 0.1,
    "intermediate_size": 64,
    "max_position_embeddings": 2048,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.36.0",
    "use_cache": True,
    "scale_emb": 12,
    "dim_model_base": 8,
    "scale_depth": 1.4,
}
_MINICPM_CODE = {
    "AutoConfig": "configuration_minicpm.MiniCPMConfig",
    "AutoModel": "modeling_minicpm.MiniCPMModel",
    "AutoModelForCausalLM": "modeling_minicpm.MiniCPMForCausalLM",
    "AutoModelForSequenceClassification": "modeling_minicpm.MiniCPMForSequenceClassification",
}
_GEMMA: Config = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "head_dim": 8,
    "hidden_size": 24,
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "max_position_embeddings": 8192,
    "num_attention_heads": 4,
    "pad_token_id": 0,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "torch_dtype": "float32",
    "use_cache": True,
}
_ENCODER: Config = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 32,
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "torch_dtype": "float32",
}
_ONE_LABEL: Config = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
_XLM_ROBERTA: Config = {
    "architectures": ["XLMRobertaForSequenceClassification"],
    "bos_token_id": 0,
    "classifier_dropout": None,
    "eos_token_id": 2,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 1026,
    "output_past": True,
    "pad_token_id": 1,
    "position_embedding_type": "absolute",
    "type_vocab_size": 1,
}
_BERT: Config = {
    "classifier_dropout": None,
    "gradient_checkpointing": False,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "use_cache": True,
}


def write_minicpm_reranker(folder: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """openbmb/MiniCPM-Reranker: no model_type, bidirectional, two shards, sentencepiece alone."""
    named = {"architectures": ["MiniCPMForSequenceClassification"], "auto_map": _MINICPM_CODE}
    config = _MINICPM | named | {"is_causal": False, "num_labels": 1} | sizes
    return _write_minicpm(folder, config, seed=seed, shards=2)


def write_minicpm_reranker_light(folder: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """openbmb/MiniCPM-Reranker-Light: grouped key heads and longrope, whose two lists are the same."""
    named = {"architectures": ["MiniCPMForSequenceClassification"], "auto_map": _MINICPM_CODE, "model_type": "minicpm"}
    own = {"is_causal": False, "num_labels": 1, "num_key_value_heads": 2, "max_position_embeddings": 4096}
    config = _MINICPM | named | own
    planes = (config | sizes)["hidden_size"] // (config | sizes)["num_attention_heads"] // 2
    factors = [round(1.0004 + 0.15 * plane**2, 4) for plane in range(planes)]
    config["rope_scaling"] = {
        "type": "longrope",
        "long_factor": factors,
        "short_factor": factors,
        "original_max_position_embeddings": 2048,
    }
    return _write_minicpm(folder, config | sizes, seed=seed)


def write_minicpm_embedding(folder: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """openbmb/MiniCPM-Embedding: names without `model.`, no head."""
    named = {"architectures": ["MiniCPM"], "auto_map": _MINICPM_CODE}
    own = {"is_causal": False, "max_position_embeddings": 512, "use_cache": False}
    config = _sized(_MINICPM | named | own | sizes, tiny_tokenizers.minicpm())
    shapes = {name.removeprefix("model."): shape for name, shape in _decoder_shapes(config).items()}
    return _write(folder, config, tiny_tokenizers.minicpm(), shapes, seed=seed, shards=2)


def write_minicpm_layerwise(folder: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """BAAI/bge-reranker-v2-minicpm-layerwise: one head for every layer from `start_layer` to the last."""
    code = {
        "AutoConfig": "configuration_minicpm_reranker.LayerWiseMiniCPMConfig",
        "AutoModel": "modeling_minicpm_reranker.LayerWiseMiniCPMModel",
        "AutoModelForCausalLM": "modeling_minicpm_reranker.LayerWiseMiniCPMForCausalLM",
    }
    named = {"architectures": ["LayerWiseMiniCPMForCausalLM"], "auto_map": code, "model_type": "minicpm"}
    heads = {"head_multi": True, "head_type": "simple", "start_layer": 1}
    plain = {"attention_bias": False, "attention_dropout": 0.0, "pretraining_tp": 1, "rope_theta": 10000.0}
    own = plain | {"torch_dtype": "float32", "transformers_version": "4.38.1", "use_cache": False}
    config = _sized(_MINICPM | named | heads | own | sizes, tiny_tokenizers.llama())
    shapes = _decoder_shapes(config) | _layer_heads(config)
    return _write(folder, config, tiny_tokenizers.llama(), shapes, seed=seed, shards=3)


def write_gemma_reranker(folder: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """BAAI/bge-reranker-v2-gemma: one key head, tied output layer, the activation under its older name."""
    named = {"architectures": ["GemmaForCausalLM"], "model_type": "gemma", "transformers_version": "4.38.1"}
    own = {"hidden_act": "gelu", "num_hidden_layers": 2, "num_key_value_heads": 1, "rope_scaling": None}
    config = _sized(_GEMMA | named | own | sizes, tiny_tokenizers.gemma())
    shapes = _decoder_shapes(config)
    return _write(folder, config, tiny_tokenizers.gemma(), shapes, seed=seed, shards=3, norm_centre=0.0)


def write_gemma2_lightweight(folder: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """BAAI/bge-reranker-v2.5-gemma2-lightweight; soft-caps small enough that they matter."""
    code = {
        "AutoConfig": "gemma_config.CostWiseGemmaConfig",
        "AutoModel": "gemma_model.CostWiseGemmaModel",
        "AutoModelForCausalLM": "gemma_model.CostWiseGemmaForCausalLM",
    }
    named = {"architectures": ["CostWiseGemmaForCausalLM"], "auto_map": code, "model_type": "cost_wise_gemma"}
    own = {
        "attn_logit_softcapping": 4.0,
        "cache_implementation": "hybrid",
        "final_logit_softcapping": 6.0,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh",
        "layer_sep": 1,
        "layer_wise": True,
        "num_hidden_layers": 5,
        "num_key_value_heads": 2,
        "query_pre_attn_scalar": 8,
        "sliding_window": 4096,
        "sliding_window_size": 4096,
        "start_layer": 2,
        "transformers_version": "4.42.4",
    }
    config = _sized(_GEMMA | named | own | sizes, tiny_tokenizers.gemma())
    shapes = _decoder_shapes(config) | _layer_heads(config)
    for layer in range(config["num_hidden_layers"]):
        for norm in ("pre_feedforward_layernorm", "post_feedforward_layernorm"):
            shapes[f"model.layers.{layer}.{norm}.weight"] = (config["hidden_size"],)
    return _write(folder, config, tiny_tokenizers.gemma(), shapes, seed=seed, shards=4, norm_centre=0.0)


def write_qwen3_reranker(folder: Path, *, seed: int = 0, tied: bool = True, **sizes: Any) -> Path:
    """Qwen/Qwen3-Reranker: tied as 0.6B, in one file; untied as 8B, in shards, with an output layer of its own."""
    tokenizer = tiny_tokenizers.qwen()
    config, shapes = _qwen3(tokenizer, {"tie_word_embeddings": tied} | sizes)
    if not tied:
        shapes["lm_head.weight"] = shapes["model.embed_tokens.weight"]
    return _write(folder, config, tokenizer, shapes, seed=seed, shards=1 if tied else 2)


def write_jina_listwise(folder: Path, *, seed: int = 0, width: int = 24, **sizes: Any) -> Path:
    """jinaai/jina-reranker-v3: Qwen3 without an output layer and a projector to `width`, which config.json lacks."""
    tokenizer = tiny_tokenizers.qwen("<|embed_token|>", "<|rerank_token|>")
    named = {"architectures": ["JinaForRanking"], "auto_map": {"AutoModel": "modeling.JinaForRanking"}}
    config, shapes = _qwen3(tokenizer, named | sizes)
    inner = config["hidden_size"] // 2
    shapes |= {"projector.0.weight": (inner, config["hidden_size"]), "projector.2.weight": (width, inner)}
    return _write(folder, config, tokenizer, shapes, seed=seed)


def _qwen3(tokenizer: TinyTokenizer, own: Config) -> tuple[Config, Shapes]:
    """config.json and the tensors below the head."""
    config: Config = {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "head_dim": 16,
        "hidden_act": "silu",
        "hidden_size": 32,
        "initializer_range": 0.02,
        "intermediate_size": 64,
        "max_position_embeddings": 40960,
        "max_window_layers": 2,
        "model_type": "qwen3",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "transformers_version": "4.51.3",
        "use_cache": True,
        "use_sliding_window": False,
    }
    special = {"bos_token_id": tokenizer.ids["<|endoftext|>"], "eos_token_id": tokenizer.ids["<|im_end|>"]}
    config = _sized(config | special | own, tokenizer)
    shapes = _decoder_shapes(config)
    for layer in range(config["num_hidden_layers"]):
        for norm in ("q_norm", "k_norm"):
            shapes[f"model.layers.{layer}.self_attn.{norm}.weight"] = (config["head_dim"],)
    return config, shapes


def write_xlm_roberta_reranker(folder: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """BAAI/bge-reranker-v2-m3, in the names of transformers."""
    named = {"model_type": "xlm-roberta", "transformers_version": "4.38.1", "use_cache": True}
    config = _sized(_ENCODER | _XLM_ROBERTA | _ONE_LABEL | named | sizes, tiny_tokenizers.xlm_roberta(8192))
    shapes = _bert_shapes(config, "roberta.") | _roberta_classifier(config)
    return _write(folder, config, tiny_tokenizers.xlm_roberta(8192), shapes, seed=seed)


def write_jina_reranker(folder: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """jinaai/jina-reranker-v2-base-multilingual: no model_type, fused queries, keys and values."""
    code = {
        "AutoConfig": "configuration_xlm_roberta.XLMRobertaFlashConfig",
        "AutoModel": "modeling_xlm_roberta.XLMRobertaModel",
        "AutoModelForSequenceClassification": "modeling_xlm_roberta.XLMRobertaForSequenceClassification",
    }
    named = {"auto_map": code, "transformers_version": "4.40.0", "torch_dtype": "bfloat16"}
    own = {"emb_pooler": None, "truncate_dim": None, "use_cache": False, "use_flash_attn": True}
    config = _sized(_ENCODER | _XLM_ROBERTA | _ONE_LABEL | named | own | sizes, tiny_tokenizers.xlm_roberta(1024))
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes = _tables(config, "roberta.embeddings.") | _norm("roberta.emb_ln", width) | _roberta_classifier(config)
    for layer in range(config["num_hidden_layers"]):
        below = f"roberta.encoder.layers.{layer}."
        shapes |= _linear(f"{below}mixer.Wqkv", width, 3 * width) | _linear(f"{below}mixer.out_proj", width, width)
        shapes |= _linear(f"{below}mlp.fc1", width, inner) | _linear(f"{below}mlp.fc2", inner, width)
        shapes |= _norm(f"{below}norm1", width) | _norm(f"{below}norm2", width)
    return _write(folder, config, tiny_tokenizers.xlm_roberta(1024), shapes, seed=seed)


def write_gte_reranker(folder: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """Alibaba-NLP/gte-multilingual-reranker-base: model_type `new`, gated inner layer, NTK rotary positions."""
    code = {
        "AutoConfig": "Alibaba-NLP/new-impl--configuration.NewConfig",
        "AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel",
        "AutoModelForSequenceClassification": "Alibaba-NLP/new-impl--modeling.NewForSequenceClassification",
    }
    named = {"architectures": ["NewForSequenceClassification"], "auto_map": code, "model_type": "new"}
    own = {
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout": 0.0,
        "layer_norm_eps": 1e-12,
        "layer_norm_type": "layer_norm",
        "logn_attention_clip1": False,
        "logn_attention_scale": False,
        "max_position_embeddings": 8192,
        "pack_qkv": True,
        "pad_token_id": 1,
        "position_embedding_type": "rope",
        "rope_scaling": {"factor": 8.0, "type": "ntk"},
        "rope_theta": 20000,
        "torch_dtype": "float16",
        "transformers_version": "4.39.1",
        "type_vocab_size": 1,
        "unpad_inputs": False,
        "use_memory_efficient_attention": False,
    }
    config = _sized(_ENCODER | _ONE_LABEL | named | own | sizes, tiny_tokenizers.xlm_roberta(8192))
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes = _tables(config, "new.embeddings.") | _norm("new.embeddings.LayerNorm", width)
    del shapes["new.embeddings.position_embeddings.weight"]
    for layer in range(config["num_hidden_layers"]):
        below = f"new.encoder.layer.{layer}."
        shapes |= _linear(f"{below}attention.qkv_proj", width, 3 * width)
        shapes |= _linear(f"{below}attention.o_proj", width, width)
        shapes |= {f"{below}mlp.up_gate_proj.weight": (2 * inner, width)}
        shapes |= _linear(f"{below}mlp.down_proj", inner, width)
        shapes |= _norm(f"{below}attn_ln", width) | _norm(f"{below}mlp_ln", width)
    shapes |= _linear("new.pooler.dense", width, width) | _linear("classifier", width, 1)
    return _write(folder, config, tiny_tokenizers.xlm_roberta(8192), shapes, seed=seed)


def write_bert_reranker(folder: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """cross-encoder/ms-marco-MiniLM: raw logits."""
    named = {"architectures": ["BertForSequenceClassification"], "transformers_version": "4.49.0"}
    activation = {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}
    config = _sized(_ENCODER | _BERT | _ONE_LABEL | named | activation | sizes, tiny_tokenizers.bert())
    width = config["hidden_size"]
    shapes = _bert_shapes(config, "bert.") | _linear("bert.pooler.dense", width, width)
    shapes |= _linear("classifier", width, 1)
    shapes["bert.embeddings.position_ids"] = (1, config["max_position_embeddings"])
    return _write(folder, config, tiny_tokenizers.bert(), shapes, seed=seed)


def write_bert_embedder(folder: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """BAAI/bge-large-en-v1.5: names without a prefix, the first token's state at length 1."""
    named = {"architectures": ["BertModel"], "transformers_version": "4.30.0"}
    config = _sized(_ENCODER | _BERT | _ONE_LABEL | named | sizes, tiny_tokenizers.bert())
    width = config["hidden_size"]
    shapes = _bert_shapes(config, "") | _linear("pooler.dense", width, width)
    shapes["embeddings.position_ids"] = (1, config["max_position_embeddings"])
    pooling = {"word_embedding_dimension": width, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(kinds.items())
    ]
    _write(folder, config, tiny_tokenizers.bert(), shapes, seed=seed)
    _write_json(folder / "1_Pooling" / "config.json", pooling)
    _write_json(folder / "modules.json", modules)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": 512, "do_lower_case": True})
    return folder


def _write_minicpm(folder: Path, config: Config, *, seed: int, shards: int = 1) -> Path:
    config = _sized(config, tiny_tokenizers.minicpm())
    shapes = _decoder_shapes(config) | {"score.weight": (1, config["hidden_size"])}
    return _write(folder, config, tiny_tokenizers.minicpm(), shapes, seed=seed, shards=shards)


def _sized(config: Config, tokenizer: TinyTokenizer) -> Config:
    return {"vocab_size": len(tokenizer.ids)} | config


def _decoder_shapes(config: Config) -> Shapes:
    """The tensors that every Llama-like model has."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    size = config.get("head_dim", width // config["num_attention_heads"])
    queries, keys = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    shapes: Shapes = {"model.embed_tokens.weight": (config["vocab_size"], width), "model.norm.weight": (width,)}
    for layer in range(config["num_hidden_layers"]):
        below = f"model.layers.{layer}."
        shapes |= {f"{below}{norm}.weight": (width,) for norm in ("input_layernorm", "post_attention_layernorm")}
        shapes |= {f"{below}mlp.{name}_proj.weight": (inner, width) for name in ("gate", "up")}
        shapes |= {f"{below}mlp.down_proj.weight": (width, inner), f"{below}self_attn.q_proj.weight": (queries, width)}
        shapes |= {f"{below}self_attn.{name}_proj.weight": (keys, width) for name in ("k", "v")}
        shapes |= {f"{below}self_attn.o_proj.weight": (width, queries)}
    return shapes


def _layer_heads(config: Config) -> Shapes:
    count = config["num_hidden_layers"] - config["start_layer"] + 1
    return {f"lm_head.{head}.linear_head.weight": (1, config["hidden_size"]) for head in range(count)}


def _bert_shapes(config: Config, prefix: str) -> Shapes:
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes = _tables(config, f"{prefix}embeddings.") | _norm(f"{prefix}embeddings.LayerNorm", width)
    for layer in range(config["num_hidden_layers"]):
        below = f"{prefix}encoder.layer.{layer}."
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= _linear(f"{below}attention.{part}", width, width)
        shapes |= _norm(f"{below}attention.output.LayerNorm", width) | _norm(f"{below}output.LayerNorm", width)
        shapes |= _linear(f"{below}intermediate.dense", width, inner) | _linear(f"{below}output.dense", inner, width)
    return shapes


def _tables(config: Config, prefix: str) -> Shapes:
    counts = {
        "word": config["vocab_size"],
        "position": config["max_position_embeddings"],
        "token_type": config["type_vocab_size"],
    }
    return {f"{prefix}{name}_embeddings.weight": (count, config["hidden_size"]) for name, count in counts.items()}


def _roberta_classifier(config: Config) -> Shapes:
    width = config["hidden_size"]
    return _linear("classifier.dense", width, width) | _linear("classifier.out_proj", width, 1)


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _write(
    folder: Path,
    config: Config,
    tokenizer: TinyTokenizer,
    shapes: Shapes,
    *,
    seed: int,
    shards: int = 1,
    norm_centre: float = 1.0,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", config)
    for name, content in tokenizer.files.items():
        (folder / name).write_bytes(content)
    _write_weights(folder, _drawn(shapes, config, seed=seed, norm_centre=norm_centre), shards=shards)
    return folder


def _drawn(shapes: Shapes, config: Config, *, seed: int, norm_centre: float) -> dict[str, torch.Tensor]:
    """Matrices of standard deviation 0.3; norms and biases of 0.1, norms around `norm_centre`; position_ids count."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in sorted(shapes.items()):
        if name.endswith("position_ids"):
            tensors[name] = torch.arange(shape[1])[None]
            continue
        spread, centre = (0.3, 0.0) if len(shape) > 1 else (0.1, norm_centre * name.endswith(".weight"))
        tensor = torch.randn(shape, generator=generator) * spread + centre
        tensors[name] = tensor.to(getattr(torch, config["torch_dtype"]))
    return tensors


def _write_weights(folder: Path, tensors: Mapping[str, torch.Tensor], *, shards: int) -> None:
    if shards == 1:
        save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
        return
    files = [f"model-{shard + 1:05}-of-{shards:05}.safetensors" for shard in range(shards)]
    of_tensor = {name: files[place * shards // len(tensors)] for place, name in enumerate(tensors)}
    for file in files:
        own = {name: tensor for name, tensor in tensors.items() if of_tensor[name] == file}
        save_file(own, folder / file, metadata={"format": "pt"})
    size = sum(tensor.nbytes for tensor in tensors.values())
    _write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": of_tensor})


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
