"""What is said when evaluations are done."""

from dataclasses import replace

from made import made

from evalkit.analysis.findings import BEST, findings
from evalkit.analysis.pairwise import Settings, compare
from evalkit.reports.after_evaluation import ended
from evalkit.results.gather import gather


def test_sentences_are_those_of_compare_without_its_intervals(tmp_path, monkeypatch):
    found = gather([made(tmp_path, {"strong": 3.0, "weak": 0.4})])
    settings = Settings()
    expected = findings(compare(found, settings), None, settings)
    monkeypatch.setattr("evalkit.analysis.pairwise.intervals", None)
    monkeypatch.setattr("evalkit.analysis.pairwise.t_test", None)
    assert ended(found, "nDCG@10").findings == expected
    assert ended(found, "nDCG@10").grids == []


def test_a_result_counts_once_and_two_samples_of_a_dataset_are_left_out(tmp_path):
    (one,) = gather([made(tmp_path, {"strong": 3.0}, queries=8)])
    assert [each.kind for each in ended([one, one], "nDCG@10").findings] == [
        each.kind for each in ended([one], "nDCG@10").findings
    ]
    facts = {**one.result.manifest["dataset"], "digest": "another"}
    other = replace(
        one, result=replace(one.result, folder=tmp_path, manifest={**one.result.manifest, "dataset": facts})
    )
    assert ended([one, other], "nDCG@10") == ([], [])
    assert ended([one], "AnswerRecall@20") == ([], [])


def test_several_datasets_and_first_stages_have_their_tables(tmp_path):
    for dataset in ("one", "two"):
        for stage in ("first", "another"):
            root = made(tmp_path, {"strong": 3.0}, stage=stage, dataset=dataset, queries=8)
    found = ended(gather([root]), "nDCG@10")
    assert [grid.title for grid in found.grids] == [
        "nDCG@10: rerankers by first stages",
        "nDCG@10: difference to first stage",
    ]
    assert found.findings[0].kind == BEST
