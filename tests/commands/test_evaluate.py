"""`evalkit evaluate` as a user types it: its output, its exit code, and what it leaves on disk."""

import io
import json
import math
import re
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pandas as pd
import pytest
from in_process import evalkit
from stubs import tiny_bert, write_collection

from evalkit.cli import main
from evalkit.config.resources import config_names
from evalkit.config.suites import load_suite


def run(*arguments: str, cwd: Path) -> CompletedProcess[str]:
    return evalkit("evaluate", f"cache_dir={cwd / 'cache'}", *arguments, cwd=cwd)


def assert_one_line_error(done: CompletedProcess[str], *parts: str) -> None:
    errors = [line for line in done.stderr.splitlines() if line.startswith("evalkit: error:")]
    assert done.returncode == 2, done.stderr
    assert len(errors) == 1
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in errors[0]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = write_collection(tmp_path_factory.mktemp("data") / "tiny")
    return ["dataset=folder", f"dataset.path={folder}", "retriever=bm25", "reranker=none"]


def test_a_bm25_run_prints_a_table_and_writes_the_result(settings, tmp_path):
    done = run(*settings, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "nDCG@10" in done.stdout
    assert "ceiling" in done.stdout
    manifest = json.loads((tmp_path / "results/tiny/bm25-100/none/manifest.json").read_text())
    # d5, of grade 1, shares no word with q1: its gain is missing from (2 + 1 / log2(3)); q2 is perfect.
    assert manifest["measures"]["nDCG@10"] == pytest.approx((2 / (2 + 1 / math.log2(3)) + 1) / 2)
    assert set(manifest["measures"]) >= {"nDCG@10", "R@20", "R@100"}
    assert manifest["config"]["retriever"]["k1"] == 1.5
    assert manifest["command"].startswith("evalkit evaluate ")


def test_measures_at_a_relevance_level_are_reported_under_their_names(settings, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    typed = [f"cache_dir={tmp_path / 'cache'}", "measures=[R(rel=2)@1,MRR@10,Success@1]", "dataset.relevance_level=1"]
    assert main(["evaluate", *settings, *typed]) == 0
    manifest = json.loads((tmp_path / "results/tiny/bm25-100/none/manifest.json").read_text())
    assert manifest["config"]["measures"] == ["R(rel=2)@1", "RR@10", "Success@1"]
    # Each query has one document that counts: d1 of grade 2 is first, and d3 has grade 1 alone.
    assert manifest["measures"]["R(rel=2)@1"] == 0.5
    assert manifest["measures"]["Success@1"] == 1.0
    assert "R(rel=2)@1" in capsys.readouterr().out


def test_running_again_with_the_same_settings_is_a_no_op_that_says_so(settings, tmp_path):
    run(*settings, cwd=tmp_path)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*") if path.is_file()}

    again = run(*settings, cwd=tmp_path)

    assert "nothing to do" in again.stdout
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*") if path.is_file()}


def test_a_measure_that_the_result_lacks_is_added_without_reranking(settings, tmp_path):
    run(*settings, cwd=tmp_path)
    again = run(*settings, "measures=[RR@3]", cwd=tmp_path)

    manifest = json.loads((tmp_path / "results/tiny/bm25-100/none/manifest.json").read_text())
    assert manifest["measures"]["RR@3"] == 1.0
    assert "nDCG@10" in manifest["measures"]
    assert "RR@3" in again.stdout


def test_a_sweep_runs_every_combination_and_ends_with_one_table(settings, tmp_path):
    model = tiny_bert(tmp_path / "model")
    done = run(
        *settings[:3],
        f"reranker.model={model}",
        "reranker.max_length=32",
        "-m",
        "reranker=late_interaction",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr

    both = run(*settings[:3], "-m", "reranker=none,replay", f"+x={model}", cwd=tmp_path)
    assert both.returncode == 2
    sweep = run(*settings[:3], "-m", "reranker=none", "depth=1,2", cwd=tmp_path)
    assert sweep.returncode == 0, sweep.stderr
    assert "All runs" in sweep.stdout
    assert (tmp_path / "results/tiny/bm25-1/none/manifest.json").is_file()
    assert (tmp_path / "results/tiny/bm25-2/none/manifest.json").is_file()


@pytest.mark.slow
def test_one_process_evaluates_as_often_as_it_is_asked(settings, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["notebook"])
    common = ["evaluate", *settings, f"cache_dir={tmp_path / 'cache'}", "measures=RR@3", "--format", "csv"]
    for more, rows in (([], 1), (["depth=1"], 1), (["-m", "depth=1,2"], 2), (["ablation=depth"], 4), ([], 1)):
        assert main([*common, *more]) == 0
        assert len(pd.read_csv(io.StringIO(capsys.readouterr().out))) == rows
    assert sys.argv == ["notebook"]


def test_a_combination_that_cannot_be_made_leaves_the_others_and_main_returns_2(
    settings, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    typed = ["evaluate", "-m", *settings[:3], f"cache_dir={tmp_path / 'cache'}", "depth=1,2"]
    assert main([*typed, "reranker=replay,none", "--format=csv"]) == 2
    captured = capsys.readouterr()
    assert list(pd.read_csv(io.StringIO(captured.out))["first stage"]) == ["bm25-1", "bm25-2"]
    assert captured.err.count("evalkit: error:") == 1  # both combinations lack the same setting
    assert "reranker.path" in captured.err
    assert main([*typed, "reranker=none", "measures=[nDCG@10]", "depth=1", "retriever.k1=1,-1"]) == 2
    assert "All runs" in capsys.readouterr().out


@pytest.mark.slow
def test_a_sweep_in_another_format_is_its_last_tables_alone(settings, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for form in ("markdown", "csv", "json"):
        typed = [*settings, f"cache_dir={tmp_path / 'cache'}", f"--format={form}", "-m", "depth=1,2"]
        assert main(["evaluate", *typed]) == 0
        printed = capsys.readouterr().out
        values = [
            json.loads((tmp_path / f"results/tiny/bm25-{depth}/none/manifest.json").read_text())["measures"]["nDCG@10"]
            for depth in (1, 2)
        ]
        match form:
            case "csv":
                assert list(pd.read_csv(io.StringIO(printed))["nDCG@10"]) == values
            case "json":
                (table,) = json.loads(printed)
                assert [row["nDCG@10"] for row in table["rows"]] == values
            case _:
                table = "".join(line for line in printed.splitlines() if line.startswith("|"))
                assert table.count("bm25-1") == table.count("bm25-2") == 1
                assert "┃" not in printed


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["reranker.max_lenght=5"], ["reranker.max_lenght is not a setting", "max_length, model"]),
        (["reranker.max_length=ten"], ["reranker.max_length", "'ten'", "Integer"]),
        (["depth=abc"], ["depth: ", "'abc'", "Give a whole number."]),
        (["partial_average=5x"], ["partial_average: ", "Give true or false."]),
        (["reranker="], ["reranker= names nothing. Legal are: ", ", ".join(config_names("reranker"))]),
        (["reranker=nonne"], ["reranker=nonne is not a choice. Did you mean none? Legal are: none, "]),
        (["dataset=nope"], ["dataset=nope is not a choice", "mini, mini_en_zh, mini_zh"]),
        (["suite=nope"], ["suite=nope is not a choice", "mini"]),
        (["rerankr=none"], ["rerankr is not a setting", "reranker"]),
        (["+extra=1"], ["extra is not a setting", "depth"]),
        (["+reranker.extra=1"], ["reranker.extra is not a setting"]),
        (["depth=0"], ["depth=0 is out of range"]),
        (["compute.dtype=int8"], ["compute.dtype=int8", "float32, bfloat16, float16"]),
        (["dataset.language=french"], ["dataset.language=french is not a language code", "en, de, ja or zh"]),
        (["measures={a:1}"], ["measures"]),
        (["measures=[mrr@10]"], ["Did you mean RR@10?"]),
        (["suite=mini", "dataset=mini"], ["suite=mini chooses the datasets"]),
        (["suite=mini", "dataset.path=x"], ["dataset.path is of one dataset"]),
        (["dataset=mini", "dataset.path=x"], ["ships with evalkit"]),
        (["retriever=bm25", "retriever.k1=nan"], ["retriever.k1=nan is out of range"]),
        (["=5"], ["'=5'", "SETTING=VALUE"]),
        (["measures=[nCDG@10]"], ["unknown measure 'nCDG@10'", "nDCG@k"]),
        (["retriever=saved"], ["retriever.path is not set"]),
        (["reranker=cross_encoder"], ["reranker.model is not set"]),
        (["dataset=folder"], ["dataset.path is not set"]),
        (["dataset=folder", "dataset.path=nowhere"], ["nowhere: no such folder or zip"]),
        (["dataset.name=../../up"], ["dataset.name", "folder of results"]),
        (["words"], ["'words'", "SETTING=VALUE"]),
    ],
)
def test_a_wrong_setting_is_one_line_that_lists_what_is_legal(arguments, parts, capsys, monkeypatch, tmp_path):
    # In this process: Hydra may be entered again, and nineteen interpreters would take a minute.
    from evalkit.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path))
        code = main(["evaluate", f"cache_dir={tmp_path}", *arguments])
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("evalkit: error:")]
    assert code == 2
    assert len(errors) == 1
    for part in parts:
        assert part in errors[0]
    assert not (tmp_path / "results").exists()


