"""Suites: which datasets, and how they are averaged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.config.resources import config_names
from evalkit.config.suites import Suite, load_suite, macro_average, of_datasets, summarise
from evalkit.errors import ConfigError

FORUMS = Suite("toy", ("a", "forum/x", "forum/y", "forum/z", "b"))
VALUES = {"a": 0.5, "forum/x": 0.1, "forum/y": 0.2, "forum/z": 0.4, "b": 0.75}


def test_every_suite_names_datasets_that_exist():
    for name in config_names("suite"):
        assert set(load_suite(name).datasets) <= set(config_names("dataset")), name


def test_a_suite_that_has_one_forum_of_a_dataset_has_them_all():
    for name in config_names("suite"):
        for entry, datasets in load_suite(name).entries.items() if not load_suite(name).forums_apart else ():
            below = [dataset for dataset in config_names("dataset") if dataset.startswith(f"{entry}/")]
            assert sorted(datasets) == (below or [entry]), name


def test_the_beir_average_is_of_the_15_published_sets():
    published = [
        "arguana",
        "climate-fever",
        "cqadupstack",
        "dbpedia-entity",
        "fever",
        "fiqa",
        "hotpotqa",
        "msmarco",
        "nfcorpus",
        "nq",
        "quora",
        "scidocs",
        "scifact",
        "trec-covid",
        "webis-touche2020",
    ]
    assert list(load_suite("beir").entries) == published
    assert len(load_suite("beir").entries["cqadupstack"]) == 12
    assert len(load_suite("cmteb").entries) == 8
    assert list(load_suite("crosslingual").entries) == ["mkqa_en_zh_cn", "neuclir22_zh", "neuclir23_zh"]


def test_forums_are_averaged_first_and_count_once():
    summary = summarise(FORUMS, VALUES)
    assert [entry.value for entry in summary.entries] == pytest.approx([0.5, 0.7 / 3, 0.75], abs=1e-15)
    assert summary.mean == pytest.approx((0.5 + 0.7 / 3 + 0.75) / 3, abs=1e-15)
    assert summary.averaged == ("a", "forum", "b")


@given(st.lists(st.floats(0, 1), min_size=12, max_size=12))
def test_the_mean_of_the_12_forums_is_not_rounded(values):
    suite = load_suite("cqadupstack")
    expected = sum(values) / 12
    assert summarise(suite, dict(zip(suite.datasets, values, strict=True))).mean == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("missing", VALUES)
def test_no_average_with_a_dataset_missing_unless_it_is_asked_for(missing):
    values = {name: value for name, value in VALUES.items() if name != missing}
    summary = summarise(FORUMS, values)
    entry = missing.partition("/")[0]
    assert summary.mean is None
    assert [one.name for one in summary.entries if one.value is None] == [entry]
    partial = summarise(FORUMS, values, partial=True)
    assert partial.mean is not None
    assert [(one.present, one.total) for one in partial.entries] == [
        (1 - (missing == "a"), 1),
        (3 - missing.startswith("forum"), 3),
        (1 - (missing == "b"), 1),
    ]


def test_the_forums_of_mteb_eng_v2_count_apart_wherever_exactly_its_datasets_are_averaged():
    suite = load_suite("mteb_eng_v2")
    values = {name: float(place) for place, name in enumerate(suite.datasets)}
    assert len(suite.entries) == 10
    assert summarise(suite, values).mean == macro_average(values) == 4.5
    assert of_datasets(values).entries == suite.entries
    both = {name: values[name] for name in ("arguana", "cqadupstack/gaming", "cqadupstack/unix")}
    assert macro_average(both) == (0 + (1 + 2) / 2) / 2


def test_a_suite_with_another_key_is_refused(tmp_path):
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "mine.yaml").write_text("datasets: [scifact]\nforums: true\n")
    with pytest.raises(ConfigError, match=r"suite/mine\.yaml is not a suite\. .* may be forums_apart, true or false"):
        load_suite("mine", tmp_path)


def test_nothing_at_all_has_no_average():
    assert summarise(FORUMS, {}, partial=True).mean is None


def test_an_unknown_suite_lists_the_legal_ones():
    with pytest.raises(
        ConfigError, match=r"suite=\.\./suite/beir is not a choice\. Did you mean beir\? Legal are: beir, "
    ):
        load_suite("../suite/beir")
