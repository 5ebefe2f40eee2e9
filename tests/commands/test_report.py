"""`evalkit report` as a user types it."""

import json

import pytest
from made import made

from evalkit.cli import main


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return str(made(tmp_path_factory.mktemp("report"), {"strong": 3.0}, queries=8))


def test_page_tables_and_figures_are_written_and_named(root, tmp_path, capsys):
    asked = ["--html", str(tmp_path / "a.html"), "--markdown", str(tmp_path / "a.md"), "--figures", str(tmp_path / "f")]
    assert main(["report", root, *asked]) == 0
    captured = capsys.readouterr()
    assert "no depth curve of strong on one: the scores are replayed" in captured.err
    printed = captured.out.splitlines()
    assert printed[:2] == [str(tmp_path / "a.html"), str(tmp_path / "a.md")]
    assert str(tmp_path / "f" / "one-intervals.svg") in printed
    assert str(tmp_path / "f" / "one-depth.svg") not in printed
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "| strong | **" in (tmp_path / "a.md").read_text(encoding="utf-8")


def test_the_page_is_written_by_default(root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", root, "--measure", "R@20"]) == 0
    assert capsys.readouterr().out == "report.html\n"
    assert "R@20 on one" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_differences_are_to_the_chosen_baseline_with_the_sign_of_compare(root, tmp_path, capsys):
    assert main(["compare", root, "--format", "json"]) == 0
    ((pair,),) = [one["pairs"] for one in json.loads(capsys.readouterr().out)["datasets"]]
    asked = ["--html", str(tmp_path / "a.html"), "--markdown", str(tmp_path / "a.md"), "--baseline", "strong"]
    assert main(["report", root, *asked]) == 0
    text = (tmp_path / "a.md").read_text(encoding="utf-8")
    assert "difference to strong" in text
    assert (pair["better"], pair["worse"]) == ("strong", "stage-100")
    assert f"| stage-100 | {-pair['difference']:+.4f}" in text
    assert '"baseline":"strong"' in (tmp_path / "a.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--html", "absent/report.html"], "give a file in a folder that exists"),
        (["--html", "."], "give a file in a folder that exists"),
        (["--queries", "-1"], "--queries=-1 is out of range"),
        (["--measure", "nDCG10"], "unknown measure"),
        (["--baseline", "strang"], "no system is called 'strang'. Did you mean strong? Legal are: strong, stage-100."),
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
        line = f"evalkit: error: {tmp_path / 'file'}: No space left on device.\n"
        assert capsys.readouterr().err.endswith(line)  # a slow machine tells of its progress first
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_cannot_be_written_is_named(root, tmp_path, monkeypatch, capsys):

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    assert main(["report", root, "--figures", str(tmp_path)]) == 2
    line = f"evalkit: error: {tmp_path / 'one-intervals.png'}: No space left on device.\n"
    assert capsys.readouterr().err.endswith(line)  # a slow machine tells of its progress first


def test_a_page_goes_where_a_link_leads(root, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.html").symlink_to("there/report.html")
    assert main(["report", root, "--html", str(tmp_path / "link.html")]) == 0
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "there" / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_dataset_with_a_single_system_is_in_every_output(tmp_path, capsys):
    made(tmp_path, {"strong": 3.0}, queries=8)
    root = made(tmp_path, {}, dataset="alone", queries=8)
    asked = ["--html", str(tmp_path / "a.html"), "--markdown", str(tmp_path / "a.md"), "--figures", str(tmp_path / "f")]
    assert main(["report", str(root), *asked]) == 0
    assert str(tmp_path / "f" / "alone-intervals.svg") in capsys.readouterr().out
    page, tables = (tmp_path / "a.html").read_text(encoding="utf-8"), (tmp_path / "a.md").read_text(encoding="utf-8")
    assert '"name":"alone"' in page
    assert "one system only: there is nothing to compare it with" in tables
    for text in (page, tables):
        assert "no two have a result on all of them" in text
        assert "strong has no result on alone" in text
    assert "| system | average | alone | one |" in tables


def test_a_first_stage_alone_makes_a_report(tmp_path, capsys):
    root = made(tmp_path, {}, queries=8)
    assert main(["report", str(root), "--html", str(tmp_path / "a.html")]) == 0
    assert "stage-100" in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "evalkit:" not in capsys.readouterr().err


def test_a_note_says_when_datasets_are_too_few(tmp_path, capsys):
    made(tmp_path, {"strong": 3.0}, queries=8)
    root = made(tmp_path, {"strong": 3.0}, dataset="two", queries=8)
    assert main(["report", str(root), "--html", str(tmp_path / "a.html"), "--markdown", str(tmp_path / "a.md")]) == 0
    few = "two datasets are too few to tell systems apart: with 1 pair at 0.05 it takes 6 that all agree"
    for name in ("a.html", "a.md"):
        assert few in (tmp_path / name).read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["compare", str(root)]) == 0
    assert few in " ".join(capsys.readouterr().out.split())
    assert main(["compare", str(root), "--format", "json"]) == 0
    assert [one["smallest"] for one in json.loads(capsys.readouterr().out)["overall"]["pairs"]] == [None]