def test_bad_data_is_one_line_and_leaves_nothing_half_written(tmp_path):
    folder = write_collection(tmp_path / "bad")
    with (folder / "corpus.jsonl").open("a") as corpus:
        corpus.write("{not json\n")

    done = run("dataset=folder", f"dataset.path={folder}", "retriever=bm25", "reranker=none", cwd=tmp_path)

    assert_one_line_error(done, "corpus.jsonl:6", "not JSON")
    assert not (tmp_path / "results").exists()
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_results_that_cannot_be_written_are_one_line(settings, tmp_path):
    (tmp_path / "file").write_text("")
    done = run(*settings, f"results_dir={tmp_path / 'file' / 'results'}", cwd=tmp_path)
    assert_one_line_error(done, "file: is not a folder", "Choose another folder")


def test_a_query_without_candidates_counts_as_zero_and_is_reported(tmp_path):
    folder = write_collection(
        tmp_path / "odd", queries={"q1": "tides", "q2": "zzz qqq"}, qrels={"q1": {"d1": 1}, "q2": {"d2": 1}}
    )
    done = run("dataset=folder", f"dataset.path={folder}", "retriever=bm25", "reranker=none", cwd=tmp_path)

    manifest = json.loads((tmp_path / "results/odd/bm25-100/none/manifest.json").read_text())
    assert manifest["measures"]["R@20"] == 0.5
    assert manifest["queries_without_candidates"] == ["q2"]
    assert manifest["dataset"]["empty_documents"] == 1
    assert "1 query has no candidate and counts as 0" in done.stdout


