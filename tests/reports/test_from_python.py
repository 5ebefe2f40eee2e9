"""`evalkit.compare` and `evalkit.report` with whatever people hold in Python."""

import logging

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from made import made, scores, write_run
from report_pages import single_queries
from scipy import stats

import evalkit
from evalkit.analysis.pairwise import DIFFERENT_DOCUMENTS
from evalkit.errors import ConfigError, DataError, EvalkitError
from evalkit.results import Evaluation
from evalkit.results.gather import gather

QUERIES = 30
DOCS = range(100, 112)
RNG = np.random.default_rng(5)
QRELS = {query: {doc: int(RNG.integers(0, 3)) for doc in DOCS} for query in range(QUERIES)}
GOOD, BAD = ({query: dict(zip(DOCS, RNG.normal(size=12), strict=True)) for query in QRELS} for _ in range(2))
for _query, _docs in GOOD.items():
    GOOD[_query] = {doc: np.float32(score + 2 * QRELS[_query][doc]) for doc, score in _docs.items()}
QUICK = {"samples": 200}


def as_text(mapping, kind):
    return {str(query): {str(doc): kind(value) for doc, value in found.items()} for query, found in mapping.items()}


def frame(run):
    rows = [(query, doc, float(score)) for query, found in run.items() for doc, score in found.items()]
    return pd.DataFrame(rows, columns=["qid", "docno", "score"])


def require_same_as_scipy(found, first, second, qrels=QRELS):
    evaluator = pytrec_eval.RelevanceEvaluator(as_text(qrels, int), {"ndcg_cut.10"})
    columns = []
    for run in (first, second):
        values = evaluator.evaluate(as_text(run, float))
        columns.append(np.array([values[str(query)]["ndcg_cut_10"] if query in run else 0.0 for query in qrels]))
    (pair,) = found.pairs
    assert pair.difference == pytest.approx(columns[0].mean() - columns[1].mean(), abs=1e-12)
    assert pair.t == pytest.approx(stats.ttest_rel(*columns).pvalue, rel=1e-9)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(BAD, id="dict of integers"),
        pytest.param(as_text(BAD, float), id="dict of texts"),
        pytest.param(frame(BAD), id="table"),
        pytest.param(evalkit.Run.from_dict(as_text(BAD, float)), id="Run"),
    ],
)
def test_runs_of_any_kind_compare_as_scipy_and_pytrec_eval_have_it(bad):
    found = evalkit.compare({"good": GOOD, "bad": bad}, QRELS, **QUICK)
    assert [system.name for system in found.systems] == ["good", "bad"]
    require_same_as_scipy(found, GOOD, BAD)


def test_a_comparison_is_tables_when_printed_and_a_row_a_pair_or_system_as_a_table():
    found = evalkit.compare([GOOD, BAD, GOOD], QRELS, **QUICK)
    printed = repr(found)
    for expected in ("judgments: nDCG@10", "run 1", "run 2", "run 3", "p randomisation", "30 queries"):
        assert expected in printed
    pairs = found.to_dataframe()
    assert list(zip(pairs["better"], pairs["worse"], strict=True)) == [
        ("run 1", "run 3"),
        ("run 1", "run 2"),
        ("run 3", "run 2"),
    ]
    assert pairs["real"].tolist() == [False, True, True]
    systems = found.to_dataframe("systems")
    assert systems["name"].tolist() == ["run 1", "run 3", "run 2"]
    assert systems["mean"].tolist() == [system.mean for system in found.systems]


def test_common_queries_and_missing_ones_are_noted(caplog):
    short = {query: docs for query, docs in GOOD.items() if query > 3}
    with caplog.at_level(logging.WARNING):
        found = evalkit.compare({"short": short, "bad": BAD}, QRELS, **QUICK)
    missing = "short: 4 of 30 judged queries are not in the run and count 0, such as 0"
    assert found.notes == (missing, DIFFERENT_DOCUMENTS)
    assert found.notes[0] in caplog.text
    require_same_as_scipy(found, short, BAD)
    found = evalkit.compare({"short": short, "bad": BAD}, QRELS, common_queries=True, **QUICK)
    assert found.notes == ("common_queries leaves out 4 of 30 judged queries, which not every run has",)
    kept = {query: judged for query, judged in QRELS.items() if query > 3}
    require_same_as_scipy(found, short, {query: BAD[query] for query in kept}, kept)


def test_files_are_systems_of_their_own_names(tmp_path):
    paths = [write_run(tmp_path / f"{name}.trec", run) for name, run in (("good", GOOD), ("bad", BAD))]
    qrels = tmp_path / "dl.qrels"
    lines = (f"{query} 0 {doc} {grade}\n" for query, found in QRELS.items() for doc, grade in found.items())
    qrels.write_text("".join(lines))
    found = evalkit.compare(paths, str(qrels), **QUICK)
    assert ([system.name for system in found.systems], found.datasets[0].dataset) == (["good", "bad"], "dl")
    assert evalkit.measure(qrels, paths[0]).means == evalkit.measure(QRELS, frame(GOOD)).means


