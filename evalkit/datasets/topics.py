"""Topics as TREC writes them, with or without closing tags. Knows nothing of judgments.

<top> <num> Number: 301 <title> International Organized Crime <desc> Description: ... <narr> Narrative: ... </top>
<topics><topic number="1"> <query>coronavirus origin</query> <question>...</question> </topic> ... </topics>
"""

import html
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from evalkit.errors import DataError
from evalkit.formats.textfile import lines

AS_WRITTEN = "number as written"
"""Key of a topic's number with its zeros."""

_PROLOGUE = rb"(?:\xef\xbb\xbf)?\s*(?:<\?[^>]*>\s*|<!--.*?-->\s*)*"
BEGINS = re.compile(_PROLOGUE + rb"<(?:top>|topic\b|\w+[^<>]*>\s*<topic\b)", re.IGNORECASE | re.DOTALL)
"""The first bytes of a file of topics."""

_TOPIC = re.compile(r"<top(?:ic\b([^>]*))?>(.*?)(?=</?top(?:ic\b[^>]*)?>|\Z)", re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(r"\b(?:number|num|id)\s*=\s*[\"']([^\"']+)", re.IGNORECASE)
_TEXTS = ("title", "query", "desc", "description", "question")  # the first that a topic has is its text
_TAG = rf"</?(?:head|num|dom|{'|'.join(_TEXTS)}|smry|summary|narr|narrative|subtopic|con|fac|def)\b[^>]*>"
_FIELD = re.compile(rf"<(num|{'|'.join(_TEXTS)})>(.*?)(?={_TAG}|\Z)", re.IGNORECASE | re.DOTALL)
_LABEL = re.compile(r"(?:Number|Topic|Description)\s*:", re.IGNORECASE)  # which TREC writes in a field


def topics(stream: BinaryIO, label: str, id_key: str, text_key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) of every topic: its number, and its title or query or, where it has none, its description.

    A numbered `<topic>` without tags of its own is a text, as in the Clinical Trials track.

    Raises:
        DataError: a topic has no number, or neither title nor description.
    """
    whole = "".join(line for _, line in lines(stream, label, ends=True))
    for topic in _TOPIC.finditer(whole):
        where = f"{label}:{whole.count(chr(10), 0, topic.start()) + 1}"
        is_xml, body = topic[1] is not None, topic[2]
        fields = {name.lower(): _plain(html.unescape(text) if is_xml else text) for name, text in _FIELD.findall(body)}
        named = _NUMBER.search(topic[1]) if is_xml else None
        number = named[1].strip() if named else fields.get("num", "")
        text = next((fields[name] for name in _TEXTS if fields.get(name)), "")
        if is_xml and "<" not in body:
            text = _plain(html.unescape(body))
        if not number or not text:
            raise DataError(f"{where}: a topic without {'<title> or <desc>' if number else '<num>'}. Give it one.")
        # Judgments of TREC have 51 for `Number: 051`; others have the number as it is written.
        plain = str(int(number)) if number.isdecimal() else number
        yield where, {id_key: plain, text_key: text, AS_WRITTEN: number}


def _plain(text: str) -> str:
    """A field without the name that begins it, on one line."""
    text = text.strip()
    found = _LABEL.match(text)
    return " ".join(text[found.end() if found else 0 :].split())
