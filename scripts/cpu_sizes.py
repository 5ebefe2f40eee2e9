"""Rerankers of published sizes that a CPU can run: module chains, classifiers, answer words and late interaction.

All read the words of all-MiniLM-L6-v2's tokenizer, so that texts have about as many tokens as in the published models;
the embeddings have the published number of rows. Of models too large for a CPU there are the first layers alone.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from benchmark_inputs import MINI_LM
from published_sizes import BFLOAT16, MODERN_BERT, ONE_LABEL, QWEN3, Config, Modules, Size
from tiny_tokenizers import TinyTokenizer
from tokenizers import AddedToken, Tokenizer

from evalkit.config.resources import read_config
from evalkit.models.checkpoint import resolve

_CHAT_TOKENS = ("<|im_start|>", "<|im_end|>", "<think>", "</think>")
_MARKS = ("[Q] ", "[D] ")
_TRANSFORMER = ("", "base.modules.transformer.Transformer")
_DENSE = "base.modules.dense.Dense"
_PROMPT = "Given a web search query, retrieve relevant passages that answer the query"
# That of qwen3_reranker_0_6b_seq_cls, which is also read without a system message.
_QWEN3_TEMPLATE = read_config("reranker", "qwen3_reranker_0_6b_seq_cls")["template"].replace(
    "| first).content", "| map(attribute='content') | first | default(''))"
)


def _words(*more: str, special: bool = True, **settings: Any) -> TinyTokenizer:
    """The tokenizer of all-MiniLM-L6-v2, with more tokens and other settings."""
    tokenizer = Tokenizer.from_file(str(resolve(MINI_LM).path / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.add_tokens([AddedToken(token, normalized=not special, special=special) for token in more])
    stored = {
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 512,
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "[UNK]",
        **settings,
    }
    files = {"tokenizer.json": tokenizer.to_str(), "tokenizer_config.json": json.dumps(stored, indent=1)}
    return TinyTokenizer(tokenizer.get_vocab(), {name: text.encode() for name, text in files.items()})


def _chat_words() -> TinyTokenizer:
    return _words(*_CHAT_TOKENS, model_max_length=8192)


def _marked_words() -> TinyTokenizer:
    return _words(*_MARKS, special=False, pad_token="[MASK]")  # noqa: S106 - as PyLate stores it


def _listed(*modules: tuple[str, str]) -> list[dict[str, Any]]:
    """`modules.json` of folders and classes."""
    return [
        {
            "idx": place,
            "name": str(place),
            "path": path,
            "type": kind if "pylate" in kind else f"sentence_transformers.{kind}",
        }
        for place, (path, kind) in enumerate(modules)
    ]


def _reads(task: str, output: str, module_output: str, *, chat: bool = False) -> dict[str, Any]:
    """`sentence_bert_config.json`: what the transformer is loaded for, and whether it is given messages."""
    way: dict[str, Any] = {"method": "forward", "method_output_name": output}
    modality = {"text": way, **({"message": way | {"format": "flat"}} if chat else {})}
    return {"transformer_task": task, "modality_config": modality, "module_output_name": module_output}


def _asks(*, prompt: str | None = None) -> dict[str, Any]:
    """`config_sentence_transformers.json` of a CrossEncoder."""
    return {
        "activation_fn": "torch.nn.modules.linear.Identity",
        "default_prompt_name": "query" if prompt else None,
        "model_type": "CrossEncoder",
        "prompts": {"query": prompt} if prompt else {},
    }


def _dense(inner: int, outer: int, activation: str, output: str, *, bias: bool) -> dict[str, Any]:
    return {
        "in_features": inner,
        "out_features": outer,
        "bias": bias,
        "activation_function": f"torch.nn.modules.{activation}",
        "module_input_name": "sentence_embedding",
        "module_output_name": output,
    }


def _ettin_head(config: Config) -> Modules:
    """Pooling of the first token, Dense with GELU, LayerNorm, Dense to one score."""
    hidden = config["hidden_size"]
    pooling, norm = "sentence_transformer.modules.pooling.Pooling", "sentence_transformer.modules.layer_norm.LayerNorm"
    files = {
        "modules.json": _listed(
            _TRANSFORMER, ("1_Pooling", pooling), ("2_Dense", _DENSE), ("3_LayerNorm", norm), ("4_Dense", _DENSE)
        ),
        "sentence_bert_config.json": _reads("feature-extraction", "last_hidden_state", "token_embeddings"),
        "config_sentence_transformers.json": _asks(),
        "1_Pooling/config.json": {"embedding_dimension": hidden, "pooling_mode": "cls", "include_prompt": True},
        "2_Dense/config.json": _dense(hidden, hidden, "activation.GELU", "sentence_embedding", bias=False),
        "3_LayerNorm/config.json": {"dimension": hidden},
        "4_Dense/config.json": _dense(hidden, 1, "linear.Identity", "scores", bias=True),
    }
    layers = {
        "2_Dense": {"linear.weight": (hidden, hidden)},
        "3_LayerNorm": {"norm.weight": (hidden,), "norm.bias": (hidden,)},
        "4_Dense": {"linear.weight": (1, hidden), "linear.bias": (1,)},
    }
    return Modules(files, layers)


def _chat_classifier(config: Config) -> Modules:
    del config
    return Modules(
        {
            "modules.json": _listed(_TRANSFORMER),
            "sentence_bert_config.json": _reads("sequence-classification", "logits", "scores", chat=True),
            "config_sentence_transformers.json": _asks(prompt=_PROMPT),
            "chat_template.jinja": _QWEN3_TEMPLATE,
        }
    )


def _answers(config: Config) -> Modules:
    """LogitScore: the logit of `yes` less that of `no` after the prompt."""
    del config
    ids = _chat_words().ids
    return Modules(
        {
            "modules.json": _listed(_TRANSFORMER, ("1_LogitScore", "cross_encoder.modules.logit_score.LogitScore")),
            "sentence_bert_config.json": _reads("text-generation", "logits", "causal_logits", chat=True),
            "config_sentence_transformers.json": _asks(prompt=_PROMPT),
            "1_LogitScore/config.json": {"true_token_id": ids["yes"], "false_token_id": ids["no"]},
            "chat_template.jinja": _QWEN3_TEMPLATE,
        }
    )


def _projection(width: int) -> Callable[[Config], Modules]:
    """Late interaction in PyLate's layout: vectors of so many numbers."""

    def made(config: Config) -> Modules:
        hidden = config["hidden_size"]
        dense = {"in_features": hidden, "out_features": width, "bias": False, "use_residual": False}
        files = {
            "modules.json": _listed(("", "models.Transformer"), ("1_Dense", "pylate.models.Dense.Dense")),
            "sentence_bert_config.json": {"max_seq_length": 512, "do_lower_case": False},
            "config_sentence_transformers.json": {
                "model_type": "ColBERT",
                "similarity_fn_name": "MaxSim",
                "query_prefix": _MARKS[0],
                "document_prefix": _MARKS[1],
                "query_length": 32,
                "document_length": 300,
                "attend_to_expansion_tokens": False,
            },
            "1_Dense/config.json": dense | {"activation_function": "torch.nn.modules.linear.Identity"},
        }
        return Modules(files, {"1_Dense": {"linear.weight": (width, hidden)}})

    return made


