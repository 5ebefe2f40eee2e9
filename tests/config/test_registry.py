"""Names that other packages add, each from a distribution made on the spot: its metadata and its module."""

import logging

import pytest
from installed import write_package

from evalkit.config.registry import Registry, installed_settings
from evalkit.config.reranker import RerankerConfig
from evalkit.config.resources import config_names, config_text
from evalkit.errors import ConfigError

MODULE = """
from dataclasses import dataclass
from evalkit.config.reranker import RerankerConfig


@dataclass
class TheirConfig(RerankerConfig):
    weight: float = 2.0
"""
OWN = {"none": "evalkit.config.reranker:RerankerConfig"}
BASE = "evalkit.config.reranker:RerankerConfig"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Adds a package to the search path, with an entry point `theirs` for rerankers and some files."""

    def add(name, *, module=MODULE, **more):
        monkeypatch.syspath_prepend(write_package(tmp_path / f"site-{name}", name, module, **more))

    return add


def test_a_class_of_another_package_is_found_by_the_name_of_its_entry_point(install):
    install("package_of_a_class")
    registry = Registry("reranker", OWN, BASE)
    assert ["none", "theirs"] == list(registry)
    assert registry["none"] is RerankerConfig
    assert 2.0 == registry["theirs"](name="x").weight


def test_a_package_is_imported_when_its_class_is_looked_up_and_not_before(install):
    install("package_that_is_broken", module="raise ImportError('needs cuda')")
    registry = Registry("reranker", OWN, BASE)
    assert "theirs" in config_names("reranker")
    with pytest.raises(ConfigError, match=r"reranker theirs of the package package_that_is_broken 1\.5 cannot.*cuda"):
        registry["theirs"]


def test_a_package_that_cannot_be_imported_leaves_the_others_usable(install, caplog):
    install("package_without_class", module="")
    with caplog.at_level(logging.WARNING):
        assert {"none": RerankerConfig} == Registry("reranker", OWN, BASE).usable()
    assert "package_without_class 1.5 cannot be imported" in caplog.text


@pytest.mark.parametrize(
    ("package", "module", "found"),
    [
        ("package_of_no_class", "def theirs(): ...", "cannot be imported: .*has no attribute 'TheirConfig'"),
        ("package_of_another_class", "class TheirConfig: ...", "names <class 'package_of_another_class.reranker"),
        ("package_of_a_number", "TheirConfig = 3", "names 3. Expected a class derived from evalkit.config.reranker.R"),
        ("package_that_raises", "raise RuntimeError('no licence')", "cannot be imported: no licence. Reinstall or"),
        ("package_of_a_typo", "TheirConfig = (", "cannot be imported: '[(]' was never closed"),
    ],
)
def test_an_entry_point_that_names_something_else_leaves_the_others_usable(install, caplog, package, module, found):
    install(package, module=module)
    registry = Registry("reranker", OWN, BASE)
    with caplog.at_level(logging.WARNING):
        assert [{"none": RerankerConfig}] * 2 == [registry.usable(), registry.usable()]
    assert 1 == caplog.text.count(f"reranker theirs of the package {package} 1.5")
    with pytest.raises(ConfigError, match=found):
        registry["theirs"]


def test_without_yaml_the_defaults_of_the_class_are_the_choice(install):
    install("package_of_defaults")
    assert "theirs" in config_names("reranker")
    text = config_text("reranker", "theirs")
    assert text.splitlines()[0] == "# From the package package_of_defaults 1.5."
    assert "/schema/reranker/theirs@_here_" in text


def test_yaml_files_of_a_package_are_its_choices(install):
    large = "# Large.\ndefaults: [/schema/reranker/theirs@_here_, _self_]\nname: their_large\nweight: 3.0\n"
    install("package_of_files", files={"conf/reranker/their_large.yaml": large})
    assert {"their_large": large} == installed_settings("reranker")


def test_a_file_with_the_name_of_one_of_evalkits_is_refused(install):
    install("package_of_bm25", files={"conf/reranker/replay.yaml": "name: replay\n"})
    with pytest.raises(ConfigError, match=r"package_of_bm25 1\.5 adds a reranker named replay, which evalkit has"):
        config_names("reranker")


def test_a_name_that_is_taken_is_refused_with_the_package_that_takes_it(install):
    install("package_of_a_none", point="none")
    with pytest.raises(ConfigError, match=r"package_of_a_none 1\.5 adds a reranker named none, which evalkit has"):
        Registry("reranker", OWN, BASE)["none_at_all"]


def test_two_packages_with_one_name_are_refused_together(install):
    install("package_one")
    install("package_two")
    with pytest.raises(ConfigError, match=r"package_\w+ 1\.5 and package_\w+ 1\.5 both add a reranker named theirs"):
        list(Registry("reranker", OWN, BASE))
