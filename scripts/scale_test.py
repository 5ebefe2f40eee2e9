"""A large synthetic collection from its file to the best documents of every query: memory, exactness, resuming, time.

    python scripts/scale_test.py --folder DIR                     # 1,000,000 passages, 2,000 queries, depth 1,000
    python scripts/scale_test.py --folder DIR --kills 3 -- compute=ray
    python scripts/scale_test.py --folder DIR --passages 8841823 --queries 6980 --words 3,6

`evalkit plan` says first what it will take. Then `evalkit evaluate` runs, undisturbed, and once more killed at random
moments and gone on with, which must give the same bytes. For some queries all scores are computed by other code and
sorted. Exit code 1 if a process had more resident than --memory, if results or bytes differ, or if the plan was off by
more than --factor.
"""

import argparse
import gzip
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scale_collection import retrieval_settings, write_collection, write_models
from scale_memory import Watched

_GIB = 2**30
_BYTES = ("run.trec.gz", "per_query.parquet", "vectors.npy", "documents.arrow")
_BLOCK = 100_000  # documents that are scored at a time by the other code


class Evaluation:
    """One evaluation in folders of its own."""

    def __init__(self, folder: Path, collection: Path, encoder: Path, options: argparse.Namespace) -> None:
        self.folder, self.log = folder, folder / "log"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.settings = [
            *retrieval_settings(collection, encoder),
            "reranker=none",
            f"depth={options.depth}",
            f"measures=[nDCG@10,R@{options.depth}]",
            f"results_dir={folder / 'results'}",
            f"cache_dir={folder / 'cache'}",
            *options.overrides,
        ]
        self.peaks: list[tuple[str, int]] = []

    def plan(self) -> dict[str, Any]:
        """What `evalkit plan` says, by stage."""
        command = [sys.executable, "-m", "evalkit", "plan", "--format", "json", *self.settings]
        told = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own command
        return {row["stage"]: row for row in reversed(json.loads(told.stdout)[0]["rows"])}

    def run(self, after: float | None = None) -> float:
        """Run it to its end, or kill it after some seconds; gives the seconds that it ran."""
        start = time.perf_counter()
        watched = Watched([sys.executable, "-m", "evalkit", "evaluate", *self.settings], self.log)
        if after is not None:
            try:
                watched.process.wait(timeout=after)
            except subprocess.TimeoutExpired:
                watched.process.send_signal(signal.SIGKILL)
        code = watched.wait()
        self.peaks += watched.peaks.values()
        if code and after is None:
            raise SystemExit(f"exit code {code}; see {self.log}")
        return time.perf_counter() - start

    def file(self, name: str) -> Path:
        """The only file of this name."""
        (found,) = [path for path in self.folder.rglob(name) if "none" not in path.parts]
        return found

    @property
    def manifest(self) -> dict[str, Any]:
        """Of the candidates."""
        return dict(json.loads(self.file("manifest.json").read_text(encoding="utf-8")))

    def contents(self) -> dict[str, bytes]:
        """Bytes of every file with numbers, by its place."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            if path.name in _BYTES and "none" not in path.parts:
                found[str(path.relative_to(self.folder))] = path.read_bytes()
        return found


def exact(evaluation: Evaluation, collection: Path, encoder: Path, count: int, depth: int) -> int:
    """How many of some queries have exactly the documents and scores that a sort of all scores gives."""
    from evalkit import load_retriever

    with (collection / "queries.jsonl").open(encoding="utf-8") as file:
        queries = [json.loads(line) for line in file]
    chosen = random.Random(0).sample(queries, min(count, len(queries)))  # noqa: S311 - no secret
    retriever = load_retriever("dense", model=str(encoder), pooling="mean", max_length=128, compute={"device": "cpu"})
    vectors = retriever.encode_queries([query["text"] for query in chosen])
    documents = np.load(evaluation.file("vectors.npy"), mmap_mode="r")
    scores = np.concatenate(
        [_products(vectors, documents[start : start + _BLOCK]) for start in range(0, len(documents), _BLOCK)], axis=1
    )
    wanted = {query["_id"] for query in chosen}
    found: dict[str, list[tuple[str, float]]] = {query_id: [] for query_id in wanted}
    with gzip.open(evaluation.file("run.trec.gz"), "rt", encoding="utf-8") as file:
        for line in file:
            query_id, _, doc_id, _, score, _ = line.split()
            if query_id in wanted:
                found[query_id].append((doc_id, float(np.float32(score))))
    ids = [f"p{row}" for row in range(len(documents))]
    return sum(_best(row, ids, depth) == found[query["_id"]] for query, row in zip(chosen, scores, strict=True))


def _products(queries: NDArray[np.float32], documents: NDArray[np.floating]) -> NDArray[np.float32]:
    """A sum in float64 for each pair, rounded once; shape (queries, documents)."""
    wide = documents.astype(np.float64)
    return np.stack([(wide * query.astype(np.float64)).sum(axis=1) for query in queries]).astype(np.float32)


def _best(scores: NDArray[np.float32], ids: list[str], depth: int) -> list[tuple[str, float]]:
    near = np.argpartition(-scores, depth + 100)[: depth + 100] if len(scores) > depth + 100 else np.arange(len(scores))
    least = scores[near].min()
    rows = np.flatnonzero(scores >= least)
    ranked = sorted(((float(scores[row]), ids[row]) for row in rows), reverse=True)
    return [(doc_id, float(np.float32(score))) for score, doc_id in ranked[:depth]]


def main() -> int:
    """Exit code 1 where something is not as it should be."""
    options = _options()
    folder = Path(options.folder).absolute()
    words = tuple(int(count) for count in options.words.split(","))
    collection = write_collection(
        folder / "collection", passages=options.passages, queries=options.queries, words=words
    )
    encoder, _ = write_models(folder / "models", hidden=options.hidden)
    evaluation = Evaluation(folder / "undisturbed", collection, encoder, options)
    planned = evaluation.plan()
    seconds = evaluation.run()
    sample = min(options.sample, options.queries)
    report = {
        "passages": options.passages,
        "queries": options.queries,
        "depth": options.depth,
        "words": words,
        "overrides": options.overrides,
        "seconds": seconds,
        "stages": evaluation.manifest["stages"],
        "planned_seconds": {name: row["time"] for name, row in planned.items()},
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in evaluation.contents().items()},
        "exact": f"{exact(evaluation, collection, encoder, sample, options.depth)} of {sample}",
    }
    if options.kills:
        report["killed"] = _killed(evaluation, folder, collection, encoder, options, seconds)
        report["peak_memory_gib"] = _peaks(evaluation.peaks)
    report["peak_memory_gib"] = _peaks(evaluation.peaks)
    faults = _faults(report, options, sample)
    print(json.dumps({**report, "faults": faults}, indent=2))
    if options.json:
        Path(options.json).write_text(json.dumps({**report, "faults": faults}, indent=2) + "\n", encoding="utf-8")
    return 1 if faults else 0


def _killed(
    undisturbed: Evaluation, folder: Path, collection: Path, encoder: Path, options: argparse.Namespace, longest: float
) -> dict[str, Any]:
    """The same once more, killed at random moments."""
    again = Evaluation(folder / "killed", collection, encoder, options)
    rng = random.Random(options.seed)  # noqa: S311 - moments, not secrets
    ran = [again.run(after=rng.uniform(5, longest * 0.6)) for _ in range(options.kills)]
    ran.append(again.run())
    expected, found = undisturbed.contents(), again.contents()
    undisturbed.peaks += again.peaks
    return {"seconds": ran, "files": len(expected), "same_bytes": found == expected}


def _peaks(peaks: list[tuple[str, int]]) -> dict[str, float]:
    """The most of any process of a name, the greatest first."""
    most: dict[str, int] = {}
    for name, size in peaks:
        most[name] = max(most.get(name, 0), size)
    return {name: round(size / _GIB, 3) for name, size in sorted(most.items(), key=lambda one: -one[1])[:8]}


def _faults(report: dict[str, Any], options: argparse.Namespace, sample: int) -> list[str]:
    faults = []
    if report["exact"] != f"{sample} of {sample}":
        faults.append(f"exact for {report['exact']}")
    if "killed" in report and not report["killed"]["same_bytes"]:
        faults.append("killed, the bytes are others")
    for name, size in report["peak_memory_gib"].items():
        if size > options.memory:
            faults.append(f"{name} had {size} GiB resident")
    stages = {name: facts for name, facts in report["stages"].items() if name in report["planned_seconds"]}
    actual = sum(facts["seconds"] for facts in stages.values())
    planned = sum(report["planned_seconds"][name] for name in stages)
    report["planned_over_actual"] = round(planned / actual, 3)
    if not 1 / options.factor <= planned / actual <= options.factor:
        faults.append(f"planned {planned:.0f} s, took {actual:.0f} s")
    return faults


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, help="for collection, models, results and cache")
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--words", default="15,60", help="of a passage, least and most")
    parser.add_argument("--hidden", type=int, default=32, help="width of the encoder")
    parser.add_argument("--depth", type=int, default=1_000)
    parser.add_argument("--sample", type=int, default=20, help="queries whose scores are all computed by other code")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=float, default=2.5, help="GiB that no process may exceed")
    parser.add_argument("--factor", type=float, default=1.5, help="by which the planned time may be off")
    parser.add_argument("--json", help="write the report there, too")
    parser.add_argument("overrides", nargs="*", help="of `evalkit evaluate`, behind --")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
