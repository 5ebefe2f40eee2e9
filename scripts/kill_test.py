"""Kill evaluations at random moments, go on with them, and compare the bytes with those of an undisturbed one.

    python scripts/kill_test.py                    # 50 kills, spread over encoding, scoring and writing
    python scripts/kill_test.py --kills 10 --signal TERM --seed 7 -- dataset=mini_zh reranker=late_interaction

Every trial starts from nothing: the command is started, killed in the phase that is its turn, perhaps killed again, and
run to its end. Compared are all files of the results and of the store that hold numbers; of manifests all but times and
what tells how much was found. Exit code 0 if every trial gave the same bytes, 1 if one did not.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PROGRAM = [sys.executable, "-m", "evalkit", "evaluate"]
PHASES = ("encode", "score", "write", "any")
VOLATILE = (
    "seconds",
    "stages",
    "pairs_per_second",
    "kept_pairs",
    "engine",
    "environment",
    "config",
    "command",
    "manifest_sha256",
)
COMPARED = ("run.trec.gz", "per_query.parquet", "truncated.parquet", "vectors.npy", "documents.arrow")


class Trial:
    """One evaluation in folders of its own."""

    def __init__(self, folder: Path, overrides: list[str]) -> None:
        self.results, self.cache = folder / "results", folder / "cache"
        settings = [f"results_dir={self.results}", f"cache_dir={self.cache}", "compute.batch_tokens=512", *overrides]
        self.command = [*PROGRAM, *settings]

    def start(self) -> subprocess.Popen[str]:
        """The command, running."""
        return subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own command

    def finish(self) -> float:
        """Run the command to its end; gives the seconds."""
        start = time.perf_counter()
        process = self.start()
        _, errors = process.communicate()
        if process.returncode:
            raise SystemExit(f"exit code {process.returncode}: {errors}")
        return time.perf_counter() - start

    def phase(self) -> str | None:
        """What the command is doing, by what is on the disk."""
        if any(self.results.rglob(".building-*")):
            return "write"
        if any(self.cache.glob("scores/*/scores.log")):
            return "score"
        if any(self.cache.glob("embeddings/.partial-*/done.log")):
            return "encode"
        return None

    def digests(self) -> dict[str, str]:
        """Of every file with numbers, by its place."""
        found = {}
        for path in sorted([*self.results.rglob("*"), *self.cache.rglob("*")]):
            place = str(path.relative_to(self.results.parent))
            if path.name in COMPARED:
                found[place] = hashlib.sha256(path.read_bytes()).hexdigest()
            elif path.name == "manifest.json":
                manifest = json.loads(path.read_text(encoding="utf-8"))
                kept = {key: value for key, value in manifest.items() if key not in VOLATILE}
                found[place] = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
        return found


def kill_in(trial: Trial, phase: str, how: signal.Signals, longest: float, rng: random.Random) -> str:
    """Start the command and kill it; gives the phase in which that was, or `finished`."""
    process = trial.start()
    after = rng.uniform(0, longest)
    start = time.perf_counter()
    while process.poll() is None:
        at = trial.phase()
        if phase == "any" and time.perf_counter() - start >= after:
            break
        if at == phase:
            time.sleep(0 if phase == "write" else rng.uniform(0, longest / 4))
            break
        time.sleep(0.0005)
    at = trial.phase() or "start"
    if process.poll() is not None:
        at = "finished"
    else:
        os.kill(process.pid, how)
    process.communicate()
    return at


class Outcome(NamedTuple):
    """What came of the trials.

    Attributes:
        trials: how many.
        same: how many ended in the bytes of an undisturbed run.
        moments: kills by phase.
    """

    trials: int
    same: int
    moments: Counter[str]


def run(overrides: list[str], *, kills: int, how: str, seed: int, phases: Sequence[str] = PHASES) -> Outcome:
    """The trials one after the other; a line on stdout for each.

    Args:
        overrides: of `evalkit evaluate`.
        kills: trials.
        how: KILL, TERM or INT.
        seed: of the moments.
        phases: in which the first kill of each trial is, by turns.
    """
    rng = random.Random(seed)  # noqa: S311 - moments, not secrets
    same, moments, signal_sent = 0, Counter[str](), signal.Signals[f"SIG{how}"]
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = Trial(Path(folder) / "undisturbed", overrides)
        longest = undisturbed.finish()
        expected = undisturbed.digests()
        print(f"undisturbed: {longest:.1f} s, {len(expected)} files compared")
        for number in range(kills):
            trial = Trial(Path(folder) / f"trial-{number}", overrides)
            killed = [kill_in(trial, phases[number % len(phases)], signal_sent, longest, rng)]
            while rng.random() < 1 / 3:
                killed.append(kill_in(trial, "any", signal_sent, longest, rng))
            trial.finish()
            moments.update(killed)
            found = trial.digests()
            wrong = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
            same += not wrong
            print(f"{number + 1:3}  killed in {', '.join(killed):30}  {wrong or 'same bytes'}", flush=True)
            shutil.rmtree(trial.results.parent)
    return Outcome(kills, same, moments)


def main() -> int:
    """Run the trials and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--signal", default="KILL", choices=["KILL", "TERM", "INT"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("overrides", nargs="*", help="of `evalkit evaluate`, behind --")
    arguments = parser.parse_args()
    outcome = run(arguments.overrides, kills=arguments.kills, how=arguments.signal, seed=arguments.seed)
    print(f"{outcome.same} of {outcome.trials} the same bytes; kills by phase: {dict(outcome.moments)}")
    return 0 if outcome.same == outcome.trials else 1


if __name__ == "__main__":
    raise SystemExit(main())
