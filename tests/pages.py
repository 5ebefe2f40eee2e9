"""README.md and the pages under docs/ as tests read them: code blocks, commands, links, headings."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = (README, *sorted(DOCS.glob("*.md")))

# A block of a file has the file's name above it, as in "`corpus.jsonl`:".
_FENCE = re.compile(
    r"^(?:`(?P<title>[^`\n]+)`:\n\n)?```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_ASSIGNED = re.compile(r"(?:export )?(\w+)=(\S.*)")
_PROGRAMS = ("evalkit", "make", "pytest", "python")
_ENDS = ("|", ">", "<", "&&", ";", "&")  # of a command, for a shell


class Block(NamedTuple):
    """A fenced block of a page."""

    place: str
    language: str
    title: str | None
    body: str


class Command(NamedTuple):
    """A command that a page prints."""

    place: str
    words: tuple[str, ...]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, with the line that each begins at."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(f"{page.name}:{_line(text, found.start())}", found["language"], found["title"], found["body"])
        for found in _FENCE.finditer(text)
    ]


def commands(*programs: str) -> list[Command]:
    """Every command of these programs in the shell blocks and in the text of all pages."""
    found = [one for page in PAGES for one in (*_in_blocks(page), *_in_text(page))]
    return [one for one in found if one.words[0] in programs]


def _in_blocks(page: Path) -> Iterator[Command]:
    variables: dict[str, str] = {}
    for block in blocks(page):
        if block.language not in {"bash", "yaml"}:
            continue
        for line in block.body.replace("\\\n", " ").splitlines():
            written = line.strip().removeprefix("- run: ")
            if (assigned := _ASSIGNED.fullmatch(written)) and block.language == "bash":
                variables[assigned[1]] = _expanded(assigned[2], variables).strip("\"'")
            elif written.split(" ")[0] in _PROGRAMS:
                yield Command(block.place, _words(_expanded(written, variables)))


def _in_text(page: Path) -> Iterator[Command]:
    text = page.read_text(encoding="utf-8")
    text = _FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text)
    for found in _INLINE.finditer(text):
        # A word with a bar names several choices, and three dots stand for something: these are no commands.
        if found[1].split(" ")[0] in _PROGRAMS and " " in found[1] and "..." not in found[1] and "|" not in found[1]:
            yield Command(f"{page.name}:{_line(text, found.start())}", _words(found[1]))


def _expanded(text: str, variables: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda name: variables.get(name[1], "DIR"), text)


def _words(line: str) -> tuple[str, ...]:
    words = shlex.split(line, comments=True)
    ends = [place for place, word in enumerate(words) if word in _ENDS]
    return tuple(words[: min(ends, default=len(words))])


def links(page: Path) -> list[str]:
    """Where the links and pictures of a page lead, those in code left out."""
    text = _INLINE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))
    return [found[1] or found[2] for found in _LINK.finditer(text)]


def anchors(page: Path) -> set[str]:
    """What a link to a heading of this page may name, as GitHub and MkDocs make it of the heading."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {
        re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in _HEADING.findall(text)
    }


def _line(text: str, position: int) -> int:
    return text[:position].count("\n") + 1
