"""A script for each published table: what it would run, with the program played by one that only writes down."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from evalkit.analysis.published.tables import load_published
from evalkit.commands.reproduce import _parser
from evalkit.commands.settings.compose import compose
from evalkit.config.resources import config_names
from evalkit.config.suites import load_suite

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
TABLES = [(name, table.name) for name in config_names("published") for table in load_published(name).tables]


def script_of(name, table):
    words = name if name.endswith(f"-{table}") else f"{name}-{table}"
    return SCRIPTS / f"reproduce_{re.sub(r'[-.]', '_', words)}.sh"


@pytest.fixture
def typed(tmp_path):
    """What a script types, given settings."""
    program = tmp_path / "evalkit"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$(printf " %s" "$@")" >> {tmp_path / "typed"}\n')
    program.chmod(0o755)

    def run(script, *settings, **environment):
        told = {**os.environ, "EVALKIT": str(program), "RESULTS": "kept", **environment}
        done = subprocess.run([str(script), *settings], env=told, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [shlex.split(line) for line in (tmp_path / "typed").read_text().splitlines()]

    return run


def datasets_of(fetched):
    kind, _, names = fetched.partition("=")
    return set(load_suite(names).datasets) if kind == "suite" else set(names.split(","))


@pytest.mark.parametrize(("name", "table"), TABLES, ids=lambda part: part)
def test_every_published_table_has_a_script_that_makes_all_of_it(typed, name, table):
    commands = typed(script_of(name, table), "compute=ray", "compute.device=cuda", RUNS="runs")
    found = next(one for one in load_published(name).tables if one.name == table)
    fetched = set().union(*(datasets_of(words[1]) for words in commands if words[0] == "fetch"))
    assert fetched >= {dataset for column in found.columns for dataset in column.suite.datasets}
    for words in (words for words in commands if words[0] == "reproduce"):
        options = _parser().parse_intermixed_args(words[1:])
        assert (options.name, options.table, options.results) == (name, table, "kept")
        if options.run:
            assert options.yes
            assert options.settings == ["compute=ray", "compute.device=cuda"]
    assert commands[-1][0] in {"report", "reproduce"}


def test_without_settings_it_is_one_gpu(typed):
    commands = typed(script_of("minicpm-reranker", "cn-en"))
    assert [words[-1] for words in commands if {"--run", "--plan"} & set(words)] == ["compute=cuda"] * 2


def test_runs_of_a_first_stage_that_is_not_here_are_taken_by_the_name_of_the_dataset(typed, tmp_path):
    commands = typed(script_of("bge-rerankers-e5-mistral", "beir"), "compute=cpu", RUNS=str(tmp_path))
    (tmp_path / "scifact.trec").write_text("q Q0 d 1 1 x\n")
    evaluated = [words[2:] for words in commands if words[0] == "evaluate"]
    assert [next(word for word in words if word.startswith("reranker=")) for words in evaluated] == [
        "reranker=none",
        "reranker=bge_reranker_v2_minicpm_layerwise",
    ]
    for words in evaluated:
        one = [word for word in words if not word.startswith("suite=")]
        config = compose("evaluate", ["dataset=scifact", *one])
        assert config.retriever.path == f"{tmp_path}/scifact.trec"


def test_a_failed_run_is_the_exit_code_and_the_table_is_shown_all_the_same(tmp_path):
    program = tmp_path / "evalkit"
    program.write_text('#!/bin/sh\necho "$1"\ncase "$*" in *--run*) exit 2;; esac\n')
    program.chmod(0o755)
    script = script_of("first-stages", "bge-m3")
    done = subprocess.run(
        [str(script)], env={**os.environ, "EVALKIT": str(program)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout.split() == ["fetch", "reproduce", "reproduce", "report"]
