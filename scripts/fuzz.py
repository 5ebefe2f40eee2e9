"""Feed evalkit hostile files, names and words for some minutes; stop at the first that it does not take well.

    python scripts/fuzz.py --minutes 10

Runs tests/fuzz with new seeds until the time is over. Exit code 0: nothing was found; 1: something was, and pytest says
what, with the smallest example that shows it.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Rounds of the fuzz tests until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the first round; the next has the next")
    parser.add_argument("--examples", type=int, default=300, help="of each target in a round")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    environment = {**os.environ, "EVALKIT_FUZZ_EXAMPLES": str(options.examples)}
    rounds = 0
    while time.monotonic() < end:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "auto", "-p", "no:cacheprovider", "tests/fuzz"]
        seeded = [*command, f"--hypothesis-seed={options.seed + rounds}"]
        done = subprocess.run(seeded, cwd=_ROOT, env=environment, check=False)  # noqa: S603 - our own tests
        if done.returncode:
            print(f"found in round {rounds} (seed {options.seed + rounds})")
            return 1
        rounds += 1
        print(f"{rounds} rounds of {options.examples} examples a target, nothing found", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
