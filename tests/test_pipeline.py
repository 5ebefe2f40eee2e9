"""The whole pipeline, without a model where one is not the point."""

import gzip
import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from stubs import DOCUMENTS, QUERIES, StubReranker, tiny_bert, write_collection
from tiny_checkpoints import write_minicpm_embedding, write_minicpm_reranker

from evalkit import rerank
from evalkit.config import (
    ComputeConfig,
    DenseConfig,
    EvaluateConfig,
    FolderDatasetConfig,
    RerankerConfig,
)
from evalkit.errors import ConfigError, DataError, ResultError
from evalkit.pipeline import evaluate
from evalkit.rerank.families.minicpm import MiniCPMRerankerConfig
from evalkit.rerank.late_interaction import LateInteractionConfig
from evalkit.rerank.passthrough import KeepOrderConfig, ReplayConfig
from evalkit.retrieval.bm25 import BM25Config
from evalkit.retrieval.saved import SavedConfig

NONE = KeepOrderConfig(name="none")


def bm25_of(folder: Path) -> EvaluateConfig:
    return EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(write_collection(folder / "collection"))),
        retriever=BM25Config(name="bm25"),
        reranker=NONE,
        compute=ComputeConfig(device="cpu"),
        results_dir=str(folder / "results"),
        cache_dir=str(folder / "cache"),
    )


@pytest.fixture
def config(tmp_path: Path) -> EvaluateConfig:
    return bm25_of(tmp_path)


def test_the_reranker_is_given_the_texts_and_its_order_is_what_is_measured(config, monkeypatch):
    monkeypatch.setattr(rerank, "build", lambda *_, **__: StubReranker())
    done = evaluate(replace(config, reranker=RerankerConfig(name="stub")))

    run = done.result.read_run()
    shared = {
        (ranking.query_id, doc_id): len(
            set(QUERIES[ranking.query_id].split()) & set(" ".join(DOCUMENTS[doc_id]).lower().split())
        )
        for ranking in run
        for doc_id in ranking.doc_ids
    }
    assert {score for ranking in run for score in ranking.scores.tolist()} == {
        float(score) for score in shared.values()
    }
    # d5, of grade 1, shares no word with q1: its gain is missing from (2 + 1 / log2(3)); q2 is perfect.
    assert done.result.manifest["measures"]["nDCG@10"] == pytest.approx((2 / (2 + 1 / math.log2(3)) + 1) / 2)


def test_the_files_of_a_result_agree_with_each_other(config):
    done = evaluate(config)
    folder = done.result.folder
    manifest = json.loads((folder / "manifest.json").read_text())
    per_query = pq.read_table(folder / "per_query.parquet").to_pydict()
    lines = gzip.decompress((folder / "run.trec.gz").read_bytes()).decode().splitlines()

    assert per_query["query_id"] == ["q1", "q2"]
    for name, mean in manifest["measures"].items():
        assert sum(per_query[name]) / 2 == pytest.approx(mean, abs=1e-15)
    assert manifest["pairs"] == len(lines)
    assert {"key", "ceiling", "truncated_pairs", "environment", "command", "seconds", "candidates"} <= set(manifest)
    assert manifest["environment"]["packages"]["evalkit"]


def test_the_ceiling_is_what_a_perfect_reordering_reaches(config, tmp_path):
    perfect = tmp_path / "perfect.trec"
    done = evaluate(config)
    candidates = [(ranking.query_id, doc_id) for ranking in done.candidates.read_run() for doc_id in ranking.doc_ids]
    grades = {("q1", "d1"): 2, ("q1", "d5"): 1, ("q2", "d3"): 1}
    perfect.write_text("".join(f"{q} Q0 {d} 1 {grades.get((q, d), 0)} x\n" for q, d in candidates))

    replayed = evaluate(replace(config, reranker=ReplayConfig(name="replay", path=str(perfect))))

    assert replayed.result.manifest["measures"] == done.candidates.manifest["ceiling"]


