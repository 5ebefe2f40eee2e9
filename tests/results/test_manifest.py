"""Manifests: what evalkit wrote is read, and nothing else, whoever asks."""

import json
import os

import pytest
from made import made

from evalkit.cli import main
from evalkit.errors import ResultError
from evalkit.results.manifest import MANIFEST, read_manifest, sealed

READERS = {
    "compare": [],
    "analyse": [],
    "report": ["--html", "OUT/report.html"],
    "export": ["--to", "trec", "--out", "OUT/deep/out"],
    "gate": ["--update", "--baseline", "OUT/baseline.json"],
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A result with its candidates."""
    return made(tmp_path_factory.mktemp("manifest"), {"strong": 3.0}, queries=4) / "one" / "stage-100" / "strong"


@pytest.fixture
def manifest(written):
    return read_manifest(written)


@pytest.fixture
def is_refused(written, tmp_path, capsys):
    """Every reader of a result with this content of its manifest ends in one line that names it."""
    path, own = written / MANIFEST, (written / MANIFEST).read_text(encoding="utf-8")

    def check(content):
        path.write_text(content, encoding="utf-8")
        try:
            for verb, arguments in READERS.items():
                asked = [one.replace("OUT", str(tmp_path / verb)) for one in arguments]
                (tmp_path / verb).mkdir(exist_ok=True)
                assert main([verb, str(written.parent), *asked]) == 2, verb
                told = capsys.readouterr().err
                assert told.startswith(f"evalkit: error: {path}: "), verb
                assert told.count("\n") == 1, verb
                assert list((tmp_path / verb).rglob("*")) == [], verb
        finally:
            path.write_text(own, encoding="utf-8")

    return check


def changed(manifest, place, value):
    """A manifest with another value at a place such as `dataset.name`, or without one."""
    copy = json.loads(json.dumps(manifest))
    *parents, name = place.split(".")
    inner = copy
    for parent in parents:
        inner = inner[parent]
    if value is None:
        del inner[name]
    else:
        inner[name] = value
    return copy


def test_a_written_manifest_is_read_back(written, manifest):
    assert sealed(manifest) == (written / MANIFEST).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "content",
    [
        '{"seconds": NaN}',
        '{"seconds": -Infinity}',
        '{"seconds": 1e999}',
        '{"command": "\\ud800"}',
        '{"queries": ' + "9" * 5000 + "}",
        "[" * 100_000,
        "",
        "null",
    ],
    ids=["NaN", "infinity", "beyond a float", "half a character", "digits", "depth", "nothing", "null"],
)
def test_foreign_json_is_refused_in_one_line(is_refused, content):
    is_refused(content)


def test_an_illegal_number_or_text_in_a_manifest_is_refused_in_one_line(is_refused, written):
    own = (written / MANIFEST).read_text(encoding="utf-8")
    for value in ("NaN", "1e999", '"\\ud800"'):
        is_refused(own.replace('"queries": 4', f'"queries": {value}', 1))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("run_sha256", None),
        ("per_query_sha256", None),
        ("key", None),
        ("measures", ["nDCG@10"]),
        ("measures", {"nDCG@10": "0.5"}),
        ("measures", {"nDCG@10": True}),
        ("ceiling", {}),
        ("pairs", "12"),
        ("seconds", "long"),
        ("seconds", -1.0),
        ("queries", 10**400),
        ("queries_without_candidates", "q1"),
        ("artefacts", None),
        ("dataset", []),
        ("dataset.digest", 1),
        ("config", None),
        ("config.measures", []),
        ("config.measures", "nDCG@10"),
        ("config.retriever", "bm25"),
        ("retriever.depth", "100"),
        ("reranker", {}),
        ("candidates.key", None),
        ("pairs_per_second", None),
        ("environment.packages", []),
        ("command", 1),
    ],
)
def test_a_sealed_manifest_with_a_missing_or_mistyped_field_is_refused_in_one_line(is_refused, manifest, place, value):
    is_refused(sealed(changed(manifest, place, value)))


@pytest.mark.parametrize("name", ["../../pwn", "/pwn", "..", ".", "", "a/b/c", "a\\b", "a\nb", "-x", "x" * 101, "~"])
@pytest.mark.parametrize("place", ["dataset.name", "retriever.name", "reranker.name"])
def test_names_that_would_lead_out_of_a_folder_are_refused(written, manifest, tmp_path, place, name):
    (tmp_path / MANIFEST).write_text(sealed(changed(manifest, place, name)), encoding="utf-8")
    with pytest.raises(ResultError, match=rf"{place} is not what evalkit writes"):
        read_manifest(tmp_path)
    assert read_manifest(written) == manifest


@pytest.mark.parametrize("revision", ["../../pwn", "..", "a/b", "a\\b", 1])
@pytest.mark.parametrize("place", ["config.retriever", "config.reranker", "config.dataset"])
def test_revisions_that_would_lead_out_of_a_folder_are_refused(manifest, tmp_path, place, revision):
    (tmp_path / MANIFEST).write_text(sealed(changed(manifest, f"{place}.revision", revision)), encoding="utf-8")
    with pytest.raises(ResultError, match=rf"{place}\.revision is not what evalkit writes"):
        read_manifest(tmp_path)


def test_export_writes_nothing_outside_its_folder(is_refused, manifest):
    is_refused(sealed(changed(manifest, "dataset.name", "../../pwn")))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / MANIFEST)
    with pytest.raises(ResultError, match="cannot be read"):
        read_manifest(tmp_path)
