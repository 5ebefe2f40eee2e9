"""`evalkit measure` on small files: tables, JSON, errors."""

import json

import pytest

from evalkit.cli import main

QRELS = "q1 0 d1 2\nq1 0 d2 1\nq2 0 d3 1\n"
RUN = "q1 Q0 d2 1 2.0 x\nq1 Q0 d1 2 1.0 x\n"
# q1: gains 1, 2 at ranks 1, 2 against the ideal 2, 1; q2 is missing and counts 0.
NDCG_Q1 = (1 + 2 / 1.5849625007211562) / (2 + 1 / 1.5849625007211562)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "qrels").write_text(QRELS)
    (tmp_path / "run").write_text(RUN)
    return [str(tmp_path / "qrels"), str(tmp_path / "run")]


def test_means_are_over_all_judged_queries_and_missing_ones_are_named(files, capsys):
    assert main(["measure", *files, "nDCG@10"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"nDCG@10  {NDCG_Q1 / 2:.4f}\n"
    assert captured.err == "evalkit: 1 of 2 judged queries are not in the run and count 0, such as q2\n"


def test_json_is_one_object_of_unrounded_means_in_the_order_asked_for(files, capsys):
    main(["measure", *files, "R@20", "nDCG@10", "--json"])
    parsed = json.loads(capsys.readouterr().out)
    assert list(parsed) == ["R@20", "nDCG@10"]
    assert parsed["R@20"] == 0.5
    assert parsed["nDCG@10"] == pytest.approx(NDCG_Q1 / 2, abs=1e-12)


def test_per_query_gives_a_line_a_query(files, capsys):
    main(["measure", *files, "RR@10", "P@1", "--per-query"])
    assert (capsys.readouterr().out.splitlines()) == [
        "query_id\tRR@10\tP@1",
        "q1\t1.0000\t1.0000",
        "q2\t0.0000\t0.0000",
        "all\t0.5000\t0.5000",
    ]


def test_per_query_json_holds_means_and_queries(files, capsys):
    main(["measure", *files, "RR@10", "--per-query", "--json"])
    assert json.loads(capsys.readouterr().out) == {
        "mean": {"RR@10": 0.5},
        "per_query": {"q1": {"RR@10": 1.0}, "q2": {"RR@10": 0.0}},
    }


def test_without_measures_it_prints_the_two_of_the_tables(files, capsys):
    main(["measure", *files])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[:2]] == ["nDCG@10", "R@20"]


@pytest.mark.parametrize(
    ("qrels", "run", "measures", "parts"),
    [
        ("q1 0\n", RUN, [], ["qrels:1", "2 fields"]),
        (QRELS, "q1 Q0 d1 1 nan x\n", [], ["run:1", "nan"]),
        (QRELS, "q1 Q0 d1 1\n", [], ["run:1", "4 fields, expected 6"]),
        (QRELS, "", [], ["run", "no scored documents"]),
        (QRELS, RUN, ["F1@10"], ["unknown measure 'F1@10'"]),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2(tmp_path, capsys, qrels, run, measures, parts):
    (tmp_path / "qrels").write_text(qrels)
    (tmp_path / "run").write_text(run)
    assert main(["measure", str(tmp_path / "qrels"), str(tmp_path / "run"), *measures]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    for part in parts:
        assert part in captured.err


def test_an_absent_file_is_one_line(files, capsys):
    assert main(["measure", files[0], "nowhere.trec"]) == 2
    assert "nowhere.trec: No such file" in capsys.readouterr().err
