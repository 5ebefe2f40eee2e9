"""Fixtures that every test file may use. Nothing here reaches a network."""

import gc
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before any library reads them: a test that reaches for the real hub must fail at once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Tests run side by side; models of width 32 gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# With AMX the bits of a bfloat16 sum depend on the number of rows (docs/results.md), and tests compare bits.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

import hypothesis
from _pytest.logging import catching_logs
from filelock import FileLock
from stubs import Clock, tiny_bert, write_collection

from evalkit.inference.tokens import FastTokenizer
from evalkit.store import Store
from evalkit.system import stages

# Random examples of a test that names no number; `make test-all` tries six times as many.
hypothesis.settings.register_profile("quick", max_examples=25, deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=300, deadline=None)
hypothesis.settings.load_profile("quick")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_configure() -> None:
    """Keep the folders of tests in memory where there is room, unless somebody chose another place.

    A disk may take a millisecond for each file that is written again or removed.
    """
    memory = Path("/dev/shm")
    if "TMPDIR" not in os.environ and os.access(memory, os.W_OK):
        found = os.statvfs(memory)
        if found.f_bavail * found.f_frsize > _ROOM and not found.f_flag & os.ST_NOEXEC:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


_ROOM = 2 << 30  # bytes


# The files that take longest. First, so that none is left for one process when the others are done.
_LONG = (
    "tests/models/test_weights.py",
    "tests/commands/test_evaluate.py",
    "tests/families/",
    "tests/test_determinism.py",
    "tests/test_pipeline.py",
    "tests/commands/test_score.py",
    "tests/datasets/test_cards.py",
    "tests/commands/test_plan.py",
    "tests/inference/test_determinism.py",
    "tests/config/test_config.py",
    "tests/retrieval/test_search.py",
    "tests/retrieval/test_dense.py",
    "tests/rerank/test_colbert.py",
    "tests/doctor/",
    "tests/models/test_packing.py",
    "tests/inference/workers/test_devices.py",
    "tests/test_readme.py",
    "tests/datasets/test_own_dataset.py",
    "tests/rerank/test_listwise.py",
    "tests/reports/test_page.py",
    # These would be the last of all.
    "tests/test_references.py",
    "tests/test_stale.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))
    for_gpus = [item for item in items if item.get_closest_marker("gpu")]
    if for_gpus and not _has_cuda():
        for item in for_gpus:
            item.add_marker(pytest.mark.skip(reason="no CUDA device: run `make test-all`, which pretends one"))


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of Python's search for garbage, and search less often.

    Hypothesis is called at each search, which is one in 700 new objects otherwise.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture
def card() -> Iterator[Any]:
    """The pretended CUDA device (`tests/pretend`), with nothing noted yet."""
    if "pretend.plugin" not in sys.modules:
        pytest.skip("needs the pretended CUDA device: run `make test-all`")
    from pretend.tensors import CARD

    # It counts the bytes of tensors that live, so garbage is searched for as often as in a process of its own.
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(700, 10, 10)
    CARD.reset()
    yield CARD
    CARD.reset()
    gc.set_threshold(*before)


@pytest.fixture
def caplog(caplog, monkeypatch):
    """Also where a command in the same process gave the warnings of evalkit a handler of their own."""
    monkeypatch.setattr(logging.getLogger("evalkit"), "propagate", True)
    return caplog


@pytest.fixture(scope="session", autouse=True)
def _quickly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Settings of the same files are composed once, and nothing waits for the disk: no test cuts the power.

    The script of charts takes two seconds of a processor. One of the processes that run tests makes it for all.
    """
    import vl_convert
    from composed import compose_once

    folder, bundle = tmp_path_factory.getbasetemp(), vl_convert.javascript_bundle
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def bundled(snippet: str) -> str:
        path = folder / f"{hashlib.sha256(snippet.encode()).hexdigest()}.js"
        with FileLock(path.with_suffix(".lock")):
            if not path.is_file():
                path.write_text(bundle(snippet), encoding="utf-8")
        return path.read_text(encoding="utf-8")

    with pytest.MonkeyPatch.context() as patch:
        compose_once(patch)
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(vl_convert, "javascript_bundle", bundled)
        if "attached_loggers" in catching_logs.__slots__:
            patch.setattr(catching_logs, "__enter__", _catch_at_the_root)
        yield


_CATCH = catching_logs.__enter__


def _catch_at_the_root(catching: Any) -> Any:
    """As pytest 8 does. From 9 on it also looks for loggers that keep their records, among thousands, six times a test.

    That takes a millisecond a test. The `caplog` above has records of evalkit reach the root.
    """
    if catching.level is not None:  # `pytest --log-level`
        return _CATCH(catching)
    root = logging.getLogger()
    root.addHandler(catching.handler)
    catching.attached_loggers.append(root)
    return catching.handler


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """What stages and progress take for the time."""
    made = Clock()
    monkeypatch.setattr(stages, "perf_counter", made)
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A collection of five documents, one of them empty, and two judged queries."""
    return write_collection(tmp_path / "collection")


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory) -> Path:
    """The tokenizer.json of a tiny BERT."""
    return tiny_bert(tmp_path_factory.mktemp("tokenizer")) / "tokenizer.json"


@pytest.fixture(scope="module")
def tokenizer(tokenizer_file) -> FastTokenizer:
    from tokenizers import Tokenizer

    return FastTokenizer(Tokenizer.from_file(str(tokenizer_file)))


@pytest.fixture(scope="module")
def code(tokenizer_file) -> dict[str, int]:
    """Token -> id, read from the file."""
    return json.loads(tokenizer_file.read_text(encoding="utf-8"))["model"]["vocab"]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real collections and golden files beside a developer's checkout; they may not be redistributed."""
    if not SHARED.is_dir():
        pytest.skip("the real collections are not beside this checkout (../shared)")
    return SHARED
