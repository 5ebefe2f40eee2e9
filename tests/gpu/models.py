"""What the tests for a GPU run: every kind of model on a tiny checkpoint, on a device."""

from pathlib import Path
from typing import Any

import torch
from stubs import DOCUMENTS, QUERIES, tiny_bert

from evalkit.config import ComputeConfig, DenseConfig
from evalkit.rerank.late_interaction import LateInteractionConfig, LateInteractionReranker
from evalkit.retrieval.encoder import DenseEncoder
from evalkit.types import Pair

POOLINGS = ("cls", "last", "mean", "max", "mean_sqrt_length", "weighted_mean")
TEXTS = [f"{title} {text}" for title, text in DOCUMENTS.values()] * 6
# Some queries over the same documents: what comes before a document is shared.
PAIRS = [Pair(query, text * (1 + row % 3)) for query in QUERIES.values() for row, text in enumerate(TEXTS[:12])]
PAIRS = [Pair(query, f"{text} {row}") for row, (query, text, *_) in enumerate(PAIRS)]


def projected_bert(folder: Path) -> Path:
    """A tiny BERT with a linear layer of width 32 to 12 beside it."""
    tiny_bert(folder)
    generator = torch.Generator().manual_seed(4)
    layer = {"weight": torch.randn(12, 32, generator=generator), "bias": torch.randn(12, generator=generator)}
    torch.save(layer, folder / "linear.pt")
    return folder


def compute(device: str, *, dtype: str = "float32", batch_tokens: int | None = 48, **settings: Any) -> ComputeConfig:
    return ComputeConfig(device=device, dtype=dtype, batch_tokens=batch_tokens, **settings)


def late(folder: Path, where: ComputeConfig, **settings: Any) -> LateInteractionReranker:
    config = LateInteractionConfig(name="late", model=str(folder), **({"max_length": 32} | settings))
    return LateInteractionReranker(config, where)


def encoder(folder: Path, where: ComputeConfig, pooling: str = "mean", **settings: Any) -> DenseEncoder:
    own = {"pooling": pooling, "max_length": 32, "normalize": False} | settings
    return DenseEncoder(DenseConfig(name="dense", model=str(folder), **own), where)
