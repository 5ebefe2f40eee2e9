"""Planted faults are caught on the pretended device: each in a copy of evalkit, by the test that is named for it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pretend.building import missing
from pretend.mutants import MUTANTS

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing() or "none")]

ROOT = Path(__file__).resolve().parents[2]
PASSED, FAILED = 0, 1  # pytest's exit codes where tests ran


@pytest.fixture(scope="module")
def server():
    """`server.py`, running."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "pretend.server"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def run(server, tmp_path):
    """Tests with the package of a folder: exit code, and what pytest said."""

    def ran(tests):
        output = tmp_path / "output.txt"
        server.stdin.write(json.dumps({"folder": str(tmp_path), "tests": tests, "output": str(output)}) + "\n")
        server.stdin.flush()
        return int(server.stdout.readline()), output.read_text(encoding="utf-8")

    return ran


@pytest.fixture
def package(tmp_path) -> Path:
    """A copy of evalkit in a checkout of its own."""
    shutil.copytree(ROOT / "evalkit", tmp_path / "evalkit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conf", "instructions.json", "pyproject.toml", "tests", "scripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path / "evalkit"


def test_without_a_fault_tests_of_the_copy_pass(run, package):
    """One of each file; `make test-all` runs the others too."""
    code, said = run(list({mutant.test.split("::")[0]: mutant.test for mutant in MUTANTS.values()}.values()))
    assert code == PASSED, said[-3000:]
    assert f"package: {package}" in said
    assert "skipped" not in said.splitlines()[-1]


@pytest.mark.parametrize("name", MUTANTS)
def test_fault_is_caught(run, package, name):
    mutant = MUTANTS[name]
    (package / mutant.file).write_text(mutant.planted(), encoding="utf-8")
    code, said = run([mutant.test])
    assert code == FAILED, f"not caught, or no test ran: {said[-3000:]}"
    assert "1 failed" in said.splitlines()[-1], said[-3000:]
