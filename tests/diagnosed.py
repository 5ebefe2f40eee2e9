"""What `evalkit doctor` finds of a checkpoint."""

from evalkit.config import ComputeConfig
from evalkit.doctor import rerankers, retrievers
from evalkit.load import config_of

EXAMINE = {"reranker": rerankers.examine, "retriever": retrievers.examine}


def diagnosed(stage, name, folder, *, dtype="float32", float32=True, attention="auto", **settings):
    """Check name -> (outcome, detail)."""
    config = config_of(stage, name, {"model": folder, **settings})
    compute = ComputeConfig(device="cpu", dtype=dtype, attention=attention)
    return {check.name: check[1:] for check in EXAMINE[stage](config, compute, float32=float32)}


def failed(found):
    """The names of the checks that failed."""
    return {name for name, (outcome, _) in found.items() if outcome == "FAILED"}
