"""A dataset loader and a retriever of another package, typed at the command line as evalkit's own."""

import json

import pytest
from documented import block

from evalkit import cli

LOADER = """
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from datasets import Dataset as Table

from evalkit.config import DatasetConfig
from evalkit.datasets.assemble import Judged, assemble
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.loader import Loader, RemoteFile


@dataclass
class CountingConfig(DatasetConfig):
    implementation: ClassVar[str] = "{package}:CountingLoader"
    documents: int = 5


class CountingLoader(Loader):
    def load(self):
        ids = [f"d{{number}}" for number in range(self.config.documents)]
        table = Table(pa.table({{"_id": ids, "text": [f"text of {{doc_id}}" for doc_id in ids]}}))
        return assemble(
            self.config,
            self.store,
            documents=ArrowDocuments(table, title_separator=" "),
            judged=Judged({{"q": "text of d1"}}, {{"q": {{"d1": 1}}}}),
            corpus_digest=f"counting:{{self.config.documents}}",
        )

    def remote_files(self):
        return [RemoteFile("https://example.org/counting.jsonl", 5_000_000, here=False)]
"""
RETRIEVER = """
from dataclasses import dataclass
from typing import ClassVar

from evalkit.config.retriever import RetrieverConfig
from evalkit.retrieval.first_stage import FirstStage
from evalkit.run import Run


@dataclass
class BackwardsConfig(RetrieverConfig):
    implementation: ClassVar[str] = "{package}:Backwards"
    weight: float = 1.0


class Backwards(FirstStage):
    def __init__(self, config):
        self.config = config

    @property
    def identity(self):
        return {{"kind": "backwards", "weight": self.config.weight}}

    def retrieve(self, dataset, depth):
        ids = dataset.documents.ids.to_pylist()
        scores = {{doc_id: self.config.weight * place for place, doc_id in enumerate(ids)}}
        return Run.from_dict({{query_id: scores for query_id in dataset.queries}}).top(depth)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Adds a package of one module to the search path, with one entry point."""

    def add(package, module, group, point):
        site = tmp_path / package
        metadata = site / f"{package}-1.5.dist-info"
        metadata.mkdir(parents=True)
        (site / f"{package}.py").write_text(module.format(package=package), encoding="utf-8")
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.5\n", encoding="utf-8")
        (metadata / "entry_points.txt").write_text(
            f"[{group}]\n{point} = {package}:{point}\n".replace(
                f":{point}", {"counting": ":CountingConfig", "backwards": ":BackwardsConfig"}[point]
            ),
            encoding="utf-8",
        )
        monkeypatch.syspath_prepend(site)

    return add


def test_a_dataset_and_a_retriever_of_other_packages_are_evaluated_and_listed(install, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    install("package_of_counting", LOADER, "evalkit.datasets", "counting")
    install("package_of_backwards", RETRIEVER, "evalkit.retrievers", "backwards")
    places = [f"results_dir={tmp_path}/results", f"cache_dir={tmp_path}/cache"]
    chosen = ["dataset=counting", "dataset.documents=4", "retriever=backwards", "retriever.weight=2", "reranker=none"]
    assert cli.main(["evaluate", *chosen, *places, "measures=[RR,R@20]"]) == 0
    (manifest,) = (tmp_path / "results" / "counting" / "backwards-100").glob("candidates/manifest.json")
    record = json.loads(manifest.read_text(encoding="utf-8"))
    assert {"RR": pytest.approx(1 / 3), "R@20": 1.0}.items() <= record["measures"].items()
    assert {"kind": "backwards", "weight": 2.0}.items() <= record["retriever"].items()
    capsys.readouterr()
    assert cli.main(["list", "datasets"]) == 0
    assert "counting" in capsys.readouterr().out
    monkeypatch.setattr("evalkit.commands.fetch.forbidden", lambda: False)
    assert cli.main(["fetch", "dataset=counting", "--sizes", f"cache_dir={tmp_path}/cache"]) == 0
    assert "5.0 MB" in capsys.readouterr().out


def test_the_loader_that_contributing_shows_is_evaluated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    site = tmp_path / "site"
    metadata = site / "faq_dataset-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "faq_dataset.py").write_text(block("CONTRIBUTING.md", "class FaqLoader"), encoding="utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: faq_dataset\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text("[evalkit.datasets]\nfaq = faq_dataset:FaqConfig\n", encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    (tmp_path / "faq.tsv").write_text("who makes honey\tBees make honey.\nwhat makes tides\tThe moon does.\n")
    places = [f"results_dir={tmp_path}/results", f"cache_dir={tmp_path}/cache", "dataset.path=faq.tsv"]
    assert cli.main(["evaluate", "dataset=faq", *places, "retriever=bm25", "reranker=none", "measures=[RR@10]"]) == 0
    record = json.loads((tmp_path / "results/faq/bm25-100/candidates/manifest.json").read_text(encoding="utf-8"))
    assert 0.5 == record["measures"]["RR@10"]  # tides are not in "The moon does."


def test_a_mistyped_setting_of_an_added_retriever_is_refused_with_the_legal_ones(
    install, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    install("package_of_mistyped", RETRIEVER, "evalkit.retrievers", "backwards")
    assert cli.main(["evaluate", "retriever=backwards", "retriever.wieght=2", "reranker=none"]) == 2
    error = capsys.readouterr().err
    assert "retriever.wieght is not a setting. Did you mean retriever.weight?" in error
    assert "languages, name, weight" in error
