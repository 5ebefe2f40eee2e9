# Types of the public names; `__init__.py` imports each when it is first used.

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
