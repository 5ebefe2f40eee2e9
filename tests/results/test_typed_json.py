"""JSON values as dataclasses: what the annotations allow, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from evalkit.results.typed_json import Count, FolderName, MisfitError, PathPart, typed


@dataclass(frozen=True)
class Inner:
    name: FolderName
    revision: PathPart | None = None


@dataclass(frozen=True)
class Outer:
    count: Count
    inner: Inner
    values: Mapping[str, float] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    anything: Any = None
    flag: bool = False


WHOLE = {"count": 3, "inner": {"name": "a"}, "values": {"x": 1, "y": 0.5}, "texts": ["t"], "other": 1}


def test_an_object_becomes_its_dataclass_and_unknown_keys_are_left_out():
    assert typed(Outer, WHOLE) == Outer(3, Inner("a"), {"x": 1, "y": 0.5}, ("t",))
    assert typed(Outer, {**WHOLE, "flag": True}).flag
    assert typed(Outer, {"count": 0, "inner": {"name": "a", "revision": None}}) == Outer(0, Inner("a"))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"count": -1}, "count"),
        ({"count": True}, "count"),
        ({"count": 1.0}, "count"),
        ({"count": 10**400}, "count"),
        ({"inner": "a"}, "inner"),
        ({"inner": {}}, "inner.name"),
        ({"inner": {"name": "../a"}}, "inner.name"),
        ({"inner": {"name": "a", "revision": ".."}}, "inner.revision"),
        ({"values": {"x": "1"}}, "values"),
        ({"values": {"x": True}}, "values"),
        ({"texts": "t"}, "texts"),
        ({"flag": 1}, "flag"),
        ({"texts": [None]}, "texts"),
    ],
)
def test_the_first_value_that_is_not_legal_is_named_by_its_place(change, place):
    with pytest.raises(MisfitError) as caught:
        typed(Outer, {**WHOLE, **change})
    assert str(caught.value) == place


def test_what_is_not_an_object_has_no_place():
    with pytest.raises(MisfitError) as caught:
        typed(Outer, [])
    assert str(caught.value) == ""
