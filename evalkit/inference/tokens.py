"""Texts to token ids, with the checkpoint's own tokenizer and its special tokens. Knows nothing of models."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import ModelError
from evalkit.inference.plan import windows

Ids = NDArray[np.int32]

# Encoding objects are far larger than the ids in them: about 25 bytes a character.
_TEXTS_PER_CALL = 4096
_CHARACTERS_PER_CALL = 2_000_000


class Frame(NamedTuple):
    """The special tokens that a tokenizer puts around one or two texts.

    Attributes:
        before: in front of the first text.
        between: between two texts; empty for one.
        behind: after the last text.
        segments: segment id of each part in order: before, first text, between, second text, behind.
    """

    before: Ids
    between: Ids
    behind: Ids
    segments: tuple[Ids, int, Ids, int, Ids]

    @property
    def tokens(self) -> int:
        """How many special tokens there are."""
        return len(self.before) + len(self.between) + len(self.behind)


class Tokenizer(Protocol):
    """**Protocol:** what evalkit asks of a tokenizer, whichever library reads its files."""

    def token_ids(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text, uncut and without added special tokens; special-token strings in a text count as such."""
        ...

    def frame(self, texts: int) -> Frame:
        """What the tokenizer adds around one text or two."""
        ...

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The vocabulary's string of every id."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """What the ids spell, special tokens included."""
        ...


class FastTokenizer:
    """A `tokenizers.Tokenizer`, as in `tokenizer.json`."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        # A tokenizer.json may carry the padding and truncation of whoever saved it (all-MiniLM-L6-v2: 128 tokens).
        tokenizer.no_padding()
        tokenizer.no_truncation()

    def token_ids(self, texts: Sequence[str]) -> list[Ids]:
        """See `Tokenizer`."""
        ids: list[Ids] = []
        sizes = np.array([len(text) for text in texts], dtype=np.int64)
        for call in windows(sizes, count=_TEXTS_PER_CALL, size=_CHARACTERS_PER_CALL):
            encodings = self._tokenizer.encode_batch(list(texts[call]), add_special_tokens=False)
            ids += [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]
        return ids

    def frame(self, texts: int) -> Frame:
        """Read off a sample: what is before, between and behind the tokens of the texts themselves."""
        sample = self._tokenizer.encode("a") if texts == 1 else self._tokenizer.encode("a", "a")
        owners = np.array([-1 if owner is None else owner for owner in sample.sequence_ids])
        ids, segments = np.array(sample.ids, dtype=np.int32), np.array(sample.type_ids, dtype=np.int32)
        first = np.flatnonzero(owners == 0)
        last = np.flatnonzero(owners == texts - 1)
        before, behind = slice(0, first[0]), slice(last[-1] + 1, None)
        between = slice(first[-1] + 1, last[0] if texts > 1 else first[-1] + 1)
        return Frame(
            ids[before],
            ids[between],
            ids[behind],
            (segments[before], int(segments[first[0]]), segments[between], int(segments[last[0]]), segments[behind]),
        )

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """See `Tokenizer`."""
        return [str(self._tokenizer.id_to_token(int(token))) for token in ids]

    def text(self, ids: Sequence[int]) -> str:
        """See `Tokenizer`."""
        return str(self._tokenizer.decode([int(token) for token in ids], skip_special_tokens=False))


class CachedTokenizer:
    """A tokenizer that remembers texts, so that a document that many queries found is tokenised once.

    Keeps digests and ids, not texts; forgets all when it holds as many tokens as it may.

    Args:
        tokenizer: of a checkpoint.
        limit: tokens to remember, of four bytes each.
    """

    def __init__(self, tokenizer: Tokenizer, limit: int = 32_000_000) -> None:
        self._tokenizer, self._limit = tokenizer, limit
        self._ids: dict[bytes, Ids] = {}
        self._held = 0
        self.frame, self.tokens, self.text = tokenizer.frame, tokenizer.tokens, tokenizer.text

    def token_ids(self, texts: Sequence[str]) -> list[Ids]:
        """See `Tokenizer`."""
        keys = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        absent = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._ids}
        found = dict(zip(absent, self._tokenizer.token_ids(list(absent.values())), strict=True))
        result = [found[key] if key in found else self._ids[key] for key in keys]
        count = sum(map(len, found.values()))
        if self._held + count > self._limit:
            self._ids, self._held = {}, 0
        if count <= self._limit:
            self._ids |= found
            self._held += count
        return result


class Tokenized(NamedTuple):
    """Token ids of texts.

    Attributes:
        ids: one array a text.
        segments: segment (token type) ids, one array a text.
        truncated: shape (texts,), whether the text was cut.
    """

    ids: list[Ids]
    segments: list[Ids]
    truncated: NDArray[np.bool_]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Shape (texts,), tokens."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)


class TokenizedPairs(NamedTuple):
    """Token ids of pairs.

    Attributes:
        ids: one array a pair.
        segments: segment (token type) ids, one array a pair.
        documents: shape (pairs, 2), where each document starts and stops.
        dropped: shape (pairs, 2), tokens of query and document that were cut off.
    """

    ids: list[Ids]
    segments: list[Ids]
    documents: NDArray[np.int64]
    dropped: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Shape (pairs,), tokens."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """Shape (pairs,), whether anything was cut off."""
        return np.asarray(self.dropped.any(axis=1), dtype=bool)


def require_specials(frame: Frame) -> None:
    """Refuse a tokenizer that adds nothing.

    Raises:
        ModelError: it is not an encoder's.
    """
    if not frame.tokens:
        raise ModelError("the tokenizer adds no special tokens, so an empty text would have none at all.")


def prepare(texts: Sequence[str], *, instruction: str, lowercase: bool) -> list[str]:
    """Texts as sentence-transformers reads them: after the instruction, without outer blanks, perhaps lower-cased."""
    prepared = (f"{instruction}{text}".strip() for text in texts)
    return [text.lower() for text in prepared] if lowercase else list(prepared)


def tokenize(tokenizer: Tokenizer, texts: Sequence[str], *, max_length: int) -> Tokenized:
    """Token ids of texts with special tokens, cut to `max_length`.

    Args:
        tokenizer: the checkpoint's.
        texts: any number.
        max_length: tokens, special ones included.

    Raises:
        ModelError: the tokenizer adds no special token, so that an empty text would have none at all.
    """
    frame = tokenizer.frame(1)
    require_specials(frame)
    budget = max_length - frame.tokens
    uncut = tokenizer.token_ids(texts)
    before, of_text, _, _, behind = frame.segments
    return Tokenized(
        [np.concatenate([frame.before, ids[:budget], frame.behind]) for ids in uncut],
        [np.concatenate([before, np.full(min(len(ids), budget), of_text, np.int32), behind]) for ids in uncut],
        np.array([len(ids) > budget for ids in uncut], dtype=bool),
    )


def distinct_token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, Ids]:
    """Ids of each distinct text, as `Tokenizer.token_ids`."""
    distinct = list(dict.fromkeys(texts))
    return dict(zip(distinct, tokenizer.token_ids(distinct), strict=True))
