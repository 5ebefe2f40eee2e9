"""JSON values as typed, frozen dataclasses: their annotations say what is legal, and nothing is converted."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from evalkit.config.limits import nameable
from evalkit.errors import ConfigError

_HUGE = 1e300  # an integer of JSON may be beyond any float


class MisfitError(ValueError):
    """A value is not legal; the message is its place, such as `dataset.name`."""


def _is_folder_name(value: str) -> bool:
    try:
        nameable("name", value)
    except ConfigError:
        return False
    return True


Count = Annotated[int, lambda value: value >= 0]
Seconds = Annotated[float, lambda value: value >= 0]
Digest = Annotated[str, re.compile("[0-9a-f]{64}").fullmatch]
FolderName = Annotated[str, _is_folder_name]
"""May name a folder: readers make paths of it."""
PathPart = Annotated[str, lambda value: value not in {".", ".."} and not re.search(r"[/\\\0]", value)]
"""May be a part of a folder's name, such as a revision."""


def typed(kind: Any, value: Any) -> Any:
    """A value of JSON as a dataclass. Fields with a default may be absent, and keys without a field are left out.

    Args:
        kind: a dataclass of dataclasses, `str`, `int`, `float`, `bool`, `Any`, `Annotated` with a predicate,
            `tuple[X, ...]`, `Mapping[str, X]` or `X | None`.
        value: what was read.

    Raises:
        MisfitError: the first value that is not legal.
    """
    inner, *predicates = get_args(kind) or (kind,)
    if is_dataclass(kind):
        return _object(kind, value)
    if get_origin(kind) is Annotated:
        found = typed(inner, value)
        _require(all(is_right(found) for is_right in predicates))
        return found
    if get_origin(kind) is tuple:
        _require(isinstance(value, list))
        return tuple(typed(inner, item) for item in value)
    if get_origin(kind) is Mapping:
        _require(isinstance(value, dict))
        return {name: typed(predicates[0], item) for name, item in value.items()}
    if type(None) in get_args(kind):
        return None if value is None else typed(inner, value)
    if kind is not Any:
        _require(
            isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) == (kind is bool)
        )
        _require(kind is str or abs(value) < _HUGE)
    return value


def _object(kind: Any, value: Any) -> Any:
    _require(isinstance(value, dict))
    given = {}
    for field, hint in _schema(kind):
        try:
            _require(field.name in value or not _is_mandatory(field))
            if field.name in value:
                given[field.name] = typed(hint, value[field.name])
        except MisfitError as error:
            raise MisfitError(".".join(filter(None, (field.name, str(error))))) from error
    return kind(**given)


@cache
def _schema(kind: Any) -> list[tuple[Field[Any], Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return [(field, hints[field.name]) for field in fields(kind)]


def _is_mandatory(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _require(holds: object) -> None:
    if not holds:
        raise MisfitError
