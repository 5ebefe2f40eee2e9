"""`evalkit list` shows what the files under conf/ offer."""

import io
import json
import re

import pandas as pd
import pytest

from evalkit.cli import main
from evalkit.config.resources import config_names


@pytest.mark.parametrize(
    ("kind", "group"),
    [
        ("datasets", "dataset"),
        ("retrievers", "retriever"),
        ("rerankers", "reranker"),
        ("suites", "suite"),
        ("compute", "compute"),
    ],
)
def test_json_lists_every_choice_by_name_with_a_line_about_it(kind, group, capsys):
    assert main(["list", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert config_names(group) == [row["name"] for row in rows]
    assert all(row["about"] for row in rows)


def test_only_the_kind_is_asked_for_where_nothing_was_typed(capsys):
    assert main(["list"]) == 2
    told = capsys.readouterr().err
    assert "required: datasets|retrievers|" in told
    assert "SETTING=VALUE" not in told
    assert main(["list", "--json", "suites"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_the_table_names_every_reranker(capsys):
    main(["list", "rerankers"])
    out = capsys.readouterr().out
    assert all(name in out for name in ("none", "late_interaction", "cross_encoder", "replay"))


@pytest.mark.parametrize("kind", ["rerankers", "retrievers"])
def test_every_model_says_under_which_licence_and_how_large_it_is(kind, capsys):
    main(["list", kind, "--json"])
    rows = [row for row in json.loads(capsys.readouterr().out) if "model" in row]
    assert len(rows) > 4
    assert [row["name"] for row in rows if not row["licence"]] == []
    unknown = [row["name"] for row in rows if row["download_gb"] is None]
    assert unknown == [row["name"] for row in rows if row["model"].startswith("package:")]


def test_every_pinned_reranker_says_what_it_is_and_how_its_score_is_made(capsys):
    main(["list", "rerankers", "--json"])
    rows = [row for row in json.loads(capsys.readouterr().out) if "revision" in row]
    facts = ("licence", "download_gb", "model", "parameters", "architecture", "template", "score")
    assert [(row["name"], fact) for row in rows for fact in facts if not row.get(fact)] == []
    assert all(re.fullmatch("[0-9a-f]{40}", row["revision"]) for row in rows)
    assert len({(row["model"], row["revision"]) for row in rows}) == len(rows) >= 45


def test_the_largest_downloads_are_shown(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    main(["list", "rerankers", "--json"])
    found = {row["name"]: row.get("download_gb") for row in json.loads(capsys.readouterr().out)}
    assert found["bge_reranker_v2_5_gemma2_lightweight"] == 37
    assert found["bge_reranker_v2_minicpm_layerwise"] == 10.9
    assert found["bge_reranker_v2_gemma"] == 10
    main(["list", "rerankers"])
    out = capsys.readouterr().out
    assert all(part in out for part in ("Gemma", "37", "10.9", "CC-BY-NC-4.0"))


def test_instructions_have_a_source_and_say_which_are_assumed(capsys):
    main(["list", "instructions", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["scifact"]["instruction"].startswith("Given a scientific claim")
    assert rows["cqadupstack"]["assumed"]
    assert rows["miracl"]["assumed"]
    assert not rows["scifact"]["assumed"]
    assert all(row["source"] for row in rows.values())


def test_every_measure_listed_can_be_asked_for(capsys):
    from evalkit.measures import parse_measure

    main(["list", "measures", "--json"])
    for row in json.loads(capsys.readouterr().out):
        assert parse_measure(row["name"].replace("@k", "@7")).name == row["name"].replace("@k", "@7")


def test_an_unknown_kind_leaves_with_exit_code_2(capsys):
    assert main(["list", "model"]) == 2
    assert "'model' is not a choice. Legal are: datasets, " in capsys.readouterr().err
    assert main(["list", "measure"]) == 2
    assert "Did you mean measures?" in capsys.readouterr().err


def test_the_cards_of_datasets_hold_what_a_reader_chooses_by(capsys):
    main(["list", "datasets", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    scifact = rows["scifact"]
    assert (scifact["documents"], scifact["queries"], scifact["relevant"]) == (5183, 300, 339)
    assert (scifact["language"], scifact["split"], scifact["identical ids"]) == ("en", "test", "kept")
    assert (scifact["source"], scifact["zip"], scifact["licence"]) == ("mteb/scifact", True, "cc-by-nc-4.0")
    assert rows["neuclir22_zh"]["language"] == "en to zh"
    assert rows["mkqa_en_zh_cn"]["measures"] == ["AnswerRecall@20"]
    assert rows["msmarco"]["split"] == rows["T2Retrieval"]["split"] == "dev"


@pytest.mark.parametrize("width", ["80", "200"])
def test_the_table_of_datasets_has_their_names_and_counts_at_any_width(width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    main(["list", "datasets"])
    out = capsys.readouterr().out
    assert all(part in out for part in ("scifact", "5,183", "dev", "dropped"))


@pytest.mark.parametrize("kind", ["datasets", "rerankers", "measures", "suites", "published"])
def test_every_list_is_one_csv_that_pandas_reads_and_a_markdown_table(kind, capsys):
    assert main(["list", kind, "--format", "csv"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out), keep_default_na=False)
    assert main(["list", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == table["name"].tolist()
    assert main(["list", kind, "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith(f"**{kind}**\n\n| name |")


def test_a_dataset_is_inspected_with_its_settings(collection, tmp_path, capsys):
    settings = [f"dataset.path={collection}", f"cache_dir={tmp_path / 'cache'}"]
    assert main(["list", "datasets", "--inspect", "folder", *settings]) == 0
    assert "empty documents" in capsys.readouterr().out
    assert main(["list", "datasets", "--json", "--inspect", "folder", *settings]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["documents"], found["queries"]) == (5, 2)
    assert found["findings"][0] == {"what": "empty documents", "count": 1, "examples": found["findings"][0]["examples"]}


@pytest.mark.parametrize("arguments", [["rerankers", "--inspect", "none"], ["datasets", "dataset.path=x"]])
def test_settings_without_a_dataset_to_inspect_are_refused(arguments, capsys):
    assert main(["list", *arguments]) == 2
    assert "--inspect NAME" in capsys.readouterr().err
