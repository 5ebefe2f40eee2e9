"""A dataset's inspection on the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evalkit.datasets.inspection import Inspection, Lengths


def show_inspection(name: str, inspection: Inspection, out: Console) -> None:
    """What a collection holds, and what in it may surprise."""
    out.print(f"{name}: {inspection.documents:,} documents, {inspection.queries:,} judged queries", style="bold")
    findings = Table()
    findings.add_column("looked for")
    findings.add_column("found", justify="right")
    findings.add_column("such as", overflow="fold")
    for finding in inspection.findings:
        examples = escape(", ".join(finding.examples))
        findings.add_row(finding.what, f"{finding.count:,}", examples, style="" if finding.count else "dim")
    out.print(findings)
    lengths = Table()
    lengths.add_column("distribution")
    for column in ("least", "median", "mean", "95 %", "most"):
        lengths.add_column(column, justify="right")
    lengths.add_row("characters of a document", *_row(inspection.document_characters))
    lengths.add_row("characters of a query", *_row(inspection.query_characters))
    if inspection.grades:
        lengths.add_row("relevant documents of a query", *_row(inspection.relevant_per_query))
    out.print(lengths)
    if inspection.grades:
        grades = ", ".join(f"{grade}: {count:,}" for grade, count in inspection.grades.items())
        out.print(f"judgments by grade {grades}", style="dim", highlight=False)


def _row(lengths: Lengths) -> tuple[str, ...]:
    return (
        f"{lengths.least:,}",
        f"{lengths.median:,.0f}",
        f"{lengths.mean:,.1f}",
        f"{lengths.percentile_95:,.0f}",
        f"{lengths.most:,}",
    )
