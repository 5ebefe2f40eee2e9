"""A folder of results as it is now, as tables and as a page that refreshes itself."""

import time
from collections import Counter
from collections.abc import Sequence

from evalkit.formats.notes import counted
from evalkit.reports.grid import Cell, Column, Grid
from evalkit.reports.html import asset, digest_of, filled
from evalkit.results.watching import FIRST_STAGE, Finished, Look
from evalkit.system.running import Running
from evalkit.system.stages import Rate, duration

_LAST = 12  # results shown, the last ones
_COLOURS = {"running": "green", "failed": "red", "killed": "red", "interrupted": "yellow", "silent": "yellow"}


def headline(found: Look) -> str:
    """All of it in a line."""
    states = Counter(one.state for one in found.broken)
    parts = [f"{len(found.running)} running", *(f"{count} {state}" for state, count in states.items())]
    results = [one for one in found.finished if one.reranker != FIRST_STAGE]
    datasets = {one.dataset for one in results}
    parts.append(f"{counted(len(results), 'result')} on {counted(len(datasets), 'dataset')}")
    if known := [one for one in found.running if (one.facts.get("of") or 0) > 1]:
        number, of = max((one.facts["number"] + 1, one.facts["of"]) for one in known)
        parts.append(f"evaluation {number} of {of} of the sweep")
    return ", ".join(parts)


def watch_grids(found: Look, *, now: float | None = None) -> list[Grid]:
    """What runs and what broke off, then the last results.

    Args:
        found: what was seen.
        now: the time, in seconds since the epoch.
    """
    now = time.time() if now is None else now
    grids = [_finished(found.finished, now)] if found.finished else []
    return [_evaluations([*found.running, *found.broken], now), *grids] if found.running or found.broken else grids


def _evaluations(some: Sequence[Running], now: float) -> Grid:
    columns = [
        *map(Column, ("dataset", "first stage", "reranker")),
        Column("state", colours=_COLOURS),
        *map(Column, ("stage", "done", "rate", "left", "since")),
    ]
    named = [tuple(str(one.facts.get(key, "")) for key in ("dataset", "first_stage", "reranker")) for one in some]
    settings = _told_apart(named, [one.facts.get("overrides", ()) for one in some])
    rows = [_evaluation(one, now) for one in some]
    notes = [
        f"{' / '.join(name)}{f' {own}' if own else ''}: {one.message}"
        for one, name, own in zip(some, named, settings, strict=True)
        if one.message
    ]
    return Grid("Evaluations", *_with_settings(columns, rows, settings), notes)


def _told_apart(names: Sequence[tuple[str, ...]], typed: Sequence[Sequence[str]]) -> list[str]:
    """Of each what was typed for it and not for all others of its name."""
    shared: dict[tuple[str, ...], set[str]] = {}
    for name, own in zip(names, typed, strict=True):
        shared[name] = shared.get(name, set(own)) & set(own)
    return [" ".join(text for text in own if text not in shared[name]) for name, own in zip(names, typed, strict=True)]


def _with_settings(
    columns: list[Column], rows: Sequence[list[Cell]], settings: Sequence[str]
) -> tuple[list[Column], list[list[Cell]]]:
    """Both with the settings after the names, where some differ."""
    if not any(settings):
        return columns, list(rows)
    added: list[list[Cell]] = [[*row[:3], own or None, *row[3:]] for row, own in zip(rows, settings, strict=True)]
    return [*columns[:3], Column("settings"), *columns[3:]], added


def _evaluation(one: Running, now: float) -> list[Cell]:
    return [
        *(one.facts.get(key) for key in ("dataset", "first_stage", "reranker")),
        one.state,
        one.stage or None,
        _done(one) if one.stage else None,
        str(Rate(one.rate, one.unit)) if one.rate else None,
        None if one.left is None else duration(one.left),
        duration(max(now - (one.started if one.state == "running" else one.updated), 0.0)),
    ]


def _done(one: Running) -> str:
    done = one.done + one.kept
    share = f" ({done / one.total:.0%})" if one.total else ""
    return f"{done:,.0f}" + (f" of {one.total:,.0f}" if one.total is not None else "") + f" {one.unit}{share}"


def _finished(some: Sequence[Finished], now: float) -> Grid:
    columns = [
        *map(Column, ("dataset", "first stage", "reranker", "measure")),
        Column("mean", ".4f"),
        Column("seconds", ".1f"),
        Column("written"),
    ]
    rows: list[list[Cell]] = [
        [
            *(one.dataset, one.first_stage, one.reranker, one.measure, one.value, one.seconds),
            f"{duration(max(now - one.written, 0.0))} ago",
        ]
        for one in some[:_LAST]
    ]
    more = [f"{len(some) - _LAST} more"] if len(some) > _LAST else []
    settings = _told_apart([one[:3] for one in some], [one.overrides for one in some])
    return Grid("Results", *_with_settings(columns, rows, settings[:_LAST]), more)


def watch_page(found: Look, *, every: float, title: str) -> str:
    """The page, which loads itself again after so many seconds; no script runs and nothing else is loaded."""
    from markupsafe import Markup

    style = asset("watch.css")
    return filled(
        "watch.html",
        title=title,
        every=max(round(every), 1),
        headline=headline(found),
        grids=watch_grids(found),
        written=time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        style=Markup(style),  # noqa: S704 - our own file
        style_hash=digest_of(style),
    )