def _ettin(hidden: int, layers: int, heads: int, inner: int) -> Config:
    sizes = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
    }
    own = {"architectures": ["ModernBertModel"], "classifier_pooling": "cls", "cls_token_id": 101, "sep_token_id": 102}
    return MODERN_BERT | BFLOAT16 | own | sizes


_DEBERTA_V3: Config = {
    "architectures": ["DebertaV2ForSequenceClassification"],
    "model_type": "deberta-v2",
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-7,
    "max_position_embeddings": 512,
    "max_relative_positions": -1,
    "norm_rel_ebd": "layer_norm",
    "pad_token_id": 0,
    "pooler_dropout": 0,
    "pooler_hidden_act": "gelu",
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "position_buckets": 256,
    "relative_attention": True,
    "share_att_key": True,
    "type_vocab_size": 0,
    "vocab_size": 128_100,
    **ONE_LABEL,
    **BFLOAT16,
}
_XSMALL = {"hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 6, "num_hidden_layers": 12}
_SMALL = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 6}
_MISTRAL: Config = {
    "architectures": ["MistralForSequenceClassification"],
    "model_type": "mistral",
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "max_position_embeddings": 32_768,
    "num_attention_heads": 32,
    "num_hidden_layers": 2,
    "num_key_value_heads": 8,
    "pad_token_id": 0,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10_000.0,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "vocab_size": 32_000,
    **ONE_LABEL,
    **BFLOAT16,
}
_QWEN3_6_LAYERS = QWEN3 | BFLOAT16 | {"num_hidden_layers": 6, "pad_token_id": 0}
_BERT: Config = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": 384,
    "intermediate_size": 1536,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "type_vocab_size": 2,
    "vocab_size": 30_524,
    **BFLOAT16,
}


CPU_SIZES: Mapping[str, Size] = {
    "ettin_17m": Size("auto", _ettin(256, 7, 4, 384), _words, modules=_ettin_head),
    "ettin_32m": Size("auto", _ettin(384, 10, 6, 576), _words, modules=_ettin_head),
    "ettin_150m": Size("auto", _ettin(768, 22, 12, 1152), _words, modules=_ettin_head),
    "deberta_v3_xsmall": Size("auto", _DEBERTA_V3 | _XSMALL, _words),
    "deberta_v3_small": Size("auto", _DEBERTA_V3 | _SMALL, _words),
    "qwen3_0_6b_classifier_6_layers": Size(
        "auto",
        _QWEN3_6_LAYERS | ONE_LABEL | {"architectures": ["Qwen3ForSequenceClassification"]},
        _chat_words,
        modules=_chat_classifier,
    ),
    "qwen3_0_6b_answers_6_layers": Size("auto", _QWEN3_6_LAYERS, _chat_words, modules=_answers),
    "mistral_7b_classifier_2_layers": Size("auto", _MISTRAL, _words),
    "colbert_small": Size("auto", _BERT, _marked_words, modules=_projection(96)),
    "colbert_ettin_17m": Size("auto", _ettin(256, 7, 4, 384), _marked_words, modules=_projection(128)),
}
