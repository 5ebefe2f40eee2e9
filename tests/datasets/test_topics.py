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
    found = topics(BufferedReader(BytesIO(text.encode())), "t.txt", "_id", "text")
    return [(where, {key: fields[key] for key in ("_id", "text")}) for where, fields in found]


def test_titles_and_else_descriptions_are_read_with_or_without_closing_tags():
    assert read(OPEN) == [
        ("t.txt:1", {"_id": "51", "text": "Airbus Subsidies"}),
        ("t.txt:13", {"_id": "MB01", "text": "Milk <b>now</b>"}),
    ]
    assert read(CLOSED) == [("t.txt:1", {"_id": "301", "text": "Crime in 1 < 2 cases"})]


XML = """<?xml version="1.0" encoding="UTF-8"?>
<webtrack2012>
  <topic number="151" type="ambiguous">
    <query>403b &amp; taxes</query>
    <description> What is it?
    </description>
    <subtopic number="1" type="inf">Who?</subtopic>
  </topic>
  <topic type='faceted' number='MB 2'><description>Milk?</description><narrative>x</narrative></topic>
  <topic number="007">
    A patient of 60 with T &lt; 36
  </topic>
</webtrack2012>
"""


def test_topics_in_xml_have_their_number_in_the_tag_and_a_query_a_description_or_a_bare_text():
    assert read(XML) == [
        ("t.txt:3", {"_id": "151", "text": "403b & taxes"}),
        ("t.txt:9", {"_id": "MB 2", "text": "Milk?"}),
        ("t.txt:10", {"_id": "7", "text": "A patient of 60 with T < 36"}),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<topics><topic><query>a</query></topic>", "t.txt:1: a topic without <num>"),
        ('<topics><topic number="1"><disease>a</disease></topic>', "t.txt:1: a topic without <title> or <desc>"),
        ("<top>\n<title> a\n</top>", "t.txt:1: a topic without <num>"),
        (f"{CLOSED}<top><num> 2 </top>", "t.txt:3: a topic without <title> or <desc>"),
    ],
)
def test_a_topic_without_a_part_names_its_line(text, words):
    with pytest.raises(DataError, match=words):
        read(text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("topics.adhoc.txt", "<top>\n<num> q1\n<title> a\n<top>\n<num> q2\n<title> b\n"),
        (
            "topics.xml",
            '<!-- of a track -->\n<topics task="x">\n<topic number="q1">a</topic><topic id="q2">b</topic></topics>',
        ),
        ("topics-rnd1.xml", '<topics><topic number="q1"><query>a</query></topic><topic number="q2"><query>b</query>'),
    ],
)
def test_a_collection_may_have_topics_for_queries(name, text, collection, store):
    (collection / "queries.jsonl").unlink()
    (collection / name).write_text(text)
    assert load(FolderDatasetConfig(path=str(collection)), store).queries == {"q1": "a", "q2": "b"}


@pytest.mark.parametrize(("judged", "other"), [("051", "52"), ("51", "052")])
def test_numbers_of_topics_have_the_zeros_of_the_judgments(judged, other, collection, store):
    (collection / "queries.jsonl").unlink()
    (collection / "topics.txt").write_text("<top>\n<num> 051\n<title> a\n<top>\n<num> 052\n<title> b\n")
    (collection / "qrels" / "test.tsv").write_text(f"{judged} 0 d1 1\n{other} 0 d2 1\n")
    assert load(FolderDatasetConfig(path=str(collection)), store).queries == {judged: "a", other: "b"}
