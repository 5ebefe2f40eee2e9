"""The picture of README.md and docs/: four systems on the bundled collection, drawn by `evalkit report`.

    python scripts/make_picture.py

Evaluates in a temporary folder, offline, in about a minute on two cores, and writes docs/images/mini-intervals.png.
Needs the extra `mini`.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "mini-intervals.png"
_SYSTEMS = ("dataset=mini", "retriever=bm25,all_minilm_l6_v2", "reranker=none,late_interaction")


def main() -> None:
    """Evaluate, draw, and put the picture where the pages have it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = folder / "results"
        _evalkit("evaluate", "-m", *_SYSTEMS, f"results_dir={results}", f"cache_dir={folder / 'cache'}")
        _evalkit("report", str(results), "--figures", str(folder / "figures"))
        PICTURE.parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / "figures" / PICTURE.name, PICTURE)
    print(PICTURE)


def _evalkit(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "evalkit", *arguments], check=True)  # noqa: S603 - our own command


if __name__ == "__main__":
    main()
