"""Runs tests on the pretended device with any copy of evalkit, each time in a process that has its libraries already.

A line of JSON on stdin asks: {"folder": of a checkout, "tests": ids, "output": a file for what pytest says}. The answer
is a line with pytest's exit code.
"""

import json
import os
import sys

import pytest
import torch
import torch._dynamo
import transformers
from transformers import Gemma2Model, GemmaModel, GraniteModel, Qwen3Model, XLMRobertaForSequenceClassification

LIBRARIES = (
    torch,
    transformers,
    Gemma2Model,
    GemmaModel,
    GraniteModel,
    Qwen3Model,
    XLMRobertaForSequenceClassification,
)

# Plugins of pytest come with the libraries, and it would say that it is too late to rewrite their asserts.
_OPTIONS = ["-p", "pretend.plugin", "-m", "gpu", "-x", "-W", "ignore::pytest.PytestAssertRewriteWarning"]


def tested(folder: str, tests: list[str], output: str) -> int:
    """Pytest's exit code, of a process of its own."""
    child = os.fork()
    if not child:
        os.chdir(folder)
        sys.path[:0] = [folder, f"{folder}/tests"]
        with open(output, "w", encoding="utf-8") as file:  # noqa: PTH123 - its descriptor is what is wanted
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os._exit(pytest.main([*_OPTIONS, *tests]))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for line in sys.stdin:
        print(tested(**json.loads(line)), flush=True)  # noqa: T201
