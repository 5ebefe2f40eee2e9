"""A `tokenizer.model` read with sentencepiece, as the slow Llama tokenizer of transformers 4 reads it.

MiniCPM's repositories hold no `tokenizer.json`, and the fast tokenizer that transformers 5 makes of the file ignores
how the model card frames a pair. The rules are those of `LlamaTokenizer` with `legacy=True`: special-token strings
written in a text become the special ids, and every stretch between them is encoded on its own, so that each gets
sentencepiece's leading blank (equal to the golden ids of MiniCPM-Reranker).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.errors import MissingExtra, ModelError
from evalkit.inference.tokens import Frame, Ids
from evalkit.system.reporting import reason

_EMPTY = np.array([], dtype=np.int32)


class SentencePieceTokenizer:
    """A Llama-type sentencepiece vocabulary. Truncates on the right, as MiniCPM's card does.

    Args:
        file: the `tokenizer.model`.
        added: special-token strings that the vocabulary lacks, with their ids.

    Raises:
        ModelError: the file is not a sentencepiece model, or has no token for the beginning of a text.
        MissingExtra: sentencepiece is not installed.
    """

    cuts_left = False
    splits_after_colon = False  # a piece may span any place

    def __init__(self, file: Path, added: Mapping[str, int] | None = None) -> None:
        try:
            import sentencepiece
        except ImportError as error:
            raise MissingExtra("sentencepiece", extra="models", purpose=str(file)) from error
        try:
            self._model: Any = sentencepiece.SentencePieceProcessor(model_file=str(file))
        except (OSError, RuntimeError) as error:
            raise ModelError(f"{file}: not a sentencepiece model ({reason(error)}).") from error
        own = [int(index) for index in (self._model.unk_id(), self._model.bos_id(), self._model.eos_id())]
        if min(own) < 0:
            raise ModelError(f"{file}: has no <unk>, <s> or </s>, so it is not the tokenizer of a Llama-type model.")
        self._specials: dict[str, int] = {self._model.id_to_piece(index): index for index in own} | dict(added or {})
        longest_first = sorted(self._specials, key=len, reverse=True)
        self._split = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    def token_ids(self, texts: Sequence[str]) -> list[Ids]:
        """See `Tokenizer`."""
        return [np.array(self._ids(text), dtype=np.int32) for text in texts]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in self._split.split(text):
            if part in self._specials:
                ids.append(self._specials[part])
            elif part:
                ids += self._model.encode(part)
        return ids

    def token_id(self, token: str) -> int | None:
        """See `Tokenizer`."""
        found = self._specials.get(token, self._model.piece_to_id(token))
        return None if found == self._model.unk_id() and token != self._model.id_to_piece(found) else int(found)

    def frame(self, texts: int) -> Frame:
        """`<s>` before every text and nothing behind, as `add_bos_token` of the Llama tokenizer."""
        before = np.array([self._model.bos_id()], dtype=np.int32)
        between = before if texts > 1 else _EMPTY
        return Frame(before, between, _EMPTY, (np.zeros_like(before), 0, np.zeros_like(between), 0, _EMPTY))

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """See `Tokenizer`."""
        of_added = {index: token for token, index in self._specials.items()}
        return [of_added.get(int(index)) or str(self._model.id_to_piece(int(index))) for index in ids]

    def text(self, ids: Sequence[int]) -> str:
        """See `Tokenizer`."""
        of_added = {index: token for token, index in self._specials.items()}
        parts: list[str] = []
        plain: list[int] = []
        for index in [*map(int, ids), None]:
            if index is None or index in of_added:
                parts.append(str(self._model.decode(plain)))
                parts.append("" if index is None else of_added[index])
                plain = []
            else:
                plain.append(index)
        return "".join(parts)
