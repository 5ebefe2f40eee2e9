"""A check of the output of models."""

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import ModelError


def finite(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values themselves.

    Raises:
        ModelError: one of them is infinite or not a number.
    """
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if bad.any():
        raise ModelError(
            f"the model's output is not a finite number for {int(bad.sum())} of {len(values)} texts or pairs. The "
            "weights are damaged, or compute.dtype is too narrow: try float32."
        )
    return values
