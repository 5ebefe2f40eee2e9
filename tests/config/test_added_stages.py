"""Dataset loaders and retrievers of other packages, typed at the command line as evalkit's own."""

import json
import sys

import pytest
from documented import block
from installed import write_package

from evalkit import cli
from evalkit.errors import ResultError
from evalkit.results.gather import dataset_of, gather

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
    implementation: ClassVar[str] = "PACKAGE:CountingLoader"
    documents: int = 5


class CountingLoader(Loader):
    def load(self):
        ids = [f"d{number}" for number in range(self.config.documents)]
        table = Table(pa.table({"_id": ids, "text": [f"text of {doc_id}" for doc_id in ids]}))
        return assemble(
            self.config,
            self.store,
            documents=ArrowDocuments(table, title_separator=" "),
            judged=Judged({"q": "text of d1"}, {"q": {"d1": 1}}),
            corpus_digest=f"counting:{self.config.documents}",
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
    implementation: ClassVar[str] = "PACKAGE:Backwards"
    weight: float = 1.0


class Backwards(FirstStage):
    def __init__(self, config):
        self.config = config

    @property
    def identity(self):
        return {"kind": "backwards", "weight": self.config.weight}

    def retrieve(self, dataset, depth):
        ids = dataset.documents.ids.to_pylist()
        scores = {doc_id: self.config.weight * place for place, doc_id in enumerate(ids)}
        return Run.from_dict({query_id: scores for query_id in dataset.queries}).top(depth)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Adds a package of one module, which may call itself PACKAGE, to the search path."""

    def add(package, module, *, group, point, kind):
        files = {"__init__.py": module.replace("PACKAGE", package)}
        site = tmp_path / f"site-{package}"
        given = {"group": group, "point": point, "address": f"{package}:{kind}", "files": files}
        monkeypatch.syspath_prepend(write_package(site, package, "", **given))

    return add


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return [f"results_dir={tmp_path}/results", f"cache_dir={tmp_path}/cache"]


def answer(arguments):
    """The exit code of a command, also where a job of Hydra's leaves with it."""
    try:
        return cli.main(arguments)
    except SystemExit as left:
        return left.code


def candidates(tmp_path, dataset, stage, depth=100):
    path = tmp_path / "results" / dataset / f"{stage}-{depth}" / "candidates" / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_dataset_and_a_retriever_of_other_packages_are_evaluated(install, places, tmp_path):
    install("package_of_counting", LOADER, group="datasets", point="counting", kind="CountingConfig")
    install("package_of_backwards", RETRIEVER, group="retrievers", point="backwards", kind="BackwardsConfig")
    chosen = ["dataset=counting", "dataset.documents=4", "retriever=backwards", "retriever.weight=2", "reranker=none"]
    assert cli.main(["evaluate", *chosen, *places, "measures=[RR,R@20]"]) == 0
    record = candidates(tmp_path, "counting", "backwards")
    assert {"RR": pytest.approx(1 / 3), "R@20": 1.0}.items() <= record["measures"].items()
    assert {"kind": "backwards", "weight": 2.0}.items() <= record["retriever"].items()


def test_a_dataset_of_another_package_is_listed_and_its_files_have_sizes(install, tmp_path, monkeypatch, capsys):
    install("package_of_listed", LOADER, group="datasets", point="counting", kind="CountingConfig")
    assert cli.main(["list", "datasets", "--format", "csv"]) == 0
    assert "\ncounting,From the package package_of_listed 1.5.,en,test," in capsys.readouterr().out
    monkeypatch.setattr("evalkit.commands.fetch.forbidden", lambda: False)
    assert cli.main(["fetch", "dataset=counting", "--sizes", f"cache_dir={tmp_path}/cache"]) == 0
    assert "5.0 MB" in capsys.readouterr().out


def test_the_loader_that_contributing_shows_is_evaluated(install, places, tmp_path):
    shown = block("CONTRIBUTING.md", "class FaqLoader")
    install("faq_dataset", shown, group="datasets", point="faq", kind="FaqConfig")
    (tmp_path / "faq.tsv").write_text("who makes honey\tBees make honey.\nwhat makes tides\tThe moon does.\n")
    chosen = ["dataset=faq", "dataset.path=faq.tsv", "retriever=bm25", "reranker=none", "measures=[RR@10]"]
    assert cli.main(["evaluate", *chosen, *places]) == 0
    assert 0.5 == candidates(tmp_path, "faq", "bm25")["measures"]["RR@10"]  # "The moon does." says nothing of tides


@pytest.fixture
def faq(install, tmp_path):
    """The settings that evaluate the dataset that CONTRIBUTING shows."""
    install("faq_dataset", block("CONTRIBUTING.md", "class FaqLoader"), group="datasets", point="faq", kind="FaqConfig")
    (tmp_path / "faq.tsv").write_text("who makes honey\tBees make honey.\nwhat makes tides\tThe moon does.\n")
    return ["dataset=faq", "dataset.path=faq.tsv", "retriever=bm25", "reranker=none"]


@pytest.mark.parametrize("name", ["faq", "questions"])
def test_results_on_an_added_dataset_without_settings_of_its_own_are_read_again(name, faq, install, places):
    overlap = block("CONTRIBUTING.md", "class OverlapConfig").replace("overlap_reranker", "overlap_of_faq")
    install("overlap_of_faq", overlap, group="rerankers", point="overlap", kind="OverlapConfig")
    for reranker in ("none", "overlap"):
        assert cli.main(["evaluate", *faq, f"dataset.name={name}", f"reranker={reranker}", *places]) == 0
    for command in (["analyse"], ["compare", "--queries", "1"], ["report", "--html", "page.html"]):
        assert cli.main([command[0], "results", *command[1:]]) == 0, command


@pytest.mark.slow  # importing mteb takes seconds
def test_results_on_an_added_dataset_are_exported(faq, places, tmp_path):
    assert cli.main(["evaluate", *faq, *places]) == 0
    assert cli.main(["export", "results", "--to", "mteb-predictions", "--out", "out"]) == 0
    assert list((tmp_path / "out").rglob("*.json"))


@pytest.mark.parametrize("command", [["evaluate"], ["plan"], ["fetch"], ["list", "datasets", "--inspect", "faq"]])
def test_the_loader_that_contributing_shows_says_what_it_lacks(command, faq, places, tmp_path, capsys):
    cache = f"cache_dir={tmp_path}/cache"
    run = [*faq, *places]
    settings = {"evaluate": run, "plan": run, "fetch": [faq[0], cache]}.get(command[0], [cache])
    without = [text for text in settings if not text.startswith("dataset.path")]
    assert answer([*command, *without]) == 2
    assert "dataset.path is not set. Add dataset.path=FILE to the command." in capsys.readouterr().err
    for text, said in (("no tab\n", ":1: 1 fields, expected 2"), ("", ": holds no")):
        (tmp_path / "faq.tsv").write_text(text)
        assert answer([*command, *without, "dataset.path=faq.tsv"]) == 2
        assert f"faq.tsv{said}" in capsys.readouterr().err


def test_results_on_a_dataset_whose_package_is_gone_say_so(faq, places, monkeypatch):
    assert cli.main(["evaluate", *faq, *places]) == 0
    monkeypatch.setattr("sys.path", [path for path in sys.path if "site-faq_dataset" not in path])
    (evaluation,) = gather(["results"])
    with pytest.raises(ResultError, match="no kind of dataset has the settings of faq"):
        dataset_of(evaluation.result)


def test_the_retriever_that_contributing_shows_is_evaluated(install, places, tmp_path):
    shown = block("CONTRIBUTING.md", "class ChanceRetriever")
    install("chance_retriever", shown, group="retrievers", point="chance", kind="ChanceConfig")
    found = {}
    for seed in (1, 2):
        chosen = ["retriever=chance", f"retriever.seed={seed}", f"retriever.name=chance{seed}", "reranker=none"]
        assert cli.main(["evaluate", *chosen, "depth=7", *places]) == 0
        found[seed] = candidates(tmp_path, "mini", f"chance{seed}", depth=7)
        assert {"kind": "chance", "seed": seed}.items() <= found[seed]["retriever"].items()
        assert 7 * found[seed]["queries"] == found[seed]["pairs"]
    assert found[1]["run_digest"] != found[2]["run_digest"]


@pytest.mark.parametrize(
    ("package", "old", "new", "said"),
    [
        (
            "first_of_no_base",
            "(FirstStage)",
            "",
            "which has no build. Derive it from evalkit.retrieval.first_stage.First",
        ),
        ("first_of_nothing", "PACKAGE:Backwards", "", "there is no first stage for BackwardsConfig: it has no `impl"),
    ],
)
def test_a_retriever_of_another_base_class_is_refused(install, places, package, old, new, said, capsys):
    install(package, RETRIEVER.replace(old, new), group="retrievers", point="backwards", kind="BackwardsConfig")
    assert answer(["evaluate", "retriever=backwards", "reranker=none", *places]) == 2
    assert said in capsys.readouterr().err


def test_a_mistyped_setting_of_an_added_retriever_is_refused_with_the_legal_ones(install, places, capsys):
    install("package_of_mistyped", RETRIEVER, group="retrievers", point="backwards", kind="BackwardsConfig")
    assert cli.main(["evaluate", "retriever=backwards", "retriever.wieght=2", "reranker=none", *places]) == 2
    error = capsys.readouterr().err
    assert "retriever.wieght is not a setting. Did you mean retriever.weight?" in error
    assert "languages, name, weight" in error
