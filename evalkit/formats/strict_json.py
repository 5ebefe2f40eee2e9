"""JSON as its standard has it, from files that anyone may have written. Knows nothing of what is in it."""

import json
import math
from collections import Counter
from typing import Any


def loads(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none; or readers would differ about it: a key twice in one object, a number that is not
            finite, arrays in arrays without end.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"{repeated(pairs)!r} occurs twice in one object")
    return found


def repeated(pairs: list[tuple[str, Any]]) -> str:
    """The key that occurs most often."""
    return Counter(key for key, _ in pairs).most_common(1)[0][0]


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON number; pandas and Python write it for a missing one")


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"{text} is beyond any float")
    return value
