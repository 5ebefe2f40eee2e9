"""Small random models of transformers of every kind that the engine takes apart, and texts to run through them."""

import numpy as np
import torch
import transformers

from evalkit.inference.packed import pack
from evalkit.models.classifier import Classifier

SIZES = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 64,
    "initializer_range": 0.4,
}
GROUPED = {**SIZES, "num_key_value_heads": 2, "head_dim": 6, "pad_token_id": 0}
GRANITE = {"embedding_multiplier": 3.0, "residual_multiplier": 0.6, "attention_multiplier": 0.3}
GEMMA2 = {"sliding_window": 4, "attn_logit_softcapping": 1.5, "query_pre_attn_scalar": 6}

# The last of its three layers sees all tokens.
GEMMA3 = {**GROUPED, "sliding_window": 4, "sliding_window_pattern": 3, "query_pre_attn_scalar": 6}

MODELS = {
    "Bert": {**SIZES, "type_vocab_size": 2},
    "Camembert": {**SIZES, "pad_token_id": 1, "type_vocab_size": 1},
    "Roberta": {**SIZES, "pad_token_id": 1, "type_vocab_size": 1},
    "XLMRoberta": {**SIZES, "pad_token_id": 1, "type_vocab_size": 1},
    "Gte": {**SIZES, "type_vocab_size": 1},
    # The last of its three layers sees only the tokens near each one.
    "ModernBert": {**SIZES, "pad_token_id": 0, "local_attention": 4, "global_attn_every_n_layers": 3},
    "Electra": {**SIZES, "embedding_size": 16},
    "DistilBert": {
        **{key: SIZES[key] for key in ("vocab_size", "max_position_embeddings", "initializer_range")},
        "dim": 24,
        "n_layers": 3,
        "n_heads": 4,
        "hidden_dim": 40,
    },
    # Four buckets for distances of up to 12: of a text of 8 tokens most distances share one.
    "DebertaV2": {
        **SIZES,
        "relative_attention": True,
        "position_buckets": 4,
        "max_relative_positions": 12,
        "type_vocab_size": 0,
        "pos_att_type": ["c2p", "p2c"],
        "position_biased_input": False,
        "norm_rel_ebd": "layer_norm",
    },
    "NomicBert": {**SIZES, "type_vocab_size": 2},
    "Gemma": GROUPED,
    "Gemma2": {**GROUPED, **GEMMA2},
    "Gemma3Text": GEMMA3,
    "Gemma3TextBothWays": {**GEMMA3, "use_bidirectional_attention": True},  # three tokens to each side
    "Granite": {**{key: value for key, value in GROUPED.items() if key != "head_dim"}, **GRANITE},
    "Llama": GROUPED,
    "Mistral": {**GROUPED, "sliding_window": 4},
    "Qwen2": {key: value for key, value in GROUPED.items() if key != "head_dim"},
    "Qwen3": GROUPED,
}
POOLED = ("Bert", "Camembert", "Roberta", "XLMRoberta")
ENCODERS = (*POOLED, "Gte", "ModernBert", "Electra", "DistilBert", "DebertaV2", "NomicBert", "Gemma3TextBothWays")
DECODERS = tuple(name for name in MODELS if name not in ENCODERS)

TEXTS = [[3, 17, 42, 9, 5, 30, 8, 11], [3, 9, 9, 5], [3, 21, 6, 5], [3, 5], [7]]


def made(name: str, **settings):
    torch.manual_seed(0)
    kind = name.removesuffix("BothWays")
    config = getattr(transformers, f"{kind}Config")(**{**MODELS[name], **settings}, attn_implementation="eager")
    extra = {"add_pooling_layer": False} if name in POOLED else {}
    return getattr(transformers, f"{kind}Model")(config, **extra).eval()


def classifier(name: str, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Classifier:
    """A scoring module over such a model, with a random head."""
    torch.manual_seed(1)
    kind = name.removesuffix("BothWays")
    config = getattr(transformers, f"{kind}Config")(**MODELS[name], num_labels=1, attn_implementation="eager")
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config)
    for own in model.parameters():  # also biases and norms, which would be 0 or 1
        torch.nn.init.normal_(own, std=0.4) if own.dim() > 1 else own.data.add_(torch.randn_like(own) * 0.2)
    return Classifier(model.to(dtype), None).eval().to(device)


def states_of(model, text: list[int]) -> np.ndarray:
    with torch.no_grad():
        return model(input_ids=torch.tensor([text])).last_hidden_state[0].numpy()


def packed(texts: list[list[int]]):
    sequences = [np.array(text, dtype=np.int32) for text in texts]
    return pack(sequences, [np.zeros_like(sequence) for sequence in sequences])
