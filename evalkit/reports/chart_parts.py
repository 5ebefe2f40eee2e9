"""What charts are made of: their rows, heights, and what a pointer over a mark shows."""

import altair as alt

HEIGHT = 260  # pixels
DECIMALS = ".4f"

Drawn = alt.Chart | alt.LayerChart | alt.FacetChart


def from_rows() -> alt.Chart:
    """A chart of the rows that are given with the specification."""
    return alt.Chart(alt.NamedData(name="rows"))


def tip(field: str, title: str, form: str = "") -> alt.Tooltip:
    """A line of what is shown over a mark."""
    return alt.Tooltip(field, title=title, format=form) if form else alt.Tooltip(field, title=title)
