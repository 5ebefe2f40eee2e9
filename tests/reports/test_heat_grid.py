"""The table behind the heat map: every number and mark is that of the pairs of compare."""

import pytest
from made import made

from evalkit.analysis.overall import overall
from evalkit.analysis.pairwise import Settings, compare
from evalkit.cli import main
from evalkit.errors import ConfigError
from evalkit.reports.heat_grid import REAL, heat_grid
from evalkit.results.gather import gather

QUICK = Settings(samples=500)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heat")
    made(folder, {"strong": 3.0, "weak": 0.4})
    return made(folder, {"strong": 3.0, "weak": 0.4, "extra": 2.0}, dataset="two")


@pytest.fixture(scope="module")
def compared(root):
    found = compare(gather([root]), QUICK)
    return found, overall(found, QUICK)


def pairs_of(pairings, one, other):
    (pair,) = [pair for pair in pairings if {pair.better, pair.worse} == {one, other}]
    return (pair.difference if pair.better == one else -pair.difference), pair.is_real(0.05)


@pytest.mark.parametrize("baseline", ["", "weak"])
def test_cells_and_marks_are_those_of_the_pairs(compared, baseline):
    comparisons, total = compared
    grid = heat_grid(comparisons, total, QUICK, baseline)
    assert [column.name for column in grid.columns] == ["system", "average", "one", "two"]
    for row, (name, average, *values) in enumerate(grid.rows):
        for column, (value, one) in enumerate(zip(values, comparisons, strict=True), start=2):
            if name not in one.names:
                assert (value, (row, column) in grid.marks) == (None, False)
                continue
            expected, real = pairs_of(one.pairings, name, baseline or "stage-100")
            assert (value, grid.marks.get((row, column), "")) == (expected, REAL if real else "")
        if name != "extra":
            assert average == pairs_of(total.pairings, name, baseline or "stage-100")[0]
    assert {name for name, *_ in grid.rows} == {"strong", "weak", "extra", "stage-100"} - {baseline or "stage-100"}
    assert grid.rows[0][0] == "strong"
    assert (0, 2) in grid.marks


def test_an_unknown_baseline_is_refused_and_one_system_has_no_table(compared, root):
    with pytest.raises(ConfigError, match=r"no system is called 'strng'. Did you mean strong\?"):
        heat_grid(*compared, QUICK, "strng")
    settings = QUICK._replace(first_stage=False)
    alone = compare(gather([root / "one/stage-100/strong"]), settings)
    assert heat_grid(alone, None, settings) is None


def test_compare_shows_it_for_several_datasets_or_a_baseline(root, capsys):
    assert main(["compare", str(root), "--samples", "500", "--format", "markdown"]) == 0
    assert "**nDCG@10: difference to first stage**" in capsys.readouterr().out
    assert main(["compare", str(root / "one"), "--samples", "500", "--format", "markdown"]) == 0
    assert "difference to" not in capsys.readouterr().out
    assert main(["compare", str(root / "one"), "--samples", "500", "--format", "markdown", "--baseline", "weak"]) == 0
    assert "**nDCG@10: difference to weak**" in capsys.readouterr().out
    assert main(["compare", str(root / "one"), "--samples", "500", "--baseline", "wek"]) == 2


def test_the_star_is_explained_where_there_is_one(compared, tmp_path):
    comparisons, total = compared
    assert heat_grid(comparisons, total, QUICK).legend.startswith(f"{REAL} more than chance")
    few = compare(gather([made(tmp_path, {"strong": 3.0}, queries=2)]), QUICK)
    grid = heat_grid(few, None, QUICK)
    assert (len(grid.rows), grid.marks, grid.legend) == (1, {}, "")