def test_an_evaluation_without_any_candidate_succeeds(tmp_path):
    folder = write_collection(tmp_path / "odd", queries={"q1": "zzz"}, qrels={"q1": {"d1": 1}})
    model = tiny_bert(tmp_path / "model")
    done = run(
        *("dataset=folder", f"dataset.path={folder}", "retriever=bm25", f"reranker.model={model}"),
        "reranker.max_length=32",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "results/odd/bm25-100/late_interaction/manifest.json").read_text())
    assert manifest["measures"]["nDCG@10"] == 0.0
    assert manifest["pairs"] == 0


def test_help_shows_the_defaults_and_where_to_look(tmp_path):
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "evalkit list datasets" in done.stdout
    assert "late_interaction" in done.stdout


@pytest.fixture(scope="module")
def forums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forums of CQADupStack in folders, as BEIR's zip unpacks, and a suite of them; its last two are missing."""
    folder = tmp_path_factory.mktemp("forums")
    datasets = load_suite("cqadupstack").datasets
    for dataset in datasets[:2]:
        write_collection(folder / dataset)
    (folder / "conf" / "suite").mkdir(parents=True)
    listed = "".join(f"  - {dataset}\n" for dataset in (*datasets[:2], *datasets[-2:]))
    (folder / "conf" / "suite" / "forums.yaml").write_text(f"# Four forums.\ndatasets:\n{listed}")
    return folder


