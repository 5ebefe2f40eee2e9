"""Exact search over vectors on disk: evalkit against faiss IndexFlatIP, for time, peak memory and equal results.

python scripts/benchmark_search.py --rounds 3 --json search.json

Each search runs in a process of its own, in turn, so that a machine that slows down slows both and so that peak memory
is of one alone. Vectors are random, of norm 1. evalkit reads them from the file while it searches; faiss first adds
them to its index, in float32, and that is timed apart.
"""

import argparse
import importlib.util
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DOCUMENTS_PER_BLOCK = 16_384
_TIE = 2e-6  # scores so close may change places when they are summed in float32
_OURS, _FAISS = "evalkit", "faiss"


def main() -> int:
    """Exit code: 1 where results differ by more than rounding."""
    options = _options()
    folder = Path(options.folder) if options.folder else None
    if options.search:
        print(json.dumps(_search(options.search, Path(options.folder), options.k)))
        return 0
    contenders = [_OURS] + [_FAISS] * (importlib.util.find_spec("faiss") is not None)
    if _FAISS not in contenders:
        sys.stderr.write("faiss is skipped: it is not installed. pip install faiss-cpu\n")
    with tempfile.TemporaryDirectory(dir=folder) as made:
        _make(Path(made), options)
        rounds = []
        for number in range(options.rounds):
            # Who goes first changes: the second finds the file in memory.
            order = contenders if number % 2 else contenders[::-1]
            rounds.append({name: _in_process(name, Path(made), options.k) for name in order})
            sys.stderr.write(f"round {number + 1} of {options.rounds}: {json.dumps(rounds[-1])}\n")
        agreement = _agreement(Path(made)) if _FAISS in contenders else None
    report = _report(options, rounds, agreement)
    _show(report)
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if agreement is None or agreement["agree"] else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=1024, help="numbers in a vector")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--k", type=int, default=100, help="documents a query")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16", help="of the stored vectors")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where the vectors go for the time of the run; the system's by default")
    parser.add_argument("--json", metavar="OUT", help="file for the report")
    parser.add_argument("--search", choices=(_OURS, _FAISS), help=argparse.SUPPRESS)
    return parser.parse_args()


