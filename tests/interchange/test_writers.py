"""Results in other tools' layouts, read back by those tools."""

import importlib.util
import json
import re

import pytest
import pytrec_eval
from made import made

from evalkit.cli import main
from evalkit.errors import DataError, ResultError
from evalkit.formats.trec import read_qrels, read_run
from evalkit.interchange.writers import export
from evalkit.measures import measure
from evalkit.results.gather import gather

pytestmark = [
    pytest.mark.slow,  # importing mteb takes seconds
    pytest.mark.skipif(importlib.util.find_spec("mteb") is None, reason="mteb is not installed"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    made(folder, {"strong": 3.0, "weak": 0.4})
    return made(folder, {"strong": 3.0}, stage="another")


@pytest.fixture(scope="module")
def kept(root):
    """nDCG@10 of every system, first stages included."""
    found = {}
    for one in gather([root]):
        for result, name in ((one.result, one.reranker), (one.candidates, "")):
            found[one.first_stage, name] = result.manifest["measures"]["nDCG@10"]
    return found


def test_trec_runs_and_judgments_give_the_same_numbers_in_pytrec_eval(root, kept, tmp_path):
    export(gather([root]), "trec", tmp_path)
    with (tmp_path / "one" / "qrels.trec").open() as lines:
        qrels = pytrec_eval.parse_qrel(lines)
    assert qrels == {query: dict(judged) for query, judged in read_qrels(tmp_path / "one" / "qrels.trec").items()}
    found = {}
    for path in (tmp_path / "one").rglob("*-100/*.trec"):
        with path.open() as lines:
            run = pytrec_eval.parse_run(lines)
        values = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(run).values()
        name = "" if path.stem == "candidates" else path.stem
        found[path.parent.name, name] = sum(one["ndcg_cut_10"] for one in values) / len(qrels)
    assert found == pytest.approx(kept)


def test_mteb_loads_its_results_with_a_row_for_every_first_stage(root, kept, tmp_path):
    import mteb

    export(gather([root]), "mteb", tmp_path)
    loaded = mteb.ResultCache(tmp_path).load_results(load_experiments="match_name")
    assert {result.task_name for model in loaded.model_results for result in model.task_results} == {"one"}
    found = {}
    for model in loaded.model_results:
        stage = re.search("first_stage_(.*?)__", model.experiment_name)[1]
        name = model.model_name.removeprefix("evalkit/")
        found[f"{stage}-100", "" if name == stage else name] = model.task_results[0].get_score()
    assert found == pytest.approx(kept, abs=1e-5)


def test_mteb_scores_are_rounded_measures_of_the_run(root, tmp_path):
    (one,) = gather([root / "one/stage-100/strong"])
    path = export([one], "mteb", tmp_path)[-1]
    row = json.loads(path.read_text())["scores"]["test"][0]
    expected = one.result.manifest["measures"]
    for theirs, ours in {
        "ndcg_at_20": "nDCG@20",
        "map_at_100": "MAP@100",
        "mrr_at_10": "RR@10",
        "recall_at_20": "R@20",
    }.items():
        assert row[theirs] == pytest.approx(expected[ours], abs=5e-6)
    assert "ndcg_at_1000" not in row
    assert (row["hf_subset"], row["languages"]) == ("default", ["eng-Latn"])


def test_predictions_are_read_back_as_a_run(root, tmp_path):
    written = export(gather([root]), "mteb-predictions", tmp_path)
    assert len({path.parent for path in written}) == len(written) == 5
    (one,) = gather([root / "one/stage-100/strong"])
    path = tmp_path / "stage-100" / "strong" / "one_predictions.json"
    again = read_run(path)
    assert again.digest() == one.result.read_run().digest()
    content = json.loads(path.read_text())
    assert content["mteb_model_meta"]["experiment_kwargs"]["first_stage"] == "stage"


def test_without_the_collection_it_says_so_and_writes_nothing(tmp_path, capsys):
    folder = tmp_path / "made"
    root = made(folder, {"strong": 3.0}, queries=4)
    (folder / "collections" / "one" / "queries.jsonl").unlink()
    with pytest.raises(DataError):
        export(gather([root]), "trec", tmp_path / "out")
    assert main(["export", str(root), "--to", "trec", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_result_whose_collection_is_gone_is_left_out_and_named(tmp_path, capsys):
    folder = tmp_path / "made"
    made(folder, {"strong": 3.0}, queries=4)
    root = made(folder, {"strong": 3.0}, dataset="two", queries=4)
    (folder / "collections" / "one" / "queries.jsonl").unlink()
    assert main(["export", str(root), "--to", "trec", "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert {path.split("/")[-1] for path in captured.out.split()} == {"candidates.trec", "strong.trec", "qrels.trec"}
    assert all("/two/" in path for path in captured.out.split())
    lines = captured.err.splitlines()
    assert [line.partition(": left out.")[0] for line in lines] == [
        f"evalkit: {root}/one/stage-100/{name}" for name in ("candidates", "strong")
    ]


def test_files_are_named_for_people(root, tmp_path, capsys):
    assert main(["export", str(root / "one/stage-100/strong"), "--to", "trec", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        str(tmp_path / "one/stage-100/candidates.trec"),
        str(tmp_path / "one/qrels.trec"),
        str(tmp_path / "one/stage-100/strong.trec"),
    ]
    run = read_run(printed[-1])
    assert measure(read_qrels(printed[1]), run, ["nDCG@10"]).means["nDCG@10"] > 0.5


def test_a_full_disk_is_one_line_that_names_the_file(root, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert main(["export", str(root), "--to", "trec", "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert re.fullmatch(rf"evalkit: error: {tmp_path}/one/[\w/.-]+\.trec: No space left on device\.\n", told)


def test_results_that_would_overwrite_each_other_are_refused(tmp_path):
    first, second = (made(tmp_path / name, {"strong": strength}) for name, strength in (("a", 3.0), ("b", 1.0)))
    with pytest.raises(
        ResultError, match=r"have different rankings under one name, one/stage-100/strong\. Export each"
    ):
        export(gather([first, second]), "trec", tmp_path / "out")
    other = made(tmp_path / "c", {"strong": 3.0}, queries=20, stage="other")
    with pytest.raises(ResultError, match=r"have different documents, queries or judgments under one name, one\."):
        export(gather([first, other]), "trec", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    copy = made(tmp_path / "d", {"strong": 3.0})
    assert len(export(gather([first, copy]), "trec", tmp_path / "out")) == 3
