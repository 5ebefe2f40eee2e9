"""JSON of which readers could differ is refused."""

import pytest

from evalkit.formats.strict_json import loads


def test_plain_json_is_read():
    assert loads('{"a": [1, 2.5, null, true, "\\u00e9"]}') == {"a": [1, 2.5, None, True, "é"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": {"b": 1, "c": 2, "b": 1}}', "'b' occurs twice"),
        ("[NaN]", "NaN is not a JSON number"),
        ("[-Infinity]", "not a JSON number"),
        ("[1e999]", "1e999 is beyond any float"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 100_000, "limit"),
        ("{", "Expecting property name"),
        ("\ufeff{}", "BOM"),
    ],
    ids=["repeated", "NaN", "infinity", "overflow", "deep", "digits", "cut", "BOM"],
)
def test_ambiguous_or_endless_json_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        loads(text)
