"""Analyses of results made by hand."""

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made import CANDIDATES, grade, made, scores, write_collection, write_run
from stubs import tiny_bert

from evalkit.analysis.flags import Fall
from evalkit.analysis.one_pass import analyse, at_depth
from evalkit.cli import main
from evalkit.config import ComputeConfig, EvaluateConfig, FolderDatasetConfig
from evalkit.pipeline import evaluate
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.rerank.passthrough import ReplayConfig
from evalkit.results.gather import dataset_of, gather
from evalkit.retrieval.bm25 import BM25Config
from evalkit.retrieval.saved import SavedConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analysis")
    made(folder, {"strong": 3.0, "constant": {q: dict.fromkeys(f, 0.0) for q, f in scores(30, 1.0, seed=0).items()}})
    return folder


def analysed(folder, name="strong", measure="nDCG@10", depths=(3, 6, 10)):
    (one,) = gather([folder / "results/one/stage-100" / name])
    return one, analyse(one, dataset_of(one.result), measure, depths)


def pairwise(folder, depths):
    """As `analysed`, where the scores were made pair by pair, as those of `made` are."""
    (one,) = gather([folder / "results/one/stage-100/strong"])
    one.result.manifest["reranker"]["kind"] = "cross_encoder"
    return analyse(one, dataset_of(one.result), "nDCG@10", depths)


def test_headroom_is_the_share_of_the_room_that_was_gained(folder):
    one, found = analysed(folder)
    first, reranked = (part.manifest["measures"]["nDCG@10"] for part in (one.candidates, one.result))
    assert (found.first_stage, found.reranked, found.ceiling) == (pytest.approx(first), pytest.approx(reranked), 1.0)
    assert found.headroom == pytest.approx((reranked - first) / (1 - first))


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_curve_equals_an_evaluation_of_that_depth(folder, tmp_path, depth):
    found = pairwise(folder, (depth,))
    config = EvaluateConfig(
        dataset=FolderDatasetConfig(name="one", path=str(folder / "collections/one")),
        retriever=SavedConfig(name="stage", path=str(folder / "one-stage.trec")),
        reranker=ReplayConfig(name="strong", path=str(folder / "one-stage-strong.trec")),
        compute=ComputeConfig(device="cpu"),
        depth=depth,
        results_dir=str(tmp_path / "results"),
        cache_dir=str(tmp_path / "cache"),
    )
    done = evaluate(config)
    at = next(one for one in found.curve if one.depth == depth)
    assert at.reranked == pytest.approx(done.result.manifest["measures"]["nDCG@10"])
    assert at.first_stage == pytest.approx(done.candidates.manifest["measures"]["nDCG@10"])
    assert at.ceiling == pytest.approx(done.candidates.manifest["ceiling"]["nDCG@10"])


def test_curve_ends_at_the_depth_of_the_candidates(folder):
    found = pairwise(folder, (5, 1000))
    assert [one.depth for one in found.curve] == [5, 100]
    assert found.curve[-1].reranked == pytest.approx(found.reranked)
    assert found.no_curve == ""


def test_replayed_scores_have_no_curve_and_say_why(folder, capsys):
    """A listwise reranker's scores are of the whole list; a shorter list it would have ranked in its own way."""
    one, found = analysed(folder)
    assert found.curve == ()
    assert found.no_curve.startswith("the scores are replayed, and nothing says that each was made from its pair alone")
    assert at_depth(one, dataset_of(one.result), "nDCG@10", 5) is None
    result = str(folder / "results/one/stage-100/strong")
    assert main(["analyse", result]) == 0
    printed = capsys.readouterr().out
    assert "no depth curve: the scores are replayed" in printed
    assert "by depth" not in printed
    assert main(["analyse", result, "--format", "csv"]) == 0
    rows = pd.read_csv(io.StringIO(capsys.readouterr().out))
    values = rows.dropna(subset="what").set_index("what")["value"]
    assert (values["first stage"], values["ceiling of the candidates"]) == (found.first_stage, found.ceiling)
    assert values["headroom captured"] == found.headroom
    assert values["pairs"] == found.pairs
    assert main(["analyse", result, "--format", "json"]) == 0
    (whole,) = json.loads(capsys.readouterr().out)
    assert (whole["curve"], whole["no_curve"], whole["pairs_per_second"]) == ([], found.no_curve, None)


