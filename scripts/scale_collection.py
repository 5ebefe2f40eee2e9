"""A synthetic collection of any size, and tiny models that read it within minutes.

Passages are random words of a made-up language, frequent ones more often; a query is some words of one passage, which
is its relevant one.
"""

import json
import random
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from evalkit.system.progress import progress

_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
_WORDS = 4000
_QUERY_WORDS = 8
_MAX_POSITIONS = 128
_DONE = "made.json"


def write_collection(
    folder: Path, *, passages: int, queries: int, words: tuple[int, int] = (15, 60), seed: int = 0
) -> Path:
    """The collection in BEIR layout; one that is there already, made alike, is kept.

    Args:
        folder: for the files.
        passages: how many.
        queries: how many.
        words: of a passage, least and most.
        seed: of all that is random.
    """
    facts = json.dumps({"passages": passages, "queries": queries, "words": words, "seed": seed})
    if (folder / _DONE).is_file() and (folder / _DONE).read_text(encoding="utf-8") == facts:
        return folder
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    chosen = {(number * passages) // queries: number for number in range(queries)}
    with (
        (folder / "corpus.jsonl").open("w", encoding="utf-8") as corpus,
        (folder / "queries.jsonl").open("w", encoding="utf-8") as asked,
        (folder / "qrels" / "test.tsv").open("w", encoding="utf-8") as judged,
        progress("writing passages", passages, "passages") as advance,
    ):
        judged.write("query-id\tcorpus-id\tscore\n")
        for row, passage in enumerate(_passages(passages, lengths=words, seed=seed)):
            corpus.write(json.dumps({"_id": f"p{row}", "title": passage[0], "text": " ".join(passage[1:])}) + "\n")
            if row in chosen:
                picked = random.Random(f"{seed} {row}").sample(passage, min(_QUERY_WORDS, len(passage)))  # noqa: S311
                asked.write(json.dumps({"_id": f"q{chosen[row]}", "text": " ".join(picked)}) + "\n")
                judged.write(f"q{chosen[row]}\tp{row}\t1\n")
            advance(1)
    (folder / _DONE).write_text(facts, encoding="utf-8")
    return folder


def retrieval_settings(collection: Path, encoder: Path) -> list[str]:
    """Settings of `evalkit evaluate` for dense retrieval from the collection with the bi-encoder."""
    return [
        "dataset=folder",
        f"dataset.path={collection}",
        "retriever=dense",
        f"retriever.model={encoder}",
        "retriever.pooling=mean",
        f"retriever.max_length={_MAX_POSITIONS}",
    ]


def _words() -> list[str]:
    rng = random.Random(1)  # noqa: S311 - no secret
    found: dict[str, None] = {}
    while len(found) < _WORDS:
        found["".join(rng.choices(_SYLLABLES, k=rng.randint(2, 3)))] = None
    return list(found)


def _passages(count: int, *, lengths: tuple[int, int], seed: int) -> Iterator[list[str]]:
    rng = random.Random(seed)  # noqa: S311 - no secret
    words = _words()
    weights = list(accumulate(1 / (rank + 10) for rank in range(len(words))))
    for _ in range(count):
        yield rng.choices(words, cum_weights=weights, k=rng.randint(*lengths))


def write_models(folder: Path, *, layers: int = 2, hidden: int = 32) -> tuple[Path, Path]:
    """A bi-encoder and a cross-encoder with random weights over the words; returns their folders."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    vocabulary = {token: row for row, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *_words()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a token, not a secret
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=_MAX_POSITIONS,
        pad_token_id=0,
        num_labels=1,
        initializer_range=0.2,
    )
    made = []
    for name, kind in (("encoder", BertModel), ("reranker", BertForSequenceClassification)):
        torch.manual_seed(0)
        (folder / name).mkdir(parents=True, exist_ok=True)
        kind(config).save_pretrained(folder / name)
        tokenizer.save(str(folder / name / "tokenizer.json"))
        made.append(folder / name)
    return made[0], made[1]
