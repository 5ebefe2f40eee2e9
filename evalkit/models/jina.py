"""jina-reranker-v2-base-multilingual (xlm-roberta-flash) as the XLMRobertaForSequenceClassification of transformers.

It is XLM-RoBERTa with absolute positions and norms behind each part, stored under the names of a FlashAttention
implementation, with query, key and value in one matrix.
"""

import re

from transformers import XLMRobertaConfig

from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.weights import Stored, third

# Part of a layer in transformers -> its stored name.
_NAMES = {
    "attention.output.dense": "mixer.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "output.LayerNorm": "norm2",
}


def config_of(checkpoint: Checkpoint, attention: str) -> XLMRobertaConfig:
    """The configuration with which transformers computes this model.

    Raises:
        ModelError: positions are not absolute ones: this is another model of the family.
    """
    raw = checkpoint.config
    checkpoint.require_sizes("max_position_embeddings", "type_vocab_size", "layer_norm_eps", "pad_token_id")
    positions = raw.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise ModelError(f"{checkpoint.path}/config.json: position_embedding_type={positions!r} is not supported.")
    fields = set(XLMRobertaConfig().to_dict()) | {"id2label", "label2id", "num_labels"}
    fields -= {"model_type", "dtype", "architectures", "transformers_version", "use_cache", "torch_dtype"}
    kept = {key: value for key, value in raw.items() if key in fields}
    return XLMRobertaConfig(**kept, attn_implementation=attention)


def source(name: str, config: XLMRobertaConfig) -> Stored:
    """Where a parameter is stored."""
    if name.startswith("roberta.embeddings.LayerNorm."):
        return Stored(name.replace("embeddings.LayerNorm", "emb_ln"))
    layer = re.fullmatch(r"roberta\.encoder\.layer\.(\d+)\.(.+)\.(weight|bias)", name)
    if layer is None:
        return Stored(name)
    number, part, kind = layer.groups()
    block = f"roberta.encoder.layers.{number}."
    if part in _NAMES:
        return Stored(f"{block}{_NAMES[part]}.{kind}")
    index = ("attention.self.query", "attention.self.key", "attention.self.value").index(part)
    return third(f"{block}mixer.Wqkv.{kind}", index, config.hidden_size)
