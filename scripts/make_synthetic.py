"""Synthetic results: many datasets and rerankers, evaluated by evalkit itself with rerankers that draw their scores.

    python scripts/make_synthetic.py FOLDER --datasets 15 --rerankers 12 --queries 467

Every reranker scores pairs one by one with noise around the grade, so depth curves, ties, truncation and speeds are
there as for a real model. What it makes is for looking at a report and for timing it, never for a claim.
"""

import argparse
import json
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import evalkit
from evalkit import Reranker, Scored
from evalkit.types import Pair

DEPTH = 100
_WORDS = """
heat cold river stone paper model index query score rank light water metal plant cell gene virus dose trial
court law tax bank loan price market trade ship port road rail bridge city field crop soil rain storm wind
solar power grid fuel engine wheel motor valve pump pipe glass fibre silk wool cotton dye ink print book page
letter
"""


class DrawnReranker(Reranker):
    """Scores a pair by noise around its grade, both of which its texts name."""

    def __init__(self, name: str, strength: float, *, seed: int, digits: int, limit: int, cost: float) -> None:
        self.name, self._strength, self._seed = name, strength, seed
        self._digits, self._limit, self._cost = digits, limit, cost

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that decides a score."""
        return {"kind": "drawn", "name": self.name, "strength": self._strength, "seed": self._seed, "d": self._digits}

    def stream(self, pairs: Sequence[Pair], known: NDArray[np.bool_]) -> Iterator[Scored]:
        """All pairs at once, as slowly as `cost` (seconds a pair) says."""
        rows = np.flatnonzero(~known)
        grades = np.array([_grade(pairs[row]) for row in rows], dtype=np.float64)
        noise = _noise([pairs[row] for row in rows], self._seed)
        scores = np.round(self._strength * grades + noise, self._digits).astype(np.float32)
        cut = np.array([len(pairs[row].document) > self._limit for row in rows], dtype=bool)
        time.sleep(self._cost * len(rows))
        yield Scored(rows, np.where(cut, scores - np.float32(0.3), scores).astype(np.float32), cut)


def _grade(pair: Pair) -> int:
    topic = pair.query.split()[-1]
    return 2 if f"answers {topic}." in pair.document else int(f"mentions {topic}." in pair.document)


def _noise(pairs: Sequence[Pair], seed: int) -> NDArray[np.float64]:
    """A normal number for each pair that depends on its texts and the seed alone (Box and Muller 1958)."""
    texts = [f"{seed} {pair.query} {pair.document[:60]}".encode() for pair in pairs]
    first, second = (np.array([zlib.crc32(text + end) for text in texts]) / 2**32 for end in (b"1", b"two"))
    return np.asarray(np.sqrt(-2 * np.log(1 - first)) * np.cos(2 * np.pi * second))


def write_collection(folder: Path, *, queries: int, seed: int) -> tuple[Path, dict[str, dict[str, float]]]:
    """A collection in BEIR layout and a first stage's scores; of a query's candidates two are relevant."""
    random = np.random.default_rng(seed)
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    vocabulary = _WORDS.split()
    corpus, asked, judged, run = [], [], ["query-id\tcorpus-id\tscore\n"], {}
    for query in range(queries):
        topic = f"topic{query}"
        words = " ".join(random.choice(vocabulary, size=int(random.integers(2, 14))))
        asked.append({"_id": f"q{query}", "text": f"what about {words} and {topic}"})
        own = {}
        for place in range(DEPTH):
            doc_id, grade = f"d{query}-{place}", 2 if place == 7 else int(place in {23, 61})  # noqa: PLR2004
            remark = {2: f" This answers {topic}.", 1: f" This mentions {topic}."}.get(grade, "")
            body = " ".join(random.choice(vocabulary, size=int(random.integers(20, 90))))
            corpus.append({"_id": doc_id, "title": f"On {random.choice(vocabulary)}", "text": f"{body}.{remark}"})
            own[doc_id] = float(random.normal() + grade)
            if grade or random.random() < 0.6:  # noqa: PLR2004 - the others are unjudged
                judged.append(f"q{query}\t{doc_id}\t{grade}\n")
        run[f"q{query}"] = own
    for name, rows in (("corpus", corpus), ("queries", asked)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text("".join(judged), encoding="utf-8")
    return folder, run


def main() -> None:
    """Make the collections and evaluate every reranker on each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--datasets", type=int, default=15)
    parser.add_argument("--rerankers", type=int, default=12)
    parser.add_argument("--queries", type=int, default=467)
    options = parser.parse_args()
    for number in range(options.datasets):
        name = f"corpus{number + 1:02d}"
        path, run = write_collection(options.folder / "collections" / name, queries=options.queries, seed=number)
        saved = options.folder / f"{name}.trec"
        evalkit.write_run(evalkit.Run.from_dict(run), saved, tag="first")
        for place in range(options.rerankers):
            reranker = DrawnReranker(
                f"reranker-{'abcdefghijklmnopqrstuvwxyz'[place]}{2 ** (place // 2)}b",
                0.8 + 0.22 * place + 0.05 * ((number * 7 + place * 5) % 11),
                seed=place * 100 + number,
                digits=1 if place == 3 else 4,  # noqa: PLR2004 - one of them has many ties
                limit=300 if place % 4 == 2 else 620,  # noqa: PLR2004 - some read fewer characters
                cost=2e-7 * 2**place,
            )
            evalkit.evaluate(
                dataset=("folder", {"path": str(path), "name": name}),
                retriever=("saved", {"path": str(saved), "name": "first"}),
                reranker=reranker,
                results_dir=str(options.folder / "results"),
                cache_dir=str(options.folder / "cache"),
            )


if __name__ == "__main__":
    main()
