"""Numbers that code of the user's own returned, whatever they are in: lists, arrays, tensors."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray


def numbers_of(returned: Any) -> NDArray[np.generic] | None:
    """An array of these numbers; None for anything else, such as texts, dictionaries or rows of different lengths."""
    if returned is None or isinstance(returned, str | bytes | Mapping | set):
        return None
    plain = _without_tensors(returned)
    if not hasattr(plain, "__array__"):
        if not hasattr(plain, "__iter__"):
            return None
        plain = [_without_tensors(part) for part in plain]
    try:
        numbers = np.asarray(plain)
        if numbers.dtype == object and all(isinstance(value, Real) for value in numbers.flat):
            numbers = numbers.astype(np.float64)
    except (TypeError, ValueError, OverflowError):  # of different lengths, or integers beyond any float
        return None
    return numbers if numbers.dtype.kind in "iufb" else None


def _without_tensors(value: Any) -> Any:
    """A tensor as an array, wherever it is and whatever its type; anything else as it is."""
    return value.detach().float().cpu().numpy() if hasattr(value, "detach") else value