def test_candidates_are_shared_by_rerankers_and_found_again(config, tmp_path):
    first = evaluate(config)
    model = tiny_bert(tmp_path / "model")
    late = LateInteractionConfig(name="late_interaction", model=str(model), max_length=32)
    second = evaluate(replace(config, reranker=late))

    assert first.candidates.fresh
    assert not second.candidates.fresh
    assert first.candidates.folder == second.candidates.folder
    assert second.result.folder.parent == first.result.folder.parent
    assert second.result.manifest["candidates"]["run_digest"] == first.candidates.manifest["run_digest"]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: replace(c, depth=2),
        lambda c: replace(c, retriever=BM25Config(name="bm25", k1=0.9)),
        lambda c: replace(c, retriever=BM25Config(name="bm25", method="robertson")),
        lambda c: replace(c, dataset=replace(c.dataset, drop_identical_ids=True)),
        lambda c: replace(c, dataset=replace(c.dataset, title_separator="\n")),
        lambda c: replace(c, dataset=replace(c.dataset, language="zh")),
    ],
)
def test_another_first_stage_depth_or_policy_never_finds_the_old_result(config, change):
    old = evaluate(config)
    new = evaluate(change(config))
    again = evaluate(config)

    assert new.candidates.fresh
    assert new.result.fresh
    assert new.result.folder != old.result.folder
    assert not again.result.fresh
    assert again.result.folder == old.result.folder


def test_a_changed_corpus_under_the_same_path_is_computed_again(config, collection):
    old = evaluate(config)
    write_collection(collection, {**DOCUMENTS, "d1": ("Tides", "Nothing about it.")})
    new = evaluate(config)

    assert new.result.fresh
    assert new.result.folder != old.result.folder
    assert new.result.manifest["dataset"]["digest"] != old.result.manifest["dataset"]["digest"]


def test_changed_judgments_under_the_same_path_are_measured_again(config, collection):
    evaluate(config)
    write_collection(collection, qrels={"q1": {"d5": 1}, "q2": {"d3": 1}})
    assert evaluate(config).result.fresh


