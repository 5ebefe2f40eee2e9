"""Topics as TREC writes them, with or without closing tags. Knows nothing of judgments.

<top> <num> Number: 301 <title> International Organized Crime <desc> Description: ... <narr> Narrative: ... </top>
"""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from evalkit.errors import DataError
from evalkit.formats.textfile import lines

BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?\s*<top>", re.IGNORECASE)
"""The first bytes of a file of topics."""

_TOPIC = re.compile(r"<top>(.*?)(?=</top>|<top>|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = "</?(?:head|num|dom|title|desc|smry|narr|con|fac|def)>"
_FIELD = re.compile(rf"<(num|title|desc)>(.*?)(?={_TAG}|\Z)", re.IGNORECASE | re.DOTALL)
_LABEL = re.compile(r"(?:Number|Topic|Description)\s*:", re.IGNORECASE)  # which TREC writes in a field


def topics(stream: BinaryIO, label: str, id_key: str, text_key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) of every topic: its number, and its title or, where it has none, its description.

    Raises:
        DataError: a topic has no number, or neither title nor description.
    """
    whole = "".join(line for _, line in lines(stream, label, ends=True))
    for topic in _TOPIC.finditer(whole):
        where = f"{label}:{whole.count(chr(10), 0, topic.start()) + 1}"
        fields = {name.lower(): _plain(text) for name, text in _FIELD.findall(topic[1])}
        number, text = fields.get("num", ""), fields.get("title") or fields.get("desc")
        if not number or not text:
            raise DataError(f"{where}: a topic without {'<title> or <desc>' if number else '<num>'}. Give it one.")
        # Judgments of TREC have 51 for `Number: 051`.
        yield where, {id_key: str(int(number)) if number.isdecimal() else number, text_key: text}


def _plain(text: str) -> str:
    """A field without the name that begins it, on one line."""
    text = text.strip()
    found = _LABEL.match(text)
    return " ".join(text[found.end() if found else 0 :].split())
