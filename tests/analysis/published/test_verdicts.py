"""Published numbers beside results made by hand."""

import io
import itertools
import json

import pandas as pd
import pytest
from made import made

from evalkit.analysis.published.missing import missing
from evalkit.analysis.published.tables import load_published
from evalkit.analysis.published.verdicts import conditions, reproduce, unused, verdict
from evalkit.cli import main
from evalkit.config.resources import config_names
from evalkit.results.gather import gather

TASKS = (
    "T2Retrieval",
    "MMarcoRetrieval",
    "DuRetrieval",
    "CovidRetrieval",
    "CmedqaRetrieval",
    "EcomRetrieval",
    "MedicalRetrieval",
    "VideoRetrieval",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduce")
    for number, task in enumerate(TASKS):
        systems = {"minicpm_reranker": 3.0} | ({"bge_reranker_v2_m3": 2.0} if number < 3 else {})
        made(folder, systems, dataset=task, stage="bge_large_zh_v1_5", queries=6 + number)
    return folder


@pytest.fixture(scope="module")
def cells(folder):
    found = reproduce(load_published("minicpm-reranker"), gather([folder / "results"]))
    return {(cell.system, cell.column): cell for cell in found}


def values(folder, part):
    found = [
        json.loads((folder / f"results/{task}/bge_large_zh_v1_5-100/{part}/manifest.json").read_text())
        for task in TASKS
    ]
    return [one["measures"]["nDCG@10"] for one in found]


def test_average_of_a_whole_suite_is_ours(folder, cells):
    cell = cells["MiniCPM-Reranker", "C-MTEB/Retrieval"]
    ours = 100 * sum(values(folder, "minicpm_reranker")) / 8
    assert (cell.published, cell.ours, cell.ceiling) == (76.79, pytest.approx(ours), pytest.approx(100))
    assert cell.verdict == verdict(76.79, ours, 0.3)


def test_first_stage_is_found_under_any_reranker(folder, cells):
    cell = cells["bge-large-zh-v1.5", "C-MTEB/Retrieval"]
    assert cell.ours == pytest.approx(100 * sum(values(folder, "candidates")) / 8)


def test_part_of_a_suite_has_no_average_and_says_how_much_there_is(cells):
    cell = cells["bge-reranker-v2-m3", "C-MTEB/Retrieval"]
    assert (cell.ours, cell.verdict) == (None, "not run (3 of 8)")


def test_cells_without_a_run_are_named(cells):
    assert cells["MiniCPM-Reranker", "BEIR"].verdict == "not run"
    assert cells["MiniCPM-Reranker", "NeuCLIR22"].verdict == "not run"


def test_settings_tell_cut_off_layers_apart(cells):
    assert cells["bge-reranker-v2-minicpm-28", "C-MTEB/Retrieval"].verdict == "not run"


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (70.0, "reproduced"),
        (70.30, "reproduced"),
        (69.69, "near"),
        (70.90, "near"),
        (70.92, "off"),
        (60.0, "off"),
    ],
)
def test_verdicts_at_their_bounds(ours, expected):
    assert verdict(70.0, ours, 0.3) == expected


def test_condition_that_differs_is_named_and_the_fewest_win(tmp_path):
    made(tmp_path, {"minicpm_reranker": 3.0}, dataset="VideoRetrieval", stage="bge_large_zh_v1_5", queries=5)
    published = load_published("minicpm-reranker-cmteb")
    found = gather([tmp_path / "results"])
    shallow = gather([tmp_path / "results"])
    shallow[0].candidates.manifest["retriever"]["depth"] = 50
    (cell,) = [cell for cell in reproduce(published, shallow) if cell.ours is not None and "author" in cell.system]
    assert cell.conditions == ("depth 50, published 100",)
    (cell,) = [
        cell for cell in reproduce(published, [*shallow, *found]) if cell.ours is not None and "author" in cell.system
    ]
    assert cell.conditions == ()