def test_another_model_with_the_same_name_is_computed_again(config, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = tiny_bert(tmp_path / "a" / "model", seed=1)
    second = tiny_bert(tmp_path / "b" / "model", seed=2)
    dense = DenseConfig(name="dense", model=str(first), pooling="mean", max_length=32)
    old = evaluate(replace(config, retriever=dense))
    new = evaluate(replace(config, retriever=replace(dense, model=str(second))))

    assert new.candidates.fresh
    assert new.candidates.manifest["run_digest"] != old.candidates.manifest["run_digest"]


@pytest.mark.parametrize(
    "change",
    [{"max_length": 16}, {"query_instruction": "moon "}, {"document_instruction": "moon "}, {"skip_first_token": True}],
)
def test_a_changed_reranker_setting_is_computed_again_and_keeps_the_candidates(config, tmp_path, change):
    model = tiny_bert(tmp_path / "model")
    late = LateInteractionConfig(name="late_interaction", model=str(model), max_length=32)
    evaluate(replace(config, reranker=late))
    new = evaluate(replace(config, reranker=replace(late, **change)))

    assert new.result.fresh
    assert not new.candidates.fresh


@pytest.fixture
def minicpm(config, tmp_path) -> EvaluateConfig:
    """BM25, then a MiniCPM-Reranker with the dataset's own instruction."""
    folder = write_minicpm_reranker(tmp_path / "minicpm")
    return replace(
        config,
        reranker=MiniCPMRerankerConfig(name="minicpm", model=str(folder), max_length=128, instructions="dataset"),
    )


def test_a_dataset_without_an_instruction_is_refused_before_anything_is_made(minicpm):
    with pytest.raises(ConfigError, match=r"reranker\.instructions=dataset.*no entry 'collection'"):
        evaluate(minicpm)
    assert not Path(minicpm.results_dir).exists()


def test_a_retriever_for_a_dataset_without_an_instruction_is_refused_before_anything_is_made(config, tmp_path):
    dense = DenseConfig(
        name="dense",
        model=str(write_minicpm_embedding(tmp_path / "minicpm")),
        pooling="weighted_mean",
        max_length=64,
        instructions="dataset",
        instructed_query="Instruction: {instruction} Query: ",
    )
    with pytest.raises(ConfigError, match=r"retriever\.instructions=dataset.*no entry 'collection'"):
        evaluate(replace(config, retriever=dense))
    assert not Path(config.results_dir).exists()


def test_another_instruction_is_another_result_and_the_same_candidates(minicpm):
    changes = [
        {"reranker": replace(minicpm.reranker, instructions="none")},
        {"reranker": replace(minicpm.reranker, instructions="Find it.")},
        {"dataset": replace(minicpm.dataset, instruction_key="scifact")},
        {"dataset": replace(minicpm.dataset, instruction_key="nfcorpus")},
    ]
    done = [evaluate(replace(minicpm, **change)) for change in changes]
    assert len({evaluation.result.manifest["key"] for evaluation in done}) == len(changes)
    assert len({evaluation.result.read_run().digest() for evaluation in done}) == len(changes)
    assert len({evaluation.result.folder for evaluation in done}) == len(changes)
    assert [True, False, False, False] == [evaluation.candidates.fresh for evaluation in done]
    # An instruction that is the same by another way is the same result.
    again = {"reranker": replace(minicpm.reranker, instructions="Find it."), "dataset": changes[2]["dataset"]}
    assert not evaluate(replace(minicpm, **again)).result.fresh


def test_an_instruction_before_queries_is_another_first_stage_over_the_same_vectors(config, tmp_path):
    dense = DenseConfig(name="dense", model=str(tiny_bert(tmp_path / "model")), pooling="mean", max_length=32)
    instructed = replace(dense, instructions="the moon", instructed_query="{instruction} bees ")
    old, new = (evaluate(replace(config, retriever=chosen)) for chosen in (dense, instructed))
    assert new.candidates.fresh
    assert old.candidates.manifest["run_digest"] != new.candidates.manifest["run_digest"]
    assert len(list(Path(config.cache_dir).rglob("vectors.npy"))) == 1


def test_a_saved_run_keeps_its_order_and_identical_ids_can_be_dropped(config, tmp_path):
    run = tmp_path / "run.trec"
    run.write_text("q1 Q0 d5 1 3 x\nq1 Q0 q1 2 2 x\nq1 Q0 d1 3 1 x\nq2 Q0 d3 1 1 x\n")
    folder = write_collection(tmp_path / "same", {**DOCUMENTS, "q1": ("", "why does the sea have tides")})
    saved = replace(
        config,
        dataset=FolderDatasetConfig(path=str(folder), drop_identical_ids=True),
        retriever=SavedConfig(name="saved", path=str(run)),
        depth=2,
    )
    rankings = {ranking.query_id: ranking.doc_ids for ranking in evaluate(saved).candidates.read_run()}
    assert rankings == {"q1": ["d5", "d1"], "q2": ["d3"]}


def test_oddities_of_files_are_in_manifests_and_warned_of_again_for_found_results(config, tmp_path, caplog):
    first, second = tmp_path / "first.trec", tmp_path / "second.trec"
    first.write_text("q1 Q0 d1 1 0.1 x\nq1 Q0 d5 2 0.5 x\nq2 Q0 d3 1 1 x\n")
    second.write_text("q1 Q0 d1 1 1 x\nq1 Q0 d5 2 1 x\nq1 Q0 d2 3 0 x\nq2 Q0 d3 1 1 x\n")
    saved = replace(
        config,
        retriever=SavedConfig(name="saved", path=str(first)),
        reranker=ReplayConfig(name="replay", path=str(second)),
        measures=["RR@10", "P@1"],
    )
    told = []
    for _ in range(2):
        caplog.clear()
        done = evaluate(saved)
        told.append([record.getMessage() for record in caplog.records])
    kinds = [[note["kind"] for note in one.manifest["notes"]] for one in (done.candidates, done.result)]
    assert kinds == [["ranks_disagree"], ["not_candidates", "ties"]]
    bounds = done.result.manifest["notes"][1]["values"]
    assert bounds == {"RR@10": {"least": 1.0, "greatest": 1.0}, "P@1": {"least": 1.0, "greatest": 1.0}}
    assert told[0] == told[1]
    assert [message.split(":")[0] for message in told[0]] == [str(first), str(second), str(second)]


def test_a_run_without_oddities_has_no_notes_in_its_manifest(config):
    done = evaluate(config)
    assert "notes" not in done.candidates.manifest
    assert "notes" not in done.result.manifest


def test_a_folder_whose_policy_nobody_chose_has_the_digest_of_one_that_keeps_own_ids(config):
    kept = replace(config, dataset=replace(config.dataset, drop_identical_ids=False))
    digests_of = {evaluate(one).result.manifest["dataset"]["digest"] for one in (config, kept)}
    assert len(digests_of) == 1


def written_runs(folder: Path) -> list[Path]:
    """Two runs of other content under names of their own."""
    paths = [folder / "BERT.trec", folder / "T5-collection.trec"]
    for path, scores in zip(paths, ((3, 1), (1, 3)), strict=True):
        path.write_text("".join(f"q1 Q0 d{row} 1 {score} x\n" for row, score in zip((1, 5), scores, strict=True)))
    return paths


def test_saved_and_replayed_runs_have_folders_after_their_files(config, tmp_path):
    first, second = written_runs(tmp_path)
    done = [
        evaluate(replace(config, retriever=SavedConfig(path=str(first)), reranker=ReplayConfig(path=str(path))))
        for path in (first, second)
    ]
    assert [one.result.folder.relative_to(config.results_dir) for one in done] == [
        Path("collection/BERT-100/BERT"),
        Path("collection/BERT-100/T5"),
    ]
    assert [(one.first_stage, one.reranker) for one in done] == [("BERT-100", "BERT"), ("BERT-100", "T5")]


def test_results_that_were_named_saved_and_replay_are_found_by_their_key(config, tmp_path):
    first, second = written_runs(tmp_path)

    def settings(path: Path, **names: str) -> EvaluateConfig:
        reranker = ReplayConfig(path=str(second))
        return replace(config, retriever=SavedConfig(path=str(path), **names), reranker=reranker)

    old = evaluate(
        replace(
            config,
            retriever=SavedConfig(name="saved", path=str(first)),
            reranker=ReplayConfig(name="replay", path=str(second)),
        )
    )
    assert old.result.folder.parts[-2:] == ("saved-100", "replay")
    found = evaluate(settings(first))
    assert (found.result.folder, found.result.fresh, found.candidates.fresh) == (old.result.folder, False, False)
    other = evaluate(settings(second))
    assert other.candidates.folder.parts[-2:] == ("T5-100", "candidates")
    assert other.candidates.fresh
    named = evaluate(settings(first, name="mine"))
    assert named.candidates.folder.parts[-2] == "mine-100"
    assert named.result.folder.parts[-2:] == ("mine-100", "T5")


def test_a_saved_candidate_without_text_is_an_error_only_for_a_reranker_that_reads(config, tmp_path):
    run = tmp_path / "run.trec"
    run.write_text("q1 Q0 unknown 1 3 x\nq2 Q0 d3 1 1 x\n")
    saved = replace(config, retriever=SavedConfig(name="saved", path=str(run)))
    model = tiny_bert(tmp_path / "model")

    assert evaluate(saved).result.manifest["measures"]["R@20"] == 0.5
    with pytest.raises(DataError, match="'unknown'"):
        evaluate(replace(saved, reranker=LateInteractionConfig(name="late", model=str(model), max_length=32)))


def test_a_run_file_that_was_changed_is_refused(config):
    done = evaluate(config)
    (done.candidates.folder / "run.trec.gz").write_bytes(gzip.compress(b"q1 Q0 d1 1 9 x\n"))
    with pytest.raises(ResultError, match=r"run\.trec\.gz"):
        evaluate(replace(config, reranker=ReplayConfig(name="replay", path=str(done.result.folder / "run.trec.gz"))))


@pytest.mark.shared
def test_dl19_candidates_and_their_rankvicuna_reruns_have_the_published_ndcg(tmp_path, shared):
    data = shared / "msmarco_dl19" if (shared / "msmarco_dl19").is_dir() else shared / "data" / "msmarco_dl19"
    values = {}
    for first, rerun in (("BM25", "BM25"), ("SPLADE", "SPLADE")):
        done = evaluate(
            EvaluateConfig(
                dataset=FolderDatasetConfig(path=str(data)),
                retriever=SavedConfig(name=first, path=str(data / "runs" / f"{first}.dl19.txt")),
                reranker=ReplayConfig(name="replay", path=str(data / "runs" / f"{rerun}.dl19.rankvicuna.txt")),
                results_dir=str(tmp_path / "results"),
                cache_dir=str(tmp_path / "cache"),
            )
        )
        values[first] = (
            round(done.candidates.manifest["measures"]["nDCG@10"], 4),
            round(done.result.manifest["measures"]["nDCG@10"], 4),
        )
    assert values == {"BM25": (0.5058, 0.6682), "SPLADE": (0.7308, 0.7459)}


# A cache that others put things into


def models_of(folder):
    """A bi-encoder and a reranker that keeps its scores; all files are in a folder."""
    dense = DenseConfig(name="dense", model=str(tiny_bert(folder / "model")), pooling="mean", max_length=32)
    reranker = MiniCPMRerankerConfig(
        name="minicpm",
        model=str(write_minicpm_reranker(folder / "reranker")),
        max_length=128,
        instructions="Find what answers.",
    )
    return replace(bm25_of(folder), retriever=dense, reranker=reranker)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    evaluate(models_of(folder))
    return folder


@pytest.fixture
def models(evaluated, tmp_path):
    """Evaluated before: cache and results are full."""
    shutil.copytree(evaluated, tmp_path, dirs_exist_ok=True)
    return models_of(tmp_path)


def digests(done):
    return [one.read_run().digest() for one in (done.candidates, done.result)]


def test_a_full_cache_is_used_without_a_warning(models, caplog):
    expected = evaluate(models)
    shutil.rmtree(models.results_dir)
    again = evaluate(models)
    assert digests(again) == digests(expected)
    assert again.result.manifest["kept_pairs"] == again.result.manifest["pairs"]
    assert "encode documents" not in again.candidates.manifest["stages"]
    assert caplog.text == ""


@pytest.mark.parametrize("kind", ["corpora", "counts", "embeddings", "scores"])
def test_an_artefact_in_the_place_of_another_is_not_served(models, tmp_path, kind, caplog):
    """Of a collection with as many documents under the same ids."""
    texts = {doc_id: ("", f"{text} Bees.") for doc_id, (_, text) in DOCUMENTS.items()}
    other = FolderDatasetConfig(path=str(write_collection(tmp_path / "other", texts)))
    expected = evaluate(models)
    (ours,) = (tmp_path / "cache" / kind).iterdir()
    evaluate(replace(models, dataset=other))
    theirs = next(one for one in (tmp_path / "cache" / kind).iterdir() if one != ours)
    shutil.rmtree(ours)
    shutil.copytree(theirs, ours)
    shutil.rmtree(models.results_dir)
    assert digests(evaluate(models)) == digests(expected)
    assert f"{ours}: facts.json is of another artefact" in caplog.text


PLACES = [
    "corpora/*/facts.json",
    "corpora/*/*.arrow",
    "embeddings/*/vectors.npy",
    "scores/*/facts.json",
    "scores/*/*.log",
]


# Every file as a pipe, which would never end, and one of each kind of artefact as a link and a folder.
@pytest.mark.parametrize(
    ("place", "replace_it"),
    [
        pytest.param(place, replace_it, marks=pytest.mark.slow if number and place in PLACES[1::2] else [])
        for place in PLACES
        for number, replace_it in enumerate(
            [os.mkfifo, lambda path: path.symlink_to(path.parents[3] / "victim"), Path.mkdir]
        )
    ],
)
def test_links_and_pipes_in_the_cache_are_replaced_and_never_opened(models, tmp_path, place, replace_it):
    expected = evaluate(models)
    (tmp_path / "victim").write_bytes(b"mine")
    (path,) = (tmp_path / "cache").glob(place)
    path.unlink()
    replace_it(path)
    shutil.rmtree(models.results_dir)
    assert digests(evaluate(models)) == digests(expected)
    assert path.is_file()
    assert not path.is_symlink()
    assert (tmp_path / "victim").read_bytes() == b"mine"


@pytest.mark.parametrize("kind", ["corpora", "embeddings", "scores"])
def test_an_artefact_replaced_by_a_file_is_made_again(models, tmp_path, kind):
    expected = evaluate(models)
    (folder,) = (tmp_path / "cache" / kind).iterdir()
    shutil.rmtree(folder)
    folder.write_text("x")
    shutil.rmtree(models.results_dir)
    assert digests(evaluate(models)) == digests(expected)
    assert folder.is_dir()


@pytest.mark.parametrize("name", ["vectors.npy", "done.log", "facts.json", ".done.log.lock"])
def test_a_link_in_an_unfinished_encoding_is_not_followed(models, tmp_path, name):
    expected = evaluate(models)
    (folder,) = (tmp_path / "cache" / "embeddings").iterdir()
    (tmp_path / "victim").write_bytes(b"mine")
    folder.rename(folder.with_name(f".partial-{folder.name}"))
    (path := folder.with_name(f".partial-{folder.name}") / name).unlink(missing_ok=True)
    path.symlink_to(tmp_path / "victim")
    shutil.rmtree(models.results_dir)
    assert digests(evaluate(models)) == digests(expected)
    assert (tmp_path / "victim").read_bytes() == b"mine"
    assert sorted(one.name for one in folder.iterdir()) == ["facts.json", "vectors.npy"]


def test_foreign_files_in_an_unfinished_encoding_do_not_stay(models, tmp_path, caplog):
    (folder,) = _encoded(models, tmp_path)
    expected = (folder / "vectors.npy").read_bytes()
    partial = folder.rename(folder.with_name(f".partial-{folder.name}"))
    (partial / "stray.txt").write_text("x")
    (partial / "vectors.npy").write_bytes(expected + b"more")
    evaluate(models)
    assert sorted(one.name for one in folder.iterdir()) == ["facts.json", "vectors.npy"]
    assert (folder / "vectors.npy").read_bytes() == expected
    assert f"{partial / 'stray.txt'}: does not belong there" in caplog.text


def _encoded(models, tmp_path):
    evaluate(models)
    shutil.rmtree(models.results_dir)
    return (tmp_path / "cache" / "embeddings").iterdir()


def test_a_result_whose_manifest_is_gone_is_named(config, caplog):
    done = evaluate(config)
    (done.candidates.folder / "manifest.json").unlink()
    again = evaluate(config)
    assert f"{done.candidates.folder}: looks like a result but has no manifest.json" in caplog.text
    assert again.candidates.folder != done.candidates.folder
    assert digests(again) == digests(done)
