"""A reranker of another package, from `evalkit list` to a result, without a line changed in evalkit."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from installed import write_package
from stubs import write_collection

from evalkit import Pair, load_reranker
from evalkit.cli import main
from evalkit.commands.completion import choices
from evalkit.errors import ConfigError, EvalkitError
from evalkit.rerank import RERANKERS

MODULE = """
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evalkit import Reranker, Scored
from evalkit.config import ComputeConfig, RerankerConfig
from evalkit.config.limits import at_least


@dataclass
class TheirConfig(RerankerConfig):
    '''Counts a letter.'''

    implementation: ClassVar[str] = "PACKAGE.reranker:TheirReranker"

    letter: str = "o"
    weight: float = 2.0

    def __post_init__(self):
        super().__post_init__()
        at_least("reranker.weight", self.weight, 1)


class TheirReranker(Reranker):
    def __init__(self, config: TheirConfig, compute: ComputeConfig):
        self.config, self.name = config, config.name

    @property
    def identity(self):
        return {"kind": "theirs", "letter": self.config.letter, "weight": self.config.weight}

    def stream(self, pairs, known) -> Iterator[Scored]:
        rows = np.flatnonzero(~known)
        scores = [self.config.weight * pairs[row].document.count(self.config.letter) for row in rows]
        yield Scored(rows, np.array(scores, dtype=np.float32), np.zeros(len(rows), dtype=bool))
"""
A_FILE = """# Counts the letter e, three times.
defaults: [/schema/reranker/theirs@_here_, _self_]
name: their_e
letter: e
weight: 3.0
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    def add(name, module=MODULE, **more):
        site = write_package(tmp_path / f"site-{name}", name, module.replace("PACKAGE", name), **more)
        monkeypatch.syspath_prepend(site)

    return add


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write_collection(tmp_path / "tiny")
    return ["dataset=folder", f"dataset.path={folder}", "retriever=bm25", f"cache_dir={tmp_path / 'cache'}"]


def listed(capsys):
    capsys.readouterr()
    assert main(["list", "rerankers", "--json"]) == 0
    return {row["name"]: row["about"] for row in json.loads(capsys.readouterr().out)}


def manifest(tmp_path, name):
    return json.loads((tmp_path / f"results/tiny/bm25-100/{name}/manifest.json").read_text())


def test_every_kind_of_evalkits_own_is_a_class_of_settings_that_says_who_computes_it():
    assert {name: RERANKERS[name].implementation for name in RERANKERS if not RERANKERS[name].implementation} == {}


def test_settings_of_every_kind_are_read_without_torch():
    """Hydra is given all of them before anything runs, also for a run without a model."""
    program = "import sys; from evalkit.rerank import RERANKERS; dict(RERANKERS); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "False\n" == done.stdout


def test_a_package_without_yaml_is_listed_and_evaluated_with_the_defaults_of_its_class(
    install, arguments, tmp_path, capsys
):
    assert "theirs" not in listed(capsys)
    install("their_defaults")
    assert "From the package their_defaults 1.5." == listed(capsys)["theirs"]
    assert main(["evaluate", *arguments, "reranker=theirs", "reranker.letter=a"]) == 0
    made = manifest(tmp_path, "theirs")
    assert {"name": "theirs", "languages": [], "letter": "a", "weight": 2.0} == made["config"]["reranker"]  # no card
    assert {"name": "theirs", "kind": "theirs", "letter": "a", "weight": 2.0} == made["reranker"]


def test_scores_of_a_package_are_cached_and_found(install, arguments, tmp_path):
    install("their_kept")
    assert main(["evaluate", *arguments, "reranker=theirs"]) == 0
    assert 0 == manifest(tmp_path, "theirs")["kept_pairs"]
    assert main(["evaluate", *arguments, "reranker=theirs", "depth=1", "results_dir=other"]) == 0
    again = json.loads((tmp_path / "other/tiny/bm25-1/theirs/manifest.json").read_text())
    assert 2 == again["kept_pairs"]


def test_a_package_with_yaml_is_listed_and_evaluated_by_the_names_of_its_files(install, arguments, tmp_path, capsys):
    install("their_files", files={"conf/reranker/their_e.yaml": A_FILE})
    about = listed(capsys)
    assert "Counts the letter e, three times." == about["their_e"]
    assert "theirs" not in about
    assert main(["evaluate", *arguments, "reranker=their_e"]) == 0
    assert 3.0 == manifest(tmp_path, "their_e")["config"]["reranker"]["weight"]


def test_a_mistake_in_a_setting_of_a_package_is_answered_as_one_of_evalkits(install, arguments, capsys):
    install("their_mistakes")
    assert main(["evaluate", *arguments, "reranker=theirs", "reranker.lettr=a"]) == 2
    assert "reranker.lettr is not a setting. Did you mean reranker.letter?" in capsys.readouterr().err
    assert main(["evaluate", *arguments, "reranker=theirs", "reranker.weight=0"]) == 2
    assert "reranker.weight=0.0 is out of range" in capsys.readouterr().err
    assert main(["evaluate", *arguments, "reranker=thiers"]) == 2
    assert "Did you mean theirs?" in capsys.readouterr().err


