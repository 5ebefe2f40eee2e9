"""Scores that the user's code returned, as float32 numbers: one for each pair, finite, or refused."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import ObjectError
from evalkit.system.own_numbers import numbers_of
from evalkit.system.reporting import shown
from evalkit.types import Pair


def checked_scores(returned: Any, pairs: Sequence[Pair], name: str) -> NDArray[np.float32]:
    """Scores as an array of shape (pairs,).

    Args:
        returned: numbers in a list, a tuple, an array, a tensor, or made one by one; each may be a list of one.
        pairs: that they are of.
        name: of what returned them, for errors.

    Raises:
        ObjectError: they are not as many as the pairs, not numbers, or not finite.
    """
    numbers = numbers_of(returned)
    if numbers is None:
        raise ObjectError(f"{name} returned {_shown(returned)}{_of(pairs)}, expected {len(pairs)} numbers.")
    if numbers.ndim == 2 and numbers.shape[1] == 1:  # noqa: PLR2004
        numbers = numbers[:, 0]
    if numbers.shape != (len(pairs),):
        raise ObjectError(
            f"{name} returned scores of shape {numbers.shape}{_of(pairs)}, expected {len(pairs)} numbers, one for each."
        )
    with np.errstate(over="ignore"):
        scores = numbers.astype(np.float32)
    if len(bad := np.flatnonzero(~np.isfinite(scores))):
        pair, value = pairs[bad[0]], numbers[bad[0]]
        document = f"document {pair.doc_id!r}" if pair.doc_id else f"document {bad[0]} of the call"
        query = f"query {pair.query_id!r}" if pair.query_id else f"query {shown(pair.query)}"
        raise ObjectError(
            f"{name} returned {value} as the score of {document} for {query} ({len(bad)} such). Scores are finite "
            "float32 numbers."
        )
    return scores


def _of(pairs: Sequence[Pair]) -> str:
    """Which pairs were given, for an error."""
    queries = {pair.query_id for pair in pairs}
    query = next(iter(queries))
    return (
        f" for {len(pairs)} documents of query {query!r}" if len(queries) == 1 and query else f" for {len(pairs)} pairs"
    )


def _shown(returned: Any) -> str:
    if isinstance(returned, Sequence) and not isinstance(returned, str) and returned:
        return f"a {type(returned).__name__} of {len(returned)}, the first of them {shown(returned[0])},"
    return "None" if returned is None else f"{type(returned).__name__} {shown(returned)}"
