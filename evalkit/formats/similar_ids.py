"""Ids that were meant to be the same and are written differently: `4983.0` and `4983`, `D7` and `d7`."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from itertools import islice
from typing import NamedTuple

_LOOKED_AT = 100_000  # ids of each side
_COMPARED = 2_000  # ids of each side, where only letters in common are left to go by
_ADVICE = {
    "number": "pandas reads ids as numbers unless it is given dtype=str.",
    "other": "Write ids the same way in both files.",
}


class Pair(NamedTuple):
    """Two ids that look alike, and what to do about it."""

    ours: str
    theirs: str
    advice: str


def _folded(text: str) -> str:
    """Without differences of case, width, outer blanks and quotes."""
    return unicodedata.normalize("NFKC", text).casefold().strip().strip("\"'")


def _as_number(text: str) -> str:
    """A number without what pandas and spreadsheets add or take: `.0` at the end, zeros in front."""
    folded = _folded(text)
    found = re.fullmatch(r"[+]?0*([0-9]+)(\.0*)?", folded)
    return found[1] if found else folded


def unpadded(text: str) -> str:
    """An id without zeros in front of its numbers and without `.0` at its end."""
    return re.sub(r"(?<![0-9.])0+(?=[0-9])", "", re.sub(r"(?<=[0-9])\.0+$", "", text))


def _bare(text: str) -> str:
    """Letters and digits alone: without separators, folders' slashes and file extensions."""
    return re.sub(r"\.(txt|json|xml|html?|pdf)$", "", re.sub(r"[\W_]+", ".", _as_number(text)).strip("."))


def _digits(place: int) -> Callable[[str], str]:
    """The first or last number in an id that has letters or separators around it."""

    def key(text: str) -> str:
        numbers = re.findall(r"[0-9]+", _folded(text))
        return numbers[place].lstrip("0") or "0" if numbers else ""

    return key


_KEYS: tuple[tuple[Callable[[str], str], str], ...] = (
    (_folded, "other"),
    (_as_number, "number"),
    (_bare, "other"),
    (_digits(-1), "other"),
    (_digits(0), "other"),
)
_CLOSE = 3  # keys by which ids are surely meant to be the same


def lookalike(ours: Iterable[str], theirs: Iterable[str], *, loosely: bool = True) -> Pair | None:
    """The first of our ids that looks like one of theirs, by the likeness that is nearest; None where none does.

    Args:
        ours: ids of which none is among `theirs`.
        theirs: ids to look for.
        loosely: whether a number or some letters in common are enough.
    """
    some, others = list(islice(ours, _LOOKED_AT)), list(islice(theirs, _LOOKED_AT))
    for key, advice in _KEYS if loosely else _KEYS[:_CLOSE]:
        known = {key(text): text for text in reversed(others)}
        for text in some:
            if (found := known.get(key(text))) is not None and key(text):
                return Pair(text, found, _ADVICE[advice])
    for text in some[:50] if loosely else ():
        if close := get_close_matches(text, others[:_COMPARED], n=1, cutoff=0.6):
            return Pair(text, close[0], _ADVICE["other"])
    return None


def compared(ours: Iterable[str], theirs: Iterable[str], *, place: str, other: str) -> str:
    """Two sentences that set an id of ours beside the one of theirs that is nearest to it.

    Args:
        ours: ids of which none is among `theirs`; at least one.
        theirs: ids to look for; at least one.
        place: where ours stand, such as `the run`.
        other: where theirs stand.
    """
    some, others = list(islice(ours, _LOOKED_AT)), list(islice(theirs, _LOOKED_AT))
    if pair := lookalike(some, others):
        return f"{pair.ours!r} stands in {place} and {pair.theirs!r} in {other}. {pair.advice}"
    return f"{place[:1].upper()}{place[1:]} has {some[0]!r}, {other} {others[0]!r}. Are both of the same collection?"
