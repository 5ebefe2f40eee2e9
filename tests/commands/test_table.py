"""`evalkit table` as a user types it."""

import io
import re
import shutil
import subprocess

import pandas as pd
import pytest
from made import made, scores, write_collection, write_run

from evalkit.cli import main


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    made(folder, {"strong_model": 3.0, "weak": 0.4})
    return made(folder, {"strong_model": 3.0, "weak": 0.4}, dataset="two")


def compiles(text):
    """Requires what LaTeX does: pairs of braces and environments, as many cells as columns, nothing unescaped."""
    plain = re.sub(r"\\[&%$#_{}]", "", text)
    assert plain.count("{") == plain.count("}")
    assert re.findall(r"\\begin\{(\w+)\}", plain) == re.findall(r"\\end\{(\w+)\}", plain)[::-1]
    (columns,) = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", plain)
    rows = [line for line in plain.splitlines() if line.endswith(r"\\")]
    assert {len(row.split("&")) for row in rows} == {len(columns)}
    without_dagger = plain.replace(r"$^{\dagger}$", "")
    assert not set("%$#_^~†—") & set(without_dagger)
    return rows


def test_the_table_of_a_paper(root, capsys):
    assert main(["table", str(root), "--baseline", "stage-100", "--percent", "--format", "latex"]) == 0
    text = capsys.readouterr().out
    rows = compiles(text)
    assert [row.split("&")[0].strip() for row in rows] == ["system", "stage-100", "strongmodel", "weak"]
    assert r"strong\_model & \textbf{" in text
    assert text.count(r"\textbf") == 3
    assert text.count(r"\underline") == 3
    assert r"}$^{\dagger}$ &" in text
    assert r"Holm's correction for 4 comparisons, p below 0.05" in text


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
def test_the_table_compiles(root, tmp_path):
    assert main(["table", str(root), "--baseline", "stage-100", "--output", str(tmp_path / "table.tex")]) == 0
    text = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{table}\end{document}"
    (tmp_path / "paper.tex").write_text(text, encoding="utf-8")
    subprocess.run(["pdflatex", "-halt-on-error", "paper.tex"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "paper.pdf").is_file()


def test_csv_is_read_by_pandas_and_has_the_values_of_the_results(root, capsys):
    assert main(["table", str(root), "--measure", "nDCG@10", "--measure", "Judged@5", "--format", "csv"]) == 0
    captured = capsys.readouterr()
    frame = pd.read_csv(io.StringIO(captured.out))
    assert captured.err == ""
    assert list(frame.columns) == ["measure", "system", "one", "two", "Avg."]
    for system, folder in {"stage-100": "candidates", "weak": "weak"}.items():
        values = pd.read_parquet(root / "one/stage-100" / folder / "per_query.parquet")["nDCG@10"]
        row = frame[(frame["system"] == system) & (frame["measure"] == "nDCG@10")]
        assert row["one"].item() == pytest.approx(values.mean(), abs=1e-12)
    assert frame["Avg."].tolist() == pytest.approx(((frame["one"] + frame["two"]) / 2).tolist())


def test_the_suffix_of_the_file_says_the_form(root, tmp_path, capsys):
    for name, part in {"t.tex": r"\toprule", "t.md": "| system |", "t.csv": "system,one", "t.json": '"rows"'}.items():
        assert main(["table", str(root), "--output", str(tmp_path / name)]) == 0
        assert capsys.readouterr().out == f"{tmp_path / name}\n"
        assert part in (tmp_path / name).read_text(encoding="utf-8")
    assert main(["table", str(root), "--output", str(tmp_path / "t.txt"), "--format", "table"]) == 0
    assert "┏" in (tmp_path / "t.txt").read_text(encoding="utf-8")


def test_a_file_has_no_colours_of_a_terminal(root, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as kernels of notebooks set it
    assert main(["table", str(root), "--format", "table", "--output", str(tmp_path / "table.txt")]) == 0
    assert "\x1b" not in (tmp_path / "table.txt").read_text()


def test_run_files_with_judgments(tmp_path, capsys):
    write_collection(tmp_path / "toy", queries=20)
    runs = [
        str(write_run(tmp_path / f"{name}.trec", scores(20, size, seed=1)))
        for name, size in {"a": 0.1, "b": 3.0}.items()
    ]
    judged = ["--qrels", str(tmp_path / "toy/qrels/test.tsv")]
    arguments = ["--columns", "measure", "--measure", "nDCG@10", "--measure", "RBP", "--baseline", "a"]
    assert main(["table", *runs, *judged, *arguments, "--format", "markdown"]) == 0
    printed = capsys.readouterr().out
    assert "| system | nDCG@10 | RBP |" in printed
    assert re.search(r"\| b \| \*\*0\.\d{4}\*\*† \| \*\*0\.\d{4}\*\*† \|", printed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--baseline", "stage"], "no system is called 'stage'. Did you mean stage-100?"),
        (["--rows", "dataset"], "--rows dataset --columns dataset are not the two sides of a table"),
        (["--rows", "model"], "--rows model is not a choice."),
        (["--output", "table.foo"], "--output table.foo: its suffix is none of .tex, .md, .csv, .json."),
        (["--digits", "11"], "--digits=11 is out of range"),
        (["--digits", "-1"], "--digits=-1 is out of range"),
        (["--alpha", "0"], "--alpha 0 is not between 0 and 1."),
        (["--measure", "ndcg"], "unknown measure 'ndcg'. Did you mean nDCG?"),
        (["--measure", "alpha_nDCG@10"], "alpha_nDCG@10 needs judgments of subtopics"),
        (["--common-queries"], "--common-queries is for runs and judgments alone."),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(root, capsys, arguments, message):
    assert main(["table", str(root), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
