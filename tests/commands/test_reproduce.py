"""`evalkit reproduce --run` and `--explain` as a user types them."""

import io
import sys
from contextlib import contextmanager

import pytest
from made import made

from evalkit.cli import main


def test_without_yes_it_shows_the_plan_and_runs_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    folder = tmp_path / "results"
    assert main(["reproduce", "minicpm-reranker", "--table", "cn-en", "--run", "--results", str(folder)]) == 2
    printed = capsys.readouterr()
    assert "196 evaluations are missing" in printed.out
    assert "give --yes" in printed.err
    assert not folder.exists()


def test_failed_runs_are_reported_and_the_table_still_comes(tmp_path, capsys):
    asked = ["--table", "cn-en", "--run", "--yes", "--limit", "4000", "--results", str(tmp_path / "results")]
    assert main(["reproduce", "minicpm-reranker", *asked, "retriever.model=/absent", "compute=cpu"]) == 2
    printed = capsys.readouterr()
    assert "1 of 1: evalkit evaluate dataset=nfcorpus retriever=bge_large_en_v1_5 reranker=none" in printed.err
    assert "/absent" in printed.err
    assert "MiniCPM-Reranker" in printed.out


def test_a_line_says_when_no_evaluation_is_missing(tmp_path, capsys):
    root = made(tmp_path, {"bge_reranker_v2_m3": 1.0}, dataset="nfcorpus", stage="bge_large_en_v1_5", queries=4)
    asked = ["reproduce", "minicpm-reranker", "--table", "cn-en", "--run", "--limit", "4000", "--results", str(root)]
    assert main(asked) == 0
    assert "nothing is missing" in capsys.readouterr().err


@pytest.mark.parametrize("asked", ["--plan", "--run"])
def test_numbers_that_cannot_be_run_are_counted_with_what_would_give_them(asked, tmp_path, capsys):
    assert main(["reproduce", "jina-reranker-v3", asked, "--results", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "168 numbers are missing, and none can be run: the first stage must be given as " in told
    assert "retriever=saved retriever.name=jina_embeddings_v3 retriever.path=RUN; " in told
    assert "gives jina_reranker_v3_ascending, jina_reranker_v3_random, jina_reranker_m0, jina_colbert_v2." in told
    assert "bge_reranker_v2_m3" not in told
    assert told.count("\n") == 1


def test_a_limit_below_every_missing_evaluation_is_not_said_to_be_all_there_is(tmp_path, capsys):
    asked = ["--table", "cn-en", "--run", "--limit", "3", "--results", str(tmp_path)]
    assert main(["reproduce", "minicpm-reranker", *asked]) == 0
    assert "nothing is missing within --limit 3; 196 evaluations would read more." in capsys.readouterr().err


def test_a_folder_of_results_that_is_given_must_exist_and_the_default_need_not(tmp_path, monkeypatch, capsys):
    assert main(["reproduce", "minicpm-reranker", "--results", str(tmp_path / "absent")]) == 2
    assert capsys.readouterr().err.startswith(f"evalkit: error: --results {tmp_path / 'absent'}: no such folder. ")
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "minicpm-reranker", "--table", "cn-en"]) == 0
    assert "numbers: not run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "example"),
    [("foo/bar", "jina-embeddings-v3/Avg."), ("jina-reranker-v3", "'jina-reranker-v3 (D)/Avg.'")],
)
def test_what_is_no_cell_is_answered_with_one_in_a_line_that_can_be_read(typed, example, tmp_path, capsys):
    assert main(["reproduce", "jina-reranker-v3", "--explain", typed, "--results", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"and 148 more. A cell is SYSTEM/COLUMN, such as --explain {example}." in told
    assert len(told) < 1_000


def asked_to_plan(monkeypatch, tmp_path, *settings):
    """The settings of each evaluation that a plan is made of."""
    from evalkit.commands import plan

    planned = []
    monkeypatch.setattr(plan, "show_plan", lambda configs, **_: planned.extend(configs) or 0)
    asked = ["reproduce", "minicpm-reranker", "--run", "--plan", "--limit", "20000", "--results", str(tmp_path)]
    assert main([*asked, "compute=cpu", *settings]) == 0
    return planned


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["depth=7", "results_dir=x/${dataset.name}"])
def test_a_plan_is_of_the_settings_that_each_run_would_have(monkeypatch, tmp_path, setting):
    """Most are put together of what was composed for others."""
    from evalkit.analysis.published.missing import missing
    from evalkit.analysis.published.tables import load_published
    from evalkit.commands.settings.compose import compose

    planned = asked_to_plan(monkeypatch, tmp_path, setting)
    runs = missing(load_published("minicpm-reranker"), [], table=None, limit=20_000)
    assert len(planned) == len(runs) > 20
    for config, run in list(zip(planned, runs, strict=True))[::4]:
        overrides = [*run.overrides, f"results_dir={tmp_path}", "compute=cpu", setting]
        assert config == compose("evaluate", overrides)


@pytest.mark.slow
def test_each_dataset_and_each_system_is_composed_once(monkeypatch, tmp_path):
    from evalkit.commands.settings import compose

    calls, real = [], compose.compose
    monkeypatch.setattr(compose, "compose", lambda name, overrides: calls.append(overrides) or real(name, overrides))
    planned = asked_to_plan(monkeypatch, tmp_path)
    datasets = {config.dataset.name for config in planned}
    systems = {repr((config.retriever, config.reranker)) for config in planned}
    assert len(calls) <= len(datasets) + len(systems) < len(planned)


@pytest.mark.slow
def test_a_plan_of_many_runs_says_how_far_it_is(monkeypatch, tmp_path):
    """Onto a terminal it draws a bar; into a pipe it writes a line for what took a second."""
    from evalkit.commands import plan, reproduce

    told = []

    @contextmanager
    def told_progress(description, total, unit):
        done = []
        yield done.append
        told.append((description, total, sum(done), unit))

    for module in (plan, reproduce):
        monkeypatch.setattr(module, "progress", told_progress)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    asked = ["--table", "crosslingual", "--limit", "1000000", "--results", str(tmp_path), "compute=h200"]
    assert main(["reproduce", "minicpm-reranker", "--run", "--plan", *asked]) == 0
    assert [(description, total == done > 0) for description, total, done, _ in told] == [
        ("composing settings", True),
        ("planning", True),
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--explain", "bge-reranker-v2-m3"], "is not a cell. Did you mean bge-reranker-v2-m3/BEIR? Legal are:"),
        (["--explain", "bge-reranker-v2-m3/BEIR"], "not run on"),
        (["compute=cuda"], "settings are for --run"),
        (["--table", "nothing"], "Legal are: cn-en, crosslingual"),
    ],
)
def test_mistakes_cost_one_line(arguments, expected, tmp_path, capsys):
    assert main(["reproduce", "minicpm-reranker", *arguments, "--results", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert told.count("\n") == 1
