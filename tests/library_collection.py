"""A part of the bundled collection `mini`, as three dicts that beir's `GenericDataLoader` would return."""

import json
from pathlib import Path

import evalkit

FOLDER = Path(evalkit.__file__).parent / "collections" / "mini"
DOCUMENTS, QUERIES = 60, 12


def triple():
    """Corpus, queries and judgments, as three dicts."""
    rows = {
        name: [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("corpus", "queries")
    }
    corpus = {row["_id"]: {"title": row["title"], "text": row["text"]} for row in rows["corpus"][:DOCUMENTS]}
    qrels = {}
    for line in (FOLDER / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query_id, doc_id, grade = line.split("\t")
        if doc_id in corpus and (query_id in qrels or len(qrels) < QUERIES):
            qrels.setdefault(query_id, {})[doc_id] = int(grade)
    return corpus, {row["_id"]: row["text"] for row in rows["queries"] if row["_id"] in qrels}, qrels


def texts(corpus):
    """Title and text of every document."""
    return {doc_id: f"{fields['title']} {fields['text']}".strip() for doc_id, fields in corpus.items()}


def arguments(folder):
    """Of an evaluation of this collection."""
    return {
        "dataset": (triple(), {"name": "part"}),
        "depth": 20,
        "measures": ["nDCG@10", "R@20", "MAP@20"],
        "compute": {"device": "cpu"},
        "results_dir": folder / "results",
        "cache_dir": folder / "cache",
    }
