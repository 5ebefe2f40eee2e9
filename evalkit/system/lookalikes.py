"""Guesses what a mistyped name may have meant."""

from collections.abc import Collection, Sequence
from difflib import SequenceMatcher, get_close_matches

_MOST = 3  # names that are proposed at once
_NEARLY = 0.05  # of likeness below the best, at which another name is proposed too


def lookalikes(name: str, legal: Collection[str]) -> list[str]:
    """The legal names most like a typed one, best first; case, hyphens and a hub's owner do not count.

    `lookalikes("BAAI/BGE-M3", ["bge_m3_dense", "bm25"])` -> `["bge_m3_dense"]`
    """
    spelt = {_plain(one): one for one in legal}
    whole = _plain(name)
    for typed in dict.fromkeys((whole, whole.rpartition("/")[2])):
        if found := get_close_matches(typed, spelt, n=_MOST):
            likeness = {one: SequenceMatcher(a=one, b=typed).ratio() for one in found}
            return [spelt[one] for one in found if likeness[one] >= likeness[found[0]] - _NEARLY]
    return []


def nearest(name: str, legal: Collection[str], most: int) -> list[str]:
    """So many legal names, those most like a typed one first, however little they are like it."""
    spelt = {_plain(one): one for one in legal}
    return [spelt[one] for one in get_close_matches(_plain(name), spelt, n=most, cutoff=0.0)]


def did_you_mean(name: str, legal: Collection[str]) -> str:
    """`Did you mean X or Y? `, with a space behind it; nothing where no legal name is like the typed one."""
    return proposal(lookalikes(name, legal))


def proposal(names: Sequence[str]) -> str:
    """The question that proposes names, with a space behind it; nothing where there are none."""
    if not names:
        return ""
    return f"Did you mean {', '.join(names[:-1])}{' or ' if names[1:] else ''}{names[-1]}? "


def instead(name: str, legal: Collection[str], lead: str = "Legal are", most: int | None = None) -> str:
    """The end of an error about a name that is not legal: `Did you mean X? Legal are: X, Y.`; the first `most`."""
    shown = list(legal)[:most]
    more = f" and {len(legal) - len(shown)} more" if len(legal) > len(shown) else ""
    return f"{did_you_mean(name, legal)}{lead}: {', '.join(shown)}{more}."


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_")