def test_a_first_stage_is_named_among_the_runs():
    found = evalkit.report({"stage": BAD, "mine": GOOD}, qrels=QRELS, first_stage="stage")
    (view,) = found.overview.datasets
    assert [system.evaluation.is_first_stage for system in view.systems] == [False, True]
    with pytest.raises(ConfigError, match="first_stage='other' is not one of the runs: stage, mine"):
        evalkit.compare({"stage": BAD, "mine": GOOD}, QRELS, first_stage="other")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return made(tmp_path_factory.mktemp("results"), {"strong": 3.0, "weak": 0.4})


def test_results_are_compared_as_on_the_command_line_and_may_be_renamed(results):
    evaluations = gather([results])
    whole = evalkit.compare(str(results), **QUICK)
    assert {system.name for system in whole.systems} == {"strong", "weak", "stage-100"}
    assert evalkit.compare(evaluations, **QUICK).to_dataframe().equals(whole.to_dataframe())
    named = evalkit.compare({"first": evaluations[0], "second": evaluations[1]}, **QUICK)
    assert {system.name for system in named.systems} == {"first", "second", "stage-100"}
    assert [system.mean for system in named.systems] == [system.mean for system in whole.systems]


@pytest.mark.parametrize("has_none", [False, True])
def test_a_first_stage_is_renamed_wherever_a_result_started_from_it(tmp_path, has_none):
    root = made(tmp_path, {"strong": 3.0})
    (strong,) = gather([root])
    stage = Evaluation(strong.candidates, strong.candidates)
    if has_none:  # which is a result beside its candidates
        (stage,) = [each for each in gather([made(tmp_path, {})]) if each.is_first_stage]
        assert stage.result.folder != stage.candidates.folder
    found = evalkit.compare({"before": stage, "after": strong}, **QUICK)
    means = {system.name: system.mean for system in found.systems}
    assert ["after", "before"] == list(means)
    assert means["before"] == pytest.approx(stage.measures["nDCG@10"])


def test_tables_are_part_of_the_text_in_a_notebook_too(monkeypatch):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)  # where rich would show them apart
    monkeypatch.setenv("FORCE_COLOR", "1")  # as kernels of Jupyter have it
    printed = repr(evalkit.compare([GOOD, BAD], QRELS, **QUICK))
    assert "p randomisation" in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize("measure", [["nDCG@10"], ["nDCG@10", "R@20"], ("RR",)])
def test_one_measure_is_compared(measure):
    for use in (evalkit.compare, evalkit.report):
        with pytest.raises(ConfigError, match=r"measure is (list|tuple), expected one name, such as 'nDCG@10'"):
            use([GOOD, BAD], qrels=QRELS, measure=measure)


@pytest.mark.interop
def test_a_measure_of_ir_measures_is_compared():
    ir_measures = pytest.importorskip("ir_measures")
    found = evalkit.compare([GOOD, BAD], QRELS, measure=ir_measures.RR @ 5, **QUICK)
    assert "RR@5" == found.settings.measure
    assert "RR@5" in evalkit.report([GOOD, BAD], qrels=QRELS, measure=ir_measures.RR @ 5).markdown


def test_a_run_beside_a_result_is_judged_by_the_dataset_of_the_result(results):
    (strong,) = gather([results / "one/stage-100/strong"])
    runs = {"same": scores(30, 3.0, seed=100), "other": scores(30, 0.0, seed=3)}
    found = evalkit.compare({"saved": strong, **runs}, **QUICK)
    means = {system.name: system.mean for system in found.systems}
    assert found.datasets[0].dataset == "one"
    assert means["saved"] == means["same"] == pytest.approx(strong.result.manifest["measures"]["nDCG@10"])
    assert means["other"] < means["same"]
    assert "what is query" in str(single_queries(evalkit.report({"saved": strong, **runs}).html))
    with pytest.raises(ConfigError, match="dataset goes with qrels="):
        evalkit.compare({"saved": strong, **runs}, dataset="mine")
    assert evalkit.measure(QRELS_OF_MADE, strong).means["nDCG@10"] == pytest.approx(means["saved"])


QRELS_OF_MADE = {
    f"q{query}": {f"d{query}_{(query * 7 + 3) % 12}": 1, f"d{query}_{(query * 5) % 12}": 2} for query in range(30)
}


