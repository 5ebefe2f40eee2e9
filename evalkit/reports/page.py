"""An overview as one HTML file for people: tables, charts, a browser of queries; asks the network for nothing.

Whatever a text or an id holds is shown, never run: tables are escaped by the template, and the data that scripts read
is JSON without a character that HTML would see. The page's own policy allows its one style and one script, by digest.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from evalkit.analysis.flags import Flag
from evalkit.analysis.overall import Overall
from evalkit.analysis.pairwise import Settings, groups
from evalkit.formats.notes import counted
from evalkit.reports import overview_grids as tables
from evalkit.reports.comparison import rule_text, too_few
from evalkit.reports.overview import DatasetView, Overview

_ASSETS = Path(__file__).resolve().parent / "assets"
_SCRIPTS = ("charts.js", "browser.js", "main.js")
_TEXT = 700  # characters of a document
_UNITS = 10_000  # values are whole numbers of these parts, to keep the file small


def page(found: Overview) -> str:
    """The whole file."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    loader = FileSystemLoader(_ASSETS)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    style = _asset("page.css")
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    names = ", ".join(view.comparison.dataset for view in found.datasets)
    return environment.get_template("page.html").render(
        title=f"{found.settings.measure} on {names if len(found.datasets) == 1 else f'{len(found.datasets)} datasets'}",
        made_by=_made_by(found),
        rule=rule_text(found.settings),
        few=[] if found.total is None else _few(found.total, found.settings),
        # Our own files, and JSON that cannot end its element; all else is escaped by the template.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        style_hash=_digest(style),
        script_hash=_digest(script),
        data=Markup(embedded(_data(found))),  # noqa: S704
        summary=tables.summary(found),
        published=tables.published(found),
        total=tables.over(found),
        pairs=tables.pairs_by_dataset(found),
        conditions=tables.conditions(found),
        flags=_flags(found),
    )


def _few(total: Overall, settings: Settings) -> list[str]:
    return too_few(len(total.entries), "datasets", len(total.pairings), settings.rule)


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def embedded(value: Any) -> str:
    """JSON that may stand inside a script element, whatever its texts hold."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Lone halves of surrogate pairs, which JSON lines may hold, have no UTF-8.
    text = text.encode("utf-8", errors="replace").decode("utf-8")
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _made_by(found: Overview) -> str:
    results = sum(len(view.systems) for view in found.datasets)
    queries = sum(view.comparison.queries for view in found.datasets)
    settings = found.settings
    return (
        f"{counted(results, 'result')}, {counted(queries, 'query', 'queries')}. Intervals: 95 %, "
        f"bootstrap of {settings.samples:,} draws, seed {settings.seed}. Made by evalkit report."
    )


def _flags(found: Overview) -> list[Flag]:
    """Errors before warnings."""
    flags = [
        Flag(flag.level, f"{view.comparison.dataset}, {one.name}: {flag.text}")
        for view in found.datasets
        for one, system in zip(view.comparison.systems, view.systems, strict=True)
        for flag in system.flags
    ]
    return sorted(flags, key=lambda flag: flag.level)


def _data(found: Overview) -> dict[str, Any]:
    """The data that the page's scripts read."""
    stages = {one.evaluation.first_stage for view in found.datasets for one in view.systems}
    return {
        "measure": found.settings.measure,
        "one_stage": len(stages) == 1,
        "datasets": [_dataset(view) for view in found.datasets],
        "overall": None if found.total is None else _overall(found.total, found.settings),
    }


def _dataset(view: DatasetView) -> dict[str, Any]:
    comparison = view.comparison
    documents: dict[str, int] = {}  # id -> its place in the list
    listings = []
    for one in view.listings:
        places = [[documents.setdefault(doc_id, len(documents)) for doc_id in ranking] for ranking in one.rankings]
        grades = {documents[doc_id]: grade for doc_id, grade in one.grades.items()}
        listings.append(
            {"id": one.query_id, "text": one.text, "values": one.values, "rankings": places, "grades": grades}
        )
    texts = {doc_id: text for one in view.listings for doc_id, text in one.texts.items()}
    return {
        "name": comparison.dataset,
        "ceiling": comparison.ceiling,
        "remark": view.remark,
        "systems": [
            {
                "name": one.name,
                "mean": one.mean,
                "low": one.low,
                "high": one.high,
                "groups": one.groups,
                "first_stage": system.evaluation.is_first_stage,
                "stage": system.evaluation.first_stage,
                "speed": system.speed,
                "curve": [[point.depth, point.reranked, point.ceiling] for point in system.curve],
                "no_curve": system.no_curve,
            }
            for one, system in zip(comparison.systems, view.systems, strict=True)
        ],
        "ids": comparison.query_ids,
        "values": (comparison.values * _UNITS).round().astype(int).tolist(),
        "listings": listings,
        "documents": [{"id": doc_id, "text": _short(texts.get(doc_id))} for doc_id in documents],
    }


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _TEXT else f"{text[: _TEXT - 1]}…"


def _overall(total: Overall, settings: Settings) -> dict[str, Any]:
    order = sorted(range(len(total.systems)), key=lambda place: total.ranks[place])
    names = [total.systems[place].name for place in order]
    letters = groups(names, total.pairings, settings.alpha)
    sets = dict.fromkeys(letter for some in letters for letter in some)
    return {
        "systems": [{"name": total.systems[place].name, "rank": total.ranks[place]} for place in order],
        "groups": [[name for name, own in zip(names, letters, strict=True) if letter in own] for letter in sets],
    }
