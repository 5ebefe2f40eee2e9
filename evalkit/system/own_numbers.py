"""Numbers that code of the user's own returned, whatever they are in: lists, arrays, tensors."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray


def numbers_of(returned: Any) -> NDArray[np.generic] | None:
    """An array of these numbers; None for anything else, such as texts, dictionaries or rows of different lengths.

    None, too, for complex numbers, for masked ones, and for tensors that are sparse or have no values.
    """
    if returned is None or isinstance(returned, str | bytes | Mapping | set):
        return None
    if not hasattr(returned, "__array__"):
        if not hasattr(returned, "__iter__"):
            return None
        returned = list(returned)  # of a generator, whose errors are the user's
    try:
        plain = [_as_array(part) for part in returned] if isinstance(returned, list) else _as_array(returned)
        numbers = np.asarray(plain)
        if numbers.dtype == object and all(isinstance(value, Real) for value in numbers.flat):
            numbers = numbers.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # also integers beyond any float
        return None
    return numbers if numbers.dtype.kind in "iufb" else None


def _as_array(value: Any) -> Any:
    """A tensor as an array, wherever it is and whatever its type; anything else as it is.

    Raises:
        TypeError: it is sparse.
        RuntimeError: it has no values.
        ValueError: some are masked.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise ValueError(value)
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu()
    return (tensor if tensor.is_complex() else tensor.float()).numpy()
