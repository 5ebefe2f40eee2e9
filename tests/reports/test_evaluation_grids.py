"""The tables on the terminal say what the manifests hold."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from stubs import tiny_bert

from evalkit.config import ComputeConfig, EvaluateConfig, FolderDatasetConfig
from evalkit.pipeline import evaluate
from evalkit.reports.evaluation_grids import evaluation_grid, runs_grid
from evalkit.reports.grid import show
from evalkit.rerank.late_interaction import LateInteractionConfig
from evalkit.rerank.passthrough import KeepOrderConfig
from evalkit.retrieval.bm25 import BM25Config


@pytest.fixture
def config(tmp_path: Path, collection: Path) -> EvaluateConfig:
    return EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(collection), name="tiny"),
        retriever=BM25Config(name="bm25"),
        reranker=KeepOrderConfig(name="none"),
        compute=ComputeConfig(device="cpu"),
        results_dir=str(tmp_path / "results"),
        cache_dir=str(tmp_path / "cache"),
    )


def text_of(grid) -> str:
    out = Console(width=200, file=io.StringIO())
    show([grid], out)
    return out.file.getvalue()


def test_first_stage_reranked_and_ceiling_stand_side_by_side(config, tmp_path):
    late = LateInteractionConfig(name="maxsim", model=str(tiny_bert(tmp_path / "model")), max_length=32)
    done = evaluate(replace(config, reranker=late))
    text = text_of(evaluation_grid(done, ["nDCG@10"]))

    header = next(line for line in text.splitlines() if "measure" in line)
    assert header.index("first stage") < header.index("maxsim") < header.index("ceiling")
    (row,) = [line for line in text.splitlines() if line.startswith("│ nDCG@10")]
    values = (
        done.candidates.manifest["measures"],
        done.result.manifest["measures"],
        done.candidates.manifest["ceiling"],
    )
    assert [f"{one['nDCG@10']:.4f}" for one in values] == row.replace("│", " ").split()[1:]
    for part in ("2 queries", "4 candidates", "truncated pairs: 0", "ties in the top 10", "pairs/s", "saved in"):
        assert part in text
    assert "1 document has no text; it is ranked" in text


def test_time_and_speed_are_listed_by_stage_for_work_of_this_run(config, tmp_path):
    late = LateInteractionConfig(name="maxsim", model=str(tiny_bert(tmp_path / "model")), max_length=32)
    first = text_of(evaluation_grid(evaluate(replace(config, reranker=late)), ["nDCG@10"]))
    (split,) = [line for line in first.splitlines() if line.startswith("time by stage: ")]
    assert "rerank " in split
    assert "load " in split
    again = text_of(evaluation_grid(evaluate(replace(config, reranker=late)), ["nDCG@10"]))
    assert "time by stage" not in again  # nothing was done


def test_pairs_scored_by_an_earlier_run_are_counted_separately(config, tmp_path):
    late = LateInteractionConfig(name="maxsim", model=str(tiny_bert(tmp_path / "model")), max_length=32)
    evaluate(replace(config, reranker=late))
    text = text_of(
        evaluation_grid(evaluate(replace(config, reranker=late, results_dir=str(tmp_path / "other"))), ["nDCG@10"])
    )
    assert "4 pairs scored before" in text
    assert "pairs/s" not in text


def test_without_a_reranker_there_is_no_column_for_it(config):
    text = text_of(evaluation_grid(evaluate(config), ["nDCG@10"]))
    header = next(line for line in text.splitlines() if "measure" in line)
    assert header.replace("┃", " ").split() == ["measure", "first", "stage", "ceiling"]
    assert "pairs/s" not in text


def test_a_result_that_was_found_says_that_there_was_nothing_to_do(config):
    evaluate(config)
    assert "nothing to do, found in" in text_of(evaluation_grid(evaluate(config), ["nDCG@10"]))


def test_what_there_is_one_of_is_not_counted_as_several(config):
    text = text_of(evaluation_grid(evaluate(replace(config, depth=1)), ["nDCG@10", "R@20"]))
    assert "at most 1 candidate, fewer than nDCG@10, R@20 need\n" in text.replace(" \n", "\n")
    alone = text_of(evaluation_grid(evaluate(replace(config, depth=1)), ["R@20"]))
    assert "fewer than R@20 needs" in alone


def test_a_sweep_ends_with_a_row_for_each_evaluation(config):
    done = [evaluate(replace(config, depth=depth)) for depth in (1, 2)]
    text = text_of(runs_grid(done, ["nDCG@10", "R@20"]))
    assert [line for line in text.splitlines() if "bm25-1" in line]
    assert [line for line in text.splitlines() if "bm25-2" in line]
    assert f"{done[0].result.manifest['measures']['R@20']:.4f}" in text
