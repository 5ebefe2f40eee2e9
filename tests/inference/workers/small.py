"""Small evaluations whose work is cut into many shards, and the bytes that any pool gives for them."""

from dataclasses import replace
from pathlib import Path

from evalkit.config import ComputeConfig
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.rerank.families.jina_listwise import JinaListwiseConfig
from evalkit.rerank.families.minicpm import MiniCPMRerankerConfig
from evalkit.rerank.late_interaction import LateInteractionConfig

BYTES = ("run.trec.gz", "per_query.parquet", "truncated.parquet", "vectors.npy")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.name in BYTES}


def rerankers(models):
    return {
        "cross_encoder": CrossEncoderConfig(name="x", model=str(models["cross_encoder"]), max_length=24),
        "late_interaction": LateInteractionConfig(name="x", model=str(models["encoder"]), max_length=16),
        "listwise": JinaListwiseConfig(name="x", model=str(models["listwise"]), instructions="Find.", window=2090),
        "minicpm": MiniCPMRerankerConfig(name="x", model=str(models["minicpm"]), max_length=64, instructions="Find."),
    }


def elsewhere(config, tmp_path, **settings):
    """The same evaluation into other folders, with another `compute`."""
    places = {"results_dir": str(tmp_path / "other" / "results"), "cache_dir": str(tmp_path / "other" / "cache")}
    return replace(config, compute=ComputeConfig(device="cpu", **settings), **places)
