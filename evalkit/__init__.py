"""Evaluate retrieval and reranking on BEIR and C-MTEB.

    from evalkit import measure, read_qrels, read_run

    measure(read_qrels("qrels.tsv"), read_run("run.trec"), ["nDCG@10"]).means

Everything is imported when it is first used, so `import evalkit` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.api import evaluate
    from evalkit.config import EvaluateConfig
    from evalkit.errors import EvalkitError
    from evalkit.formats.trec import read_qrels, read_run, write_run
    from evalkit.load import load_reranker, load_retriever, load_search
    from evalkit.reports.from_python import compare, report
    from evalkit.rerank.seam import Reranker
    from evalkit.results import Evaluation
    from evalkit.results.own_systems import measure
    from evalkit.run import Run
    from evalkit.types import Dataset, Pair, PerQuery, Qrels, Scored

__all__ = [
    "Dataset",
    "EvalkitError",
    "EvaluateConfig",
    "Evaluation",
    "Pair",
    "PerQuery",
    "Qrels",
    "Reranker",
    "Run",
    "Scored",
    "compare",
    "evaluate",
    "load_reranker",
    "load_retriever",
    "load_search",
    "measure",
    "read_qrels",
    "read_run",
    "report",
    "write_run",
]

_HOME = {
    "EvaluateConfig": "config",
    "EvalkitError": "errors",
    "load_reranker": "load",
    "load_retriever": "load",
    "load_search": "load",
    "compare": "reports.from_python",
    "report": "reports.from_python",
    "measure": "results.own_systems",
    "Evaluation": "results",
    "Reranker": "rerank.seam",
    "evaluate": "api",
    "Run": "run",
    "read_qrels": "formats.trec",
    "read_run": "formats.trec",
    "write_run": "formats.trec",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'evalkit' has no attribute {name!r}")
    return getattr(importlib.import_module(f"evalkit.{_HOME.get(name, 'types')}"), name)


def __dir__() -> list[str]:
    return __all__
