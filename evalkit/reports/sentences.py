"""Findings as lines for people: on the terminal, in Markdown. Computes nothing."""

import re
from collections.abc import Sequence

from evalkit.analysis.findings import SUSPICIOUS, Finding
from evalkit.formats.notes import counted, listed
from evalkit.reports.console import console
from evalkit.reports.grid import escaped
from evalkit.system.terminal import say

_MOST = 5  # suspicious facts at once
_NUMBER = re.compile(r"\d[\d,.]*")
_COLOURS = {"error": "red", "warning": "yellow", "note": ""}


def sentence(one: Finding) -> str:
    """A finding as a line; what is suspicious says so first, for readers without colours."""
    word = {"error": "serious: ", "warning": "suspicious: "}.get(one.level, "") if one.kind == SUSPICIOUS else ""
    return f"{word}{one.text}"


def shown(found: Sequence[Finding]) -> list[Finding]:
    """The findings to show: of suspicious facts the first few, each kind once, and how many more there are."""
    odd = _each_kind([one for one in found if one.kind == SUSPICIOUS])
    kept = [one for one in found if one.kind != SUSPICIOUS]
    if len(odd) <= _MOST:
        return [*kept, *odd]
    text = f"{counted(len(odd) - _MOST, 'fact')} more; `evalkit compare --format json` lists all."
    return [*kept, *odd[:_MOST], Finding(SUSPICIOUS, text, "warning")]


def _each_kind(odd: Sequence[Finding]) -> list[Finding]:
    """Facts about the same systems that differ in dataset and numbers alone: the first, and where the others are."""
    kinds: dict[tuple[str, ...], list[Finding]] = {}
    for one in odd:
        fact = _NUMBER.sub("0", one.text.removeprefix(one.dataset))
        kinds.setdefault((one.level, fact, *one.systems), []).append(one)
    return [
        first._replace(text=f"{first.text} Likewise on {listed([one.dataset for one in others], most=3)}.")
        if others
        else first
        for first, *others in kinds.values()
    ]


def markdown_list(found: Sequence[Finding]) -> str:
    """A bullet a finding; empty where there are none."""
    return bullets([sentence(one) for one in shown(found)])


def bullets(lines: Sequence[str]) -> str:
    """A bullet a line; empty where there are none."""
    return "".join(f"* {escaped(line)}\n" for line in lines)


def write_findings(found: Sequence[Finding], form: str) -> None:
    """Print findings before the tables of a command. LaTeX, CSV and JSON hold tables alone."""
    if form == "table":
        out = console()
        for one in shown(found):
            out.print(sentence(one), style=_COLOURS[one.level], markup=False, highlight=False)
    elif form == "markdown" and found:
        say(f"{markdown_list(found)}\n")
