"""`evalkit evaluate ablation=NAME` as a user types it."""

import pytest
from made import write_collection
from tiny_checkpoints import write_minicpm_reranker

from evalkit.cli import main
from evalkit.config.instructions import GENERIC, load_instructions
from evalkit.results.gather import gather


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return write_collection(tmp_path_factory.mktemp("ablation") / "collection", queries=4)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_minicpm_reranker(tmp_path_factory.mktemp("model") / "model")


def evaluate(collection, folder, *arguments):
    common = [f"dataset.path={collection}", f"results_dir={folder / 'results'}", f"cache_dir={folder / 'cache'}"]
    return main(
        ["evaluate", "dataset=folder", "retriever=bm25", "compute=cpu", "measures=nDCG@10", *common, *arguments]
    )


def test_depth_has_a_row_for_every_value_against_the_first(collection, tmp_path, capsys):
    assert evaluate(collection, tmp_path, "ablation=depth", "reranker=none") == 0
    table = capsys.readouterr().out.partition("ablation=depth")[2]
    assert [line.split("│")[3].strip() for line in table.splitlines() if line.startswith("│")] == [
        "100",
        "50",
        "20",
        "10",
    ]
    assert "differences to depth=100" in table


def test_instructions_reach_the_reranker_each_in_a_result_of_its_own(collection, model, tmp_path, capsys):
    own = ["dataset.name=arguana", "reranker=minicpm_reranker", f"reranker.model={model}", "reranker.revision=null"]
    assert evaluate(collection, tmp_path, "ablation=instructions", "reranker.max_length=64", *own) == 0
    assert "ablation=instructions" in capsys.readouterr().out
    texts = {str(one.result.manifest["reranker"].get("instruction")) for one in gather([tmp_path / "results"])}
    expected = load_instructions()["arguana"].instruction
    assert {GENERIC, expected} <= texts


@pytest.mark.slow
def test_a_value_that_the_checkpoint_cannot_take_leaves_the_others(collection, tmp_path, capsys):
    assert evaluate(collection, tmp_path, "ablation=max_length", "reranker=late_interaction") == 2
    printed = capsys.readouterr()
    assert "1024" in printed.err
    table = printed.out.partition("ablation=max_length")[2]
    assert [line.split("│")[3].strip() for line in table.splitlines() if line.startswith("│")] == ["512", "256", "128"]


def test_two_ablations_at_once_are_refused(collection, tmp_path, capsys):
    assert evaluate(collection, tmp_path, "ablation=depth,max_length", "reranker=none") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_varied_setting_cannot_be_given_too(collection, tmp_path, capsys):
    assert evaluate(collection, tmp_path, "ablation=depth", "depth=7", "reranker=none") == 2
    assert "ablation=depth varies depth. Remove depth=7" in capsys.readouterr().err
