"""An evaluation with real weights that takes seconds: some queries over some documents of the bundled collection."""

import sys
from pathlib import Path

from evalkit.config.resources import shipped


def write_few(folder: Path, documents: int = 40) -> Path:
    """The first documents of the bundled collection, with all its queries and judgments; returns its folder."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    mini = shipped("collections") / "mini"
    for name, count in (("corpus.jsonl", documents), ("queries.jsonl", 74), ("qrels/test.tsv", 10_000)):
        lines = (mini / name).read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / name).write_text("".join(lines[:count]), encoding="utf-8")
    return folder


def evaluation(folder: Path, *settings: str) -> list[str]:
    """A command that evaluates ten queries over them, with results and cache in a folder."""
    places = [f"results_dir={folder / 'results'}", f"cache_dir={folder / 'cache'}", "compute.device=cpu"]
    dataset = ["dataset=folder", f"dataset.path={write_few(folder / 'few')}", "dataset.sample=10"]
    return [sys.executable, "-m", "evalkit", "evaluate", *places, *dataset, *settings]
