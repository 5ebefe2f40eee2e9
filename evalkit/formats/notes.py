"""`Note`: something a user should know about a file that was read, with its counts."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Note(NamedTuple):
    """One remark, for stderr, `--json` and manifests.

    Attributes:
        kind: a stable name for programs, such as `ties`.
        text: one sentence or two, for people.
        facts: counts and examples behind the text, as JSON values.
    """

    kind: str
    text: str
    facts: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """One flat object."""
        return {"kind": self.kind, **self.facts, "text": self.text}


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """A number and its noun, such as `1 query` and `2 queries`."""
    return f"{number:,} {singular if number == 1 else plural or f'{singular}s'}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names as a sentence lists them: `A, B and C`; beyond so many `A, B and 7 others`."""
    shown = names if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} others"]
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))
