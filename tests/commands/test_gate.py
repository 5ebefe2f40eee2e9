"""`evalkit gate` as a user and a CI job type it."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from made import made

from evalkit.cli import main


@pytest.fixture
def root(tmp_path):
    return made(tmp_path, {"strong": 3.0})


@pytest.fixture
def baseline(root, tmp_path, capsys):
    path = tmp_path / "baseline.json"
    assert main(["gate", "--baseline", str(path), str(root), "--update"]) == 0
    assert "2 results (2 new, 0 changed, 0 removed)" in " ".join(capsys.readouterr().out.split())
    return path


def test_copy_of_the_results_passes(root, baseline, tmp_path, capsys):
    copy = shutil.copytree(root, tmp_path / "copy")
    assert main(["gate", "--baseline", str(baseline), str(copy)]) == 0
    assert "4 fine" in capsys.readouterr().out


def worse(tmp_path):
    return made(tmp_path / "worse", {"strong": -3.0})


def test_regression_is_exit_code_1_in_every_report(baseline, tmp_path, capsys):
    junit, summary = tmp_path / "gate.xml", tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    arguments = ["--junit", str(junit), "--summary", str(summary)]
    assert main(["gate", "--baseline", str(baseline), str(worse(tmp_path)), *arguments]) == 1
    captured = capsys.readouterr()
    assert "regression" in captured.out
    assert "--update" in captured.err
    suite = ET.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "0")
    (failure,) = suite.iter("failure")
    assert "regression" in failure.get("message")
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n### evalkit gate: regression\n\n* 3 fine, 1 regression.\n* nDCG@10 of one / stage")
    shown, _, folded = text.partition("<details><summary>3 fine</summary>")
    assert (shown.count("| one |"), folded.count("| one |")) == (1, 3)


def test_missing_result_is_exit_code_2(baseline, tmp_path, capsys):
    other = made(tmp_path / "other", {"strong": 3.0}, dataset="another")
    assert main(["gate", "--baseline", str(baseline), str(other)]) == 2
    assert "there is no such result" in " ".join(capsys.readouterr().out.split())


def test_a_missing_result_is_said_to_be_missing_with_what_to_do(baseline, root, capsys):
    shutil.rmtree(root / "one/stage-100/strong")
    assert main(["gate", "--baseline", str(baseline), str(root), "--summary", "markdown"]) == 2
    captured = capsys.readouterr()
    assert "2 fine, 2 could not be judged." in captured.out
    assert "**What moved or is missing**" in captured.out
    assert captured.out.count("* one / stage-100 / strong could not be judged: there is no such result.") == 1
    assert "Evaluate it again with the settings of the baseline" in captured.err


@pytest.mark.parametrize("option", ["--junit", "--summary"])
def test_a_folder_that_is_not_there_is_refused_before_judging(option, baseline, root, tmp_path, capsys):
    path = tmp_path / "absent" / "gate.out"
    assert main(["gate", "--baseline", str(baseline), str(root), option, str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert f"{option} {path}: the folder {path.parent} does not exist. Make it" in captured.err


def test_other_queries_are_exit_code_2(baseline, tmp_path, capsys):
    other = made(tmp_path / "other", {"strong": 3.0}, queries=20)
    junit = tmp_path / "gate.xml"
    assert main(["gate", "--baseline", str(baseline), str(other), "--format", "json", "--junit", str(junit)]) == 2
    (found,) = json.loads(capsys.readouterr().out)
    assert {row["judgement"].partition(":")[0] for row in found["rows"]} == {"could not be judged"}
    assert len(list(ET.parse(junit).getroot().iter("error"))) == 4


def test_update_says_what_changed(baseline, tmp_path, capsys):
    assert main(["gate", "--baseline", str(baseline), str(worse(tmp_path)), "--update"]) == 0
    assert "2 results (0 new, 1 changed, 0 removed)" in " ".join(capsys.readouterr().out.split())


def values(baseline):
    found = json.loads(baseline.read_text())["results"]
    return {one["reranker"]: {name: own["values"] for name, own in one["measures"].items()} for one in found}


def test_update_of_one_measure_keeps_the_others(baseline, tmp_path, capsys):
    before = values(baseline)
    arguments = ["gate", "--baseline", str(baseline), str(worse(tmp_path)), "--update"]
    assert main([*arguments, "--measure", "RR@10"]) == 0
    assert "(0 new, 2 changed, 0 removed)" in " ".join(capsys.readouterr().out.split())
    after = values(baseline)
    assert [set(own) for own in after.values()] == [{"RR@10", "nDCG@10", "R@20"}] * 2
    for reranker, own in before.items():
        assert {name: after[reranker][name] for name in own} == own
    assert main(arguments) == 0
    assert "(0 new, 2 changed, 0 removed; without RR@10 of before)" in " ".join(capsys.readouterr().out.split())


def test_update_of_one_measure_on_other_queries_says_which_it_leaves_out(baseline, tmp_path, capsys):
    other = made(tmp_path / "other", {"strong": 3.0}, queries=20)
    assert main(["gate", "--baseline", str(baseline), str(other), "--update", "--measure", "R@20"]) == 0
    assert "(0 new, 2 changed, 0 removed; without nDCG@10 of before)" in " ".join(capsys.readouterr().out.split())
    assert {len(own["R@20"]) for own in values(baseline).values()} == {20}


def test_a_measure_that_the_baseline_lacks_is_not_fine(root, baseline, capsys):
    assert main(["gate", "--baseline", str(baseline), str(root), "--measure", "R@20", "--measure", "MAP"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "no result in it has MAP. It has R@20 and nDCG@10. Add it with --update --measure MAP." in told.err


def test_an_empty_baseline_is_not_fine(root, baseline, capsys):
    baseline.write_text(json.dumps({**json.loads(baseline.read_text()), "results": []}))
    assert main(["gate", "--baseline", str(baseline), str(root)]) == 2
    assert "nothing was judged, since the baseline is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tolerance", "5"], "--tolerance 5 is not from 0 to 1. Measures are from 0 to 1 as well: give 0.005"),
        (["--measure", "mrr"], "unknown measure 'mrr'. Did you mean RR?"),
    ],
)
def test_mistakes_are_one_line(root, baseline, capsys, arguments, message):
    assert main(["gate", "--baseline", str(baseline), str(root), *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--update"]])
def test_another_file_is_refused_as_a_baseline_and_stays_what_it_was(root, tmp_path, capsys, more):
    other = tmp_path / "qrels.tsv"
    other.write_text("q1\td1\t1\n")
    assert main(["gate", "--baseline", str(other), str(root), *more]) == 2
    told = capsys.readouterr().err
    assert "not a baseline that evalkit wrote" in told
    assert "the name of a new file and --update to write one." in told
    assert other.read_text() == "q1\td1\t1\n"


def test_absent_baseline_says_how_to_make_one(root, tmp_path, capsys):
    assert main(["gate", "--baseline", str(tmp_path / "none.json"), str(root)]) == 2
    assert "there is no such baseline. Write one with --update." in capsys.readouterr().err


def test_workflow_in_the_docs_is_valid_and_uses_commands_that_exist():
    text = (Path(__file__).parents[2] / "docs" / "gate.md").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    commands = [step["run"] for step in workflow["jobs"]["gate"]["steps"] if "run" in step]
    assert [command.split()[:2] for command in commands] == [
        ["pip", "install"],
        ["evalkit", "evaluate"],
        ["evalkit", "gate"],
    ]


def test_a_full_disk_is_one_line_that_names_the_file(root, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert main(["gate", "--baseline", str(tmp_path / "new.json"), str(root), "--update"]) == 2
    assert capsys.readouterr().err == f"evalkit: error: {tmp_path / 'new.json'}: No space left on device.\n"
    assert not (tmp_path / "new.json").exists()


def test_a_folder_that_got_its_key_is_judged_by_its_name(root, baseline, capsys):
    (root / "one/stage-100").rename(root / "one/stage-100.0123abcd")
    assert main(["gate", "--baseline", str(baseline), str(root)]) == 0
    capsys.readouterr()
    assert main(["gate", "--baseline", str(baseline), str(root / "one/stage-100/strong")]) == 0
    captured = capsys.readouterr()
    assert "4 fine" in captured.out
    assert "stage-100.0123abcd/strong, the only one of that name" in captured.err


def test_two_results_of_one_name_are_refused_with_their_difference_in_one_line(root, baseline, tmp_path, capsys):
    made(tmp_path, {"strong": 2.0})
    assert main(["gate", "--baseline", str(baseline), str(root)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "are both one / stage-100 / strong, and differ in reranker.file_sha256" in error
    assert main(["gate", "--baseline", str(baseline), str(root / "one/stage-100/strong")]) == 0


def test_only_the_measure_that_is_asked_for_is_judged(root, baseline, capsys):
    asked = ["gate", "--baseline", str(baseline), str(root), "--format", "json", "--measure"]
    assert main([*asked, "R@20"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert {(row["measure"], row["judgement"], row["p"]) for row in found["rows"]} == {("R@20", "fine", 1.0)}


def test_summary_markdown_is_printed_in_place_of_the_table(root, baseline, tmp_path, capsys):
    common = ["gate", "--baseline", str(baseline), "--summary", "markdown"]
    assert main([*common, str(worse(tmp_path))]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("### evalkit gate: regression\n\n* 3 fine, 1 regression.\n* nDCG@10 of one / stage-100")
    assert "fell from" in printed
    assert main([*common, str(root)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("### evalkit gate: fine\n\n* 4 fine.\n\n<details><summary>4 fine</summary>")
    assert not (Path.cwd() / "markdown").exists()
    assert main([*common, str(made(tmp_path / "other", {"strong": 3.0}, dataset="another"))]) == 2
    assert "* one / stage-100 could not be judged: there is no such result." in capsys.readouterr().out
