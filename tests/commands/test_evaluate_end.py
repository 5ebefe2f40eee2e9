"""What `evalkit evaluate` prints at its end, as a user types it."""

import json

import pytest
from made import scores, write_collection, write_run

from evalkit.cli import main

QUERIES = 12


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    """Settings of a sweep of two first stages by two rerankers, without `results_dir`."""
    folder = tmp_path_factory.mktemp("sweep")
    write_collection(folder / "collection", queries=QUERIES)
    for name, strength in (("first", 0.5), ("another", 1.0), ("strong", 3.0), ("weak", 0.1)):
        write_run(folder / f"{name}.trec", scores(QUERIES, strength, seed=len(name)))
    return [
        *("dataset=folder", f"dataset.path={folder}/collection", "dataset.name=one", "compute.device=cpu"),
        *("retriever=saved", f"retriever.path={folder}/first.trec,{folder}/another.trec"),
        *("reranker=replay", f"reranker.path={folder}/strong.trec,{folder}/weak.trec", f"cache_dir={folder}/cache"),
    ]


def single(typed):
    return [text.partition(",")[0] for text in typed]


def flat(text):
    return " ".join(text.split())


def test_a_sweep_ends_with_rerankers_by_first_stages_and_the_sentences_of_compare(typed, tmp_path, capsys):
    assert main(["evaluate", "-m", *typed, f"results_dir={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    assert main(["compare", str(tmp_path), "--allow-different-candidates", "--format", "json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    table = printed.partition("nDCG@10: rerankers by first stages")[2]
    assert [line.split("│")[1].strip() for line in table.splitlines() if line.startswith("│")][-1] == "ceiling"
    (dataset,) = whole["datasets"]
    for one in dataset["systems"]:
        assert f"{one['mean']:.4f}" in table
    said = [one["text"] for one in whole["findings"] if one["kind"] != "suspicious"]
    assert said
    assert flat(printed).endswith(flat(" ".join(said)))


def test_one_evaluation_ends_with_its_sentence_and_other_forms_are_tables_alone(typed, tmp_path, capsys):
    common = ["evaluate", *single(typed), f"results_dir={tmp_path}"]
    assert main(common) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("strong is the best on one: ")
    assert "over its first stage first-100 (p " in last
    for form in ("csv", "latex", "json"):
        assert main([*common, "--format", form]) == 0
        assert "over its first stage" not in capsys.readouterr().out
    assert main([*common, "--format", "markdown"]) == 0
    assert capsys.readouterr().out.splitlines()[-2].startswith("* strong ")


def test_summary_replaces_the_tables_or_goes_to_a_file(typed, tmp_path, capsys):
    common = ["evaluate", *single(typed), f"results_dir={tmp_path / 'results'}", "--summary"]
    assert main([*common, "markdown"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("### evalkit evaluate: one (test): first top 100\n\n* strong ")
    assert "| nDCG@10 |" in printed
    (tmp_path / "summary.md").write_text("before\n", encoding="utf-8")
    assert main([*common, str(tmp_path / "summary.md")]) == 0
    assert "┃ measure" in capsys.readouterr().out
    assert (tmp_path / "summary.md").read_text(encoding="utf-8").startswith("before\n### evalkit evaluate: one")


def test_summary_of_a_sweep_names_what_failed(typed, tmp_path, capsys):
    some = [f"{text},{tmp_path}/absent.trec" if text.startswith("reranker.path") else text for text in typed]
    assert main(["evaluate", "-m", *some, f"results_dir={tmp_path / 'results'}", "--summary", "markdown"]) == 2
    printed = capsys.readouterr().out
    assert printed.startswith("### evalkit evaluate: 4 evaluations, 2 failed\n")
    assert printed.count("/absent.trec: ") == 2
    assert "**nDCG@10: rerankers by first stages**" in printed
    assert "<details><summary>All numbers</summary>" in printed
