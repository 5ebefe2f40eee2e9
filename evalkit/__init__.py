"""Evaluate retrieval and reranking on BEIR and C-MTEB.

    from evalkit import measure, read_qrels, read_run

    measure(read_qrels("qrels.tsv"), read_run("run.trec"), ["nDCG@10"]).means

Everything is imported when it is first used, so `import evalkit` costs nothing.
"""

import importlib
from typing import Any

_HOMES = {
    "api": ("evaluate",),
    "config": ("EvaluateConfig",),
    "errors": ("EvalkitError",),
    "formats.trec": ("read_qrels", "read_run", "write_run"),
    "load": ("load_reranker", "load_retriever", "load_search"),
    "reports.from_python": ("compare", "report"),
    "rerank.seam": ("Reranker",),
    "results": ("Evaluation",),
    "results.own_systems": ("measure",),
    "run": ("Run",),
    "types": ("Dataset", "Pair", "PerQuery", "Qrels", "Scored"),
}
"""Module -> its public names; `__init__.pyi` has them for type checkers."""

__all__ = [*sorted(name for names in _HOMES.values() for name in names)]  # noqa: PLE0604 - they are strings


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"evalkit.{home}"), name)
    raise AttributeError(f"module 'evalkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
