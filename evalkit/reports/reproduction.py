"""Published numbers and ours as tables."""

from collections import Counter
from collections.abc import Sequence

from evalkit.analysis.published.explain import Toggle
from evalkit.analysis.published.missing import MissingRun
from evalkit.analysis.published.tables import Published
from evalkit.analysis.published.verdicts import NEAR_TIMES, Cell
from evalkit.formats.notes import counted
from evalkit.reports.grid import Cell as Value
from evalkit.reports.grid import Grid, columns

_NEAR_CEILING = 0.98


def grids(published: Published, cells: Sequence[Cell], tolerance: float) -> list[Grid]:
    """A table a published table."""
    return [
        _grid(published, [cell for cell in cells if cell.table == name], name, tolerance)
        for name in dict.fromkeys(cell.table for cell in cells)
    ]


def _grid(published: Published, cells: Sequence[Cell], name: str, tolerance: float) -> Grid:
    specs = {"system": "", "on": "", "published": ".2f", "ours": ".2f", "delta": "+.2f", "ceiling": ".2f"}
    rows: list[Sequence[Value]] = [
        [
            cell.system,
            cell.column,
            cell.published,
            cell.ours,
            None if cell.ours is None else cell.ours - cell.published,
            cell.ceiling,
            cell.verdict,
            _remark(cell),
        ]
        for cell in cells
    ]
    counts = Counter(cell.verdict.partition(" (")[0] for cell in cells)
    rule = (
        f"reproduced: within {tolerance:g} points, as far as two harnesses are apart without a cause; near: within "
        f"{NEAR_TIMES * tolerance:g}. Published under depth {published.depth}, max_length {published.max_length}"
    )
    counted = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    notes = [counted, rule, *published.notes, f"source: {published.source}"]
    return Grid(f"{published.title}: {name}", columns({**specs, "verdict": "", "remark": ""}), rows, notes)


def _remark(cell: Cell) -> str:
    remarks = list(cell.conditions)
    if cell.ceiling is not None:
        for whose, value in (("published", cell.published), ("ours", cell.ours)):
            if value is not None and value > cell.ceiling + 0.005:
                remarks.append(f"{whose} is above the ceiling of our candidates")
            elif value is not None and value > _NEAR_CEILING * cell.ceiling:
                remarks.append(f"{whose} is {value / cell.ceiling:.1%} of the ceiling")
    return "; ".join(remarks)


def plan(published: Published, runs: Sequence[MissingRun]) -> Grid:
    """The evaluations to run, in order."""
    specs = {"#": "", "dataset": "", "first stage": "", "reranker": "", "settings": ""}
    specs |= {"documents to encode": ",", "pairs to score": ","}
    rows: list[Sequence[Value]] = [
        [number, run.dataset, run.retriever, run.reranker, " ".join(run.settings), run.documents, run.pairs]
        for number, run in enumerate(runs, start=1)
    ]
    known = [run for run in runs if run.documents is not None and run.pairs is not None]
    documents, pairs = sum(run.documents or 0 for run in known), sum(run.pairs or 0 for run in known)
    total = f"{counted(documents, 'document')} and {counted(pairs, 'pair')}"
    missing = "1 evaluation is" if len(runs) == 1 else f"{len(runs)} evaluations are"
    unknown = f"; {len(runs) - len(known)} of unknown size come last" if len(known) < len(runs) else ""
    return Grid(f"{published.title}: {missing} missing", columns(specs), rows, [f"{total}{unknown}"])


def explanation(cell: Cell, toggles: Sequence[Toggle]) -> Grid:
    """Conditions that move a number, the largest first; those that were not run come last, with their command."""
    specs = {"under": "", "value": ".2f", "moved": "+.2f", "command": ""}
    rows: list[Sequence[Value]] = [[one.what, one.value, one.moved, one.command] for one in toggles]
    apart = "" if cell.ours is None else f"published {cell.published:.2f}, ours {cell.ours:.2f}, {cell.verdict}"
    note = (
        "recomputed from the saved runs, in points of this cell; those with a command change what the model reads, and "
        "are measured on a sample of one dataset's queries once the command was run here"
    )
    return Grid(f"{cell.system} on {cell.column}: {apart}", columns(specs), rows, [note])
