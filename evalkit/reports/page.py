"""An overview as one HTML file for people: what was found, charts, tables, queries; asks the network for nothing.

Whatever a text or an id holds is shown, never run: tables are escaped by the template, and the data that scripts read
is JSON without a character that HTML would see. The page's own policy allows its one style and its two scripts, Vega
and the page's own, by digest. Vega reads its expressions with an interpreter, so nothing is evaluated.
"""

from functools import cache

from evalkit.analysis.flags import Flag
from evalkit.analysis.overall import Overall
from evalkit.analysis.pairwise import Settings
from evalkit.formats.notes import counted
from evalkit.reports import overview_grids as tables
from evalkit.reports.comparison import rule_text, too_few
from evalkit.reports.html import asset, digest_of, filled
from evalkit.reports.overview import Overview
from evalkit.reports.page_data import embedded, numbers, packed, queries
from evalkit.reports.sentences import sentence, shown

_SCRIPTS = ("drawing.js", "tables.js", "tokens.js", "browser.js", "main.js")


def page(found: Overview) -> str:
    """The whole file."""
    from markupsafe import Markup

    style, vega = asset("page.css"), _vega()
    script = "\n".join(map(asset, _SCRIPTS))
    names = ", ".join(view.comparison.dataset for view in found.datasets)
    return filled(
        "page.html",
        title=f"{found.settings.measure} on {names if len(found.datasets) == 1 else f'{len(found.datasets)} datasets'}",
        made_by=_made_by(found),
        several=len(found.datasets) > 1,
        alone=all(len(view.systems) == 1 for view in found.datasets),
        findings=sorted(
            ((one.level, sentence(one)) for one in shown(found.findings)), key=lambda each: each[0] != "note"
        ),
        rule=rule_text(found.settings),
        few=[] if found.total is None else _few(found.total, found.settings),
        # Our own files, and JSON that cannot end its element; all else is escaped by the template.
        style=Markup(style),  # noqa: S704
        vega=Markup(vega),  # noqa: S704
        script=Markup(script),  # noqa: S704
        style_hash=digest_of(style),
        script_hashes=[digest_of(vega), digest_of(script)],
        data=Markup(embedded(numbers(found))),  # noqa: S704
        queries=packed(queries(found)),
        summary=tables.summary(found),
        published=tables.published(found),
        total=tables.over(found),
        conditions=tables.conditions(found),
        flags=_flags(found),
    )


@cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script; takes seconds, once a process."""
    import vl_convert

    everything = "window.vegaEmbed = vegaEmbed;"
    bundle: str = vl_convert.javascript_bundle(everything)
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _few(total: Overall, settings: Settings) -> list[str]:
    return too_few(len(total.entries), "datasets", len(total.pairings), settings.rule)


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