def test_only_scores_of_pairs_by_themselves_have_a_curve(folder):
    """A function of a query and all its documents may score each by the others; earlier manifests do not tell."""
    (one,) = gather([folder / "results/one/stage-100/strong"])
    one.result.manifest["reranker"]["kind"] = "python"
    for facts, has_curve in (({"by_query": True}, False), ({}, False), ({"by_query": False}, True)):
        one.result.manifest.pop("by_query", None)
        one.result.manifest.update(facts)
        found = analyse(one, dataset_of(one.result), "nDCG@10", (5,))
        assert has_curve == bool(found.curve)
        assert has_curve != found.no_curve.startswith("the reranker is given all candidates of a query at once")


def test_unjudged_documents_are_counted_where_they_came_up(folder):
    one, found = analysed(folder)
    tops = {
        name: {query: set(docs[:10]) for query, docs, _ in part.read_run()}
        for name, part in (("first", one.candidates), ("second", one.result))
    }
    unjudged = {f"d{query}_1" for query in range(30) if not grade(query, 1)}
    shares = {name: np.mean([1 - len(docs & unjudged) / 10 for docs in top.values()]) for name, top in tops.items()}
    assert (found.judged.first_stage, found.judged.reranked) == (
        pytest.approx(shares["first"]),
        pytest.approx(shares["second"]),
    )
    promoted = sum(len((tops["second"][query] - tops["first"][query]) & unjudged) for query in tops["first"])
    assert found.judged.promoted == pytest.approx(promoted / 30)


def test_buckets_are_quarters_of_the_queries_by_length(folder):
    one, found = analysed(folder)
    assert sum(bucket.queries for bucket in found.buckets) == 30
    assert [bucket.queries for bucket in found.buckets] == [8, 8, 7, 7]
    assert all(before.most < after.least for before, after in zip(found.buckets, found.buckets[1:], strict=False))
    total = sum(bucket.reranked * bucket.queries for bucket in found.buckets) / 30
    assert total == pytest.approx(one.result.manifest["measures"]["nDCG@10"])
    assert all(bucket.low <= bucket.reranked - bucket.first_stage <= bucket.high for bucket in found.buckets)


def test_queries_of_one_length_are_in_one_bucket(folder):
    (one,) = gather([folder / "results/one/stage-100/strong"])
    dataset = dataset_of(one.result)
    lengths = [3] * 10 + [5] * 12 + [9] * 8
    queries = {query: "?" * length for query, length in zip(dataset.queries, lengths, strict=True)}
    found = analyse(one, replace(dataset, queries=queries), "nDCG@10", ())
    assert [(each.least, each.most, each.queries) for each in found.buckets] == [(3, 3, 10), (5, 5, 12), (9, 9, 8)]


def test_constant_scores_are_flagged_and_leave_everything_to_ties(folder):
    _, found = analysed(folder, "constant")
    assert found.ties.least < found.ties.expected < found.ties.greatest == pytest.approx(1.0)
    assert "100.0% of the pairs have the score 0" in " ".join(flag.text for flag in found.flags)


def test_only_a_verdict_makes_a_reranker_worse_than_its_first_stage_an_error(folder):
    made(folder, {"inverted": -3.0})
    one, found = analysed(folder, "inverted")
    assert [flag.level for flag in found.flags] == ["warning"]
    verdict = Fall(0.0002, 3, real=True)
    found = analyse(one, dataset_of(one.result), "nDCG@10", (5,), fall=verdict)
    assert [flag.level for flag in found.flags] == ["error", "warning"]
    assert found.flags[0].text == (
        "the reranker is worse than its first stage in nDCG@10, and not by chance (p 0.0002, Holm's for 3 pairs)"
    )


def test_good_reranker_raises_no_flag(folder):
    assert [flag for flag in analysed(folder)[1].flags if flag.level == "error"] == []


def test_other_documents_than_the_candidates_are_an_error_without_a_curve(folder):
    one, _ = analysed(folder)
    other = type(one.candidates)(one.candidates.folder, one.candidates.manifest)
    object.__setattr__(other, "read_run", lambda: one.candidates.read_run().top(5))
    found = analyse(replace(one, candidates=other), dataset_of(one.result), "nDCG@10")
    assert found.curve == ()
    assert found.no_curve
    assert found.flags[0].level == "error"


