"""Dense encoding against sentence-transformers: same weights, same texts, same cores, interleaved in one process.

    python scripts/benchmark_encode.py FOLDER [--texts 1000] [--rounds 3] [--dtype float32,bfloat16] [--json OUT]

FOLDER is a collection in BEIR layout. Every round encodes another sample of its documents with all contenders, in a
shuffled order; `ratio` is evalkit's rate over the peer's in the same round and dtype. sentence-transformers runs at its
default batch size and at others, with the same limit of tokens. Where its float32 vectors differ from evalkit's by more
than 1e-3, the exit code is 1. The whole corpus in one round: --texts 0 --rounds 1.

Needs: pip install 'evalkit[mini,bench]', and matplotlib for --plot
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmark_inputs import MINI_LM, lengths_of
from benchmark_machine import chosen_device, machine
from benchmark_report import finish, measure, require_suffix
from benchmarking import (
    DTYPES,
    OURS,
    Contender,
    EngineMeter,
    Field,
    ForwardMeter,
    Sample,
    chosen,
    stop,
    warm_up,
)
from numpy.typing import NDArray

from evalkit.config import ComputeConfig, DenseConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import ConfigError, EvalkitError
from evalkit.models.shape import shape_of
from evalkit.retrieval.dense import DenseRetriever
from evalkit.store import Store, default_cache_dir
from evalkit.system.reporting import report
from evalkit.types import Dataset

TOLERANCE = 1e-3  # of numbers in vectors of length 1, in float32
_WARM_UP = 64
_BATCHES = {"cpu": (32, 8, 16, 64), "cuda": (32, 64, 128, 256)}  # the first is the default

Vectors = NDArray[np.float32]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--texts", type=int, default=1000, help="documents in a round; 0 for all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-length", type=int, default=256, help="tokens of a text")
    parser.add_argument("--model", default=MINI_LM, help="a folder, a hub id, or package:NAME/PATH")
    parser.add_argument("--dtype", action="append", metavar="DTYPE[,...]", help="float32 when not given")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="of a CPU; torch's choice when not given")
    parser.add_argument("--batch-tokens", type=int, help="evalkit's; its own choice when not given")
    parser.add_argument("--batches", metavar="N[,...]", help="of sentence-transformers; the default and some others")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, save. 0; 1 where vectors disagree; 2 for a mistake of the caller's."""
    options = parse(arguments)
    try:
        return benchmark(options)
    except (EvalkitError, OSError) as error:
        return report(error)


def benchmark(options: argparse.Namespace) -> int:
    """All rounds.

    Raises:
        EvalkitError: an option, the collection or the model cannot be used.
    """
    _require_ranges(options)
    require_suffix(options.plot)
    dtypes = chosen(options.dtype or ["float32"], DTYPES, "--dtype")
    device = chosen_device(options.device)
    threads = options.threads or torch.get_num_threads()
    about = machine(threads, device)
    store = Store(default_cache_dir())
    dataset = load(FolderDatasetConfig(path=str(options.folder)), store)
    ours = {dtype: _retriever(options, dtype, device, threads, store) for dtype in dtypes}
    found = gather(ours, _batches(options.batches, device), device)
    any_of_ours = ours[dtypes[0]]
    sizes = [min(_WARM_UP, len(dataset.documents)), *[options.texts] * options.rounds]
    samples = [_sample(any_of_ours, dataset, size, (options.seed, place)) for place, size in enumerate(sizes)]
    warm_up(found, samples[0], device=device, threads=threads)
    result = {
        "title": f"Encoding with {any_of_ours.checkpoint.path.parent.name}: documents of {dataset.name}",
        "machine": about,
        "model": {"name": str(options.model), "max_length_tokens": options.max_length},
        "texts": {
            "source": dataset.name,
            "per_round": [len(sample.lengths) for sample in samples[1:]],
            "tokens_mean": float(np.concatenate([sample.lengths for sample in samples[1:]]).mean()),
            "seed": options.seed,
        },
        **measure(
            found,
            samples[1:],
            shape_of(any_of_ours.checkpoint),
            seed=options.seed,
            device=device,
            threads=threads,
            agreement=agreement,
        ),
    }
    finish(result, "texts", options.json, options.plot)
    return _verdict(result["contenders"])


