"""Standard JSON, from files that anyone may have written. Refuses texts that readers would understand differently."""

import json
import math
from collections import Counter
from typing import Any


class RepeatedKeyError(ValueError):
    """A key occurs twice in one object; json would silently use the last."""


def loads(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: not JSON, a key twice in one object, a number that is not finite, or arrays nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=distinct, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object from its pairs; a hook for `json`.

    Raises:
        RepeatedKeyError: a key occurs twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RepeatedKeyError(f"{repeated(pairs)!r} occurs twice in one object")
    return found


def repeated(pairs: list[tuple[str, Any]]) -> str:
    """The key that occurs most often."""
    return Counter(key for key, _ in pairs).most_common(1)[0][0]


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number; pandas and Python write it for a missing one")


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"{text} is beyond any float")
    return value
