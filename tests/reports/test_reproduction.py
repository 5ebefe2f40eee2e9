"""Published tables in their own shape, with our numbers in their cells."""

import csv
import io
import itertools
import json

import pytest
from made import made
from rich.console import Console

from evalkit.analysis.published.tables import load_published
from evalkit.analysis.published.verdicts import reproduce, verdict
from evalkit.cli import main
from evalkit.reports.grid import latex, markdown, show
from evalkit.reports.reproduction import as_published, in_rows
from evalkit.results.gather import gather

BGE = load_published("bge-rerankers")
M3 = "bge-reranker-v2-m3"
APART = {"T2Retrieval": 0.12, "MMarcoRetrieval": -0.6, "DuRetrieval": -20.0}


def run(cell):
    """The cell as if it had been run, so much apart; conditions differ on all but one dataset."""
    if cell.system != M3 or cell.column not in APART:
        return cell
    ours = cell.published + APART[cell.column]
    differing = () if cell.column == "T2Retrieval" else ("max_length 512, published 1024",)
    return cell._replace(ours=ours, ceiling=100.0, verdict=verdict(cell.published, ours, 0.3), conditions=differing)


@pytest.fixture(scope="module")
def cells():
    return [run(cell) for cell in reproduce(BGE, []) if cell.table == "cmteb"]


def by_system(grid):
    return {row[0]: row[1:] for row in grid.rows}


def test_the_shape_is_the_published_one(cells):
    (grid,) = as_published(BGE, cells, 0.3, width=None)
    (table,) = [table for table in BGE.tables if table.name == "cmteb"]
    assert [column.name for column in grid.columns] == ["system", *(column.name for column in table.columns)]
    assert [row[0] for row in grid.rows] == [row.name for row in table.rows]
    assert by_system(grid)["bge-reranker-v2-gemma"] == [f"{value:.2f}" for value in table.rows[1].values]
    assert grid.sections == {1}  # a line between first stages and rerankers


def test_a_cell_has_both_numbers_its_verdict_as_mark_and_as_colour(cells):
    (grid,) = as_published(BGE, cells, 0.3, width=None)
    assert by_system(grid)[M3][:4] == ["84.57 / 84.69 ✓", "83.85 / 83.25 ≈†", "89.60 / 69.60 ✗†", "89.38"]
    colours = [column.colours[text] for column, text in zip(grid.columns[1:5], by_system(grid)[M3], strict=False)]
    assert colours == ["green", "yellow", "red", "dim"]
    assert "✓ reproduced (1): within 0.3 points" in grid.legend
    assert "45 numbers: not run" in grid.legend


def test_an_empty_cell_of_the_publication_stays_empty():
    published = load_published("minicpm-reranker")
    (grid,) = as_published(published, [c for c in reproduce(published, []) if c.table == "cn-en"], 0.3, width=None)
    assert by_system(grid)["bge-large-zh-v1.5"] == ["70.46", None]


def test_a_condition_that_differs_is_noted_once_with_its_cells(cells):
    (grid,) = as_published(BGE, cells, 0.3, width=None)
    (note,) = [note for note in grid.notes if note.startswith("†")]
    assert note == f"† max_length 512, published 1024: {M3} on MMarcoRetrieval, {M3} on DuRetrieval"


def test_a_condition_of_many_cells_names_some_and_counts_the_others(cells):
    differing = [cell._replace(ours=1.0, verdict="off", conditions=("depth 50, published 100",)) for cell in cells]
    (grid,) = as_published(BGE, differing, 0.3, width=None)
    assert "† depth 50, published 100: all 48 numbers" in grid.notes
    (grid,) = as_published(BGE, [*differing[:9], cells[9]._replace(ours=1.0, verdict="off")], 0.3, width=None)
    assert any(note.endswith("and 6 more (--long shows each)") for note in grid.notes)


def test_a_number_above_the_ceiling_of_our_candidates_is_doubtful(cells):
    above = [cell._replace(ours=80.0, ceiling=84.0, verdict="off") for cell in cells if cell.column == "T2Retrieval"]
    (grid,) = as_published(BGE, above, 0.3, width=None)
    assert by_system(grid)["bge-large-zh-v1.5"][0] == "83.99 / 80.00 ✗"
    assert by_system(grid)[M3][0] == "84.57 / 80.00 ✗†"
    (long,) = in_rows(BGE, above, 0.3)
    remarks = {row[0]: row[-1] for row in long.rows}
    assert remarks[M3] == "published is above the ceiling of our candidates"
    assert remarks["bge-large-zh-v1.5"] == "published is 100.0% of the ceiling"


@pytest.mark.parametrize("width", [60, 100, 140])
def test_a_table_wider_than_the_terminal_is_set_in_parts_that_fit_and_lose_no_number(cells, width):
    (whole,) = as_published(BGE, cells, 0.3, width=None)
    parts = as_published(BGE, cells, 0.3, width=width)
    assert len(parts) > 1
    assert all(part.title.endswith(f"part {number} of {len(parts)}") for number, part in enumerate(parts, start=1))
    for place, row in enumerate(whole.rows):
        assert row[1:] == list(itertools.chain.from_iterable(part.rows[place][1:] for part in parts))
    assert [bool(part.notes) for part in parts] == [False] * (len(parts) - 1) + [True]
    printed = io.StringIO()
    show(parts, Console(file=printed, width=width))
    assert all(text in printed.getvalue() for row in whole.rows for text in row)  # none was folded


def test_one_system_is_read_downwards():
    published = load_published("first-stages")
    cells = [cell for cell in reproduce(published, []) if cell.table == "bge-m3"]
    (grid,) = as_published(published, cells, 0.3, width=100)
    assert [column.name for column in grid.columns] == ["on", "bge-m3 (dense)"]
    assert [row[0] for row in grid.rows] == [cell.column for cell in cells]


def test_markdown_and_latex_have_the_marks(cells):
    grids = as_published(BGE, cells, 0.3, width=None)
    assert "| 84.57 / 84.69 ✓ | 83.85 / 83.25 ≈† |" in markdown(grids)
    set_in_latex = latex(grids)
    assert r"84.57 / 84.69 $\surd$ & 83.85 / 83.25 $\approx$$^{\dagger}$" in set_in_latex
    assert not set("✓≈✗†") & set(set_in_latex.partition(r"\begin{table}")[2])


def test_programs_get_a_row_a_number_and_people_on_request(tmp_path, capsys):
    root = made(tmp_path, {"bge_reranker_v2_m3": 1.0}, dataset="scifact", stage="bge_large_en_v1_5", queries=4)
    asked = ["reproduce", "bge-rerankers", "--table", "beir", "--results", str(root)]
    cells = [cell for cell in reproduce(BGE, gather([root])) if cell.table == "beir"]
    ours = {(cell.system, cell.column): cell.ours for cell in cells if cell.ours is not None}
    assert len(ours) == 2
    assert main([*asked, "--format", "json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)
    assert {(row["system"], row["on"]): row["ours"] for row in table["rows"] if row["ours"]} == ours
    assert main([*asked, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {(row["system"], row["on"]): float(row["ours"]) for row in rows if row["ours"]} == ours
    assert main([*asked, "--format", "markdown"]) == 0
    shaped = capsys.readouterr().out
    assert "| system | trec-covid | quora |" in shaped
    assert main([*asked, "--format", "markdown", "--long"]) == 0
    assert "| system | on | published | ours | delta |" in capsys.readouterr().out
