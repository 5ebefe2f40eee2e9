"""instructions.json: reading it, and refusing what is not it."""

import pytest

from evalkit.errors import DataError
from evalkit.instructions import load_instructions


def test_the_shipped_file_has_the_twenty_two_published_entries_and_marks_the_assumed_one():
    entries = load_instructions()
    assert sum(not entry.assumed for entry in entries.values()) == 22
    assert entries["T2Retrieval"].instruction == "为这个问题检索相关段落。"


@pytest.mark.parametrize("content", ["[]", "{", '{"a": {"instruction": "x"}}', '{"a": 3}'])
def test_a_malformed_file_is_named(tmp_path, content):
    path = tmp_path / "instructions.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"instructions\.json"):
        load_instructions(path)
