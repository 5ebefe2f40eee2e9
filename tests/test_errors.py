"""The errors of evalkit."""

from evalkit.errors import DataError, MissingExtra


def test_a_message_is_one_line_whatever_it_quotes():
    assert str(DataError("a\nb.trec: holds no rows.")) == "a b.trec: holds no rows."
    assert str(DataError()) == ""
    assert "pip install" in str(MissingExtra("mteb", extra="mteb", purpose="searching"))