def _require_ranges(options: argparse.Namespace) -> None:
    for name, least in (("texts", 0), ("rounds", 1), ("threads", 1), ("batch_tokens", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise ConfigError(f"--{name.replace('_', '-')} {value} is too small. Give {least} or more.")


def _batches(text: str | None, device: str) -> tuple[int, ...]:
    parts = [part for part in (text or "").split(",") if part]
    if not all(part.isdigit() and int(part) for part in parts):
        raise ConfigError(f"--batches {text} is no list of batch sizes, such as 32,64.")
    return tuple(map(int, parts)) or _BATCHES[device]


def _retriever(options: argparse.Namespace, dtype: str, device: str, threads: int, store: Store) -> DenseRetriever:
    config = DenseConfig(name="benchmark", model=options.model, max_length=options.max_length)
    compute = ComputeConfig(device=device, dtype=dtype, threads=threads, batch_tokens=options.batch_tokens)
    return DenseRetriever(config, compute, store)


def _sample(retriever: DenseRetriever, dataset: Dataset, count: int, seed: Sequence[int]) -> Sample:
    """So many different documents in random order; all, in the order of the corpus, for 0."""
    total = len(dataset.documents)
    some = 0 < count < total
    rows = np.random.default_rng(list(seed)).choice(total, count, replace=False) if some else np.arange(total)
    texts = dataset.documents.texts(rows)
    return Sample(texts, lengths_of(retriever.tokenize(texts)))


def gather(ours: dict[str, DenseRetriever], batches: Sequence[int], device: str) -> Field:
    """Load evalkit and sentence-transformers in every dtype."""
    found = Field([_evalkit(retriever, dtype) for dtype, retriever in ours.items()])
    for dtype, retriever in ours.items():

        def load_peer(retriever: DenseRetriever = retriever, dtype: str = dtype) -> list[Contender]:
            return _sentence_transformers(retriever, dtype, batches, device)

        found.add(f"sentence-transformers, {dtype}", "sentence_transformers", load_peer)
    return found


def _evalkit(retriever: DenseRetriever, dtype: str) -> Contender:
    def prepare(texts: list[str]) -> Callable[[], Vectors]:
        return lambda: retriever.encode(texts)

    return Contender(OURS, "", dtype, prepare, EngineMeter(retriever, retriever.tokenize))


def _sentence_transformers(
    retriever: DenseRetriever, dtype: str, batches: Sequence[int], device: str
) -> list[Contender]:
    from sentence_transformers import SentenceTransformer

    peer: Any = SentenceTransformer(
        str(retriever.checkpoint.path), device=device, model_kwargs={"dtype": getattr(torch, dtype)}
    )
    peer.max_seq_length = retriever.config.max_length
    meter = ForwardMeter(peer[0])
    peer.preprocess = meter.timed(peer.preprocess)

    def at(batch: int) -> Callable[[list[str]], Callable[[], Vectors]]:
        def prepare(texts: list[str]) -> Callable[[], Vectors]:
            return lambda: np.asarray(peer.encode(texts, batch_size=batch, show_progress_bar=False))

        return prepare

    default = _BATCHES[device][0]
    named = {size: f"batch {size} (default)" if size == default else f"batch {size}" for size in batches}
    return [Contender("sentence-transformers", name, dtype, at(size), meter) for size, name in named.items()]


def agreement(vectors: Vectors, ours: Vectors) -> dict[str, float]:
    """Largest difference between two numbers at the same place.

    Raises:
        ConfigError: the vectors are of another width.
    """
    if vectors.shape != ours.shape:
        raise ConfigError(f"the peer's vectors have shape {vectors.shape}, evalkit's {ours.shape}. Give another model.")
    return {"max_difference": float(np.abs(vectors - ours).max())}


def _verdict(entries: Sequence[dict[str, Any]]) -> int:
    for entry in entries:
        distance = entry["distance_from_evalkit"]["max_difference"]
        # Not `>`: a number that is none is far away.
        if entry["dtype"] == "float32" and not distance <= TOLERANCE:
            return stop(
                f"float32 vectors of {entry['name']} are {distance:.1e} from evalkit's (at most {TOLERANCE:.0e} is "
                "allowed), so their rates do not compare. Check --max-length and the model."
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
