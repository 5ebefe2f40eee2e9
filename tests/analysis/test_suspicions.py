"""What manifests say that should not be believed at once."""

from dataclasses import replace

import pytest
from made import made

from evalkit.analysis.pairwise import Settings, compare
from evalkit.analysis.suspicions import Suspicion, suspicions
from evalkit.cli import main
from evalkit.results.gather import gather

ADDED = "were relevant documents added to the candidates, or seen in training?"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    root = made(tmp_path_factory.mktemp("suspicions"), {"strong": 1.0})
    return compare(gather([root]), Settings(samples=200))[0]


def changed(comparison, **facts):
    """The comparison, with other facts in the manifest of its reranker."""
    evaluations = tuple(
        one
        if one.is_first_stage
        else replace(one, result=replace(one.result, manifest={**one.result.manifest, **facts}))
        for one in comparison.evaluations
    )
    return replace(comparison, evaluations=evaluations)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, []),
        ({"queries_with_ties_in_top_10": 3}, []),
        ({"queries_with_ties_in_top_10": 4}, [("warning", "ties in the top 10 of 4 queries of 30")]),
        ({"truncated_pairs": 180}, []),
        ({"truncated_pairs": 181}, [("warning", "181 of 360 pairs were truncated")]),
        ({"unscored_pairs": 1}, [("warning", "1 candidate has no replayed score and ranks below all others")]),
        (
            {"measures": {"nDCG@10": 1.5}},
            [("error", "nDCG@10 1.5000 is above the ceiling of its candidates, 1.0000, which cannot be")],
        ),
        (
            {"measures": {"nDCG@10": 0.99}},
            [("warning", f"nDCG@10 0.9900 is 99.0% of the ceiling: {ADDED}")],
        ),
        ({"measures": {}}, []),
    ],
)
def test_each_fact_names_the_dataset_and_the_system(comparison, facts, expected):
    found = suspicions([changed(comparison, **facts)], "nDCG@10")
    assert found == [Suspicion(level, "one", ("strong",), f"one, strong: {text}") for level, text in expected]


def test_a_fact_about_the_dataset_names_no_system_and_errors_come_first(comparison):
    facts = [{**one.result.manifest["dataset"], "queries_not_sampled": 7} for one in comparison.evaluations]
    evaluations = tuple(
        replace(one, result=replace(one.result, manifest={**one.result.manifest, "dataset": dataset}))
        for one, dataset in zip(comparison.evaluations, facts, strict=True)
    )
    sampled = changed(replace(comparison, evaluations=evaluations), measures={"nDCG@10": 1.5})
    assert [(one.level, one.systems) for one in suspicions([sampled], "nDCG@10")] == [
        ("error", ("strong",)),
        ("warning", ()),
    ]
    text = "one: a sample: dataset.sample left out 7 queries, so do not report this number"
    assert suspicions([sampled], "nDCG@10")[1].text == text


def test_candidates_that_give_the_answers_away_are_named(comparison):
    """They are noted where they were made; other notes, such as of ties, are said elsewhere."""
    notes = [{"kind": kind, "text": f"of {kind}"} for kind in ("ties", "all_relevant", "relevant_first")]
    evaluations = tuple(
        replace(one, candidates=replace(one.candidates, manifest={**one.candidates.manifest, "notes": notes}))
        for one in comparison.evaluations
    )
    found = suspicions([replace(comparison, evaluations=evaluations)], "nDCG@10")
    assert [one.text for one in found] == ["one: of all_relevant", "one: of relevant_first"]


def test_notes_on_run_files_are_suspicious_on_the_page_and_in_markdown(tmp_path, capsys):
    lines = [("a", 1, 0.1), ("b", 2, 0.9), ("c", 3, 0.5)]
    (tmp_path / "odd.run").write_text("".join(f"q1 Q0 {doc} {rank} {score} x\n" for doc, rank, score in lines))
    (tmp_path / "plain.run").write_text("q1 Q0 a 1 3 x\nq1 Q0 b 2 2 x\nq1 Q0 c 3 1 x\n")
    (tmp_path / "own.qrels").write_text("q1 0 a 1\nq1 0 c 0\n")
    given = ["--qrels", *(str(tmp_path / name) for name in ("own.qrels", "odd.run", "plain.run"))]
    text = "suspicious: own, odd: ranks and scores disagree for 1 of 1 queries, such as q1; scores decide"
    assert main(["compare", *given, "--samples", "50", "--summary", "markdown"]) == 0
    assert text in capsys.readouterr().out
    page, tables = tmp_path / "page.html", tmp_path / "page.md"
    assert main(["report", *given, "--html", str(page), "--markdown", str(tables)]) == 0
    assert text in page.read_text(encoding="utf-8")
    assert text in tables.read_text(encoding="utf-8")
