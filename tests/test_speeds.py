"""A speed is that of the work of this run, and the same figure on stderr, in the table, manifest and report."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stubs import StubReranker, tiny_bert, write_collection

from evalkit import cli, rerank
from evalkit.analysis.one_pass import analyse
from evalkit.analysis.pairwise import Settings
from evalkit.config import (
    ComputeConfig,
    DenseConfig,
    EvaluateConfig,
    FolderDatasetConfig,
    RerankerConfig,
)
from evalkit.datasets import load
from evalkit.inference import emulation
from evalkit.pipeline import evaluate
from evalkit.reports.evaluation_grids import evaluation_grid, runs_grid
from evalkit.reports.grid import write
from evalkit.reports.overview import overview
from evalkit.reports.overview_grids import conditions
from evalkit.rerank import texts
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.rerank.late_interaction import LateInteractionConfig
from evalkit.rerank.passthrough import KeepOrderConfig, ReplayConfig
from evalkit.results.gather import gather
from evalkit.results.manifest import read_manifest
from evalkit.retrieval import encoding
from evalkit.retrieval.bm25 import BM25Config
from evalkit.retrieval.saved import SavedConfig
from evalkit.store import open_store
from evalkit.system import stages
from evalkit.types import Scored

DOCUMENTS = {f"d{row}": ("", f"word {' '.join(f'w{row % place}' for place in range(2, 9))}") for row in range(60)}
QUERIES = {"q1": "word w1 w2", "q2": "word w3 w5"}
LOADING, A_PAIR = 40.0, 0.5  # seconds of the stub


class Killed(BaseException):
    pass


class Timed(StubReranker):
    """Takes a while to load, and half a second a pair; may be killed after some pairs."""

    def __init__(self, clock, dies_after=None):
        self.clock, self.dies_after = clock, dies_after
        self.identity = {"kind": "timed"}
        self.loads = self.scored = 0

    def facts(self):
        return {"hardware": "cpu"}

    def load(self):
        self.loads += 1
        self.clock.wait(LOADING)

    def stream(self, pairs, known):
        (every,) = super().stream(pairs, np.zeros(len(pairs), dtype=bool))
        scores = every.scores
        for row in np.flatnonzero(~known):
            if self.scored == self.dies_after:
                raise Killed
            self.scored += 1
            self.clock.wait(A_PAIR)
            yield Scored(np.array([row]), scores[row : row + 1], np.array([False]))


@pytest.fixture
def config(tmp_path):
    folder = write_collection(tmp_path / "c", DOCUMENTS, QUERIES, {query: {"d3": 1} for query in QUERIES})
    return EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(folder)),
        retriever=BM25Config(name="bm25"),
        reranker=RerankerConfig(name="timed"),
        compute=ComputeConfig(device="cpu"),
        depth=10,
        results_dir=str(tmp_path / "results"),
        cache_dir=str(tmp_path / "cache"),
    )


@pytest.fixture
def timed(config, clock, monkeypatch):
    """Evaluates with a stub that takes its time."""

    def run(dies_after=None, **changes):
        reranker = Timed(clock, dies_after)
        with monkeypatch.context() as patch:
            patch.setattr(rerank, "build", lambda *_, **__: reranker)
            return evaluate(replace(config, **changes)), reranker

    return run


def of_rerank(done):
    return done.result.manifest["stages"]["rerank"]


def test_loading_is_a_stage_of_its_own_and_in_no_speed(timed):
    done, _ = timed()
    manifest = done.result.manifest
    assert manifest["stages"]["load reranker"]["seconds"] == LOADING
    assert of_rerank(done) == {"seconds": 20 * A_PAIR, "pairs": 20, "pairs_per_second": 2.0}
    assert (manifest["seconds"], manifest["pairs_per_second"], manifest["kept_pairs"]) == (20 * A_PAIR, 2.0, 0)


def test_pairs_from_the_cache_count_nowhere_in_a_speed(timed):
    timed()
    deeper, reranker = timed(depth=25)
    assert (reranker.scored, deeper.result.manifest["kept_pairs"]) == (30, 20)
    assert of_rerank(deeper) == {"seconds": 30 * A_PAIR, "pairs": 30, "kept_pairs": 20, "pairs_per_second": 2.0}


def test_what_was_killed_has_the_speed_of_what_was_left(timed):
    with pytest.raises(Killed):
        timed(dies_after=13)
    done, reranker = timed()
    assert reranker.scored == 7
    assert of_rerank(done)["pairs_per_second"] == 2.0
    assert done.result.manifest["stages"]["load reranker"]["seconds"] == LOADING


def test_windows_of_which_nothing_is_left_take_no_time_of_work(timed, clock, monkeypatch):
    monkeypatch.setattr(texts, "PAIRS_PER_WINDOW", 5)
    with pytest.raises(Killed):
        timed(dies_after=15)
    original = texts.pair_keys
    monkeypatch.setattr(texts, "pair_keys", lambda pairs: clock.wait(100) or original(pairs))
    done, _ = timed()
    found = done.result.manifest["stages"]
    assert found["find kept pairs"]["seconds"] == 300
    # The last window, of which all is left, was looked up, too: that is work, as in a run of which nothing is kept.
    assert found["rerank"]["seconds"] == 100 + 5 * A_PAIR


def test_a_run_wholly_from_the_journal_loads_nothing_and_has_no_speed(timed, tmp_path, capsys):
    timed()
    again, reranker = timed(results_dir=str(tmp_path / "others"))
    manifest = again.result.manifest
    assert (reranker.loads, manifest["kept_pairs"], manifest["pairs_per_second"]) == (0, 20, None)
    assert of_rerank(again)["pairs"] == 0
    assert read_manifest(again.result.folder) == manifest
    write([evaluation_grid(again, ["nDCG@10"])], "table")
    told = capsys.readouterr().out
    assert "20 pairs scored before" in told
    assert "pairs/s" not in told


def test_a_result_that_was_found_has_the_speed_that_it_was_made_with(timed, capsys):
    timed()
    again, _ = timed()
    write([evaluation_grid(again, ["nDCG@10"])], "table")
    assert "reranking 10.0 s (earlier, 2 pairs/s)" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["none", "replay"])
def test_what_scores_nothing_has_no_speed_anywhere(config, tmp_path, capsys, kind):
    run = tmp_path / "run.trec"
    run.write_text("".join(f"{query} Q0 d{row} 1 {60 - row} x\n" for query in QUERIES for row in range(10)))
    reranker = ReplayConfig(name="replay", path=str(run)) if kind == "replay" else KeepOrderConfig(name="none")
    saved = replace(config, retriever=SavedConfig(name="saved", path=str(run)), reranker=reranker)
    done = evaluate(saved)
    assert done.result.manifest["pairs_per_second"] is None
    assert done.rate is None
    assert not [name for facts in done.result.manifest["stages"].values() for name in facts if "per_second" in name]
    assert not [name for facts in done.candidates.manifest["stages"].values() for name in facts if "per_" in name]
    write([evaluation_grid(done, ["nDCG@10"])], "table")
    write([runs_grid([done], ["nDCG@10"])], "table")
    told = capsys.readouterr().out
    assert not re.search(r"\d pairs/s", told)
    (row,) = [line for line in told.splitlines() if "saved-10" in line and "│" in line]
    assert row.rstrip("│ —").endswith(f"{done.result.manifest['seconds']:.1f}")


def test_pairs_outside_a_dataset_are_scored_with_loading_apart(clock, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(rerank, "build", lambda *_, **__: Timed(clock))
    (tmp_path / "pairs.jsonl").write_text('{"query": "a", "document": "b"}\n')
    assert cli.main(["score", "reranker=late_interaction", str(tmp_path / "pairs.jsonl")]) == 0
    assert capsys.readouterr().err == "scoring: 1 pair in 0.5 s, 2 pairs/s, loading 40.0 s\n"


# With models, by a clock that moves at every look


@pytest.fixture
def ticking(monkeypatch):
    """A clock on which nothing takes no time, so that figures taken apart from each other would differ."""
    now = [0.0]

    def tick():
        now[0] += 1.1
        return now[0]

    monkeypatch.setattr(stages, "perf_counter", tick)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return tiny_bert(folder / "encoder"), tiny_bert(folder / "cross", classifier=True)


@pytest.fixture
def neural(config, models):
    """A bi-encoder and a cross-encoder."""
    return replace(
        config,
        retriever=DenseConfig(name="dense", model=str(models[0]), pooling="mean", max_length=16),
        reranker=CrossEncoderConfig(name="cross", model=str(models[1]), max_length=24),
    )


LINE = re.compile(
    r"(?P<what>[a-z ]+): (?P<done>[\d,]+) (?P<unit>\w+) in (?P<seconds>[\d.]+) s, (?P<rate>[\d.,]+ \w+/s)"
)


def said(stderr):
    """Description -> what the line of a progress says."""
    return {found["what"]: found.groupdict() for found in LINE.finditer(stderr)}


STAGE_OF = {
    "encoding documents": "encode documents",
    "encoding queries": "encode queries",
    "searching": "search",
    "indexing": "index",
    "reranking": "rerank",
}


def require_one_figure(lines, manifests, table):
    """Every line of progress has the count, seconds and speed of its stage, which the table shows as well."""
    found = {name: facts for manifest in manifests for name, facts in manifest["stages"].items()}
    for what, line in lines.items():
        if what not in STAGE_OF:
            continue
        facts, unit = found[STAGE_OF[what]], line["unit"]
        assert line["done"] == f"{facts[unit]:,}"
        assert line["seconds"] == f"{facts['seconds']:.1f}"
        assert facts[f"{unit}_per_second"] == facts[unit] / facts["seconds"]
        assert line["rate"] == str(stages.rate(facts))
        assert f"{STAGE_OF[what]} {facts['seconds']:.1f} s ({line['rate']})" in table


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize("kind", ["dense", "bm25", "late"])
def test_stderr_table_manifest_and_report_have_one_figure(neural, config, models, capsys, kind):
    if kind == "bm25":
        neural = replace(neural, retriever=config.retriever)
    if kind == "late":
        neural = replace(neural, reranker=LateInteractionConfig(name="late", model=str(models[0]), max_length=16))
    done = evaluate(neural)
    lines = said(capsys.readouterr().err)
    write([evaluation_grid(done, ["nDCG@10"])], "table")
    table = " ".join(capsys.readouterr().out.split())  # long lines are broken
    wanted = {"indexing", "searching"} if kind == "bm25" else {"encoding documents", "encoding queries", "searching"}
    assert wanted | {"reranking"} <= set(lines)
    require_one_figure(lines, [done.candidates.manifest, done.result.manifest], table)
    assert f"({lines['reranking']['rate']})" in re.search(r"reranking [\d.]+ s \S+ \S+", table)[0]

    manifest = read_manifest(done.result.folder)
    assert manifest["pairs_per_second"] == manifest["stages"]["rerank"]["pairs_per_second"]
    assert manifest["seconds"] == manifest["stages"]["rerank"]["seconds"]
    assert done.candidates.manifest["seconds"] == pytest.approx(
        sum(facts["seconds"] for name, facts in done.candidates.manifest["stages"].items() if name in STAGE_OF.values())
    )
    found = overview(gather([Path(neural.results_dir)]), Settings(samples=50), queries=1)
    rows = [
        dict(zip([one.name for one in conditions(found).columns], row, strict=True)) for row in conditions(found).rows
    ]
    assert manifest["pairs_per_second"] in [row["pairs/s"] for row in rows]
    dataset = load(neural.dataset, open_store(neural.cache_dir))
    assert analyse(done, dataset, "nDCG@10").pairs_per_second == manifest["pairs_per_second"]


@pytest.mark.usefixtures("ticking")
def test_an_encoding_that_was_killed_has_the_speed_of_what_was_left(neural, monkeypatch, capsys):
    monkeypatch.setattr(encoding, "_TEXTS_PER_WINDOW", 8)
    original, worked = encoding.EncodingWorker.work, []

    def work(self, prepared):
        worked.append(1)
        if len(worked) == 4:
            raise Killed
        return original(self, prepared)

    monkeypatch.setattr(encoding.EncodingWorker, "work", work)
    with pytest.raises(Killed):
        evaluate(neural)
    capsys.readouterr()
    manifest = evaluate(neural).candidates.manifest
    facts = manifest["stages"]["encode documents"]
    assert (facts["kept_documents"], facts["documents"]) == (24, 36)
    assert facts["documents_per_second"] == 36 / facts["seconds"]
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("encoding documents"))
    assert line.startswith(f"encoding documents: 36 documents in {facts['seconds']:.1f} s, {stages.rate(facts)}, 24 ")


def test_the_manifests_list_the_stages_in_the_order_of_the_work(neural):
    done = evaluate(neural)
    work = ["encode documents", "encode queries", "search"]
    first, rest = done.candidates.manifest["stages"], done.result.manifest["stages"]
    assert list(first) == ["load", "load retriever", *work, "measure", "write"]
    assert list(rest) == ["read candidates", "load reranker", "rerank", "measure", "write"]


# Dtypes


def test_an_emulated_dtype_is_said_before_anything_runs_and_in_the_manifests(neural, monkeypatch, caplog):
    monkeypatch.setattr(emulation.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(emulation, "capabilities", lambda: frozenset({"avx2"}))
    emulation.warn.cache_clear()
    from evalkit import datasets

    order, original = [], datasets.load
    monkeypatch.setattr(datasets, "load", lambda *some: order.append(len(caplog.records)) or original(*some))
    done = evaluate(replace(neural, compute=replace(neural.compute, dtype="bfloat16")))
    emulation.warn.cache_clear()
    assert order == [1]
    assert [record.message.split(":")[0] for record in caplog.records] == ["compute.dtype=bfloat16 is emulated"]
    assert done.candidates.manifest["engine"]["emulated"] == "bfloat16"
    assert done.result.manifest["engine"]["emulated"] == "bfloat16"


def test_a_dtype_with_instructions_causes_no_warning(neural, caplog):
    done = evaluate(neural)
    assert caplog.text == ""
    assert "emulated" not in done.result.manifest["engine"]
