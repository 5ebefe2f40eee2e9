"""`evalkit compare` as a user types it."""

import json

import pytest
from made import made

from evalkit.cli import main


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return made(tmp_path_factory.mktemp("compare"), {"strong": 3.0, "weak": 0.4})


def test_table_has_systems_pairs_and_what_they_rest_on(root, capsys):
    assert main(["compare", str(root), "--samples", "500"]) == 0
    printed = capsys.readouterr().out
    for expected in ("strong", "weak", "stage-100", "ceiling", "30 queries", "smallest visible", "seed 0"):
        assert expected in printed


def test_json_is_everything_unrounded(root, capsys):
    assert main(["compare", str(root), "--format", "json", "--queries", "2", "--samples", "500"]) == 0
    found = json.loads(capsys.readouterr().out)
    (dataset,) = found["datasets"]
    assert [one["name"] for one in dataset["systems"]] == ["strong", "weak", "stage-100"] or len(dataset["pairs"]) == 3
    assert found["overall"] is None
    (first, _) = found["moves"]["queries"]
    assert first["text"].startswith("what is query")
    assert {"doc_id", "rank", "before", "grade", "text"} == set(first["rankings"][0][0])
    assert any(place["grade"] == 2 for place in first["rankings"][0] + first["rankings"][1])


def test_queries_show_texts_grades_and_moves(root, capsys):
    results = [str(root / "one/stage-100" / name) for name in ("weak", "strong")]
    assert main(["compare", *results, "--queries", "1", "--samples", "500"]) == 0
    printed = capsys.readouterr().out
    assert "by weak" in printed
    assert "by strong" in printed
    assert "grade 2" in printed
    assert "document" in printed


def test_texts_that_are_gone_are_one_warning(tmp_path, capsys):
    root = made(tmp_path, {"strong": 3.0})
    (tmp_path / "collections").rename(tmp_path / "elsewhere")
    assert main(["compare", str(root), "--queries", "1", "--samples", "500"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("without texts and judgments") == 1
    assert "unjudged" in captured.out


@pytest.mark.parametrize("form", ["markdown", "latex", "csv"])
def test_forms_for_papers(root, capsys, form):
    assert main(["compare", str(root), "--format", form, "--samples", "500"]) == 0
    assert {"markdown": "| system |", "latex": r"\toprule", "csv": "table,system,mean"}[form] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--measure", "ndcg"], "unknown measure 'ndcg'. Did you mean nDCG@k?"),
        (["--alpha", "2"], "--alpha 2 is not between 0 and 1."),
        (["--alpha", "nan"], "--alpha nan is not between 0 and 1."),
        (["--samples", "0"], "--samples=0 is out of range"),
        (["--seed", "-1"], "--seed=-1 is out of range"),
        (["--queries", "-1"], "--queries=-1 is out of range"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(root, capsys, arguments, message):
    assert main(["compare", str(root), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
