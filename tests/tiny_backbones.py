"""Small random models of transformers of every kind that the engine takes apart, and texts to run through them."""

import numpy as np
import torch
import transformers

from evalkit.inference.packed import pack

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

MODELS = {
    "Bert": {**SIZES, "type_vocab_size": 2},
    "Camembert": {**SIZES, "pad_token_id": 1, "type_vocab_size": 1},
    "Roberta": {**SIZES, "pad_token_id": 1, "type_vocab_size": 1},
    "XLMRoberta": {**SIZES, "pad_token_id": 1, "type_vocab_size": 1},
    "Gte": {**SIZES, "type_vocab_size": 1},
    # The last of its three layers sees only the tokens near each one.
    "ModernBert": {**SIZES, "pad_token_id": 0, "local_attention": 4, "global_attn_every_n_layers": 3},
    "Gemma": GROUPED,
    "Gemma2": {**GROUPED, **GEMMA2},
    "Granite": {**{key: value for key, value in GROUPED.items() if key != "head_dim"}, **GRANITE},
    "Llama": GROUPED,
    "Mistral": {**GROUPED, "sliding_window": None},
    "Qwen2": {key: value for key, value in GROUPED.items() if key != "head_dim"},
    "Qwen3": GROUPED,
}
ENCODERS = ("Bert", "Camembert", "Roberta", "XLMRoberta", "Gte", "ModernBert")
POOLED = ENCODERS[:-2]
DECODERS = tuple(name for name in MODELS if name not in ENCODERS)

TEXTS = [[3, 17, 42, 9, 5, 30, 8, 11], [3, 9, 9, 5], [3, 21, 6, 5], [3, 5], [7]]


def made(name: str):
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**MODELS[name], attn_implementation="eager")
    extra = {"add_pooling_layer": False} if name in POOLED else {}
    return getattr(transformers, f"{name}Model")(config, **extra).eval()


def states_of(model, text: list[int]) -> np.ndarray:
    with torch.no_grad():
        return model(input_ids=torch.tensor([text])).last_hidden_state[0].numpy()


def packed(texts: list[list[int]]):
    sequences = [np.array(text, dtype=np.int32) for text in texts]
    return pack(sequences, [np.zeros_like(sequence) for sequence in sequences])
