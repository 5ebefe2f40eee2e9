"""Texts to token ids, with the checkpoint's own tokenizer and its special tokens. Knows nothing of models."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import ModelError
from evalkit.inference.batches import windows
from evalkit.inference.splitting import splits_after_colon

Ids = NDArray[np.int32]

# Encoding objects are far larger than the ids in them: about 25 bytes a character.
_TEXTS_PER_CALL = 4096
_CHARACTERS_PER_CALL = 2_000_000


class Frame(NamedTuple):
    """The special tokens before, between and behind one or two texts.

    Attributes:
        segments: segment id of each part in order: before, first text, between, second text, behind.
    """

    before: Ids
    between: Ids
    behind: Ids
    segments: tuple[Ids, int, Ids, int, Ids]

    @property
    def tokens(self) -> int:
        """Number of special tokens."""
        return len(self.before) + len(self.between) + len(self.behind)


class Tokenizer(Protocol):
    """**Protocol:** a tokenizer, whichever library reads its files.

    Attributes:
        cuts_left: whether truncation drops the beginning of a text, and not its end.
    """

    cuts_left: bool

    @property
    def splits_after_colon(self) -> bool:
        """Whether the tokens of `x:` and of ` y`, joined, are those of `x: y`, for any texts x and y."""
        ...

    def token_ids(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each whole text without added special tokens; special-token strings in a text become special ids."""
        ...

    def frame(self, texts: int) -> Frame:
        """The special tokens around one text or two."""
        ...

    def token_id(self, token: str) -> int | None:
        """The id of exactly this string of the vocabulary; None where it has none."""
        ...

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The vocabulary's string of every id."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """The ids as text, special tokens included."""
        ...


