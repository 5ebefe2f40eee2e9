"""Texts to token ids, with the checkpoint's own tokenizer and its special tokens. Knows nothing of models."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Encoding objects are far larger than the ids in them; this many exist at a time.
_TEXTS_PER_CALL = 4096


def prepare(texts: Sequence[str], *, instruction: str, lowercase: bool) -> list[str]:
    """Texts as sentence-transformers reads them: after the instruction, without outer blanks, perhaps lower-cased."""
    prepared = (f"{instruction}{text}".strip() for text in texts)
    return [text.lower() for text in prepared] if lowercase else list(prepared)


class Tokenized(NamedTuple):
    """Token ids of texts or pairs.

    Attributes:
        ids: one array a text.
        segments: segment (token type) ids, one array a text.
        truncated: shape (texts,), whether the text was cut.
    """

    ids: list[NDArray[np.int32]]
    segments: list[NDArray[np.int32]]
    truncated: NDArray[np.bool_]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Shape (texts,), tokens."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)


def tokenize(tokenizer: Any, texts: Sequence[str], *, max_length: int) -> Tokenized:
    """Token ids of texts with special tokens, cut to `max_length`.

    Args:
        tokenizer: a `tokenizers.Tokenizer`; its truncation and padding are set here.
        texts: any number.
        max_length: tokens, special ones included.
    """
    # A tokenizer.json may carry the padding and truncation of whoever saved it (all-MiniLM-L6-v2: 128 tokens).
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=max_length)
    ids: list[NDArray[np.int32]] = []
    segments: list[NDArray[np.int32]] = []
    cut: list[bool] = []
    for start in range(0, len(texts), _TEXTS_PER_CALL):
        for encoding in tokenizer.encode_batch(list(texts[start : start + _TEXTS_PER_CALL])):
            ids.append(np.array(encoding.ids, dtype=np.int32))
            segments.append(np.array(encoding.type_ids, dtype=np.int32))
            cut.append(bool(encoding.overflowing))
    return Tokenized(ids, segments, np.array(cut, dtype=bool))
