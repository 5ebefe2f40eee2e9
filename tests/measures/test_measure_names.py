"""Measures that installed packages add, each from a real distribution on the search path."""

import json
import re
import sys

import pytest
from documented import block
from installed import write_package
from pages import DOCS

from evalkit import cli
from evalkit.errors import ConfigError, DataError
from evalkit.measures import canonical, families, measure, parse_measure
from evalkit.run import Run

F1 = block("CONTRIBUTING.md", "class FScore")
QRELS = {"q1": {"a": 2, "b": 1}, "q2": {"a": 1}}
RUN = Run.from_dict({"q1": {"b": 3.0, "c": 2.0, "a": 1.0}, "q9": {"a": 1.0}})


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Adds a package with a measure to the search path."""

    def add(package, module, point):
        name, address = point.split(" = ")
        given = {"group": "measures", "point": name, "address": address, "files": {"__init__.py": module}}
        monkeypatch.syspath_prepend(write_package(tmp_path / package, package, "", **given))

    return add


def test_a_measure_of_another_package_is_computed_with_those_of_trec_eval(install):
    install("package_of_f1", F1, "F1 = package_of_f1:FScore")
    names = ["F1@2", "nDCG@10", "F1(rel=2)", "F1", "F1(judged_only=True)@2"]
    found = measure(QRELS, RUN, names)
    assert names == list(found.values)
    assert [0.5, 0.0] == found.values["F1@2"].tolist()
    assert [0.5, 0.0] == found.values["F1(rel=2)"].tolist()
    assert [0.8, 0.0] == found.values["F1"].tolist()
    assert [1.0, 0.0] == found.values["F1(judged_only=True)@2"].tolist()
    assert ("q2",) == found.missing


def test_a_measure_of_another_package_is_listed_named_in_errors_and_proposed(install, capsys):
    install("package_of_listed_f1", F1, "F1 = package_of_listed_f1:FScore")
    assert "harmonic mean of precision and recall of the first k" == families()["F1@k"]
    assert ["F1(rel=2)@5"] == canonical(["F1@5", "F1(rel=2)@5"], level=2)
    assert 0 == cli.main(["list", "measures"])
    assert "F1@k" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"unknown measure 'FScore@5'. Did you mean F1@5\?.*Legal.*F1"):
        parse_measure("FScore@5")


def test_a_value_that_is_not_a_number_is_refused(install):
    module = F1.replace("2 * hits", "float('nan')")
    install("package_of_nan", module, "NANP = package_of_nan:FScore")
    with pytest.raises(DataError, match=r"NANP@2 of query 'q1' is nan, expected a finite number"):
        measure(QRELS, RUN, ["NANP@2"])


def test_a_result_gains_measures_after_the_package_of_one_of_its_own_is_gone(install, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["evaluate", "retriever=bm25", "reranker=none", f"cache_dir={tmp_path}/cache"]
    with monkeypatch.context() as installed:
        install("package_of_f1_gone", F1, "F1G = package_of_f1_gone:FScore")
        assert 0 == cli.main([*command, "measures=[F1G@10]"])
        path = next(tmp_path.rglob("candidates/manifest.json"))
        before = json.loads(path.read_text(encoding="utf-8"))
        installed.setattr("sys.path", [place for place in sys.path if "package_of_f1_gone" not in place])
        assert 0 == cli.main([*command, "measures=[P@5]"])
    after = json.loads(path.read_text(encoding="utf-8"))
    assert {*before["measures"], "P@5"} == {*after["measures"]}
    for kind in ("measures", "ceiling"):
        assert before[kind].items() <= after[kind].items()
    assert 0 < before["measures"]["F1G@10"] < 1


def test_an_entry_point_that_names_no_measure_is_refused(install):
    install("package_of_a_function", "def f1(): ...", "FUN = package_of_a_function:f1")
    with pytest.raises(
        ConfigError,
        match=r"measure FUN of the package .*: its entry point names <function f1.*evalkit.measures.family",
    ):
        parse_measure("FUN@3")


def test_every_measure_has_a_row_in_the_documentation():
    rows = re.findall(r"^\| (`.*?`) \|", (DOCS / "measures.md").read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(.*?)`", row)}
    assert set(families()) <= documented


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("nDCG@10,R@20", "'nDCG@10,R@20' is not one measure. Separate measures by spaces: nDCG@10 R@20."),
        ("R(rel=2,judged_only=True)@10, MAP", "Separate measures by spaces: R(rel=2,judged_only=True)@10 MAP."),
        ("P@1000000000000", "P@1000000000000: the cutoff is too large. Legal are whole numbers from 1 to 9,999,999."),
    ],
)
def test_several_measures_in_one_and_cutoffs_beyond_any_run_are_told_apart(typed, said):
    with pytest.raises(ConfigError) as caught:
        parse_measure(typed)
    assert str(caught.value).endswith(said)


def test_blanks_around_a_measure_are_none_of_it():
    assert "nDCG@10" == parse_measure(" nDCG@10 ").name
