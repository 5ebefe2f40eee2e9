"""`evalkit report` as a user types it."""

import pytest
from made import made

from evalkit.cli import main


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return str(made(tmp_path_factory.mktemp("report"), {"strong": 3.0}, queries=8))


def test_page_tables_and_figures_are_written_and_named(root, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    asked = ["--html", str(tmp_path / "a.html"), "--markdown", str(tmp_path / "a.md"), "--figures", str(tmp_path / "f")]
    assert main(["report", root, *asked]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == [str(tmp_path / "a.html"), str(tmp_path / "a.md")]
    assert str(tmp_path / "f" / "one-depth.svg") in printed
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "| strong | **" in (tmp_path / "a.md").read_text(encoding="utf-8")


def test_a_page_is_what_is_written_when_nothing_is_asked_for(root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", root, "--measure", "R@20"]) == 0
    assert capsys.readouterr().out == "report.html\n"
    assert "R@20 on one" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--html", "absent/report.html"], "give a file in a folder that is there"),
        (["--html", "."], "give a file in a folder that is there"),
        (["--queries", "-1"], "--queries -1"),
        (["--measure", "nDCG10"], "unknown measure"),
    ],
)
def test_mistakes_cost_one_line(root, arguments, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", root, *arguments]) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