def test_an_implementation_that_cannot_be_imported_is_one_line(install, arguments, capsys):
    install("their_typo", module=MODULE.replace("PACKAGE.reranker:", "PACKAGE.rerankers:"))
    assert main(["evaluate", *arguments, "reranker=theirs"]) == 2
    assert "their_typo.rerankers:TheirReranker cannot be imported: No module named" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("package", "module"), [("their_class", "class TheirConfig: ..."), ("their_syntax", "TheirConfig = (")]
)
def test_a_package_that_is_broken_leaves_all_other_commands_as_they_are(install, arguments, package, module, capsys):
    install(package, module=module)
    assert main(["evaluate", *arguments, "reranker=none"]) == 0
    assert f"WARNING: reranker theirs of the package {package} 1.5" in capsys.readouterr().err
    assert main(["evaluate", *arguments, "reranker=none", "reranker.max_length=9"]) == 2
    assert "reranker.max_length is not a setting" in capsys.readouterr().err
    assert "reranker=none" in choices("evalkit evaluate reranker=n", ["evaluate"])


@pytest.mark.parametrize(
    ("package", "address", "cause"),
    [
        ("their_lost_module", "no_such_module:X", "cannot be imported: No module named 'no_such_module'"),
        ("their_lost_class", "their_lost_class.reranker:Gone", "cannot be imported: module .* has no attribute 'Gone'"),
        ("their_other_thing", "their_other_thing.reranker:np", "its entry point names <module 'numpy'"),
    ],
)
def test_an_entry_point_to_nothing_says_so_where_it_is_chosen_and_where_it_is_listed(
    install, arguments, package, address, cause, capsys
):
    install(package, address=address, point="lost")  # Hydra has no class of this name from another test
    said = rf"reranker lost of the package {package} 1\.5:? {cause}"
    assert re.match(f"Cannot be used: {said}", listed(capsys)["lost"])
    for command in (["evaluate", *arguments], ["plan", *arguments], ["score"]):
        assert main([*command, "reranker=lost"]) == 2
        assert re.search(f"evalkit: error: {said}", capsys.readouterr().err), command
    with pytest.raises(ConfigError, match=said):
        load_reranker("lost")


def test_a_file_of_a_package_that_names_no_schema_is_refused_with_the_legal_ones(install, arguments, capsys):
    install("their_schema", files={"conf/reranker/their_e.yaml": A_FILE.replace("theirs@", "thiers@")})
    assert main(["evaluate", *arguments, "reranker=their_e"]) == 2
    assert "there is no schema 'schema/reranker/thiers'" in (error := capsys.readouterr().err)
    assert "Did you mean theirs? Legal are: " in error
    assert "there is no schema 'reranker/thiers'" in listed(capsys)["their_e"]


def test_a_name_that_is_taken_has_one_answer_everywhere(install, arguments, capsys):
    install("their_none", point="none")
    for command in (["evaluate", *arguments, "reranker=none"], ["list", "rerankers"], ["plan", *arguments]):
        assert main(command) == 2
        assert (
            "error: the package their_none 1.5 adds a reranker named none, which evalkit has already. Remove that "
            "package, or rename what it adds." in capsys.readouterr().err
        ), command


@pytest.mark.parametrize(
    ("package", "old", "new", "said"),
    [
        (
            "their_nameless",
            "def identity",
            "def identify",
            "their_nameless.reranker:TheirReranker lacks identity. Define",
        ),
        (
            "their_few",
            "flatnonzero(~known)",
            "flatnonzero(~known)[1:]",
            "reranker:TheirReranker gave no score to 1 of ",
        ),
    ],
)
def test_a_reranker_of_a_package_that_is_not_whole_is_named(install, arguments, package, old, new, said, capsys):
    install(package, module=MODULE.replace(old, new))
    assert main(["evaluate", *arguments, "reranker=theirs"]) == 2
    assert said in capsys.readouterr().err
    with pytest.raises(EvalkitError, match=said):
        load_reranker("theirs").score([Pair("a", "b"), Pair("b", "a")])


def test_the_reranker_in_contributing_runs_as_it_is_written(arguments, tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Add a reranker")[1]
    module, settings = (re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL)[1] for kind in ("python", "yaml"))
    found = re.search(r'`(\w+) = "([\w:]+)"`', text)
    files = {"__init__.py": module, "conf/reranker/overlap_twice.yaml": settings}
    site = write_package(tmp_path / "site", "overlap_reranker", "", point=found[1], address=found[2], files=files)
    monkeypatch.syspath_prepend(site)
    assert "Shared words, counted twice." == listed(capsys)["overlap_twice"]
    assert main(["evaluate", *arguments, "reranker=overlap_twice"]) == 0
    assert 2.0 == manifest(tmp_path, "overlap_twice")["reranker"]["weight"]
    pair = Pair("why does the sea have tides", "the sea and the tides")
    assert [6.0] == load_reranker("overlap_twice").score([pair]).scores.tolist()


def test_python_and_the_tab_key_know_the_name_too(install):
    install("their_python", files={"conf/reranker/their_e.yaml": A_FILE})
    assert [6.0, 0.0] == load_reranker("their_e").score([Pair("a", "eels"), ("a", "b")]).scores.tolist()
    assert ["reranker=their_e"] == choices("evalkit evaluate reranker=thei", ["evaluate"])
