"""The seam of models that score pairs: a bare model of transformers below a head."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from evalkit.inference.packed import Packed, Select


class Headed(nn.Module):
    """A scoring module that can be taken apart into a bare model and a head.

    Attributes:
        unscored: token that no score is read at when it ends a pair: the last one before it is. None where any is.
    """

    unscored: int | None = None

    @property
    def select(self) -> Select:
        """Which token's state the head reads."""
        return "last"

    @property
    def layers(self) -> Sequence[int] | None:
        """After which layers there is a head; the last one when None."""
        return None

    @property
    def alone(self) -> bool:
        """Whether a pair's score would depend on the padding of its batch, so that each is run by itself."""
        return False

    @property
    def bare(self) -> Any:
        """The model below the head."""
        raise NotImplementedError

    def head(self, states: Sequence[torch.Tensor], batch: Packed) -> torch.Tensor:
        """Normed states after each of `layers`, of shape (pairs or tokens, width), to scores (pairs, scores)."""
        raise NotImplementedError
