"""Ids that were meant to be the same and are written differently: `4983.0` and `4983`, `D7` and `d7`."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from itertools import islice
from typing import NamedTuple

LOOKED_AT = 100_000
"""At most so many ids of each side are compared."""

_COMPARED = 2_000  # ids of each side, where only letters in common are left to go by
_AS_NUMBERS = "pandas reads ids as numbers unless it is given dtype=str."
_PASSAGES = "Ids with # are of passages: --maxp '#', or dataset.maxp='#', takes the best passage of each document."
_ALIKE = "Write ids the same way in both files."


class Lookalike(NamedTuple):
    """Two ids that look alike, and advice about them."""

    ours: str
    theirs: str
    advice: str


def _folded(text: str) -> str:
    """Without differences of case, width, outer blanks and quotes."""
    return unicodedata.normalize("NFKC", text).casefold().strip().strip("\"'")


def unpadded(text: str) -> str:
    """Without the changes of pandas and spreadsheets: zeros in front of numbers, and `.0` at the end."""
    return re.sub(r"(?<![0-9.])0+(?=[0-9])", "", re.sub(r"(?<=[0-9])\.0*$", "", text))


def _as_number(text: str) -> str:
    return unpadded(_folded(text))


def _bare(text: str) -> str:
    """Letters and digits alone: without separators, folders' slashes and file extensions."""
    return re.sub(r"\.(txt|json|xml|html?|pdf)$", "", re.sub(r"[\W_]+", ".", _as_number(text)).strip("."))


def _document(text: str) -> str:
    """The id of the document that a passage is of, as in MS MARCO's `D123#4`."""
    return _folded(text.partition("#")[0])


def _number_at(place: int) -> Callable[[str], str]:
    """A key: the first (0) or last (-1) number in an id."""

    def key(text: str) -> str:
        numbers = re.findall(r"[0-9]+", _folded(text))
        return numbers[place].lstrip("0") or "0" if numbers else ""

    return key


_KEYS = (
    (_folded, _ALIKE),
    (_as_number, _AS_NUMBERS),
    (_bare, _ALIKE),
    (_document, _PASSAGES),
    (_number_at(-1), _ALIKE),
    (_number_at(0), _ALIKE),
)
_CLOSE = 3  # keys by which ids are surely meant to be the same


def lookalike(ours: Iterable[str], theirs: Iterable[str], *, loosely: bool = True) -> Lookalike | None:
    """The first of our ids that looks like one of theirs, by the nearest likeness; None where none does.

    No id is on both sides. `loosely` says whether a number or some letters in common are enough.
    """
    some, others = list(islice(ours, LOOKED_AT)), list(islice(theirs, LOOKED_AT))
    for key, advice in _KEYS if loosely else _KEYS[:_CLOSE]:
        known = {key(text): text for text in reversed(others)}
        for text in some:
            if (found := known.get(key(text))) is not None and key(text):
                return Lookalike(text, found, advice)
    for text in some[:50] if loosely else ():
        if close := get_close_matches(text, others[:_COMPARED], n=1, cutoff=0.6):
            return Lookalike(text, close[0], _ALIKE)
    return None


def compared(
    ours: Iterable[str], theirs: Iterable[str], *, place: str, other: str, of_passages: str = _PASSAGES
) -> str:
    """Two sentences that name an id of ours in `place`, such as `the run`, and the nearest one of theirs in `other`.

    `of_passages` is the advice where only one side has ids of passages.
    """
    some, others = list(islice(ours, LOOKED_AT)), list(islice(theirs, LOOKED_AT))
    passages = any("#" in text for text in some) != any("#" in text for text in others)
    if pair := lookalike(some, others):
        advice = of_passages if passages and pair.advice in {_ALIKE, _PASSAGES} else pair.advice
        return f"{pair.ours!r} stands in {place} and {pair.theirs!r} in {other}. {advice}"
    advice = of_passages if passages else "Are both of the same collection?"
    verb = "have" if place.endswith("s") else "has"
    return f"{place[:1].upper()}{place[1:]} {verb} {some[0]!r}, {other} {others[0]!r}. {advice}"
