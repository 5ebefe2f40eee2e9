"""One test, one correction, one level: every command calls the same differences real, or not, on the same results."""

import json
import re

import pytest
from made import made, values_of

from evalkit.analysis.ablation import ablate
from evalkit.analysis.baseline import BaselineEntry, Name
from evalkit.analysis.pairwise import Settings, compare
from evalkit.analysis.regression import judge
from evalkit.cli import main
from evalkit.measures.significance import holm, intervals
from evalkit.results.gather import gather

FOLDERS = {"stage-100": "candidates"}  # of systems that are not called by them


@pytest.fixture(scope="module")
def unsure(tmp_path_factory):
    """The interval of `weak` against its first stage lies below 0, and Holm's correction takes that back."""
    return made(tmp_path_factory.mktemp("unsure"), {"strong": 3.0, "weak": 0.0, "middling": 0.6})


@pytest.fixture(scope="module")
def sure(tmp_path_factory):
    """`weak` is worse than its first stage, corrected or not."""
    return made(tmp_path_factory.mktemp("sure"), {"strong": 3.0, "weak": -1.0, "middling": 0.6})


def compared(root, capsys):
    assert main(["compare", str(root), "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["datasets"]
    pair = next(one for one in found["pairs"] if {one["better"], one["worse"]} == {"stage-100", "weak"})
    return pair, {one["name"]: set(one["groups"]) for one in found["systems"]}


def analysed(root, capsys):
    assert main(["analyse", str(root), "--format", "json"]) == 0
    (found,) = [one for one in json.loads(capsys.readouterr().out) if one["title"].startswith("one: weak,")]
    return " ".join(f"{flag['level']}: {flag['text']}" for flag in found["flags"])


def reported(root, folder, capsys):
    asked = ["--html", str(folder / "a.html"), "--markdown", str(folder / "a.md")]
    assert main(["report", str(root), *asked]) == 0
    capsys.readouterr()
    return (folder / "a.html").read_text(encoding="utf-8"), (folder / "a.md").read_text(encoding="utf-8")


def test_what_only_an_uncorrected_interval_says_is_nowhere_called_real(unsure, tmp_path, capsys):
    differences = (values_of(unsure, "weak") - values_of(unsure, "candidates"))[:, None]
    assert intervals(differences)[1, 0] < 0
    pair, letters = compared(unsure, capsys)
    assert pair["low"] > 0
    assert (pair["real"], pair["randomisation"] > 0.05) == (False, True)
    assert letters["weak"] & letters["stage-100"]
    flags = analysed(unsure, capsys)
    page, tables = reported(unsure, tmp_path, capsys)
    for text in (flags, page):
        assert "not by chance" not in text
        assert f"which may be chance (p {pair['randomisation']:.3g}, Holm" in text
        assert "6 pairs)" in text
    row = next(line for line in tables.splitlines() if line.startswith("| stage-100 | weak |"))
    assert "**" not in row


def test_what_is_real_is_called_so_everywhere(sure, tmp_path, capsys):
    pair, letters = compared(sure, capsys)
    assert (pair["better"], pair["real"]) == ("stage-100", True)
    assert not letters["weak"] & letters["stage-100"]
    flags = analysed(sure, capsys)
    page, tables = reported(sure, tmp_path, capsys)
    for text in (flags, page):
        assert f"and not by chance (p {pair['randomisation']:.3g}, Holm" in text
    row = next(line for line in tables.splitlines() if line.startswith("| stage-100 | weak |"))
    assert f"**{pair['randomisation']:.3g}**" in row


@pytest.mark.parametrize("which", ["unsure", "sure"])
def test_gate_judges_the_same_comparisons_as_the_letters_do(which, request):
    """A baseline with the better system's values under a name, and now the worse one's: all six pairs of `compare`."""
    root = request.getfixturevalue(which)
    (found,) = compare(gather([root]), Settings())
    own = {one.name: values_of(root, FOLDERS.get(one.name, one.name)).round(6).tolist() for one in found.systems}

    def entry(pair, system):
        values = {f"q{row:03}": value for row, value in enumerate(own[system])}
        return BaselineEntry(Name("one", pair.better, pair.worse), "d", "c", {"nDCG@10": values})

    pairs = sorted(found.pairings)
    judged = judge([entry(one, one.better) for one in pairs], [entry(one, one.worse) for one in pairs])
    for one, verdict in zip(pairs, judged, strict=True):
        assert verdict.p == pytest.approx(one.randomisation, abs=1e-12)
        assert (verdict.status == "regression") == one.is_real(0.05)
    assert {one.status for one in judged} == {"regression", "fine"}


def test_ablation_has_the_p_values_of_the_comparison(unsure):
    evaluations = {one.reranker: one for one in gather([unsure])}
    first, second, third = (evaluations[name] for name in ("middling", "weak", "strong"))
    raw = [compare([first, one], Settings(first_stage=False))[0].pairings[0].randomisation for one in (second, third)]
    for one in evaluations.values():
        one.result.manifest["reranker"]["name"] = "same"  # as where one setting varies
    effects = ablate([("a", first), ("b", second), ("c", third)], Settings())
    assert [one.p for one in effects] == [None, *holm(raw)]


def test_every_text_names_the_same_rule(unsure, tmp_path, capsys):
    page, tables = reported(unsure, tmp_path, capsys)
    assert main(["compare", str(unsure)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for text in (page.replace("&#39;", "'"), tables, printed):
        assert "randomisation test, Holm's correction for all pairs, p below 0.05" in text
        assert not re.search("wilcoxon", text, re.IGNORECASE)
