"""Errors and values as one line."""

import pytest

from evalkit.system.reporting import reason, shown


class Silent(Exception):  # noqa: N818 - it is no error of its own
    """Neither of its texts can be had."""

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


def test_an_object_whose_own_methods_raise_is_named_by_its_class():
    assert "Silent" == reason(Silent())
    assert "<Silent>" == shown(Silent())


@pytest.mark.parametrize(
    ("value", "text"), [("a", "'a'"), (["a", 1], "['a', 1]"), ("b" * 100, f"'{'b' * 56}..."), (None, "None")]
)
def test_a_long_value_is_cut(value, text):
    assert text == shown(value)


def test_a_value_of_several_lines_is_one():
    np = pytest.importorskip("numpy")
    assert "array([[1., 0.], [0., 1.]])" == shown(np.eye(2))
