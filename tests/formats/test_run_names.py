"""Names of systems from the files of their runs."""

from pathlib import Path

import pytest

from evalkit.errors import ConfigError
from evalkit.formats.run_names import judgments_name, named_after, run_names


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("runs/BERT.gz", "BERT"),
        ("BERT.trec.gz", "BERT"),
        ("base.unipd.it.gz", "base.unipd.it"),
        ("run1", "run1"),
        ("bm25.v2.TSV", "bm25.v2"),
        (".trec", ".trec"),
    ],
)
def test_a_run_is_named_after_its_file_without_endings_of_formats(path, name):
    assert named_after(path) == name


@pytest.mark.parametrize(
    ("path", "name"),
    [("scifact/qrels/test.tsv", "scifact"), ("qrels-rnd1.txt", "qrels-rnd1"), ("dl19.qrels.txt", "dl19"), ("q", "q")],
)
def test_judgments_are_named_after_their_collection_or_file(path, name):
    assert judgments_name(path) == name


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/run.trec", "b/run.trec"], ["a/run", "b/run"]),
        (["a/x.trec", "b/y.trec"], ["x", "y"]),
        (["a/x.trec", "a/x.tsv"], ["x.trec", "x.tsv"]),
        (["1/a/x.trec", "2/a/x.trec", "y"], ["1/a/x", "2/a/x", "y"]),
    ],
)
def test_names_are_the_shortest_ends_of_paths_that_differ(paths, names):
    assert run_names([Path(path) for path in paths]) == names


def test_a_file_that_is_given_twice_is_refused():
    with pytest.raises(ConfigError, match="run: is given twice"):
        run_names([Path("run"), Path("x"), Path("./x/../run")])
