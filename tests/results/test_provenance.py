"""The manifest says what a result was made with."""

import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from evalkit.results.provenance import environment


def test_versions_of_what_computes_are_recorded():
    packages = environment("cpu")["packages"]
    assert packages["numpy"] == version("numpy")
    assert packages["pytrec_eval-terrier"] == version("pytrec_eval-terrier")


def test_the_commit_is_that_of_the_checkout_and_says_when_files_were_changed():
    root = Path(__file__).parents[2]
    commit = environment("cpu")["git_commit"]
    if not (root / ".git").exists():
        assert commit is None
        return
    head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert re.fullmatch(re.escape(head.stdout.strip()) + r"(\+changes)?", commit)


def test_the_device_is_the_one_used_not_the_one_present():
    assert environment("cpu")["device"] == "cpu"


def test_the_processor_is_named_and_what_torch_uses_of_it():
    import torch

    found = environment("cpu")["cpu"]
    assert found["model"]
    assert found["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert found["threads"] == torch.get_num_threads()