def _make(folder: Path, options: argparse.Namespace) -> None:
    """Write vectors a block at a time; they are never in memory together."""
    rng = np.random.default_rng(options.seed)
    np.save(folder / "queries.npy", _unit(rng, options.queries, options.width))
    header = {"descr": np.dtype(options.dtype).str, "fortran_order": False, "shape": (options.documents, options.width)}
    with (folder / "vectors.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, options.documents, _DOCUMENTS_PER_BLOCK):
            rows = min(_DOCUMENTS_PER_BLOCK, options.documents - start)
            _unit(rng, rows, options.width).astype(options.dtype).tofile(file)


def _unit(rng: np.random.Generator, rows: int, width: int) -> NDArray[np.float32]:
    vectors = rng.standard_normal((rows, width), dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float32)
    return np.asarray(vectors / norms, dtype=np.float32)


def _in_process(name: str, folder: Path, k: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--search", name, "--folder", str(folder), "--k", str(k)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603 - our own script
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _search(name: str, folder: Path, k: int) -> dict[str, float]:
    """Seconds and peak memory of one search; its result goes to the folder."""
    queries = np.load(folder / "queries.npy")
    documents = np.load(folder / "vectors.npy", mmap_mode="r")
    rows, scores, spent = (_search_evalkit if name == _OURS else _search_faiss)(queries, documents, k)
    np.savez(folder / f"{name}.npz", rows=rows, scores=scores)
    return {**spent, "peak_mib": _peak_mib()}


def _search_evalkit(queries: Any, documents: Any, k: int) -> tuple[Any, Any, dict[str, float]]:
    from evalkit.retrieval.search import exact_top_k

    before, start = _peak_mib(), time.perf_counter()
    rows, scores = exact_top_k(queries, documents, id_ranks=np.arange(len(documents)), k=k)
    return rows, scores, {"search_seconds": time.perf_counter() - start, "before_mib": before}


def _search_faiss(queries: Any, documents: Any, k: int) -> tuple[Any, Any, dict[str, float]]:
    import faiss

    before, start = _peak_mib(), time.perf_counter()
    index = faiss.IndexFlatIP(documents.shape[1])
    for row in range(0, len(documents), _DOCUMENTS_PER_BLOCK):
        index.add(documents[row : row + _DOCUMENTS_PER_BLOCK].astype(np.float32))
    added = time.perf_counter()
    scores, rows = index.search(queries, min(k, len(documents)))
    spent = {"search_seconds": time.perf_counter() - added, "add_seconds": added - start, "before_mib": before}
    return rows, scores, spent


def _peak_mib() -> float:
    """Highest resident memory of this process, pages of mapped files included.

    Where there is one, from the process's own count: `ru_maxrss` also remembers the process that started this one.
    """
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    found = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")]
    if found:
        return round(found[0], 1)
    scale = 2**20 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale, 1)


def _agreement(folder: Path) -> dict[str, Any]:
    """Where the two name different documents, how far these are apart by their exact scores."""
    queries = np.load(folder / "queries.npy").astype(np.float64)
    documents = np.load(folder / "vectors.npy", mmap_mode="r")
    ours, theirs = np.load(folder / f"{_OURS}.npz"), np.load(folder / f"{_FAISS}.npz")
    places = np.argwhere(ours["rows"] != theirs["rows"])
    furthest = 0.0
    for query, place in places.tolist():
        score = float(queries[query] @ documents[theirs["rows"][query, place]].astype(np.float64))
        furthest = max(furthest, abs(score - float(ours["scores"][query, place])))
    return {
        "places": ours["rows"].size,
        "places_that_differ": len(places),
        "largest_score_difference_there": furthest,
        "agree": furthest <= _TIE,
    }


def _report(
    options: argparse.Namespace, rounds: list[dict[str, dict[str, Any]]], agreement: dict[str, Any] | None
) -> dict[str, Any]:
    import torch
    from benchmark_machine import machine

    both = [one for one in rounds if _FAISS in one]
    theirs = [(one[_FAISS]["search_seconds"], one[_FAISS]["add_seconds"]) for one in both]
    ours = [one[_OURS]["search_seconds"] for one in both]
    return {
        "machine": {**machine(torch.get_num_threads(), "cpu"), "torch": torch.__version__, "node": platform.machine()},
        "options": {key: getattr(options, key) for key in ("documents", "width", "queries", "k", "dtype", "seed")},
        "rounds": rounds,
        "faiss_search_over_evalkit": [search / own for (search, _), own in zip(theirs, ours, strict=True)],
        "faiss_add_and_search_over_evalkit": [
            (search + add) / own for (search, add), own in zip(theirs, ours, strict=True)
        ],
        "agreement": agreement,
        "skipped": [] if both else [f"{_FAISS}: not installed"],
    }


def _show(report: dict[str, Any]) -> None:
    print(f"{'round':>5} {'':8} {'add s':>8} {'search s':>9} {'peak MiB':>9} {'before':>7}")
    for number, one in enumerate(report["rounds"], start=1):
        for name, spent in sorted(one.items()):
            add = f"{spent['add_seconds']:8.1f}" if "add_seconds" in spent else f"{'':8}"
            figures = f"{spent['search_seconds']:9.1f} {spent['peak_mib']:9.0f} {spent['before_mib']:7.0f}"
            print(f"{number:>5} {name:8} {add} {figures}")
    for key in ("faiss_search_over_evalkit", "faiss_add_and_search_over_evalkit"):
        print(f"{key}:", " ".join(f"{ratio:.2f}" for ratio in report[key]) or "-")
    print("agreement:", report["agreement"] or report["skipped"])


if __name__ == "__main__":
    sys.exit(main())