def test_command_lists_tables_and_prints_one(folder, capsys):
    assert main(["reproduce"]) == 0
    assert "MiniCPM-Reranker's model card" in capsys.readouterr().out
    arguments = ["--results", str(folder / "results"), "--table", "cn-en"]
    assert main(["reproduce", "minicpm-reranker", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "71.82 (3 of 8)" in printed
    assert "crosslingual" not in printed
    assert main(["reproduce", "minicpm-reranker", *arguments, "--long"]) == 0
    assert "not run (3 of 8)" in capsys.readouterr().out
    assert main(["reproduce", "minicpm-reranker", *arguments, "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert len(found["rows"]) == 11


def test_number_above_the_ceiling_is_remarked(folder, capsys):
    published = ["reproduce", "minicpm-reranker-cmteb", "--results", str(folder / "results"), "--format", "json"]
    assert main(published) == 0
    (found,) = json.loads(capsys.readouterr().out)
    remarks = {row["remark"] for row in found["rows"] if row["ours"] is not None and row["ours"] > 98}
    assert all("of the ceiling" in remark for remark in remarks)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "'nothing' is not a published table. Legal are: bge-rerankers"),
        (["minicpm-reranker", "--table", "x"], "Legal are: cn-en, crosslingual."),
        (["minicpm-reranker", "--tolerance", "-1"], "--tolerance=-1.0 is out of range"),
        (["minicpm-reranker", "--tolerance", "nan"], "--tolerance=nan is out of range"),
    ],
)
def test_mistakes_are_one_line(capsys, arguments, message):
    assert main(["reproduce", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_no_results_yet_is_not_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "minicpm-reranker"]) == 0
    assert "11 numbers: not run" in capsys.readouterr().out


def test_without_a_name_the_published_tables_are_listed_with_their_titles(capsys):
    assert main(["reproduce", "--format", "csv"]) == 0
    found = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(found["name"]) == config_names("published")
    assert list(found["about"]) == [load_published(name).title for name in found["name"]]


def test_results_that_are_in_no_cell_are_named_with_the_reason(tmp_path, capsys):
    made(
        tmp_path, {"minicpm_reranker": 3.0, "mine": 1.0}, dataset="VideoRetrieval", stage="bge_large_zh_v1_5", queries=5
    )
    made(tmp_path, {"minicpm_reranker": 3.0}, dataset="VideoRetrieval", stage="bm25", queries=5)
    root = made(tmp_path, {"strong": 3.0}, dataset="one", queries=5)
    asked = ["reproduce", "minicpm-reranker", "--results", str(root)]
    assert main(asked) == 0
    lines = capsys.readouterr().err.splitlines()
    assert sorted(line for line in lines if "not in these tables" in line) == [
        "evalkit: not in these tables (the tables do not have the dataset): " + str(root / "one/stage-100/strong"),
        "evalkit: not in these tables (the tables do not have the first stage): "
        + str(root / "VideoRetrieval/bm25-100/minicpm_reranker"),
        "evalkit: not in these tables (the tables do not have the reranker): "
        + str(root / "VideoRetrieval/bge_large_zh_v1_5-100/mine"),
    ]


def test_a_result_without_the_measure_and_one_that_is_farther_are_named(tmp_path):
    made(tmp_path, {"minicpm_reranker": 3.0}, dataset="VideoRetrieval", stage="bge_large_zh_v1_5", queries=5)
    published = load_published("minicpm-reranker")
    (near,), (far,), (other,) = (gather([tmp_path / "results"]) for _ in range(3))
    assert unused(published, [near]) == {}
    del other.result.manifest["measures"]["nDCG@10"]
    assert unused(published, [other]) == {"nDCG@10 was not measured": [other]}
    far.candidates.manifest["retriever"]["depth"] = 50
    object.__setattr__(far.result, "folder", tmp_path / "far")
    assert unused(published, [far, near]) == {"another result is closer to the published conditions": [far]}


def test_candidates_are_not_taken_for_the_reranker_that_they_were_made_for(tmp_path):
    root = made(tmp_path, {"minicpm_reranker": 3.0}, dataset="VideoRetrieval", stage="bge_large_zh_v1_5", queries=5)
    found = gather([root / "VideoRetrieval/bge_large_zh_v1_5-100/candidates"])
    cells = reproduce(load_published("minicpm-reranker"), found)
    assert {cell.system for cell in cells if cell.verdict != "not run"} == {"bge-large-zh-v1.5"}


STAGES = ("bm25", "bge_m3_dense")
OVER_STAGES = {
    "title": "Two datasets over two first stages",
    "source": "made",
    "conditions": {"depth": 100},
    "notes": [],
    "tables": {
        "one": {
            "columns": [
                {
                    "name": "mean",
                    "measure": "nDCG@10",
                    "dataset": ["scifact", "nfcorpus"],
                    "retriever": list(STAGES),
                },
                {"name": "bm25", "measure": "nDCG@10", "dataset": ["scifact", "nfcorpus"], "retriever": "bm25"},
            ],
            "rows": [
                {"name": "none", "reranker": "none", "values": [None, 40.0]},
                {"name": "m3", "reranker": "bge_reranker_v2_m3", "values": [50.0, 45.0], "max_length": 512},
                {"name": "own", "reranker": "not_configured", "values": [60.0, 55.0]},
            ],
        }
    },
}


@pytest.fixture
def over_stages(monkeypatch):
    monkeypatch.setattr("evalkit.analysis.published.tables.read_config", lambda *_: OVER_STAGES)
    monkeypatch.setattr("evalkit.analysis.published.tables.config_names", lambda _: ["own"])
    return load_published("own")


def test_a_mean_over_first_stages_is_that_of_their_averages_and_needs_each(over_stages, tmp_path):
    for number, (stage, (dataset, queries)) in enumerate(
        itertools.product(STAGES, {"scifact": 5, "nfcorpus": 7}.items())
    ):
        cells = {(cell.system, cell.column): cell for cell in reproduce(over_stages, gather_in(tmp_path))}
        assert cells["m3", "mean"].verdict == ("not run" if number == 0 else f"not run ({number} of 4)")
        made(tmp_path, {"bge_reranker_v2_m3": 0.3 + number / 4}, dataset=dataset, stage=stage, queries=queries)
    cells = {(cell.system, cell.column): cell for cell in reproduce(over_stages, gather_in(tmp_path))}
    ours = {
        (one.result.manifest["retriever"]["name"], one.dataset): 100 * one.result.manifest["measures"]["nDCG@10"]
        for one in gather_in(tmp_path)
    }
    assert len(set(ours.values())) == 4
    assert cells["m3", "mean"].ours == pytest.approx(sum(ours.values()) / 4)
    assert cells["m3", "bm25"].ours == pytest.approx(sum(v for (stage, _), v in ours.items() if stage == "bm25") / 2)
    assert cells["none", "bm25"].ours is not None
    assert cells["own", "mean"].verdict == "not run"


def gather_in(folder):
    return gather([folder / "results"]) if (folder / "results").is_dir() else []


def test_a_row_has_its_own_length_and_without_one_the_model_decides(over_stages, tmp_path):
    runs = missing(over_stages, [], table=None)
    assert {run.reranker for run in runs} == {"none", "bge_reranker_v2_m3"}  # the other is a run file of the user's
    assert {(run.retriever, run.dataset) for run in runs if run.reranker != "none"} == {
        (stage, dataset) for stage in STAGES for dataset in ("scifact", "nfcorpus")
    }
    assert all(("reranker.max_length=512" in run.settings) == (run.reranker != "none") for run in runs)
    made(tmp_path, {"not_configured": 2.0}, dataset="scifact", stage="bm25", queries=5)
    (one,) = gather([tmp_path / "results"])
    one.result.manifest["config"]["reranker"]["max_length"] = 64
    own = over_stages.tables[0].rows[2]
    assert conditions(over_stages, own, one) == []
    assert conditions(over_stages, own._replace(max_length=512), one) == ["max_length 64, published 512"]
