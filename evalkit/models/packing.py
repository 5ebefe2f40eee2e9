"""Loaded models without padding, where the engine can take them; as they are where not."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from evalkit.config import ComputeConfig
from evalkit.inference.attention import KERNELS
from evalkit.inference.backbone import Backbone, backbone_of
from evalkit.inference.packed import Packed
from evalkit.models.arithmetic import capability
from evalkit.models.headed import Headed
from evalkit.models.kernels import kernel


class Contents(NamedTuple):
    """Size of a loaded model: tensors, numbers in them, and dtype and device of the largest tensor."""

    tensors: int
    parameters: int
    dtype: str
    device: str


def contents(model: Any) -> Contents:
    """The contents of a model or a table; of a packed one, before its weights were laid out for the engine."""
    if isinstance(model, torch.Tensor):
        return _counted([model])
    if not isinstance(model, torch.nn.Module):
        found: Contents = model.contents
        return found
    return _counted(list(model.parameters()))


def _counted(parameters: Sequence[torch.Tensor]) -> Contents:
    # A classification head may be float32 while the encoder is in half precision; the largest matrix is the encoder's.
    largest = max(parameters, key=lambda parameter: parameter.numel())
    count = sum(parameter.numel() for parameter in parameters)
    return Contents(len(parameters), count, str(largest.dtype).removeprefix("torch."), str(largest.device))


class PackedReranker:
    """A scoring module over packed pairs. The module keeps only its head."""

    alone = False

    def __init__(self, module: Headed, backbone: Backbone) -> None:
        self.module, self.backbone, self.device = module, backbone, backbone.device
        self.layers = module.layers or [len(backbone.blocks)]
        self.unscored: int | None = module.unscored
        self.contents: Any = None

    @property
    def shares_prefixes(self) -> bool:
        """See `PackedScorer`."""
        return self.backbone.causal and self.module.select == "last"

    def score(self, batch: Packed, documents: torch.Tensor) -> torch.Tensor:
        """See `PackedScorer`."""
        del documents
        states = self.backbone.after(batch, self.module.select, self.layers)
        result: torch.Tensor = self.module.head(states, batch)
        return result


def packed_reranker(module: Any, compute: ComputeConfig) -> Any:
    """A loaded scoring module as `compute.attention` says: packed, or as it is."""
    if compute.attention not in KERNELS:
        return module
    from evalkit.models.gemma2_lightweight import LightweightGemma2, PackedLightweight

    found = contents(module)
    light = isinstance(module, LightweightGemma2)
    backbone = packed_encoder(module.model if light else module.bare, compute)
    packed = PackedLightweight(module, backbone) if light else PackedReranker(module, backbone)
    packed.contents = found
    return packed


def packed_encoder(model: Any, compute: ComputeConfig) -> Any:
    """A loaded bare model as `compute.attention` says: packed, or as it is."""
    if compute.attention not in KERNELS:
        return model
    config = model.config.to_dict()
    chosen = kernel(compute, capability(model.device), config, softcap=bool(config.get("attn_logit_softcapping")))
    found = contents(model)
    backbone = backbone_of(model, chosen.name, compute.fused)
    backbone.contents = found
    return backbone
