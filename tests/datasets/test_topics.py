"""Topics of TREC."""

from io import BufferedReader, BytesIO

import pytest

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.datasets.topics import topics
from evalkit.errors import DataError

OPEN = """<top>

<num> Number: 051
<title> Topic:  Airbus
 Subsidies

<desc> Description:
What subsidies?

<narr> Narrative:
Any.
</top>
<top>
<num> Number: MB01
<desc> Description: Milk <b>now</b>
"""
CLOSED = "<top><num>301</num>\n<title>Crime in 1 < 2 cases</title><desc>What?</desc></top>\n"


def read(text: str) -> list[tuple[str, dict[str, str]]]:
    return list(topics(BufferedReader(BytesIO(text.encode())), "t.txt", "_id", "text"))


def test_titles_and_else_descriptions_are_read_with_or_without_closing_tags():
    assert read(OPEN) == [
        ("t.txt:1", {"_id": "51", "text": "Airbus Subsidies"}),
        ("t.txt:13", {"_id": "MB01", "text": "Milk <b>now</b>"}),
    ]
    assert read(CLOSED) == [("t.txt:1", {"_id": "301", "text": "Crime in 1 < 2 cases"})]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<top>\n<title> a\n</top>", "t.txt:1: a topic without <num>"),
        (f"{CLOSED}<top><num> 2 </top>", "t.txt:3: a topic without <title> or <desc>"),
    ],
)
def test_a_topic_without_a_part_names_its_line(text, words):
    with pytest.raises(DataError, match=words):
        read(text)


def test_a_collection_may_have_topics_for_queries(collection, store):
    (collection / "queries.jsonl").unlink()
    (collection / "topics.adhoc.txt").write_text("<top>\n<num> q1\n<title> a\n<top>\n<num> q2\n<title> b\n")
    assert load(FolderDatasetConfig(path=str(collection)), store).queries == {"q1": "a", "q2": "b"}
