"""`evalkit plan` with the settings of `evaluate`."""

import json

import pytest
from stubs import tiny_bert, write_collection

from evalkit.cli import main


@pytest.fixture(autouse=True)
def _quick(monkeypatch, tmp_path):
    monkeypatch.setattr("evalkit.plan.matmul._SECONDS", 0.0)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings(tmp_path):
    write_collection(tmp_path / "c")
    model = tiny_bert(tmp_path / "model")
    return [
        "dataset=folder",
        f"dataset.path={tmp_path / 'c'}",
        "retriever=dense",
        f"retriever.model={model}",
        "retriever.pooling=mean",
        "retriever.max_length=16",
        f"reranker.model={model}",
        "reranker.max_length=16",
        "compute.device=cpu",
        f"cache_dir={tmp_path / 'cache'}",
    ]


def planned(capsys, *arguments):
    assert main(["plan", "--format", "json", *arguments]) == 0
    (grid,) = json.loads(capsys.readouterr().out)
    return grid


def test_one_evaluation_is_a_row_a_stage_and_nothing_is_run(capsys, settings, tmp_path):
    grid = planned(capsys, *settings)
    rows = {row["stage"]: row for row in grid["rows"]}
    assert rows["encode documents"]["texts"] == 5
    assert rows["encode documents"]["tokens"] > 5
    assert rows["encode documents"]["rate"].endswith("TFLOP/s (measured now)")
    assert "on this machine" in grid["title"]
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "cache" / "embeddings").exists()


def test_what_is_done_twice_says_for_what(capsys, settings):
    rows = {row["stage"]: row for row in planned(capsys, *settings)["rows"]}
    assert {"measure (first stage)", "write (first stage)", "measure (result)", "write (result)"} <= rows.keys()
    assert {"load", "search", "rerank"} <= rows.keys()


@pytest.mark.parametrize("chosen", [["dataset=mini"], pytest.param(["suite=mini"], marks=pytest.mark.slow)])
def test_the_hub_is_asked_for_nothing_that_is_bundled(capsys, monkeypatch, chosen):
    def ask():
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("evalkit.system.network.forbidden", lambda: False)
    monkeypatch.setattr("evalkit.system.network.hub_fault", ask)
    assert main(["plan", *chosen, "retriever=bm25", "reranker=none"]) == 0
    assert capsys.readouterr().err == ""


def test_a_hub_that_does_not_answer_is_mentioned_where_it_is_needed(capsys, monkeypatch):
    monkeypatch.setattr("evalkit.system.network._warned", [])
    monkeypatch.setattr("evalkit.system.network.forbidden", lambda: False)
    monkeypatch.setattr("evalkit.system.network.hub_fault", lambda: "the hub does not answer")
    assert main(["plan", "dataset=scifact", "retriever=bm25", "reranker=none"]) == 0
    assert "the hub does not answer. What was not downloaded is planned after its card" in capsys.readouterr().err


def test_after_the_run_everything_is_in_the_store(capsys, settings):
    assert main(["evaluate", *settings]) == 0
    capsys.readouterr()
    grid = planned(capsys, *settings)
    assert {row["in the store"] for row in grid["rows"] if row["stage"] != "load"} == {1.0}


def test_an_earlier_run_teaches_a_plan_no_rates(capsys, settings, tmp_path):
    """Rates learnt from one tiny run made a plan 20 minutes where it should have been 3."""
    before = planned(capsys, *settings)
    assert main(["evaluate", *settings, f"cache_dir={tmp_path / 'other'}", f"results_dir={tmp_path / 'r'}"]) == 0
    capsys.readouterr()
    after = planned(capsys, *settings, f"cache_dir={tmp_path / 'other'}", f"results_dir={tmp_path / 'none'}")
    assert [row["texts/s"] for row in after["rows"]] == [row["texts/s"] for row in before["rows"]]
    assert not (tmp_path / "other" / "rates").exists()


@pytest.mark.slow
def test_a_suite_is_a_row_for_each_evaluation_in_its_order(capsys):
    grid = planned(capsys, "suite=cmteb", "retriever=bge_large_zh_v1_5", "reranker=minicpm_reranker", "compute=h200")
    rows = grid["rows"]
    assert len(rows) == 8
    assert rows[0]["dataset"] == "T2Retrieval"
    assert all(row["time"] > 0 for row in rows)
    assert sum(row["pairs"] for row in rows) == 3_974_000
    # 7.4 EFLOP of scoring by an independent reckoning of the same suite, and its 0.8 M passages.
    assert 6e18 < sum(row["FLOP"] for row in rows) < 1.1e19
    assert "on 1 x NVIDIA H200" in grid["title"]


def test_eight_devices_take_an_eighth_of_the_time_of_models(capsys):
    common = ["dataset=msmarco", "retriever=bge_large_en_v1_5", "reranker=minicpm_reranker", "compute=h200"]
    one, eight = (planned(capsys, *common, f"compute.machine.devices={count}")["rows"] for count in (1, 8))
    times = [{row["stage"]: row["time"] for row in rows} for rows in (one, eight)]
    assert times[0]["rerank"] == pytest.approx(8 * times[1]["rerank"])
    assert times[0]["load"] == times[1]["load"]


def test_the_launcher_does_not_change_the_plan(capsys, settings):
    grid = planned(capsys, "-m", "hydra/launcher=slurm", "hydra.launcher.partition=x", "depth=2,5", *settings)
    assert [row["first stage"] for row in grid["rows"]] == ["dense-2", "dense-5"]


def test_a_table_for_people_has_totals_and_what_was_assumed(capsys):
    arguments = ["dataset=scifact", "retriever=bge_large_en_v1_5", "reranker=none", "compute=a100"]
    assert main(["plan", *arguments]) == 0
    out = capsys.readouterr().out
    for text in ("encode documents", "in all", "kWh", "FLOP", "memory of a process", "assumed, not counted"):
        assert text in out


def test_a_dataset_that_cannot_be_planned_does_not_stop_the_others(capsys, settings):
    (_, *rest) = settings
    assert main(["plan", "-m", "dataset=folder", f"{rest[0]},/nowhere", *rest[1:]]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("evalkit: error") == 1
    assert "dense-100" in captured.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["retreiver=bm25"], "retreiver"),
        (["compute.machine.utilisation=2"], "compute.machine.utilisation=2"),
        (["compute.device=cuda"], "CUDA"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(capsys, arguments, told):
    assert main(["plan", *arguments]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert len(err.strip().splitlines()) == 1
