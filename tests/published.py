"""Miniature dataset repositories in the layout of `mteb/*` on the hub."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

CORPUS = {
    "_id": ["4983", "5836", "7912", "18670"],
    "title": ["Microstructural development", "", "BC1 RNA", "The DNA Methylome"],
    "text": ["of human newborn white matter.", "Induction of myelodysplasia.", "", " of human cells. "],
}
QUERIES = {"_id": ["0", "1", "3"], "text": ["0-dimensional biomaterials", "not judged", "1,000 genomes"]}
QRELS = {"query-id": ["3", "0", "3"], "corpus-id": ["4983", "18670", "31715818"], "score": [1.0, 1.0, 0.0]}
CARD = """---
configs:
- config_name: default
  data_files:
  - split: test
    path: data/test-*
- config_name: corpus
  data_files:
  - split: corpus
    path: corpus/corpus-*
- config_name: queries
  data_files:
  - split: queries
    path: queries/queries-*
---
# A miniature
"""
Columns = Mapping[str, Sequence[Any] | pa.Array]


def write_parquet(folder: Path, corpus: Columns = CORPUS, queries: Columns = QUERIES, qrels: Columns = QRELS) -> Path:
    """A repository in the layout of mteb/scifact."""
    files = {"corpus/corpus": corpus, "queries/queries": queries, "data/test": qrels}
    for name, columns in files.items():
        path = folder / f"{name}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table(dict(columns)), path)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    return folder