def test_command_prints_tables_and_json(folder, capsys):
    result = str(folder / "results/one/stage-100/strong")
    assert main(["analyse", result, "--depths", "3,6"]) == 0
    printed = capsys.readouterr().out
    assert all(
        part in printed for part in ("headroom captured", "no depth curve", "by length of the query", "judged@10")
    )
    assert "by reranking" not in printed
    assert main(["analyse", result, "--format", "json", "--measure", "R@20"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["measure"], found["pairs"], found["ties"]["expected"]) == ("R@20", 30 * CANDIDATES, found["reranked"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--depths", "ten"], "--depths ten is not a list of numbers, such as 10,20,50."),
        (["--depths", "0"], "a depth is at least 1"),
        (["--measure", "mrr@10"], "Did you mean RR@10?"),
    ],
)
def test_mistakes_are_one_line(folder, capsys, arguments, message):
    assert main(["analyse", str(folder / "results"), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_first_stage_alone_is_nothing_to_analyse(folder, capsys):
    assert main(["analyse", str(folder / "results/one/stage-100/candidates")]) == 2
    assert "there are only first stages" in capsys.readouterr().err


def test_first_stages_that_are_not_analysed_are_named(folder, tmp_path, capsys):
    alone = made(tmp_path, {}, dataset="alone")
    assert main(["analyse", str(folder / "results/one/stage-100/strong"), str(alone)]) == 0
    told = capsys.readouterr().err
    assert (
        told
        == "evalkit: left out, because a first stage without a reranker has nothing to analyse: stage-100 on alone.\n"
    )
    candidates = folder / "results/one/stage-100/candidates"
    assert main(["analyse", str(folder / "results/one/stage-100/strong"), str(candidates)]) == 0
    assert capsys.readouterr().err == ""


def test_flags_are_shown_below_the_table_of_an_evaluation(tmp_path, capsys):
    made(tmp_path, {"inverted": -3.0})
    write_run(tmp_path / "again.trec", scores(30, -3.0, seed=100))
    arguments = ["dataset=folder", f"dataset.path={tmp_path}/collections/one", "retriever=saved", "reranker=replay"]
    paths = [f"retriever.path={tmp_path}/one-stage.trec", f"reranker.path={tmp_path}/again.trec"]
    kept = [f"results_dir={tmp_path}/results", f"cache_dir={tmp_path}/cache"]
    assert main(["evaluate", *arguments, *paths, *kept]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "; `evalkit compare` says whether that is chance" in printed
    assert "not by chance" not in printed


def test_truncated_pairs_are_counted_apart(tmp_path):
    """A model that reads 60 tokens: every other document is longer."""
    collection = write_collection(tmp_path / "collection", queries=6)
    path = collection / "corpus.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows[::2]:
        row["text"] += " and more" * 40
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    model = tiny_bert(tmp_path / "model", classifier=True)
    config = EvaluateConfig(
        dataset=FolderDatasetConfig(name="one", path=str(collection)),
        retriever=BM25Config(name="bm25"),
        reranker=CrossEncoderConfig(name="tiny", model=str(model), max_length=60),
        compute=ComputeConfig(device="cpu"),
        depth=100,
        results_dir=str(tmp_path / "results"),
        cache_dir=str(tmp_path / "cache"),
    )
    done = evaluate(config)
    dataset = dataset_of(done.result)
    long = {row["_id"] for row in rows[::2]}
    run = done.result.read_run()
    pairs = {(query_id, doc_id) for query_id, doc_ids, _ in run for doc_id in doc_ids}
    cut = {pair for pair in pairs if pair[1] in long}
    assert {tuple(row.values()) for row in done.result.read_truncated().to_pylist()} == cut
    assert 0 < len(cut) < len(pairs)
    whole, short = analyse(done, dataset, "nDCG@10").truncation
    assert (whole.number, short.number) == (len(pairs) - len(cut), len(cut))
    relevant = {pair for pair in cut if dataset.qrels[pair[0]].get(pair[1], 0) > 0}
    top = {(query_id, doc_id) for query_id, doc_ids, _ in run for doc_id in doc_ids[:10]}
    assert short.relevant == len(relevant)
    assert short.reranked == pytest.approx(len(relevant & top) / len(relevant))


def test_replayed_scores_tell_nothing_of_cut_pairs(folder):
    assert analysed(folder)[1].truncation == ()


def test_the_american_spelling_is_understood(folder, capsys):
    assert main(["analyze", str(folder / "results/one/stage-100/strong")]) == 0
    assert "headroom captured" in capsys.readouterr().out
