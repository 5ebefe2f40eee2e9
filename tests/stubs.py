"""Small real things for tests: a reranker without a model, a collection on disk, a tiny BERT checkpoint."""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from evalkit.rerank.seam import Reranker
from evalkit.types import Scored

DOCUMENTS = {
    "d1": ("Tides", "The moon pulls the sea and makes tides."),
    "d2": ("", "Bees make honey from nectar."),
    "d3": ("Bread", "Yeast makes bread rise."),
    "d4": ("", ""),
    "d5": ("Moon", "The moon has no air."),
}
QUERIES = {"q1": "why does the sea have tides", "q2": "what makes bread rise", "q3": "not judged"}
QRELS = {"q1": {"d1": 2, "d5": 1}, "q2": {"d3": 1, "d2": 0}}


class StubReranker(Reranker):
    """Score = number of distinct words that query and document share; all pairs of a window at once."""

    identity: ClassVar[dict[str, str]] = {"kind": "stub"}

    def stream(self, pairs, known):
        rows = np.flatnonzero(~known)
        words = [(set(pairs[row].query.lower().split()), set(pairs[row].document.lower().split())) for row in rows]
        shared = [len(query & document) for query, document in words]
        yield Scored(rows, np.array(shared, dtype=np.float32), np.zeros(len(rows), dtype=bool))


class Clock:
    """Seconds that go by when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def manifest_of_candidates(key: str, measures: Mapping[str, float], **more: object) -> dict[str, Any]:
    """What a first stage's manifest says, but for what `results.save` adds of the files."""
    reported: dict[str, Any] = {"name": "toy", "title_separator": " "}
    return {
        "key": key,
        "queries": 2,
        "queries_with_ties_in_top_10": 0,
        "queries_without_candidates": [],
        "measures": dict(measures),
        "ceiling": dict.fromkeys(measures, 1.0),
        "seconds": 1.5,
        "artefacts": [],
        "command": "evalkit evaluate",
        "run_digest": "d" * 64,
        "retriever": {"name": "bm25", "kind": "bm25", "depth": 10},
        "dataset": {**reported, "split": "test", "digest": "0", "empty_documents": 0, "queries_without_relevant": 0},
        "config": {
            "measures": list(measures),
            "cache_dir": None,
            "compute": {},
            "dataset": reported,
            "retriever": {"name": "bm25"},
            "reranker": {"name": "none"},
        },
        "environment": {"device": "cpu", "git_commit": None, "packages": {"evalkit": "0.1.0"}},
        **more,
    }


def write_collection(
    folder: Path,
    documents: Mapping[str, tuple[str, str]] = DOCUMENTS,
    queries: Mapping[str, str] = QUERIES,
    qrels: Mapping[str, Mapping[str, int]] = QRELS,
    split: str = "test",
) -> Path:
    """A collection in BEIR layout; returns its folder."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    corpus = [{"_id": doc_id, "title": title, "text": text} for doc_id, (title, text) in documents.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus), encoding="utf-8")
    rows = [{"_id": query_id, "text": text} for query_id, text in queries.items()]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lines = [f"{query}\t{doc}\t{grade}\n" for query, grades in qrels.items() for doc, grade in grades.items()]
    (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines), encoding="utf-8")
    return folder


def tiny_bert(folder: Path, *, classifier: bool = False, labels: int = 1, seed: int = 0) -> Path:
    """A BERT checkpoint with random weights, two layers of width 32, and a word-level vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _tiny_bert(classifier, labels, seed).items():
        (folder / name).write_bytes(content)
    return folder


@cache
def _tiny_bert(classifier: bool, labels: int, seed: int) -> dict[str, bytes]:
    """Its files; made once, as saving a model takes 30 ms."""
    with tempfile.TemporaryDirectory() as folder:
        _write_tiny_bert(Path(folder), classifier=classifier, labels=labels, seed=seed)
        return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def _write_tiny_bert(folder: Path, *, classifier: bool, labels: int, seed: int) -> None:
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    words = sorted(
        {word for title, text in DOCUMENTS.values() for word in f"{title} {text}".lower().replace(".", "").split()}
    )
    words += [word for query in QUERIES.values() for word in query.split() if word not in words]
    vocabulary = {
        token: index for index, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(words), "."])
    }
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=0,
        num_labels=labels,
        initializer_range=0.5,
    )
    model = BertForSequenceClassification(config) if classifier else BertModel(config, add_pooling_layer=False)
    model.save_pretrained(folder)


def changed(source: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a checkpoint with `change` applied to its dictionary of tensors."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, target)
    tensors = load_file(target / "model.safetensors")
    change(tensors)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def configured(source: Path, target: Path, **settings: Any) -> Path:
    """A copy of a checkpoint with settings changed in its config.json."""
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    (target / "config.json").write_text(json.dumps(config | settings), encoding="utf-8")
    return target


def overlap(query, documents):
    """A reranker as a function: words that query and document share."""
    return [len({*query.lower().split()} & {*document.lower().split()}) for document in documents]


def toy_evaluation(folder: Path) -> dict[str, Any]:
    """Arguments of `evalkit.evaluate` for BM25 over the toy collection, all below a folder."""
    places = {"results_dir": folder / "results", "cache_dir": folder / "cache"}
    dataset = write_collection(folder / "toy")
    return {"dataset": dataset, "retriever": "bm25", "depth": 5, "measures": ["nDCG@10", "RR"], **places}
