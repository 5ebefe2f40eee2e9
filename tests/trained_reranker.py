"""A tiny reranker that is right: a BERT trained on the doctor's own probes until it tells them apart.

    folder = write_trained_reranker(tmp_path / "model")

Trained once a process, in about a second. What a broken checkpoint does wrong is then all that the doctor can find.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from evalkit.config.resources import shipped

PROBES: dict[str, list[tuple[str, str]]] = json.loads(shipped("doctor/probes.json").read_text(encoding="utf-8"))
_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_STEPS = 120


def write_trained_reranker(folder: Path) -> Path:
    """A checkpoint in the layout of ms-marco-MiniLM that passes every check of `evalkit doctor`."""
    return save(folder, *_trained())


def save(folder: Path, model: PreTrainedModel, tokenizer: Tokenizer) -> Path:
    """Write a model and its tokenizer as transformers does."""
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "cls_token": "[CLS]",
        "model_max_length": 512,
        "pad_token": "[PAD]",
        "padding_side": "right",
        "sep_token": "[SEP]",
        "tokenizer_class": "BertTokenizer",
        "unk_token": "[UNK]",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@cache
def _trained() -> tuple[BertForSequenceClassification, Tokenizer]:
    tokenizer = probe_tokenizer()
    with repeatable():
        return _train(BertForSequenceClassification(tiny_config(tokenizer, num_labels=1)), tokenizer), tokenizer


@contextmanager
def repeatable() -> Iterator[None]:
    """Within, the same weights are drawn and trained in every process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            yield
    finally:
        torch.set_num_threads(threads)


def probe_tokenizer() -> Tokenizer:
    """Every lower-cased word and every Chinese character of the probes is a token."""
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    texts = [text for probes in PROBES.values() for probe in probes for text in probe]
    words = sorted(
        {
            word
            for text in texts
            for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))
        }
    )
    vocabulary = {token: index for index, token in enumerate((*_SPECIALS, *words))}
    tokenizer.model = models.WordPiece(vocabulary, unk_token="[UNK]")
    tokenizer.add_special_tokens(list(_SPECIALS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    # As most published files: the padding of whoever saved it.
    tokenizer.enable_padding(direction="right", pad_id=0, pad_token="[PAD]")
    return tokenizer


def tiny_config(tokenizer: Tokenizer, **more: int) -> BertConfig:
    """A BERT of two layers."""
    return BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.2,
        pad_token_id=0,
        **more,
    )


def padded(tokenizer: Tokenizer, texts: Sequence[Any]) -> dict[str, torch.Tensor]:
    """Texts or pairs as transformers takes them."""
    encodings = tokenizer.encode_batch(list(texts))
    return {
        "input_ids": torch.tensor([encoding.ids for encoding in encodings]),
        "attention_mask": torch.tensor([encoding.attention_mask for encoding in encodings]),
        "token_type_ids": torch.tensor([encoding.type_ids for encoding in encodings]),
    }


def _train(model: BertForSequenceClassification, tokenizer: Tokenizer) -> BertForSequenceClassification:
    """To scores that lie apart: 4 for the relevant document, and 0.5, 1, ... below 0 for those of other queries."""
    pairs = [(query, document) for probes in PROBES.values() for query, _ in probes for _, document in probes]
    wanted = torch.tensor(
        [
            4.0 if row == column else -0.5 * ((column - row) % len(probes))
            for probes in PROBES.values()
            for row in range(len(probes))
            for column in range(len(probes))
        ]
    )
    inputs = padded(tokenizer, pairs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
    for _step in range(_STEPS):
        loss = torch.nn.functional.mse_loss(model(**inputs).logits[:, 0], wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()
