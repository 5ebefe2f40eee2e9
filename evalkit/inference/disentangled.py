"""Disentangled attention (He et al. 2021, DeBERTa): contents meet contents, and each meets relative positions.

A score is (q_i k_j + q_i P_k(i-j) + P_q(i-j) k_j) / sqrt(3 * width). Only the distances that a text has are multiplied,
2 * length - 1 of them, and read along diagonals where they lie, so that nothing is gathered.
"""

from typing import Any

import torch

from evalkit.inference.attention import AttentionRule, plain
from evalkit.inference.layers import Context
from evalkit.inference.linear import FusedLinear
from evalkit.inference.packed import Select, equal_runs

_CPU_TOKENS = 512  # of the texts whose scores are in memory at the same time


class Disentangled:
    """Like `layers._Attention`, on any device, text by text or with texts of equal length at once.

    Args:
        own: `DisentangledSelfAttention` of transformers, which loses its weights.
        output: from the result to states; the caller applies it.
        relative: embeddings of relative positions, shape (2 * span, width of the model).
    """

    def __init__(self, own: Any, output: Any, relative: torch.Tensor) -> None:
        self.width, self.span = int(own.attention_head_size), int(own.pos_ebd_size)
        self.buckets, self.farthest = int(own.position_buckets), int(own.max_relative_positions)
        kinds = {"c2p", "p2c"} & set(own.pos_att_type)
        self.rule = AttentionRule((self.width * (1 + len(kinds))) ** -0.5)
        to_keys, to_queries = (
            (own.key_proj, own.query_proj)
            if own.share_att_key
            else (getattr(own, name, None) for name in ("pos_key_proj", "pos_query_proj"))
        )
        with torch.inference_mode():
            self.keys = self._heads(to_keys, relative) if "c2p" in kinds else None
            self.queries = self._heads(to_queries, relative) if "p2c" in kinds else None
        own.pos_key_proj = own.pos_query_proj = None
        self.all, self.output = FusedLinear([own.query_proj, own.key_proj, own.value_proj]), FusedLinear([output])

    def _heads(self, projection: Any, relative: torch.Tensor) -> torch.Tensor:
        """Projected embeddings of the distances, shape (heads, 2 * span, width), times the scale."""
        projected: torch.Tensor = projection(relative[: 2 * self.span]) * self.rule.scale
        of_heads: torch.Tensor = projected.unflatten(1, (-1, self.width)).transpose(0, 1)
        return of_heads.contiguous()

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """See `layers._Attention`."""
        batch = context.batch
        assert batch.keys is None  # every text sees itself
        projected = self.all(states)
        query, key, value = (part.unflatten(1, (-1, self.width)) for part in projected.chunk(3, dim=1))
        lengths = batch.lengths if select == "all" else (1,) * len(batch.lengths)
        query = query if select == "all" else query[batch.rows(select)]
        result = torch.empty_like(query)
        row = key_row = 0
        for count, queries, width in equal_runs(lengths, batch.lengths):
            step = count if query.device.type == "cuda" else max(_CPU_TOKENS // width, 1)
            for texts in (min(step, count - first) for first in range(0, count, step)):
                rows, key_rows = slice(row, row + texts * queries), slice(key_row, key_row + texts * width)
                q, k, v = query[rows], key[key_rows], value[key_rows]
                place = None if queries == width else 0 if select == "first" else width - 1
                seen = self._positions(q, k, width, place)
                q, k, v = (part.unflatten(0, (texts, -1)).transpose(1, 2) for part in (q, k, v))
                found = plain(q, k, v, seen, self.rule).transpose(1, 2)
                result[rows].unflatten(0, (texts, queries)).copy_(found)
                row, key_row = rows.stop, key_rows.stop
        return result.flatten(1)

    def _positions(self, q: torch.Tensor, k: torch.Tensor, length: int, place: int | None) -> torch.Tensor | None:
        """The part of the scores that positions have, shape (texts, heads, queries, keys).

        Args:
            q: shape (texts * queries, heads, width).
            k: shape (texts * length, heads, width).
            length: tokens of each text.
            place: where the only query of each text stands; None where all its tokens are queries.
        """
        parts = []
        if place is None:
            distances = torch.arange(length - 1, -length, -1, device=q.device)
            if self.keys is not None:
                parts.append(_diagonals(_products(q, self.keys, self._rows(distances)), length))
            if self.queries is not None:
                products = _products(k, self.queries, self._rows(distances.flip(0)))
                parts.append(_diagonals(products, length).transpose(2, 3))
        else:
            rows = self._rows(place - torch.arange(length, device=q.device))
            if self.keys is not None:
                parts.append(_products(q, self.keys, rows).transpose(0, 1)[:, :, None])
            if self.queries is not None:
                facing = self.queries[:, rows].transpose(0, 1)
                parts.append((k.unflatten(0, (-1, length)) * facing).sum(3).transpose(1, 2)[:, :, None])
        return sum(parts[1:], start=parts[0]).contiguous() if parts else None

    def _rows(self, distances: torch.Tensor) -> torch.Tensor:
        """Which embedding each distance from query to key has."""
        if self.buckets > 0:
            from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

            distances = make_log_bucket_position(distances, self.buckets, self.farthest).long()
        return (distances + self.span).clamp(0, 2 * self.span - 1)


def _products(states: torch.Tensor, positions: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Shape (heads, tokens, rows), from states of (tokens, heads, width) and some of (heads, positions, width)."""
    return states.transpose(0, 1) @ positions[:, rows].transpose(1, 2)


def _diagonals(products: torch.Tensor, length: int) -> torch.Tensor:
    """Element (i, j) of a text and head is product (i, j - i + length - 1): a view of (texts, heads, length, length).

    `products` has shape (heads, texts * length, 2 * length - 1).
    """
    heads, tokens, distances = products.shape
    strides = (length * distances, tokens * distances, distances - 1, 1)
    return products.contiguous().as_strided((tokens // length, heads, length, length), strides, length - 1)
