"""`suite=` and `ablation=` as the sweeps they stand for."""

import pytest
from stubs import write_collection

from evalkit import cli
from evalkit.commands.settings.presets import expand
from evalkit.errors import ConfigError


def test_a_suite_becomes_a_sweep_over_its_datasets_and_leaves_the_arguments():
    found = expand(["suite=mini", "reranker=none"])
    assert found.suite is not None
    assert found.suite.datasets == ("mini", "mini_zh", "mini_en_zh")
    assert found.ablation is None
    swept = "+hydra.sweeper.params={dataset:'mini,mini_zh,mini_en_zh'}"
    assert found.arguments == ["reranker=none", "hydra.mode=MULTIRUN", swept]


def test_a_suite_and_an_ablation_vary_datasets_slowest():
    found = expand(["ablation=instructions", "suite=beir_small"])
    params = "dataset:'scifact,nfcorpus',reranker.instructions:'none,generic,dataset,card'"
    assert found.arguments == ["hydra.mode=MULTIRUN", f"+hydra.sweeper.params={{{params}}}"]


@pytest.mark.parametrize("typed", [["suite=null"], ["~suite"], ["suite=mini", "suite=null"], []])
def test_no_preset_leaves_a_single_evaluation(typed):
    assert expand([*typed, "depth=5"]) == (None, None, ["depth=5"])


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("suite=nope", "suite=nope is not a choice. Legal are: beir"),
        ("ablation=depht", "ablation=depht is not a choice. Did you mean depth"),
        ("ablation=depth,max_length", "several ablations"),
    ],
)
def test_an_unknown_preset_is_refused(typed, message):
    with pytest.raises(ConfigError, match=message):
        expand([typed])


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ("suite", "datasets: scifact,nfcorpus\n"),
        ("suite", "hydra: {mode: MULTIRUN}\n"),
        ("suite", "datasets: [mini]\npartial_average: true\n"),
        ("ablation", "setting: depth\n"),
        ("ablation", "setting: depth\nvalues: 10\n"),
    ],
)
def test_a_preset_of_the_user_that_is_malformed_is_refused(tmp_path, group, text):
    (tmp_path / group).mkdir()
    (tmp_path / group / "own.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"{group}/own.yaml is not an? {group}\. Expected"):
        expand([f"{group}=own", f"--config-dir={tmp_path}"])


def test_a_suite_of_the_user_runs_and_has_its_table(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("scifact", "nfcorpus"):
        write_collection(tmp_path / name)
    (tmp_path / "own" / "suite").mkdir(parents=True)
    (tmp_path / "own" / "suite" / "two.yaml").write_text("datasets: [scifact, nfcorpus]\n")
    places = [f"results_dir={tmp_path}/results", f"cache_dir={tmp_path}/cache", "dataset.path=${dataset.name}"]
    own = ["--config-dir", str(tmp_path / "own"), "suite=two", "measures=[nDCG@10]"]
    assert cli.main(["evaluate", *own, *places, "dataset.check=off", "retriever=bm25", "reranker=none"]) == 0
    table = capsys.readouterr().out.partition("two: nDCG@10")[2]
    assert "the average is of 2: scifact, nfcorpus" in table