class FastTokenizer:
    """A `tokenizers.Tokenizer`, as in `tokenizer.json`.

    `segmented` says whether the second text of a pair has a segment (token type) of its own for the model.
    """

    def __init__(self, tokenizer: Any, *, cuts_left: bool = False, segmented: bool = True) -> None:
        self._tokenizer, self.cuts_left, self._segmented = tokenizer, cuts_left, segmented
        # A tokenizer.json may carry the padding and truncation of whoever saved it (all-MiniLM-L6-v2: 128 tokens).
        tokenizer.no_padding()
        tokenizer.no_truncation()

    @cached_property
    def splits_after_colon(self) -> bool:
        """See `Tokenizer`."""
        return splits_after_colon(self._tokenizer)

    def token_ids(self, texts: Sequence[str]) -> list[Ids]:
        """See `Tokenizer`."""
        ids: list[Ids] = []
        sizes = np.array([len(text) for text in texts], dtype=np.int64)
        for call in windows(sizes, count=_TEXTS_PER_CALL, size=_CHARACTERS_PER_CALL):
            encodings = self._tokenizer.encode_batch(list(texts[call]), add_special_tokens=False)
            ids += [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]
        return ids

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token of `token_ids` starts and stops in the text, in characters."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

    def token_id(self, token: str) -> int | None:
        """See `Tokenizer`."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def frame(self, texts: int) -> Frame:
        """From a sample: the tokens before, between and behind those of the texts themselves."""
        sample = self._tokenizer.encode("a") if texts == 1 else self._tokenizer.encode("a", "a")
        owners = np.array([-1 if owner is None else owner for owner in sample.sequence_ids])
        ids, segments = np.array(sample.ids, dtype=np.int32), np.array(sample.type_ids, dtype=np.int32)
        segments *= self._segmented
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
    """A tokenizer with a cache, so that a document that many queries found is tokenised once.

    The cache has digests and ids, not texts. It is emptied when it reaches its limit (tokens, of four bytes each).
    """

    def __init__(self, tokenizer: Tokenizer, limit: int = 32_000_000) -> None:
        self._tokenizer, self._limit = tokenizer, limit
        self._ids: dict[bytes, Ids] = {}
        self._held = 0
        self.frame, self.tokens, self.text = tokenizer.frame, tokenizer.tokens, tokenizer.text
        self.token_id = tokenizer.token_id
        self.cuts_left = tokenizer.cuts_left

    @property
    def splits_after_colon(self) -> bool:
        """See `Tokenizer`."""
        return self._tokenizer.splits_after_colon

    def token_ids(self, texts: Sequence[str]) -> list[Ids]:
        """See `Tokenizer`."""
        keys = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        known = self._ids  # another thread may empty the cache meanwhile
        absent = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        found = dict(zip(absent, self._tokenizer.token_ids(list(absent.values())), strict=True))
        result = [found[key] if key in found else known[key] for key in keys]
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
        truncated: shape (texts,), whether the text was truncated.
        attended: shape (texts,), how many tokens of each text are seen by all of its tokens; those behind are seen by
            none. All are when None.
        unpooled: how many tokens at the start of every text no pooling reads.
    """

    ids: list[Ids]
    segments: list[Ids]
    truncated: NDArray[np.bool_]
    attended: NDArray[np.int64] | None = None
    unpooled: int = 0

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
        dropped: shape (pairs, 2), tokens of query and document that were truncated.
        starts: shape (pairs,), tokens of template and instruction before each query; None where they are too few to be
            computed once for all.
    """

    ids: list[Ids]
    segments: list[Ids]
    documents: NDArray[np.int64]
    dropped: NDArray[np.int64]
    starts: NDArray[np.int64] | None = None

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Shape (pairs,), tokens."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """Shape (pairs,), whether anything was truncated."""
        return np.asarray(self.dropped.any(axis=1), dtype=bool)


def prepare(texts: Sequence[str], *, instruction: str, lowercase: bool) -> list[str]:
    """Texts after their instruction, perhaps in lower case, which makes words of special-token strings.

    sentence-transformers did the same up to version 5; the models that need it are older.
    """
    prepared = [instruction + text for text in texts]
    return [text.lower() for text in prepared] if lowercase else prepared


def shortened(ids: Ids, count: int, *, left: bool = False) -> Ids:
    """The first tokens of a text, at most `count`, or the last ones."""
    return ids[max(len(ids) - count, 0) :] if left else ids[:count]


def require_tokens(ids: Sequence[Ids]) -> None:
    """Refuse a text without any token.

    Raises:
        ModelError: the message has the number of the text.
    """
    if (empty := next((number for number, row in enumerate(ids) if not len(row)), None)) is not None:
        raise ModelError(
            f"text {empty} is empty, and this tokenizer adds no token of its own, so the model has nothing to read."
        )


def tokenize(tokenizer: Tokenizer, texts: Sequence[str], *, max_length: int) -> Tokenized:
    """Token ids of texts (already after their instruction), truncated to `max_length` tokens with the special ones.

    Raises:
        ModelError: a text has no token at all.
    """
    frame = tokenizer.frame(1)
    budget = max_length - frame.tokens
    uncut = tokenizer.token_ids(texts)
    before, of_text, _, _, behind = frame.segments
    kept = [shortened(ids, budget, left=tokenizer.cuts_left) for ids in uncut]
    rows = [np.concatenate([frame.before, ids, frame.behind]) for ids in kept]
    require_tokens(rows)
    return Tokenized(
        rows,
        [np.concatenate([before, np.full(len(ids), of_text, np.int32), behind]) for ids in kept],
        np.array([len(ids) > budget for ids in uncut], dtype=bool),
    )


def prompt_tokens(tokenizer: Tokenizer, alone: Ids) -> int:
    """How many tokens a pooling without the prompt leaves out, as sentence-transformers counts them.

    `alone` are the tokens of the prompt alone; the special token behind it does not count.
    """
    return len(alone) - min(len(tokenizer.frame(1).behind), 1)


def without_ends(pairs: TokenizedPairs, token: int | None) -> TokenizedPairs:
    """Pairs without one token wherever it ends a pair, since no score depends on it. Each has its first token still.

    For models in which a token sees only those before it, so that the other states do not change.
    """
    if token is None:
        return pairs
    kept = [int(np.flatnonzero(ids != token)[-1]) + 1 if (ids != token).any() else 1 for ids in pairs.ids]
    return pairs._replace(
        ids=[ids[:count] for ids, count in zip(pairs.ids, kept, strict=True)],
        segments=[segments[:count] for segments, count in zip(pairs.segments, kept, strict=True)],
        documents=np.minimum(pairs.documents, np.array(kept, dtype=np.int64).reshape(-1, 1)),
    )


def distinct_token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, Ids]:
    """Text -> `Tokenizer.token_ids`, each text once."""
    distinct = list(dict.fromkeys(texts))
    return dict(zip(distinct, tokenizer.token_ids(distinct), strict=True))