def suite(forums: Path, *arguments: str, cwd: Path) -> CompletedProcess[str]:
    path = f"dataset.path={forums}/${{dataset.name}}"
    chosen = ["--config-dir", str(forums / "conf"), "suite=forums", path, "dataset.check=off"]
    return run(*chosen, "retriever=bm25", "reranker=none", *arguments, cwd=cwd)


def test_a_suite_goes_on_without_a_missing_dataset_and_refuses_the_average(forums, tmp_path):
    done = suite(forums, "measures=[nDCG@10]", cwd=tmp_path)

    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("evalkit: error:")]
    assert len(errors) == 2
    assert "webmasters" in errors[0]
    assert "wordpress" in errors[1]
    table = done.stdout[done.stdout.index("forums: nDCG@10") :]
    assert "cqadupstack has 2 of 4 datasets" in table
    assert "missing are cqadupstack/webmasters, cqadupstack/wordpress" in table
    assert [line.split()[3] for line in table.splitlines() if "average" in line and "│" in line] == ["—"]


@pytest.mark.slow
def test_a_partial_average_is_made_when_asked_for_and_says_so(forums, tmp_path):
    done = suite(forums, "measures=[nDCG@10]", "partial_average=true", cwd=tmp_path)

    found = [
        json.loads(path.read_text()) for path in tmp_path.glob("results/cqadupstack/*/bm25-100/none/manifest.json")
    ]
    values = [manifest["measures"]["nDCG@10"] for manifest in found]
    assert len(values) == 2
    table = done.stdout[done.stdout.index("forums: nDCG@10") :]
    (row,) = [line for line in table.splitlines() if line.startswith("│ cqadupstack")]
    assert row.strip("│ ").split()[-1] == f"{sum(values) / 2:.4f}"
    assert "cqadupstack has 2 of 4 datasets" in table
    assert "average of 1 of 1 entries only" in done.stdout


def test_a_csv_of_a_suite_has_a_row_for_each_run_and_the_average_is_on_stderr(forums, tmp_path):
    done = suite(forums, "measures=[nDCG@10]", "partial_average=true", "--format=csv", cwd=tmp_path)
    rows = pd.read_csv(io.StringIO(done.stdout))
    assert len(rows) == 2
    (told,) = [line for line in done.stderr.splitlines() if "average: bm25-100" in line]
    assert f"suite=forums: nDCG@10, average: bm25-100 {rows['nDCG@10'].mean():.4f}. It has no row in CSV" in told
    assert "missing are cqadupstack/webmasters, cqadupstack/wordpress" in done.stderr


def test_help_explains_every_setting_of_the_default_evaluation_on_its_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    assert main(["help", "evaluate"]) == 0
    printed = capsys.readouterr().out
    (explained,) = [line for line in printed.splitlines() if line.startswith("  depth=100 ")]
    assert explained.endswith("Candidates of each query that are passed on to the reranker")
    lines = printed[printed.index("\nsettings:") :].splitlines()
    for place, line in enumerate(lines):
        if re.match(r"  [\w.]+=", line) and not re.match(r"  reranker\.(model|revision)=", line):
            beside = re.split(r"\s{2,}", line.strip())[1:]
            assert beside or lines[place + 1].startswith(" " * 8), line


def test_help_is_of_the_choices_that_were_typed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "suite=mini", "-m", "retriever=bm25", "retriever.k1=2", "--help"]) == 0
    printed = capsys.readouterr().out
    assert "retriever=bm25:" in printed
    assert "retriever.k1=2.0" in printed
    assert not (tmp_path / "results").exists()
