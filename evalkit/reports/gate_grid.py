"""Judgements of a gate as a table, as JUnit XML and as Markdown."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree as ET

from evalkit.analysis.regression import DRIFTING, FINE, IMPROVED, NEW, REGRESSION, UNJUDGED, Judgement
from evalkit.formats.notes import counted
from evalkit.measures.significance import ALPHA
from evalkit.reports.grid import Cell, Grid, columns
from evalkit.reports.pull_request import summary
from evalkit.reports.sentences import bullets

# What XML 1.0 has no way to write.
_UNWRITABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def grid(judgements: Sequence[Judgement], tolerance: float) -> Grid:
    """A row a result and measure."""
    specs = {"dataset": "", "first stage": "", "reranker": "", "measure": "", "baseline": ".4f", "now": ".4f"}
    specs |= {"difference": "+.4f", "low": "+.4f", "high": "+.4f", "p": ".3g", "judgement": ""}
    rows = [_row(one) for one in judgements]
    strong = frozenset(
        (row, len(specs) - 1) for row, one in enumerate(judgements) if one.status in {REGRESSION, UNJUDGED}
    )
    counts = Counter(one.status for one in judgements)
    said = ", ".join(_counted(status, count) for status, count in counts.items()) or "nothing to judge"
    tested = sum(one.p is not None for one in judgements)
    rule = (
        f"a regression is a drop beyond {tolerance:g} that is more than chance: p below {ALPHA:g}, randomisation test, "
        f"Holm's correction for the {tested} judged here; drifting is such a drop within {tolerance:g}; the 95 % "
        "intervals are not corrected and decide nothing"
    )
    return Grid("gate", columns(specs), rows, [said, rule], strong=strong)


def _counted(status: str, count: int) -> str:
    return counted(count, status) if status == REGRESSION else f"{count:,} {status}"


def _row(one: Judgement) -> list[Cell]:
    difference = None if one.now is None or one.before is None else one.now - one.before
    judgement = f"{one.status}: {one.reason}" if one.reason else one.status
    values = [one.before, one.now, difference, one.low, one.high, one.p]
    return [one.name.dataset, one.name.first_stage, one.name.reranker or None, one.measure, *values, judgement]


def junit(judgements: Sequence[Judgement], tolerance: float) -> str:
    """A test case a result and measure; a regression is a failure, what could not be judged an error."""
    counts = Counter(one.status for one in judgements)
    totals = {"tests": len(judgements), "failures": counts[REGRESSION], "errors": counts[UNJUDGED]}
    suite = ET.Element("testsuite", {"name": "evalkit gate", **{key: str(value) for key, value in totals.items()}})
    rows = grid(judgements, tolerance).texts()
    for one, texts in zip(judgements, rows, strict=True):
        case = ET.SubElement(suite, "testcase", {"classname": _clean(str(one.name)), "name": one.measure or "result"})
        if one.status in {REGRESSION, UNJUDGED}:
            kind = "failure" if one.status == REGRESSION else "error"
            message = (
                f"{one.status}: {one.reason or f'baseline, now, difference, low, high, p: {chr(32).join(texts[4:10])}'}"
            )
            ET.SubElement(case, kind, {"message": _clean(message)})
        elif one.status != "fine" or one.reason:
            ET.SubElement(case, "system-out").text = _clean(f"{texts[10]}: {' '.join(texts[4:10])}")
    ET.indent(suite)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suite, encoding="unicode")}\n'


def _clean(text: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def gate_summary(judgements: Sequence[Judgement], tolerance: float, code: int) -> str:
    """For the summary page of a CI job or a comment: what moved or could not be judged, and all else folded."""
    heads = {0: "evalkit gate: fine", 1: "evalkit gate: regression", 2: "evalkit gate: could not be judged"}
    moved = sorted((one for one in judgements if not _is_fine(one)), key=lambda one: _ORDER.index(one.status))
    fine = [one for one in judgements if _is_fine(one)]
    count, *rule = grid(judgements, tolerance).notes
    told = dict.fromkeys(_sentence(one) for one in moved if one.status in {REGRESSION, UNJUDGED})
    title = "What moved or is missing" if any(one.now is None for one in moved) else "What moved"
    table = replace(grid(moved, tolerance), title=title, notes=rule) if moved else None
    folded = [replace(grid(fine, tolerance), title="Fine", notes=[])] if fine else []
    return summary(heads[code], bullets([f"{count}.", *told]), table, folded, f"{len(fine)} fine")


_ORDER = (REGRESSION, UNJUDGED, DRIFTING, FINE, NEW, IMPROVED)


def _is_fine(one: Judgement) -> bool:
    return one.status == FINE and not one.reason


def _sentence(one: Judgement) -> str:
    if one.now is None or one.before is None:
        return f"{one.name} could not be judged: {one.reason}."
    moved = one.now - one.before
    return f"{one.measure} of {one.name} fell from {one.before:.4f} to {one.now:.4f} ({moved:+.4f}, p {one.p:.3g})."
