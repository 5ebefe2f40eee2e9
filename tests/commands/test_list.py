"""`evalkit list` shows what the files under conf/ offer."""

import json

import pytest

from evalkit.cli import main
from evalkit.resources import config_names


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


def test_the_table_names_every_reranker(capsys):
    main(["list", "rerankers"])
    out = capsys.readouterr().out
    assert all(name in out for name in ("none", "late_interaction", "cross_encoder", "replay"))


def test_instructions_have_a_source_and_say_which_are_assumed(capsys):
    main(["list", "instructions", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["scifact"]["instruction"].startswith("Given a scientific claim")
    assert [name for name, row in rows.items() if row["assumed"]] == ["cqadupstack"]
    assert all(row["source"] for row in rows.values())


def test_every_measure_listed_can_be_asked_for(capsys):
    from evalkit.measures import parse_measure

    main(["list", "measures", "--json"])
    for row in json.loads(capsys.readouterr().out):
        assert parse_measure(row["name"].replace("@k", "@7")).name == row["name"].replace("@k", "@7")


def test_an_unknown_kind_leaves_with_exit_code_2(capsys):
    with pytest.raises(SystemExit) as left:
        main(["list", "models"])
    assert left.value.code == 2
    assert "datasets" in capsys.readouterr().err
