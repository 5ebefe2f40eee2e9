"""Fusion of first stages: exact sums against fractions and ranx, an identity of the parts, and mistakes in one line."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from in_process import evalkit as typed
from stubs import write_collection

from evalkit.config import ComputeConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import ConfigError
from evalkit.load import config_of
from evalkit.retrieval import build
from evalkit.retrieval.fusion import fused, min_max
from evalkit.run import Run


def run_of(scores) -> Run:
    return Run.from_dict(scores)


def drawn(seed: int, *, share: float = 0.8, depth: int = 12) -> dict[str, dict[str, float]]:
    """A run of a share of six queries, without ties, as programs break them in different ways."""
    draw = np.random.default_rng(seed)
    return {
        f"q{query}": {
            f"d{document}": float(np.float32(score))
            for document, score in zip(draw.permutation(30)[:depth], draw.normal(size=depth), strict=True)
        }
        for query in range(6)
        if draw.random() < share
    }


def written(folder: Path, share: float) -> list[str]:
    """Three run files."""
    paths = [folder / f"run{seed}.json" for seed in range(3)]
    for seed, path in enumerate(paths):
        path.write_text(json.dumps(drawn(seed, share=share)), encoding="utf-8")
    return list(map(str, paths))


@pytest.fixture
def files(tmp_path) -> list[str]:
    return written(tmp_path, 0.8)


@pytest.fixture
def dataset(tmp_path, store):
    """Documents d0..d29 and queries q0..q5."""
    queries = {f"q{query}": f"word{query}" for query in range(6)}
    folder = write_collection(
        tmp_path / "collection",
        documents={f"d{document}": ("", f"word{document % 7} d{document}") for document in range(30)},
        queries=queries,
        qrels={query: {"d0": 1} for query in queries},
    )
    return load(FolderDatasetConfig(path=str(folder)), store)


def retrieved(files, dataset, store, depth=10, **settings) -> dict[str, dict[str, float]]:
    stage = build(config_of("retriever", "fusion", {"of": files, **settings}), ComputeConfig(device="cpu"), store)
    return {
        query: dict(zip(ids, scores.tolist(), strict=True)) for query, ids, scores in stage.retrieve(dataset, depth)
    }


def by_fractions(runs, value, weights, depth, part_depth):
    """The best of the exact sums, rounded once to float32."""
    sums: dict[str, dict[str, Fraction]] = {}
    for weight, run in zip(weights, runs, strict=True):
        for query, scores in run.items():
            ranked = sorted(scores.items(), key=lambda pair: -pair[1])[:part_depth]
            for place, (doc, score) in enumerate(ranked):
                own = sums.setdefault(query, {})
                own[doc] = own.get(doc, Fraction(0)) + Fraction(weight) * value(place, score, ranked)
    rounded = {
        query: [(float(np.float32(float(total))), doc) for doc, total in own.items()] for query, own in sums.items()
    }
    return {query: {doc: total for total, doc in sorted(own)[::-1][:depth]} for query, own in rounded.items()}


def reciprocal(k):
    return lambda place, _score, _ranked: Fraction(1, k + place + 1)


def scaled(_place, score, ranked):
    best, worst = Fraction(ranked[0][1]), Fraction(ranked[-1][1])
    return (Fraction(score) - worst) / (best - worst)


@pytest.mark.parametrize(
    ("settings", "value", "weights", "part_depth"),
    [
        ({}, reciprocal(60), (1, 1, 1), 10),
        ({"k": 0, "part_depth": 12}, reciprocal(0), (1, 1, 1), 12),
        ({"weights": [0.5, 2.0, 0.0]}, reciprocal(60), (0.5, 2, 0), 10),
        ({"method": "weighted", "weights": [0.25, 1.0, 3.0]}, scaled, (0.25, 1, 3), 10),
        ({"method": "weighted", "normalize": "none"}, lambda _, score, __: Fraction(score), (1, 1, 1), 10),
    ],
)
def test_scores_are_the_exact_sums_rounded_once(files, dataset, store, settings, value, weights, part_depth):
    runs = [json.loads(Path(file).read_text(encoding="utf-8")) for file in files]
    expected = by_fractions(runs, value, weights, 10, part_depth)
    actual = retrieved(files, dataset, store, **settings)
    assert {query: list(own) for query, own in expected.items()} == {query: list(own) for query, own in actual.items()}
    for query, own in expected.items():
        np.testing.assert_allclose(list(actual[query].values()), list(own.values()), rtol=1e-6, atol=0)


@pytest.mark.slow  # numba compiles ranx
@pytest.mark.filterwarnings("ignore:unsafe cast")
@pytest.mark.parametrize(
    ("settings", "method", "norm", "params"),
    [
        ({"k": 20}, "rrf", None, {"k": 20}),
        ({"method": "weighted", "weights": [0.2, 0.5, 0.3]}, "wsum", "min-max", {"weights": (0.2, 0.5, 0.3)}),
        ({"method": "weighted", "normalize": "none"}, "sum", None, None),
    ],
)
def test_scores_are_those_of_ranx(tmp_path, dataset, store, settings, method, norm, params):
    """Of runs of the same queries, as ranx fuses no others."""
    ranx = pytest.importorskip("ranx")
    whole = written(tmp_path, 1.0)
    runs = [ranx.Run(json.loads(Path(file).read_text(encoding="utf-8"))) for file in whole]
    expected = ranx.fuse(runs=runs, norm=norm, method=method, params=params).to_dict()
    actual = retrieved(whole, dataset, store, depth=30, **settings)
    for query, own in expected.items():
        assert own == pytest.approx(actual[query], rel=1e-6)


def test_a_document_that_a_part_lacks_gets_nothing_from_it():
    found = fused(
        [run_of({"1": {"a": 2.0}}), run_of({"1": {"b": 3.0}, "2": {"a": 1.0}})], [np.ones(1), np.ones(2)], (1, 2)
    )
    assert [("1", ["b", "a"], [2.0, 1.0]), ("2", ["a"], [2.0])] == [(q, ids, s.tolist()) for q, ids, s in found]


def test_equal_scores_of_a_query_are_scaled_to_nothing():
    assert [0.0, 0.0, 1.0, 0.0] == min_max(run_of({"1": {"a": 4.0, "b": 4.0}, "2": {"a": 9.0, "b": -1.0}})).tolist()


def test_runs_without_a_row_fuse_to_none():
    assert 0 == len(fused([run_of({}), run_of({})], [min_max(run_of({}))] * 2, (1, 1)))


def test_identity_is_that_of_the_parts_and_of_how_they_are_fused(files, store):
    def identity(of, **settings):
        return build(config_of("retriever", "fusion", {"of": of, **settings}), ComputeConfig(), store).identity

    own = identity(files[:2])
    assert own == identity(files[:2], k=60, weights=[1.0, 1.0], name="other")
    others = [
        identity(files[1::-1]),
        identity(files),
        identity(files[:2], k=61),
        identity(files[:2], weights=[1.0, 2.0]),
        identity(files[:2], part_depth=5),
        identity(files[:2], method="weighted"),
        identity(files[:2], method="weighted", normalize="none"),
        identity([files[0], {"retriever": "bm25"}]),
        identity([files[0], {"retriever": "bm25", "k1": 0.9}]),
    ]
    assert len(others) + 1 == len({json.dumps(found) for found in (own, *others)})


def test_parts_keep_their_notes_their_times_and_their_settings(files, dataset, store):
    stage = build(
        config_of("retriever", "fusion", {"of": [{"retriever": "bm25", "k1": 0.5}, files[0]]}), ComputeConfig(), store
    )
    stage.retrieve(dataset, 10)
    assert {"index (bm25)", "search (bm25)"} <= set(stage.stages)
    assert 0.5 == stage.parts[0].config.k1
    assert "bm25+run0" == stage.config.name


def test_paths_of_python_are_texts_in_the_settings(files):
    config = config_of("retriever", "fusion", {"of": [Path(files[0]), {"retriever": "saved", "path": Path(files[1])}]})
    assert [files[0], {"retriever": "saved", "path": files[1]}] == config.of
    assert files[:2] == [part.path for part in config.parts]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"of": []}, "retriever.of names 0 first stages. A fusion needs two or more"),
        ({"of": ["bm25"]}, "retriever.of names 1 first stage. A fusion needs two or more"),
        ({"of": ["bm25", "bm52"]}, "bm52 is neither a run file nor a retriever. Did you mean bm25?"),
        ({"of": ["bm25", 3]}, "3 is neither a name, a run file nor settings"),
        ({"of": ["bm25", {"k1": 3}]}, "does not say which retriever"),
        ({"of": ["bm25", {"retriever": "bm25", "k3": 3}]}, "retriever.of, bm25: retriever.k3 is not a setting"),
        ({"of": ["bm25", "dense"]}, "retriever.of, dense: retriever.model is not set"),
        ({"of": ["bm25", "bm25"], "weights": [1.0]}, "retriever.weights=[1.0], but retriever.of has 2 parts"),
        ({"of": ["bm25", "bm25"], "weights": [0.0, 0.0]}, "not all of them 0"),
        ({"of": ["bm25", "bm25"], "weights": [-1.0, 1.0]}, "retriever.weights=-1.0 is out of range"),
        ({"of": ["bm25", "bm25"], "method": "borda"}, "retriever.method=borda is not a choice"),
        ({"of": ["bm25", "bm25"], "normalize": "none"}, "is of retriever.method=weighted"),
        ({"of": ["bm25", "bm25"], "k": 3, "method": "weighted"}, "is of retriever.method=rrf"),
    ],
)
def test_a_mistake_is_one_line(settings, expected):
    with pytest.raises(ConfigError) as error:
        config_of("retriever", "fusion", settings)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_run_is_fused_with_a_retriever_as_typed_and_found_again(tmp_path):
    folder = write_collection(tmp_path / "collection")
    line = ["evaluate", "dataset=folder", f"dataset.path={folder}", "reranker=none", "depth=5", "results_dir=results"]
    assert 0 == typed(*line, "retriever=bm25", cwd=tmp_path).returncode
    run = next((tmp_path / "results").rglob("run.trec.gz"))
    settings = ["retriever=fusion", f"retriever.of=[{{retriever: bm25, k1: 0.9}},{run}]"]
    assert 0 == typed(*line, *settings, cwd=tmp_path).returncode
    assert "nothing to do, found in results" in typed(*line, *settings, cwd=tmp_path).stdout
