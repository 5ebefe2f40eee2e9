"""`evalkit measure` on small files: tables, JSON, errors."""

import gzip
import io
import json
import lzma

import pandas as pd
import pytest

from evalkit import measure
from evalkit.cli import main
from evalkit.errors import ResultError

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


def test_a_folder_of_runs_brings_a_hint_at_its_files(files, tmp_path, capsys):
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "one").write_text(RUN)
    assert main(["measure", files[0], str(folder)]) == 2
    assert f"Of a folder of runs give the files: {folder}/*." in capsys.readouterr().err


def test_an_absent_file_is_one_in_python_too(files):
    with pytest.raises(ResultError, match=r"nope.trec: there is no such file or folder"):
        measure(files[0], "nope.trec")


def test_json_is_one_object_of_unrounded_means_in_the_order_asked_for(files, capsys):
    main(["measure", *files, "R@20", "nDCG@10", "--json"])
    parsed = json.loads(capsys.readouterr().out)
    assert list(parsed) == ["R@20", "nDCG@10", "notes"]
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


@pytest.mark.parametrize("each", [False, True])
def test_csv_reads_back_as_one_table(files, capsys, each):
    main(["measure", *files, "RR@10", "P@1", "--format", "csv", *(["--per-query"] if each else [])])
    found = pd.read_csv(io.StringIO(capsys.readouterr().out))
    if each:
        assert list(found.columns) == ["query_id", "RR@10", "P@1"]
        assert dict(zip(found["query_id"], found["RR@10"], strict=True)) == {"q1": 1.0, "q2": 0.0}
    else:
        assert dict(zip(found["measure"], found["mean"], strict=True)) == {"RR@10": 0.5, "P@1": 0.5}


