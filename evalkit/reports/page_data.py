"""What the scripts of a page read: numbers as plain JSON, and single queries with their texts, compressed."""

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any

from evalkit.analysis.moves import Listing, first_pair
from evalkit.analysis.pairwise import Pairing
from evalkit.reports.chart_rows import Rows, names_of, rows_of_dataset, rows_of_scores, rows_over_datasets
from evalkit.reports.heat_grid import heat_grid
from evalkit.reports.looks import look_of, theme
from evalkit.reports.overview import DatasetView, Overview
from evalkit.system.terminal import TURNING, unturned

_UNITS = 10_000  # values are whole numbers of these parts, to keep the file small
_LONGEST, _SHORTEST = 700, 100  # characters of a document
_ALL_TEXTS = 1_000_000  # characters of all documents together
_DIGITS = 6


def embedded(value: Any) -> str:
    """JSON that may stand inside a script element, whatever its texts hold."""
    text = _json(value)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def packed(value: Any) -> str:
    """JSON, compressed and in letters of base64; the same value gives the same text."""
    return base64.b64encode(gzip.compress(_json(value).encode(), 9, mtime=0)).decode()


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A text that is read back shows the escape, so that of its backslashes there are two here.
    text = TURNING.sub(lambda found: chr(92) + unturned(found[0]), text)
    # Lone halves of surrogate pairs, which JSON lines may hold, have no UTF-8.
    return text.encode("utf-8", errors="replace").decode("utf-8")


def numbers(found: Overview) -> dict[str, Any]:
    """Everything but single queries."""
    from evalkit.reports.charts import specifications

    measure, look = found.settings.measure, look_of(names_of(found))
    total = found.total
    return {
        "measure": measure,
        "specifications": specifications(measure, look),
        "theme": theme(on_page=True),
        "systems": [dict(zip(("name", "colour", "shape"), own, strict=True)) for own in zip(*look, strict=True)],
        "heat": _heat(found, look.names),
        "baseline": found.baseline,
        "overall": None
        if total is None
        else {
            "rows": _columns(rows_over_datasets(total, found.settings.alpha)),
            "pairs": _pairs(total.pairings, found.settings.alpha),
            "systems": [one._asdict() for one in total.systems],
        },
        "datasets": [_dataset(view, found.settings.alpha) for view in found.datasets],
    }


def _heat(found: Overview, names: Sequence[str]) -> dict[str, Any]:
    """Baseline, empty for each one's own first stage -> the table of differences to it."""
    comparisons = [view.comparison for view in found.datasets]
    tables = {}
    for baseline in ("", *names):
        grid = heat_grid(comparisons, found.total, found.settings, baseline)
        if grid is not None:
            tables[baseline] = {
                "columns": [column.name for column in grid.columns],
                "rows": [[_rounded(cell) for cell in row] for row in grid.rows],
                "real": sorted(list(place) for place in grid.marks),
                "notes": [grid.legend, *grid.notes],
            }
    return tables


def _dataset(view: DatasetView, alpha: float) -> dict[str, Any]:
    comparison = view.comparison
    return {
        "name": comparison.dataset,
        "ceiling": comparison.ceiling,
        "remark": view.remark,
        "first": first_pair(comparison.evaluations),
        "systems": [
            {
                "name": one.name,
                "mean": one.mean,
                "low": one.low,
                "high": one.high,
                "groups": one.groups,
                "first_stage": system.evaluation.is_first_stage,
                "speed": system.speed,
                "no_curve": system.no_curve,
                "bins": None if system.bins is None else _columns(rows_of_scores(system.bins)),
            }
            for one, system in zip(comparison.systems, view.systems, strict=True)
        ],
        "charts": {name: _columns(rows) for name, rows in rows_of_dataset(view).items()},
        "pairs": _pairs(comparison.pairings, alpha),
        "queries": comparison.queries,
    }


def _pairs(pairings: Sequence[Pairing], alpha: float) -> dict[str, Any]:
    return _columns([{**pair._asdict(), "real": pair.is_real(alpha), "equal": pair.is_equal} for pair in pairings])


def _columns(rows: Rows) -> dict[str, Any]:
    """Names of the fields once, and each row as a list; null for a field that a row lacks."""
    fields = list(dict.fromkeys(field for row in rows for field in row))
    return {"fields": fields, "rows": [[_rounded(row.get(field)) for field in fields] for row in rows]}


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def queries(found: Overview) -> list[dict[str, Any]]:
    """Of each dataset the value of every query, and the listed queries with their documents, shortened to fit."""
    listed = sum(len({doc for one in view.listings for doc in one.texts}) for view in found.datasets)
    longest = max(min(_LONGEST, _ALL_TEXTS // max(listed, 1)), _SHORTEST)
    return [_queries(view, longest) for view in found.datasets]


def _queries(view: DatasetView, longest: int) -> dict[str, Any]:
    documents: dict[str, int] = {}  # id -> its place in the list
    known: dict[str, str] = {}
    listings = []
    for one in view.listings:
        known |= one.texts
        matched = {"tokens": [_matched(one, place) for place in range(len(one.tokens))]} if one.tokens else {}
        listings.append(_listing(one, documents, view.cut) | matched)
    shown = [{"id": doc_id, "text": _short(known.get(doc_id), longest)} for doc_id in documents]
    comparison = view.comparison
    return {
        "ids": comparison.query_ids,
        "values": (comparison.values * _UNITS).round().astype(int).T.tolist(),
        "listings": listings,
        "documents": shown,
    }


def _listing(one: Listing, documents: dict[str, int], cut: Sequence[frozenset[tuple[str, str]]]) -> dict[str, Any]:
    doc_ids = _doc_ids(one)
    return {
        "id": one.query_id,
        "text": one.text,
        "values": one.values,
        "documents": [documents.setdefault(doc_id, len(documents)) for doc_id in doc_ids],
        "grades": [one.grades.get(doc_id) for doc_id in doc_ids],
        "ranks": [[own.get(doc_id) for doc_id in doc_ids] for own in one.ranks],
        "shown": [len(ranking) for ranking in one.rankings],
        "cut": [_cut(one.query_id, doc_ids, pairs) for pairs in cut],
    }


def _matched(one: Listing, system: int) -> dict[str, Any] | None:
    """The query's tokens, and of each document by its place [product, start, stop] or [product, special token]."""
    query: tuple[str, ...] = ()
    documents = {}
    for place, doc_id in enumerate(_doc_ids(one)):
        if (found := one.tokens[system].get(doc_id)) is not None:
            query = found.tokens
            parts = zip(found.values, found.spans, found.matches, strict=True)
            documents[place] = [[round(value, 4), *(span if span[0] >= 0 else (word,))] for value, span, word in parts]
    return {"query": query, "documents": documents} if documents else None


def _doc_ids(one: Listing) -> list[str]:
    return list(dict.fromkeys(doc_id for ranking in one.rankings for doc_id in ranking))


def _cut(query_id: str, doc_ids: Sequence[str], pairs: frozenset[tuple[str, str]]) -> list[int]:
    return [place for place, doc_id in enumerate(doc_ids) if (query_id, doc_id) in pairs]


def _short(text: str | None, longest: int) -> str | None:
    return text if text is None or len(text) <= longest else f"{text[: longest - 1]}…"