def test_a_report_of_runs_is_a_page_and_its_tables(tmp_path):
    found = evalkit.report({"good": GOOD, "bad": BAD}, tmp_path / "page.html", QRELS, markdown=tmp_path / "tables.md")
    assert found.files == (tmp_path / "page.html", tmp_path / "tables.md")
    assert found.html == (tmp_path / "page.html").read_text(encoding="utf-8")
    assert found.markdown == (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert "| good |" in found.markdown
    assert "good" in repr(found)
    assert "page.html" in repr(found)


NAN = float("nan")
TWICE = pd.DataFrame({"qid": [1, 1], "docno": [1, 1], "score": [1.0, 2.0]})
ODD = [None, 3, "", "no\0where", "nowhere", object(), b"x", [], {}, [1, 2], np.zeros(3), pd.DataFrame(), TWICE]


@pytest.mark.parametrize(
    "value", [*ODD, (system for system in ()), [None], [[1, 2]], [{}], [{"q": 1}], {3: GOOD}, {"": GOOD}, {"a": None}]
)
def test_systems_of_another_kind_are_errors_of_evalkit(value):
    for qrels in (QRELS, None):
        with pytest.raises(EvalkitError):
            evalkit.compare(value, qrels)
        with pytest.raises(EvalkitError):
            evalkit.report(value, qrels=qrels)


@pytest.mark.parametrize(
    "value", [*ODD, {"q": 1}, {"q": {"d": "x"}}, {"q": {"d": NAN}}, {"q": {"d": None}}, {None: {1: 1}}]
)
def test_runs_and_judgments_of_another_kind_are_errors_of_evalkit(value):
    for arguments in ((QRELS, value), (value, GOOD)):
        with pytest.raises(EvalkitError):
            evalkit.measure(*arguments)
    if value is not None:
        with pytest.raises(EvalkitError):
            evalkit.compare([GOOD, BAD], value)
    with pytest.raises(EvalkitError):
        evalkit.compare([GOOD, value], QRELS)


@pytest.mark.parametrize("value", [3.5, "", "x", [], {}, np.zeros(3), pd.DataFrame(), object(), NAN])
@pytest.mark.parametrize(
    "name",
    [
        *("measure", "correction", "alpha", "seed", "samples", "common_queries", "drop_identical_ids"),
        *("order", "first_stage", "allow_different_candidates"),
    ],
)
def test_settings_of_another_kind_are_errors_of_evalkit(name, value):
    with pytest.raises(EvalkitError):
        evalkit.compare({"good": GOOD, "bad": BAD}, QRELS, **{**QUICK, name: value})


@pytest.mark.parametrize("name", ["html", "markdown", "figures", "corpus", "query_texts", "queries", "dataset"])
def test_settings_of_a_report_of_another_kind_are_errors_of_evalkit(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for value in (3.5, [], {}, np.zeros(3), pd.DataFrame(), object()):
        with pytest.raises(EvalkitError):
            evalkit.report({"good": GOOD, "bad": BAD}, qrels=QRELS, **{name: value})


def test_texts_are_files_dicts_or_tables(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    corpus = pd.DataFrame({"doc_id": list(DOCS), "text": [f"about {doc}" for doc in DOCS]})
    queries = {query: f"asked {query}?" for query in QRELS}
    found = evalkit.report({"good": GOOD, "bad": BAD}, qrels=QRELS, corpus=corpus, query_texts=queries)
    assert "about 104" in str(single_queries(found.html))
    assert "asked 7?" in str(single_queries(found.html))
    with pytest.raises(ConfigError, match="corpus is for runs"):
        evalkit.report(str(tmp_path), corpus=corpus)
    with pytest.raises(DataError, match="the corpus: holds no document of the runs"):
        evalkit.report({"good": GOOD, "bad": BAD}, qrels=QRELS, corpus={"d104": "about"})


def test_errors_name_the_run_and_say_what_to_give():
    with pytest.raises(ConfigError, match="runs need judgments: give qrels="):
        evalkit.compare([GOOD, BAD])
    with pytest.raises(DataError, match=r"bad: .*'q' has 1 \(int\)"):
        evalkit.compare({"good": GOOD, "bad": {"q": 1}}, QRELS)
    with pytest.raises(DataError, match="nowhere: No such file"):
        evalkit.compare([GOOD, "nowhere"], QRELS)
    with pytest.raises(ConfigError, match="common_queries is for runs"):
        evalkit.compare("results", common_queries=True)
    with pytest.raises(ConfigError, match=r"measures has 1, expected names"):
        evalkit.measure(QRELS, GOOD, [1])
    with pytest.raises(ConfigError, match="comon_queries is not a setting"):
        evalkit.compare([GOOD, BAD], QRELS, comon_queries=True)
    with pytest.raises(ConfigError, match="rows is 'rows'"):
        evalkit.compare([GOOD, BAD], QRELS, **QUICK).to_dataframe("rows")


def test_the_function_report_stays_when_the_room_of_reports_is_imported():
    from evalkit import report
    from evalkit.reports import grid

    assert grid.Grid
    assert report is evalkit.report
    assert report([GOOD], qrels=QRELS).files == ()


@pytest.mark.interop
def test_runs_of_ranx_have_their_own_names():
    ranx = pytest.importorskip("ranx")
    runs = [ranx.Run(as_text(run, float), name=name) for run, name in ((GOOD, "good"), (BAD, "bad"), (BAD, "bad"))]
    found = evalkit.compare(runs, ranx.Qrels(as_text(QRELS, int)), **QUICK)
    assert {system.name for system in found.systems} == {"good", "bad", "run 3"}
