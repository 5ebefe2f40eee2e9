"""One evaluation by one core, by all cores, by one and two workers of Ray, and with one of two killed: time and bytes.

    python scripts/benchmark_workers.py --folder DIR                          # extra `ray`; two cores are enough
    python scripts/benchmark_workers.py --folder DIR --rounds 3 --json FILE

Passages are synthetic; encoder and cross-encoder have random weights, and are large enough to take most of the time.
Rounds are interleaved. Seconds are those of encoding and reranking (models), with the start of workers, and of the
whole command. Exit code 1 if the bytes differ, or if no worker was killed.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmark_machine import machine
from benchmarking import spread, write_json
from rich.console import Console
from rich.table import Table
from scale_collection import retrieval_settings, write_collection, write_models
from scale_memory import descendants

_BYTES = ("run.trec.gz", "per_query.parquet", "vectors.npy")
_WAYS = {
    "one core": ("compute.threads=1",),
    "all cores": (),
    "Ray, 1 worker": ("compute=ray", "compute.workers=1"),
    "Ray, 2 workers": ("compute=ray", "compute.workers=2"),
    "Ray, 2 workers, one killed": ("compute=ray", "compute.workers=2"),
}
_KILLED = "Ray, 2 workers, one killed"


def evaluate(folder: Path, settings: list[str], *, kill_after: float | None) -> dict[str, Any]:
    """Seconds of one evaluation from nothing, digests of its files, and how many workers were killed."""
    shutil.rmtree(folder, ignore_errors=True)
    places = [f"results_dir={folder / 'results'}", f"cache_dir={folder / 'cache'}"]
    command = [sys.executable, "-m", "evalkit", "evaluate", *settings, *places]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own command
    killed: list[int] = []
    if kill_after is not None:
        threading.Timer(kill_after, lambda: killed.extend(_kill_a_worker(process.pid))).start()
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: {errors}")
    whole = time.perf_counter() - start
    stages: dict[str, float] = {}
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.name == "manifest.json":
            found = json.loads(path.read_text(encoding="utf-8"))["stages"]
            stages |= {name: facts["seconds"] for name, facts in found.items()}
        elif path.name in _BYTES:
            digests[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    models = stages["encode documents"] + stages["rerank"]
    return {"models": models, "whole": whole, "digests": digests, "killed": len(killed)}


def _kill_a_worker(command: int) -> list[int]:
    """The first process below a command that is an actor of Ray."""
    for process in sorted(descendants(command)):
        try:
            name = Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8", errors="replace")
            if name.startswith("ray::Actor"):
                os.kill(process, signal.SIGKILL)
                return [process]
        except OSError:
            continue
    return []


def main() -> int:
    """Exit code 1 where bytes differ, or no worker was there to be killed."""
    options = _options()
    folder = Path(options.folder).absolute()
    collection = write_collection(folder / "collection", passages=options.passages, queries=options.queries)
    encoder, reranker = write_models(folder / "models", layers=options.layers, hidden=options.hidden)
    settings = [
        *retrieval_settings(collection, encoder),
        "reranker=cross_encoder",
        f"reranker.model={reranker}",
        "reranker.max_length=128",
    ]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in _WAYS}
    for number in range(options.rounds):
        for name, overrides in _WAYS.items():
            sys.stderr.write(f"round {number + 1}/{options.rounds}: {name}\n")
            half = found["Ray, 2 workers"][-1]["whole"] / 2 if name == _KILLED else None
            found[name].append(evaluate(folder / "run", [*settings, *overrides], kill_after=half))
    report = _report(found, options)
    _show(report)
    if options.json:
        write_json(Path(options.json), report)
    return 0 if report["same_bytes"] and all(report["killed"]) else 1


def _report(found: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> dict[str, Any]:
    first = found["one core"][0]["digests"]
    runs = [run for rounds in found.values() for run in rounds]
    ways = {}
    for name, rounds in found.items():
        # Ratios within a round: the machine is the same for both.
        ratios = [one["models"] / run["models"] for one, run in zip(found["one core"], rounds, strict=True)]
        ways[name] = {
            "models_seconds": spread([run["models"] for run in rounds]),
            "whole_seconds": spread([run["whole"] for run in rounds]),
            "times_one_core": spread(ratios),
        }
    return {
        "passages": options.passages,
        "queries": options.queries,
        "layers": options.layers,
        "hidden": options.hidden,
        "machine": machine(os.cpu_count() or 1, "cpu"),
        "ways": ways,
        "killed": [run["killed"] for run in found[_KILLED]],
        "same_bytes": all(run["digests"] == first for run in runs),
    }


def _show(report: dict[str, Any]) -> None:
    table = Table("", "models, s", "times one core", "whole, s")
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for name, way in report["ways"].items():
        ratio = way["times_one_core"]
        table.add_row(
            name,
            f"{way['models_seconds']['median']:.1f}",
            f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})",
            f"{way['whole_seconds']['median']:.1f}",
        )
    Console().print(table)
    Console().print("the same bytes" if report["same_bytes"] else "OTHER BYTES", "in all runs;", end=" ")
    Console().print(f"workers killed: {sum(report['killed'])}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, help="for collection, models, results and cache")
    parser.add_argument("--passages", type=int, default=32_768)
    parser.add_argument("--queries", type=int, default=327)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=192, help="width of both models")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="write the report there, too")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
