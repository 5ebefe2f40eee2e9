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
        (["--queries", "-1"], "--queries=-1 is out of range"),
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


def test_a_full_disk_is_one_line_that_names_the_file(root, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for option in ("--html", "--markdown"):
        assert main(["report", root, option, str(tmp_path / "file")]) == 2
        assert capsys.readouterr().err == f"evalkit: error: {tmp_path / 'file'}: No space left on device.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_finds_no_room_is_named(root, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    assert main(["report", root, "--figures", str(tmp_path)]) == 2
    line = f"evalkit: error: {tmp_path / 'one-intervals.png'}: No space left on device.\n"
    assert capsys.readouterr().err.endswith(line)  # a slow machine tells of its progress first


def test_a_page_goes_where_a_link_leads(root, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.html").symlink_to("there/report.html")
    assert main(["report", root, "--html", str(tmp_path / "link.html")]) == 0
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "there" / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
