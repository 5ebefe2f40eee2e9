"""How charts look: the colour and shape of each system, the same in every chart, and the theme of page and paper."""

from collections.abc import Mapping
from typing import Any, NamedTuple

# At least 3 to 1 on white and on the page's dark paper; any two differ for readers with normal vision, protanopia and
# deuteranopia alike (a test simulates them). More systems than colours are told apart by their shapes.
COLOURS = ("#075ed2", "#c98710", "#d90294", "#089edf", "#a34b04", "#fe4eb1", "#277dff", "#e3315e")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")
FIRST_STAGES = "#787878"
BETTER, WORSE, SAME = "#277dff", "#c98710", "#8a8a8a"  # of two systems
_INK, _PAPER = "#1b1f24", "#ffffff"


class Look(NamedTuple):
    """The systems of a report with their colours and shapes, in the same order."""

    names: tuple[str, ...]
    colours: tuple[str, ...]
    shapes: tuple[str, ...]


def look_of(systems: Mapping[str, bool]) -> Look:
    """The look of each system.

    Args:
        systems: name -> whether it is a first stage; these are grey beside rerankers.
    """
    stages = [name for name, is_first_stage in systems.items() if is_first_stage]
    rerankers = [name for name in systems if name not in stages]
    if not rerankers:
        rerankers, stages = stages, []
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(rerankers)}
    shapes = {name: SHAPES[place % len(SHAPES)] for some in (rerankers, stages) for place, name in enumerate(some)}
    names = tuple(systems)
    return Look(names, tuple(colours.get(name, FIRST_STAGES) for name in names), tuple(shapes[name] for name in names))


def theme(*, on_page: bool) -> dict[str, Any]:
    """Configuration of Vega-Lite; on the page, ink is the colour of the text around, light or dark."""
    ink = "currentColor" if on_page else _INK
    faint = {"gridColor": ink, "gridOpacity": 0.13, "domainColor": ink, "domainOpacity": 0.4, "tickColor": ink}
    text = {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    spaced = {"labelSeparation": 8, "labelPadding": 6, "titlePadding": 8}
    return {
        "background": None if on_page else _PAPER,
        "font": "system-ui, sans-serif" if on_page else "Liberation Sans, Noto Sans CJK SC, sans-serif",
        "view": {"stroke": None},
        "axis": {**faint, **text, **spaced, "tickOpacity": 0.4, "labelLimit": 230},
        "legend": {**text, "symbolStrokeWidth": 2, "symbolBaseFillColor": ink, "orient": "top", "title": None},
        "title": {"color": ink, "fontWeight": "normal", "fontSize": 13, "anchor": "start"},
        "rule": {"color": ink},
        "text": {"color": ink, "fontSize": 12},
        "header": {"labelColor": ink, "titleColor": ink},
    }
