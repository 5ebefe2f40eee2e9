"""Planted faults are caught on the pretended device: each in a copy of evalkit, by the test that is named for it."""

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
FAILED = 1  # pytest's exit code where tests ran and some failed


def copied(folder: Path) -> Path:
    """A checkout with a package of its own."""
    shutil.copytree(ROOT / "evalkit", folder / "evalkit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conf", "instructions.json", "pyproject.toml", "tests", "scripts"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def run(folder: Path, tests: list[str]) -> subprocess.CompletedProcess[str]:
    """Tests with the package of a folder, on the pretended device."""
    command = [sys.executable, "-m", "pytest", "-p", "pretend.plugin", "-m", "gpu", "-x", "-n", "0", *tests]
    places = os.pathsep.join(str(place) for place in (folder, folder / "tests"))
    return subprocess.run(  # noqa: PLW1510 - its exit code is what is asked
        command, cwd=folder, env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True, timeout=900
    )


def test_without_a_fault_every_one_of_these_tests_passes(tmp_path):
    copied(tmp_path)
    done = run(tmp_path, sorted({mutant.test for mutant in MUTANTS.values()}))
    assert done.returncode == 0, done.stdout[-3000:]
    assert "skipped" not in done.stdout.splitlines()[-1]
    assert f"package: {tmp_path}/evalkit" in run(tmp_path, ["tests/pretend/test_card.py"]).stdout


@pytest.mark.parametrize("name", MUTANTS)
def test_fault_is_caught(tmp_path, name):
    mutant = MUTANTS[name]
    path = copied(tmp_path) / "evalkit" / mutant.file
    source = path.read_text(encoding="utf-8")
    assert source.count(mutant.old) == 1, f"{mutant.file} no longer has this once: {mutant.old!r}"
    changed = source.replace(mutant.old, mutant.new)
    compile(changed, mutant.file, "exec")
    path.write_text(changed, encoding="utf-8")
    done = run(tmp_path, [mutant.test])
    assert done.returncode == FAILED, f"not caught, or no test ran: {done.stdout[-3000:]}{done.stderr[-1000:]}"
