"""Judgments of subtopics, as the Web Track has them."""

import pytest

from evalkit.errors import DataError
from evalkit.formats.subtopics import over_subtopics, read_subtopics


def test_the_second_column_is_the_subtopic(tmp_path):
    path = tmp_path / "diversity.qrels"
    path.write_text("1 1 a 1\n1 2 a 0\n1 2 b 2\n2 1 a -2\n", encoding="utf-8")
    judged = read_subtopics(path)
    assert judged == {"1": {"a": {"1": 1, "2": 0}, "b": {"2": 2}}, "2": {"a": {"1": -2}}}
    assert over_subtopics(judged) == {"1": {"a": 1, "b": 2}, "2": {"a": -2}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 a 1\n1 0 b 0\n", "holds no judgments of subtopics: the second column is '0' in every line"),
        ("", "holds no judgments of subtopics: it is empty"),
        ("1 1 a 1\n1 a 1\n", r"diversity.qrels:2: 3 fields, expected 4 \(query_id subtopic doc_id relevance\)"),
        ("1 1 a 1\n1 2 a x\n", r"diversity.qrels:2: the relevance is 'x'"),
        ("1 1 a 1\n1 2 a 1\n1 1 a 0\n", r"diversity.qrels:3: document 'a' is judged 0 for query '1', but 1 further up"),
    ],
)
def test_other_files_are_refused_by_line(tmp_path, text, message):
    path = tmp_path / "diversity.qrels"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_subtopics(path)
