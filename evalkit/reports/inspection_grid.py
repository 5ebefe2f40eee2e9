"""A dataset's inspection as tables."""

from dataclasses import astuple

from evalkit.datasets.inspection import Inspection
from evalkit.formats.notes import counted
from evalkit.reports.grid import Cell, Grid, columns


def inspection_grids(name: str, inspection: Inspection) -> list[Grid]:
    """Surprising findings in a collection, and how long its texts are."""
    rows: list[list[Cell]] = [[one.what, one.count, ", ".join(one.examples) or None] for one in inspection.findings]
    strong = frozenset((row, 1) for row, one in enumerate(inspection.findings) if one.count)
    queries = counted(inspection.queries, "judged query", "judged queries")
    title = f"{name}: {counted(inspection.documents, 'document')}, {queries}"
    findings = Grid(title, columns({"looked for": "", "found": ",", "such as": ""}), rows, strong=strong)
    measured = {
        "characters of a document": inspection.document_characters,
        "characters of a query": inspection.query_characters,
        **({"relevant documents of a query": inspection.relevant_per_query} if inspection.grades else {}),
    }
    specs = {"distribution": "", "least": ",", "median": ",.0f", "mean": ",.1f", "95 %": ",.0f", "most": ","}
    grades = ", ".join(f"{grade}: {count:,}" for grade, count in inspection.grades.items())
    lengths: list[list[Cell]] = [[what, *astuple(one)] for what, one in measured.items()]
    notes = [f"judgments by grade {grades}"] if grades else []
    return [findings, Grid(f"{name}: distributions", columns(specs), lengths, notes)]