def test_per_query_json_holds_means_and_queries(files, capsys):
    main(["measure", *files, "RR@10", "--per-query", "--json"])
    assert json.loads(capsys.readouterr().out) == {
        "mean": {"RR@10": 0.5},
        "per_query": {"q1": {"RR@10": 1.0}, "q2": {"RR@10": 0.0}},
        "notes": [
            {
                "kind": "queries_missing",
                "queries": 1,
                "of": 2,
                "example": "q2",
                "text": "1 of 2 judged queries are not in the run and count 0, such as q2",
            }
        ],
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


def measured(tmp_path, capsys, qrels, run, *typed):
    """Exit code, the object of `--json`, and the lines on stderr."""
    for name, content in (("qrels", qrels), ("run", run)):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    code = main(["measure", str(tmp_path / "qrels"), str(tmp_path / "run"), *typed, "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out or "{}"), captured.err.splitlines()


CLEAN = "q1 Q0 d1 1 2.0 x\nq1 Q0 d2 2 1.0 x\nq2 Q0 d3 1 1.0 x\n"


def test_json_of_a_run_without_doubts_holds_measures_alone(tmp_path, capsys):
    assert measured(tmp_path, capsys, QRELS, CLEAN, "RR@10", "MRR@10") == (0, {"RR@10": 1.0}, [])


def test_every_note_is_on_stderr_and_in_json(tmp_path, capsys):
    qrels = "1 0 a 1\n2 0 2b 1\n3 0 c 1\n"
    run = "1 Q0 a 1 0.1 x\n1 Q0 b 2 0.5 x\n2 Q0 2 1 7 x\n2 Q0 2b 2 7 x\n9 Q0 z 1 1 x\n"
    code, found, told = measured(tmp_path, capsys, qrels, run, "RR@10")
    assert code == 0
    assert found["RR@10"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    kinds = ["queries_missing", "ranks_disagree", "ties", "own_ids", "queries_unjudged"]
    assert kinds == [note["kind"] for note in found["notes"]]
    assert told == [f"evalkit: {note['text']}" for note in found["notes"]]
    assert [1] * len(kinds) == [note["queries"] for note in found["notes"]]


def test_ties_are_noted_with_least_and_greatest_value_and_ranks_break_them(tmp_path, capsys):
    run = "q1 Q0 a 1 0 gpt\nq1 Q0 b 2 0 gpt\nq1 Q0 c 3 0 gpt\n"
    _, found, told = measured(tmp_path, capsys, "q1 0 a 1\n", run, "RR@10")
    assert found["RR@10"] == 1 / 3
    (note,) = found["notes"]
    assert note["values"] == {"RR@10": {"least": 1 / 3, "greatest": 1.0}}
    assert "--order rank" in told[0]
    assert measured(tmp_path, capsys, "q1 0 a 1\n", run, "RR@10", "--order", "rank")[1:] == ({"RR@10": 1.0}, [])


def test_ranks_that_contradict_the_scores_are_noted_and_can_be_taken(tmp_path, capsys):
    run = "q1 Q0 a 1 0.12 l2\nq1 Q0 b 2 0.55 l2\nq1 Q0 c 3 0.91 l2\n"
    _, found, told = measured(tmp_path, capsys, "q1 0 a 1\n", run, "RR@10")
    assert (found["RR@10"], len(told)) == (1 / 3, 1)
    assert "disagree for 1 of 1 queries" in told[0]
    assert measured(tmp_path, capsys, "q1 0 a 1\n", run, "RR@10", "--order", "rank")[1:] == ({"RR@10": 1.0}, [])
    assert measured(tmp_path, capsys, "q1 0 a 1\n", run, "RR@10", "--order", "score")[1:] == ({"RR@10": 1 / 3}, [])


def test_own_ids_are_noted_and_can_be_dropped(tmp_path, capsys):
    qrels, run = "t-1a\tt-1b\t1\n", "t-1a Q0 t-1a 1 90 x\nt-1a Q0 t-1b 2 20 x\n"
    _, found, told = measured(tmp_path, capsys, qrels, run, "nDCG@10")
    assert found["nDCG@10"] == pytest.approx(0.6309, abs=1e-4)
    assert "1 of 1 queries retrieved their own id" in told[0]
    dropped = measured(tmp_path, capsys, qrels, run, "nDCG@10", "--drop-identical-ids")
    assert dropped == (0, {"nDCG@10": 1.0}, [])


@pytest.mark.parametrize(
    "run", ["1.0 Q0 4983 1 9 x\n", "1 Q0 4983.0 1 9 x\n", "1 Q0 D4983 1 9 x\n", "01 Q0 4983 1 9 x\n"]
)
def test_a_run_of_which_nothing_is_judged_is_refused_with_ids_that_look_alike(tmp_path, capsys, run):
    code, found, told = measured(tmp_path, capsys, "query-id\tcorpus-id\tscore\n1\t4983\t1\n", run)
    assert (code, found, len(told)) == (2, {}, 1)
    assert "is judged in" in told[0]
    assert "stands in the run and" in told[0]


@pytest.mark.parametrize(
    ("qrels", "run"),
    [
        ("\ufeffquery-id,corpus-id,score\r\nq1,d1,1\r\n", "q1 Q0 d1 1 2.0 r\n"),
        ("q1\t0\td1\t1.0\nq1\t0\td2\t0.0\n", "q1 Q0 d1 1 2.0 r\n"),
        ("q1\t0\td1\t1\n", "q1\td1\t1\nq1\td2\t2\n"),
        ("q1\t0\td1\t1\n", "q1\td2\t87.5\nq1\td1\t88.12\n"),
        ('{"q1": {"d1": 1}}', '{"q1": {"d1": 0.9, "d2": 0.8}}'),
        ('{"q1": {"d1": 1.0}}', "qid,docno,score\nq1,d1,0.5\n"),
        ('[{"query_id": "q1", "doc_id": "d1", "relevance": 1}]', "q1 Q0 d1 1 2.0 r\n"),
        (gzip.compress(b"q1 0 d1 1\n", mtime=0), gzip.compress(b'{"q1": {"d1": 0.9}}', mtime=0)),
    ],
)
def test_files_of_other_tools_are_read(tmp_path, capsys, qrels, run):
    code, found, _ = measured(tmp_path, capsys, qrels, run, "RR@10")
    assert (code, found["RR@10"]) == (0, 1.0)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(lzma.compress(CLEAN.encode()), mtime=0), "compressed with xz, perhaps twice"),
        (CLEAN.encode("utf-16-le"), "UTF-16"),
    ],
)
def test_a_file_that_holds_no_text_is_refused_as_what_it_is(tmp_path, capsys, content, told, place):
    files = [QRELS, CLEAN]
    files[place] = content
    code, _, lines = measured(tmp_path, capsys, *files)
    assert (code, len(lines)) == (2, 1)
    assert told in lines[0]
    assert "is not UTF-8" not in lines[0]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("qrels", "run", "typed", "expected", "kinds"),
    [
        ("arguana-self/qrels.tsv", "arguana-self/run", ["nDCG@10"], 0.6309, ["own_ids"]),
        ("arguana-self/qrels.tsv", "arguana-self/run", ["nDCG@10", "--drop-identical-ids"], 1.0, []),
        ("constant-scores/qrels", "constant-scores/run", ["RR@10"], 0.3333, ["ties"]),
        ("distance-scores/qrels", "distance-scores/run", ["RR@10"], 0.3333, ["ranks_disagree"]),
        ("distance-scores/qrels", "distance-scores/run", ["RR@10", "--order", "rank"], 1.0, []),
        ("float-grades-int-valued/qrels.tsv", "float-grades-int-valued/run.trec", ["nDCG@10"], 1.0, []),
        ("csv-qrels/test.csv", "csv-qrels/run", ["nDCG@10"], 1.0, []),
        ("msmarco-run/qrels.dev.small.tsv", "msmarco-run/run.tsv", ["RR@10"], 0.5, ["third_column"]),
        ("parquet-run/qrels.parq", "parquet-run/run.parq", ["nDCG@10"], 1.0, []),
        ("ranx-json/qrels.json", "ranx-json/run.json", ["nDCG@10"], 1.0, []),
        ("tevatron-run/qrels.tsv", "tevatron-run/rank.txt", ["RR@10"], 0.5, ["third_column"]),
    ],
)
def test_files_as_people_bring_them_have_their_values_and_notes(shared, capsys, qrels, run, typed, expected, kinds):
    folder = shared / "cases"
    assert main(["measure", str(folder / qrels), str(folder / run), *typed, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (round(found[typed[0]], 4), [note["kind"] for note in found.get("notes", [])]) == (expected, kinds)


@pytest.fixture
def several(tmp_path):
    """Judgments, a run of all queries, and one that lacks q2; runs are named `full` and `part`."""
    for name, content in {"qrels": QRELS, "full.trec": CLEAN, "part.trec": RUN}.items():
        (tmp_path / name).write_text(content)
    return [str(tmp_path / name) for name in ("qrels", "full.trec", "part.trec")]


NOTE = "part: 1 of 2 judged queries are not in the run and count 0, such as q2"


def test_several_runs_are_one_table_with_a_row_a_run(several, capsys):
    qrels, full, part = several
    assert main(["measure", qrels, full, "RR@10", part, "P@1"]) == 0
    captured = capsys.readouterr()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in captured.out.splitlines() if "│" in line]
    assert cells == [["full", "1.0000", "1.0000"], ["part", "0.5000", "0.5000"]]
    assert captured.err == f"evalkit: {NOTE}\n"


@pytest.mark.parametrize("form", ["markdown", "latex", "csv"])
def test_several_runs_are_written_in_every_form(several, capsys, form):
    assert main(["measure", *several, "RR@10", "--format", form]) == 0
    rows = {"markdown": "| part | 0.5000 |", "latex": r"part & 0.5000 \\", "csv": "run,RR@10\nfull,1.0\npart,0.5\n"}
    assert rows[form] in capsys.readouterr().out


def test_several_runs_as_json_are_an_object_a_run(several, capsys):
    main(["measure", *several, "RR@10", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["full", "part"]
    assert (found["full"], found["part"]["RR@10"]) == ({"RR@10": 1.0}, 0.5)
    assert [note["kind"] for note in found["part"]["notes"]] == ["queries_missing"]


def test_queries_of_several_runs_have_the_run_in_front(several, capsys):
    main(["measure", *several, "RR@10", "--per-query"])
    assert capsys.readouterr().out.splitlines() == [
        "run\tquery_id\tRR@10",
        *("full\tq1\t1.0000", "full\tq2\t1.0000", "part\tq1\t1.0000", "part\tq2\t0.0000"),
        *("full\tall\t1.0000", "part\tall\t0.5000"),
    ]
    main(["measure", *several, "RR@10", "--per-query", "--format", "csv"])
    found = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert found.groupby("run")["RR@10"].mean().to_dict() == {"full": 1.0, "part": 0.5}


def test_common_queries_are_those_of_every_run(several, capsys):
    assert main(["measure", *several, "RR@10", "--common-queries", "--format", "csv"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "run,RR@10\nfull,1.0\npart,1.0\n"
    assert captured.err == "evalkit: --common-queries leaves out 1 of 2 judged queries, which not every run has.\n"


@pytest.mark.usefixtures("several")
def test_a_file_with_the_name_of_a_measure_is_a_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "MAP").write_text(RUN)
    main(["measure", "qrels", "full.trec", "MAP", "RR@10", "--format", "csv"])
    assert capsys.readouterr().out == "run,RR@10\nfull,1.0\nMAP,0.5\n"


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        (["fulk.trec"], ["fulk.trec: No such file", "Did you mean", "full.trec? ", "unknown measure"]),
        (["full.trec", "ndgc@10"], ["ndgc@10: No such file", "Did you mean nDCG@10?"]),
        (["nDCG@10"], ["no run is given, only nDCG@10"]),
        (["full.trec", "./full.trec"], ["full.trec: is given twice"]),
    ],
)
def test_an_argument_that_is_neither_run_nor_measure_is_refused_as_both(tmp_path, capsys, monkeypatch, typed, parts):
    monkeypatch.chdir(tmp_path)
    assert main(["measure", "qrels", *typed]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for part in parts:
        assert part in error


@pytest.fixture
def diversity(tmp_path):
    """Documents a and b share subtopic 1, c has 2; the run ranks a, b, c, with b and c tied."""
    (tmp_path / "diversity").write_text("q1 1 a 1\nq1 1 b 1\nq1 2 b 0\nq1 2 c 1\nq2 1 a 1\n")
    (tmp_path / "run").write_text("q1 Q0 a 1 3.0 x\nq1 Q0 b 2 1.0 x\nq1 Q0 c 3 1.0 x\n")
    return [str(tmp_path / "diversity"), str(tmp_path / "run")]


def test_judgments_of_subtopics_are_read_for_alpha_ndcg(diversity, capsys):
    """c is before b, as ties go: 1 + 1/log2 3 + .5/2, which is the best order."""
    assert main(["measure", *diversity, "alpha_nDCG@3", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["alpha_nDCG@3"] == 0.5
    assert {"queries_missing", "ties"} == {note["kind"] for note in found["notes"]}
    assert main(["measure", *diversity, "alpha_nDCG@2", "--common-queries", "--format", "csv"]) == 0
    assert capsys.readouterr().out == "measure,mean\nalpha_nDCG@2,1.0\n"


def test_alpha_ndcg_beside_measures_of_documents_is_refused(diversity, files, capsys):
    assert main(["measure", *diversity, "alpha_nDCG@3", "nDCG@3"]) == 2
    assert (
        "alpha_nDCG@3 takes a grade for each subtopic of a document, and nDCG@3 one for a document"
        in capsys.readouterr().err
    )
    assert main(["measure", *files, "alpha_nDCG@3"]) == 2
    assert "holds no judgments of subtopics: the second column is '0' in every line" in capsys.readouterr().err


def test_parameters_and_judged_documents_are_typed_as_in_papers(files, capsys):
    assert main(["measure", *files, "nDCG'@10", "RBP(p=0.5)@1", "nDCG(dcg=exp-log2)@10", "--format", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        *("measure", "nDCG(judged_only=True)@10", "RBP(p=0.5)@1", "nDCG(dcg='exp-log2')@10")
    ]
    assert lines[2] == "RBP(p=0.5)@1,0.25"
