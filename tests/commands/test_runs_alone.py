"""Verbs that read results, with run files and judgments instead."""

import json
import math

import numpy as np
import pytest
import pytrec_eval
from made import scores, write_collection, write_run
from report_pages import single_queries
from scipy import stats

from evalkit.analysis.pairwise import DIFFERENT_DOCUMENTS
from evalkit.cli import main
from evalkit.formats.trec import read_qrels, read_run

QUERIES = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Judgments as `qrels/test.tsv` of a collection `toy`, and three runs over the same documents."""
    root = tmp_path_factory.mktemp("runs")
    write_collection(root / "toy", queries=QUERIES)
    for seed, (name, strength) in enumerate({"weak": 0.2, "good": 0.9, "strong": 3.0}.items()):
        write_run(root / f"{name}.trec", scores(QUERIES, strength, seed=seed))
    return root


@pytest.fixture(scope="module")
def qrels(folder):
    return str(folder / "toy/qrels/test.tsv")


def runs(folder, *names):
    return [str(folder / f"{name}.trec") for name in names]


def without_queries(tmp_path, *query_ids, name="short.trec"):
    """The strong run without some queries."""
    found = scores(QUERIES, 3.0, seed=2)
    return str(write_run(tmp_path / name, {query: docs for query, docs in found.items() if query not in query_ids}))


def values_of_pytrec_eval(qrels, run, query_ids):
    """nDCG@10 of every query, in order; 0 for one that the run lacks."""
    evaluator = pytrec_eval.RelevanceEvaluator(read_qrels(qrels), {"ndcg_cut.10"})
    found = evaluator.evaluate(
        {query: dict(zip(docs, map(float, some), strict=True)) for query, docs, some in read_run(run)}
    )
    return np.array([found[query]["ndcg_cut_10"] if query in found else 0.0 for query in query_ids])


def compared(capsys, *arguments):
    assert main(["compare", *map(str, arguments), "--format", "json", "--samples", "200"]) == 0
    captured = capsys.readouterr()
    (dataset,) = json.loads(captured.out)["datasets"]
    return dataset, captured.err.splitlines()


def require_same_as_scipy(dataset, qrels, better, worse):
    """Means, difference and p of the paired t-test over all judged queries."""
    query_ids = sorted(read_qrels(qrels))
    first, second = (values_of_pytrec_eval(qrels, run, query_ids) for run in (better, worse))
    (pair,) = dataset["pairs"]
    assert dataset["queries"] == len(query_ids)
    assert [system["mean"] for system in dataset["systems"]] == pytest.approx([first.mean(), second.mean()], abs=1e-12)
    assert pair["difference"] == pytest.approx(first.mean() - second.mean(), abs=1e-12)
    assert pair["t"] == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-9)


def test_compare_equals_the_paired_t_test_of_scipy_on_values_of_pytrec_eval(folder, qrels, capsys):
    weak, good = runs(folder, "weak", "good")
    dataset, noted = compared(capsys, "--qrels", qrels, weak, good)
    assert (dataset["dataset"], [system["name"] for system in dataset["systems"]]) == ("toy", ["good", "weak"])
    require_same_as_scipy(dataset, qrels, good, weak)
    assert noted == []
    assert dataset["ceiling"] == 1.0  # both runs hold the same documents


def test_a_query_that_a_run_lacks_counts_0_and_is_noted(folder, qrels, tmp_path, capsys):
    (weak,) = runs(folder, "weak")
    short = without_queries(tmp_path, "q3", "q7")
    dataset, noted = compared(capsys, "--qrels", qrels, weak, short)
    require_same_as_scipy(dataset, qrels, short, weak)
    assert noted == [
        f"evalkit: {short}: 2 of 30 judged queries are not in the run and count 0, such as q3",
        f"evalkit: {DIFFERENT_DOCUMENTS}",
    ]


def test_json_has_the_notes_on_runs(folder, qrels, tmp_path, capsys):
    (weak,) = runs(folder, "weak")
    short = without_queries(tmp_path, "q3", "q7")
    assert main(["compare", "--qrels", qrels, weak, short, "--samples", "200", "--format", "json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert (note["run"], note["text"]) == (
        short,
        "2 of 30 judged queries are not in the run and count 0, such as q3",
    )


def test_gate_does_not_pass_a_run_that_lost_queries(folder, qrels, tmp_path, capsys):
    (good,) = runs(folder, "good")
    baseline = str(tmp_path / "baseline.json")
    gate = ["gate", "--qrels", qrels, "--baseline", baseline]
    assert main([*gate, good, "--update"]) == 0
    assert main([*gate, good]) == 0
    assert main([*gate, without_queries(tmp_path, "q3", "q7", name="good.trec")]) == 2
    assert "2 queries have documents in the baseline and none now, such as q3" in " ".join(
        capsys.readouterr().out.split()
    )


def test_common_queries_are_those_of_all_runs_and_the_others_are_counted(folder, qrels, tmp_path, capsys):
    short = without_queries(tmp_path, "q3", "q7")
    other = without_queries(tmp_path, "q7", "q9", name="other.trec")
    (weak,) = runs(folder, "weak")
    dataset, noted = compared(capsys, "--qrels", qrels, weak, short, other, "--common-queries")
    assert "evalkit: --common-queries leaves out 3 of 30 judged queries, which not every run has." in noted
    kept = sorted(set(read_qrels(qrels)) - {"q3", "q7", "q9"})
    means = {system["name"]: system["mean"] for system in dataset["systems"]}
    for name, path in {"weak": weak, "short": short, "other": other}.items():
        assert means[name] == pytest.approx(values_of_pytrec_eval(qrels, path, kept).mean(), abs=1e-12)
    assert not any("count 0" in line for line in noted)


@pytest.mark.shared
def test_published_runs_compare_as_scipy_and_pytrec_eval_have_it(shared, capsys):
    folder = shared / "data/trec_covid_round1"
    qrels, bert, run1 = (str(folder / name) for name in ("qrels-rnd1.txt", "runs/BERT.gz", "runs/run1.gz"))
    dataset, _ = compared(capsys, "--qrels", qrels, bert, run1)
    require_same_as_scipy(dataset, qrels, run1, bert)
    official = {
        system["run"]: system["official_ndcg_cut_10"] for system in json.loads((folder / "expected.json").read_text())
    }
    assert {system["name"]: round(system["mean"], 4) for system in dataset["systems"]} == {
        name: official[name] for name in ("run1", "BERT")
    }


def test_texts_of_the_queries_that_moved_come_from_files(folder, qrels, capsys):
    both, texts = runs(folder, "weak", "strong"), folder / "toy"
    plain = ["compare", "--qrels", qrels, *both, "--queries", "2", "--samples", "200"]
    assert main(plain) == 0
    assert "query: " not in capsys.readouterr().out
    files = ["--corpus", str(texts / "corpus.jsonl"), "--queries", str(texts / "queries.jsonl")]
    assert main([*plain, *files]) == 0
    printed = capsys.readouterr().out
    assert printed.count("query: what is query") == 2
    assert "document" in printed


def test_a_first_stage_makes_the_other_runs_rerankers(folder, qrels, capsys):
    weak, good, strong = runs(folder, "weak", "good", "strong")
    assert main(["analyse", "--qrels", qrels, "--first-stage", weak, strong, good, weak, "--format", "json"]) == 0
    strong_one, good_one = json.loads(capsys.readouterr().out)
    assert strong_one["title"] == "toy: strong, nDCG@10"
    assert 0 < good_one["headroom"] < strong_one["headroom"] < 1
    assert strong_one["judged"]["promoted"] >= 0
    assert [strong_one["curve"], strong_one["buckets"]] == [[], []]
    assert "replayed" in strong_one["no_curve"]
    dataset, _ = compared(capsys, "--qrels", qrels, "--first-stage", weak, strong)
    assert [system["name"] for system in dataset["systems"]] == ["strong", "weak"]


def test_analyse_shows_a_run_alone_by_depth_with_its_ceiling_and_room(folder, qrels, capsys):
    (good,) = runs(folder, "good")
    assert main(["analyse", "--qrels", qrels, good, "--depths", "3,5,100", "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert [row["depth"] for row in found["curve"]] == [3, 5, 12]
    query_ids = sorted(read_qrels(qrels))
    for row in found["curve"]:
        top = read_run(good).top(row["depth"])
        evaluator = pytrec_eval.RelevanceEvaluator(read_qrels(qrels), {"ndcg_cut.10"})
        values = evaluator.evaluate(
            {query: dict(zip(docs, map(float, some), strict=True)) for query, docs, some in top}
        )
        assert row["reranked"] == pytest.approx(np.mean([values[query]["ndcg_cut_10"] for query in query_ids]))
        assert row["reranked"] <= row["ceiling"] <= 1
    assert found["headroom"] is None
    assert (found["is_alone"], found["buckets"], found["ties"]["least"]) == (True, [], found["reranked"])
    assert main(["analyse", "--qrels", qrels, good, "--queries", str(folder / "toy/queries.jsonl")]) == 0
    printed = capsys.readouterr().out
    for expected in ("ceiling of its documents", "judged@10", "by length of the query", "by depth"):
        assert expected in printed
    assert "first stage" not in printed


def test_flags_of_runs_name_one_score_for_all(qrels, tmp_path, capsys):
    flat = {query: dict.fromkeys(docs, 1.0) for query, docs in scores(QUERIES, 1.0, seed=3).items()}
    assert main(["analyse", "--qrels", qrels, str(write_run(tmp_path / "flat.trec", flat))]) == 0
    assert "100.0% of the pairs have the score 1" in " ".join(capsys.readouterr().out.split())


def test_report_needs_no_corpus_and_shows_texts_where_they_are_given(folder, qrels, tmp_path):
    both, page = runs(folder, "weak", "strong"), tmp_path / "report.html"
    assert main(["report", "--qrels", qrels, *both, "--html", str(page)]) == 0
    bare = page.read_text(encoding="utf-8")
    assert "what is query" not in str(single_queries(bare))
    depths = '"depth":{"fields":["system","kind","depth","value"]'
    assert depths not in bare  # nDCG@10 is the same whatever is behind the tenth document
    assert main(["report", "--qrels", qrels, *both, "--html", str(page), "--measure", "R@20"]) == 0
    assert depths in page.read_text(encoding="utf-8")
    texts = folder / "toy"
    files = ["--corpus", str(texts / "corpus.jsonl"), "--queries", str(texts / "queries.jsonl"), "--queries", "5"]
    assert main(["report", "--qrels", qrels, *both, "--html", str(page), *files]) == 0
    whole = str(single_queries(page.read_text(encoding="utf-8")))
    assert "what is query" in whole
    assert "document 3 of query" in whole


def test_gate_takes_a_baseline_from_runs_and_fails_where_a_later_run_is_worse(folder, qrels, tmp_path, capsys):
    (strong,) = runs(folder, "strong")
    baseline = str(tmp_path / "baseline.json")
    gate = ["gate", "--qrels", qrels, "--baseline", baseline]
    assert main([*gate, strong, "--update", "--measure", "P@3"]) == 0
    assert main([*gate, strong]) == 0
    assert "1 fine" in capsys.readouterr().out
    worse = write_run(tmp_path / "strong.trec", scores(QUERIES, 0.0, seed=9))
    assert main([*gate, str(worse)]) == 1
    assert "regression" in capsys.readouterr().out
    short = without_queries(tmp_path, "q1", name="strong.run")
    assert main([*gate, short, "--common-queries"]) == 2
    assert "judgments are not those of the baseline" in " ".join(capsys.readouterr().out.split())


def test_a_result_is_compared_with_a_run_by_its_own_run(folder, qrels, tmp_path, capsys):
    from made import made

    root = made(tmp_path, {"strong": 3.0}, queries=QUERIES)
    (good,) = runs(folder, "good")
    dataset, _ = compared(capsys, "--qrels", qrels, good, root / "one/stage-100/strong")
    assert {system["name"] for system in dataset["systems"]} == {"good", "strong"}


MISTAKES = {
    "no qrels": (["compare", "{good}", "{weak}"], "good.trec: is a file, expected a folder of results"),
    "option without qrels": (["compare", "x", "--common-queries"], "--common-queries is for runs and judgments alone"),
    "texts without qrels": (["report", "x", "--queries", "q.jsonl"], "--queries FILE is for runs and judgments alone"),
    "same run twice": (["compare", "--qrels", "{qrels}", "{good}", "{good}"], "good.trec: is given twice"),
    "one run": (["compare", "--qrels", "{qrels}", "{good}"], "one system only (good on toy). Give two runs."),
    "only a first stage": (["analyse", "--qrels", "{qrels}", "--first-stage", "{good}", "{good}"], "the only run"),
    "absent run": (["gate", "--qrels", "{qrels}", "--baseline", "b", "nowhere.trec"], "nowhere.trec: No such file"),
    "absent qrels": (["compare", "--qrels", "nowhere", "{good}", "{weak}"], "nowhere: No such file"),
    "a run as qrels": (["compare", "--qrels", "{good}", "{good}", "{weak}"], "the order is QRELS RUN"),
    "other collection": (["compare", "--qrels", "{qrels}", "{good}", "{other}"], "no query of the run is judged"),
    "no common query": (
        ["compare", "--qrels", "{qrels}", "{first}", "{last}", "--common-queries"],
        "no judged query is in every run",
    ),
    "one column": (["compare", "--qrels", "{column}", "{good}", "{weak}"], "1 field, expected"),
    "empty run": (["compare", "--qrels", "{qrels}", "{good}", "{empty}"], "empty.trec: holds no scored documents"),
    "other corpus": (
        ["compare", "--qrels", "{qrels}", "{good}", "{weak}", "--corpus", "{column}.jsonl"],
        "holds no document of the runs",
    ),
    "measure": (["compare", "--qrels", "{qrels}", "{good}", "{weak}", "--measure", "F1"], "unknown measure 'F1'"),
    "answers": (
        ["compare", "--qrels", "{qrels}", "{good}", "{weak}", "--measure", "AnswerRecall@5"],
        "AnswerRecall@5 needs answers",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_line_and_exit_code_2(folder, qrels, tmp_path, capsys, arguments, message):
    good, weak = runs(folder, "good", "weak")
    all_of = scores(QUERIES, 1.0, seed=1)
    files = {
        "other": write_run(tmp_path / "other.trec", {"x1": {"d1": 1.0}}),
        "first": write_run(tmp_path / "first.trec", {"q1": all_of["q1"]}),
        "last": write_run(tmp_path / "last.trec", {"q2": all_of["q2"]}),
        "column": tmp_path / "column",
        "empty": tmp_path / "empty.trec",
    }
    (tmp_path / "column").write_text("q1\n")
    (tmp_path / "column.jsonl").write_text('{"_id": "doc-9", "text": "x"}\n')
    (tmp_path / "empty.trec").write_text("")
    typed = [argument.format(good=good, weak=weak, qrels=qrels, **files) for argument in arguments]
    assert main(typed) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_runs_of_one_name_are_told_apart_by_their_folders(folder, qrels, tmp_path, capsys):
    (tmp_path / "v2").mkdir()
    second = write_run(tmp_path / "v2/strong.trec", scores(QUERIES, 2.0, seed=5))
    dataset, _ = compared(capsys, "--qrels", qrels, *runs(folder, "strong"), second)
    assert {system["name"] for system in dataset["systems"]} == {f"{folder.name}/strong", "v2/strong"}


def test_order_and_own_ids_are_decided_as_in_measure(tmp_path, capsys):
    (tmp_path / "qrels").write_text("q1 0 b 1\nq2 0 c 1\n")
    (tmp_path / "a").write_text("q1 Q0 b 1 0.1 x\nq1 Q0 z 2 0.9 x\nq2 Q0 q2 1 9 x\nq2 Q0 c 2 1 x\n")
    (tmp_path / "b").write_text("q1 Q0 b 1 0.9 x\nq1 Q0 z 2 0.1 x\nq2 Q0 c 1 9 x\nq2 Q0 z 2 1 x\n")
    typed = ["--qrels", tmp_path / "qrels", tmp_path / "a", tmp_path / "b"]
    dataset, _ = compared(capsys, *typed, "--order", "rank", "--drop-identical-ids")
    assert [system["mean"] for system in dataset["systems"]] == [1.0, 1.0]
    dataset, noted = compared(capsys, *typed)
    half = 1 / math.log2(3)
    assert [system["mean"] for system in dataset["systems"]] == pytest.approx([1.0, half])
    assert any("--order rank" in line for line in noted)
    assert any("--drop-identical-ids" in line for line in noted)
