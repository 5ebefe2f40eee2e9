"""`evalkit compare` as a user types it."""

import json

import pytest
from made import CANDIDATES, grade, made, scores

from evalkit.cli import main


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return made(tmp_path_factory.mktemp("compare"), {"strong": 3.0, "weak": 0.4})


def test_table_has_systems_pairs_and_the_notes_on_their_statistics(root, capsys):
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


def test_queries_and_tables_have_the_same_names(tmp_path, capsys):
    made(tmp_path, {"strong": 3.0})
    other = made(tmp_path, {"strong": 3.0}, dataset="two", stage="other")
    assert main(["compare", str(other), "--queries", "1", "--samples", "500", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["moves"]["systems"] == ["stage-100", "stage-100 + strong"]


def test_equal_systems_are_marked_and_none_is_real(tmp_path, capsys):
    same = scores(30, 2.0, seed=7)
    root = str(made(tmp_path, {"one": same, "copy": same}))
    assert main(["compare", root, "--no-first-stage", "--samples", "500", "--format", "markdown"]) == 0
    assert "| copy (equal) | one (equal) | +0.0000 |" in capsys.readouterr().out
    assert main(["compare", root, "--no-first-stage", "--samples", "500", "--format", "json"]) == 0
    ((pair,),) = [one["pairs"] for one in json.loads(capsys.readouterr().out)["datasets"]]
    assert (pair["equal"], pair["real"]) == (True, False)


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
        (["--measure", "ndcg"], "unknown measure 'ndcg'. Did you mean nDCG?"),
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


def test_a_dataset_with_one_system_is_shown_and_averages_name_what_they_leave_out(tmp_path, capsys):
    made(tmp_path, {"strong": 3.0})
    root = made(tmp_path, {}, dataset="alone", queries=8)
    assert main(["compare", str(root), "--samples", "500"]) == 0
    captured = capsys.readouterr()
    assert "alone: nDCG@10" in captured.out
    assert "one system only: there is nothing to compare it with" in " ".join(captured.out.split())
    assert captured.err.splitlines() == [
        "evalkit: strong has no result on alone, so it is not in the average over datasets.",
        "evalkit: systems are not compared over datasets, because no two have a result on all of them.",
    ]
    assert main(["compare", str(root), "--samples", "500", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["dataset"], len(one["systems"]), one["pairs"] == []) for one in found["datasets"]] == [
        ("alone", 1, True),
        ("one", 2, False),
    ]
    assert len(found["left_out"]) == 2


def test_first_stages_alone_are_nothing_to_compare_and_are_named(tmp_path, capsys):
    made(tmp_path, {}, queries=8)
    root = made(tmp_path, {}, dataset="two", queries=8)
    assert main(["compare", str(root)]) == 2
    assert "one system only (stage-100 on one, stage-100 on two)" in capsys.readouterr().err


def test_queries_name_the_datasets_that_they_do_not_show(tmp_path, capsys):
    made(tmp_path, {"strong": 3.0}, queries=8)
    root = made(tmp_path, {"strong": 3.0}, dataset="two", queries=8)
    assert main(["compare", str(root), "--queries", "1", "--samples", "500"]) == 0
    assert "--queries shows one only. Give the results on two by themselves for theirs." in capsys.readouterr().err


def test_the_t_test_of_differences_without_a_spread_is_absent_and_not_0(tmp_path, capsys):
    relevant = {f"q{q}": {p: grade(q, p) for p in range(CANDIDATES)} for q in range(8)}
    ideal = {q: {f"d{q[1:]}_{p}": 10.0 * own - p / 100 for p, own in found.items()} for q, found in relevant.items()}
    late = {q: {doc: -score for doc, score in found.items()} for q, found in ideal.items()}
    root = made(tmp_path, {"ideal": ideal, "late": late}, queries=8)
    common = ["compare", str(root), "--no-first-stage", "--measure", "RR@2"]
    assert main([*common, "--format", "json"]) == 0
    ((pair,),) = [one["pairs"] for one in json.loads(capsys.readouterr().out)["datasets"]]
    assert (pair["difference"], pair["t"], pair["real"]) == (1.0, None, True)
    assert main([*common, "--format", "markdown"]) == 0
    printed = capsys.readouterr().out
    assert "p t-test —: every query differs by the same, so there is no spread to test by" in printed
    assert "| **0.00781** | — |" in printed


def test_one_query_makes_json_that_can_be_read(tmp_path, capsys):
    root = made(tmp_path, {"strong": 3.0}, queries=1)
    assert main(["compare", str(root), "--format", "json"]) == 0
    ((pair,),) = [one["pairs"] for one in json.loads(capsys.readouterr().out)["datasets"]]
    assert (pair["smallest"], pair["real"]) == (None, False)
    assert main(["compare", str(root)]) == 0
    expected = "one query is too few to tell systems apart: with 1 pair at 0.05 it takes 6 that all agree"
    assert expected in " ".join(capsys.readouterr().out.split())


def test_summary_is_markdown_in_place_of_the_tables_or_in_a_file(root, tmp_path, capsys):
    common = ["compare", str(root), "--samples", "500", "--summary"]
    assert main([*common, "markdown"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("### evalkit compare: nDCG@10 on one\n\n* strong ")
    assert "| strong |" in printed
    assert main([*common, str(tmp_path / "summary.md"), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"]
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == printed
    assert main([*common, str(tmp_path / "absent" / "summary.md")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"the folder {tmp_path / 'absent'} does not exist. Make it, or choose another place." in error


def test_several_first_stages_have_a_table_of_rerankers_by_first_stages(tmp_path, capsys):
    made(tmp_path, {"strong": 3.0}, queries=8)
    root = made(tmp_path, {"strong": 3.0}, stage="another", queries=8)
    arguments = ["--allow-different-candidates", "--samples", "500", "--format", "markdown"]
    assert main(["compare", str(root), *arguments]) == 0
    assert "| reranker | another-100 | over another-100 | stage-100 | over stage-100 |" in capsys.readouterr().out
