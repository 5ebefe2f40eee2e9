"""The versions that are declared, those that are tested, and those that are refused."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from evalkit.errors import ModelError, WrongVersion
from evalkit.measures import measure
from evalkit.models.arithmetic import require_torch
from evalkit.retrieval.words import analyser
from evalkit.run import Run
from evalkit.system import versions

ROOT = Path(__file__).resolve().parents[2]
UNTESTED = {"flash", "triton", "interop"}  # for a machine with CUDA, and for `make test-interop`
STANDS_IN = {"torch"}  # the build of constraints.txt


def declared() -> dict[str, str]:
    """Package -> its lower bound in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    lines = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    lines += [line for extra, own in extras.items() if extra not in UNTESTED for line in own]
    found = [Requirement(line) for line in dict.fromkeys(lines) if not line.startswith("evalkit[")]
    assert len(found) == len({canonicalize_name(one.name) for one in found}), "a package has two bounds"
    return {canonicalize_name(one.name): _lower_bound(one) for one in found}


def _lower_bound(requirement: Requirement) -> str:
    (lower,) = [limit.version for limit in requirement.specifier if limit.operator == ">="]
    return lower


def pinned(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line) for line in lines if not line.startswith("#")]
    assert all(found), f"{name}: a line is not of the form package==version"
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def test_lowest_constraints_are_the_lower_bounds_that_pyproject_declares():
    tested, bounds = pinned("constraints-lowest.txt"), declared()
    assert {name: tested.get(name) for name in bounds if name not in STANDS_IN} == {
        name: bound for name, bound in bounds.items() if name not in STANDS_IN
    }


def test_the_package_that_is_not_tested_at_its_lower_bound_is_the_one_of_the_other_tests():
    tested, usual = pinned("constraints-lowest.txt"), pinned("constraints.txt")
    assert {name: tested[name] for name in STANDS_IN} == {name: usual[name] for name in STANDS_IN}


def test_versions_that_are_refused_at_run_time_are_those_below_the_declared_bounds():
    bounds = declared()
    assert {name: limit.first for name, limit in versions.LIMITS.items()} == {
        name: bounds[canonicalize_name(name)] for name in versions.LIMITS
    }


@pytest.mark.parametrize(
    ("package", "older", "use"),
    [
        ("transformers", "5.17.0", require_torch),
        ("pytrec_eval-terrier", "0.5.7", lambda: measure({"q": {"d": 1}}, Run.from_dict({"q": {"d": 1.0}}), ["P@1"])),
        ("PyStemmer", "3.0.0", lambda: analyser("en")),
        ("rjieba", "0.2.1", lambda: analyser("zh")),
    ],
)
def test_a_version_with_other_numbers_is_refused_with_the_command(monkeypatch, package, older, use):
    monkeypatch.setattr(versions, "version", lambda name: older if name == package else "999")
    with pytest.raises(WrongVersion, match=rf"^{package} {re.escape(older)} is installed, .*pip install '{package}>="):
        use()


def test_the_first_right_version_and_later_ones_are_taken(monkeypatch):
    for package, limit in versions.LIMITS.items():
        for found in (limit.first, f"{limit.first}.post1", "999.0.dev1"):
            monkeypatch.setattr(versions, "version", lambda _, found=found: found)
            versions.require_version(package)


def test_transformers_that_cannot_be_imported_is_not_called_absent(monkeypatch, tmp_path):
    """As it says itself where tokenizers has a version that it cannot use."""
    (tmp_path / "transformers.py").write_text("raise ImportError('tokenizers>=0.22 is required, found 0.21.4')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    with pytest.raises(ModelError, match=r"cannot be imported: tokenizers>=0\.22 is required, found 0\.21\.4\.$"):
        require_torch()
