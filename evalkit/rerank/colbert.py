"""Models that are trained for late interaction (ColBERT, Khattab and Zaharia 2020), as their own files say.

A query is marked, and filled up with mask tokens: nothing sees these, and their vectors are compared all the same. A
document is marked, and the vectors of its punctuation are left out. The score is the sum over a query's vectors of the
best product with one of the document's.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig
from evalkit.config.compute import PACKED
from evalkit.errors import ModelError
from evalkit.inference.tokens import Ids, Tokenized, tokenize
from evalkit.models.arithmetic import arithmetic
from evalkit.models.checkpoint import resolve
from evalkit.models.declared import Declared, Reading, declared
from evalkit.models.layout import has_sdpa, packs_fillers
from evalkit.models.loading import refusing
from evalkit.models.multi_vector import LINEAR, METADATA, MultiVector, multi_vector, special_token
from evalkit.models.requirements import require_no_code, require_whole
from evalkit.models.tokenizers import require_vocabulary
from evalkit.rerank.late_interaction import LateInteractionConfig, LateInteractionReranker, Role
from evalkit.types import Identity

if TYPE_CHECKING:
    from evalkit.inference.forward import States

_FORMAT = 1  # of scores; raise it to have old ones recomputed


class ColbertReranker(LateInteractionReranker):
    """MaxSim of the vectors that a late-interaction model was trained to compare."""

    layout: MultiVector

    def _declared(self, group: str) -> tuple[Declared, Reading]:
        """See `TextEncoder`. The length is that of documents, the larger one."""
        require_whole(self.checkpoint)
        require_no_code(self.checkpoint)
        found = multi_vector(self.checkpoint)
        assert found is not None
        self.layout, config = found, self.config
        self._run_padded_where_needed()
        said = declared(self.checkpoint, late=True)
        usual = said.max_length
        self.query_length = config.max_length or found.query_length or usual
        self.document_length = config.document_length or found.document_length or usual
        if self.query_length is None or self.document_length is None:
            raise ModelError(
                f"{self.checkpoint.path}: says nothing of how long a text may be. Set {group}.max_length for queries "
                f"and {group}.document_length."
            )
        own = {"query": config.query_instruction, "document": config.document_instruction}
        query, document = (said.prompts.get(role, "") if text is None else text for role, text in own.items())
        return said, Reading(query, document, max(self.query_length, self.document_length))

    def _run_padded_where_needed(self) -> None:
        """Short windows, and DeBERTa's distances, reach masks that fill up a query only in a padded model."""
        filled = self.layout.expansion and not self.layout.attends
        packs = packs_fillers(self.checkpoint, self._expansion)
        if not filled or self.compute.attention not in PACKED or packs:
            return
        if self._asked.attention != "auto":
            raise ModelError(
                f"{self.checkpoint.path}: compute.attention={self._asked.attention} cannot fill up queries of this "
                "model. Set compute.attention=auto."
            )
        self.compute = replace(self.compute, attention="sdpa" if has_sdpa(self.checkpoint) else "eager")

    def _require(self, config: LateInteractionConfig) -> None:
        """Refuse settings for other checkpoints."""
        if config.projection is not None or config.skip_first_token:
            raise ModelError(
                f"{self.checkpoint.path}: is trained for late interaction, and its own files say what is compared. "
                "Remove reranker.projection and reranker.skip_first_token."
            )

    @property
    def identity(self) -> Identity:
        """See `Reranker`."""
        return {
            "kind": "colbert",
            "format": _FORMAT,
            "checkpoint": self.checkpoint.identity,
            "query_instruction": self.reading.query_instruction,
            "document_instruction": self.reading.document_instruction,
            "query_length": self.query_length,
            "document_length": self.document_length,
            "lowercase": self.said.lowercase,
            **arithmetic(self.compute, self.checkpoint),
        }

    @property
    def averages(self) -> bool:  # type: ignore[override]
        """See `LateInteractionReranker`."""
        return self.layout.averages

    @cached_property
    def _mask_id(self) -> int:
        """The token that fills up a query."""
        name = self.layout.expansion_token
        tokens = [name] if name else [special_token(self.checkpoint, key) for key in ("mask_token", "eos_token")]
        token = next((text for text in tokens if text is not None), None)
        found = None if token is None else self.tokenizer.token_id(token)
        if found is None:
            raise ModelError(f"{self.checkpoint.path}: its tokenizer has no token {token!r} to fill up queries with.")
        return found

    @cached_property
    def _marks(self) -> dict[str, Ids]:
        """The token behind the first one of a query and of a document; none where it is part of the text."""
        found = {}
        for role, mark in (("query", self.layout.query_mark), ("document", self.layout.document_mark)):
            token = self.tokenizer.token_id(mark) if mark else None
            if mark and token is None:
                raise ModelError(
                    f"{self.checkpoint.path}: marks a {role} by the token {mark!r}, which its tokenizer lacks, so it "
                    "would have an embedding at random. Add it in a copy of the folder."
                )
            found[role] = np.array([] if token is None else [token], dtype=np.int32)
        return found

    @cached_property
    def _skipped(self) -> NDArray[np.int64]:
        """Tokens whose vectors are left out."""
        ids = [self.tokenizer.token_id(word) for word in self.layout.skipped]
        if None in ids and self.layout.skips_unknown and (unknown := special_token(self.checkpoint, "unk_token")):
            ids.append(self.tokenizer.token_id(unknown))
        return np.array(sorted({token for token in ids if token is not None}), dtype=np.int64)

    def kept(self, ids: Ids, role: Role) -> NDArray[np.bool_]:
        """See `LateInteractionReranker`.

        Raises:
            ModelError: none is.
        """
        if role not in self.layout.skips_in:
            return np.ones(len(ids), dtype=bool)
        kept = ~np.isin(ids, self._skipped)
        if not kept.any():
            raise ModelError(
                f"{self.checkpoint.path}: all tokens of a {role} are left out, so none can be compared. Shorten "
                "skiplist_words in a copy of the folder."
            )
        return kept

    def prepared(self, texts: Sequence[str], role: Role) -> list[str]:
        """See `LateInteractionReranker`. PyLate's texts lose blanks at both ends."""
        whole = super().prepared(texts, role)
        return [text.strip() for text in whole] if len(self._marks[role]) else whole

    def mark(self, role: Role) -> Ids:
        """See `LateInteractionReranker`."""
        return self._marks[role]

    def read(self, texts: Sequence[str], role: Role) -> Tokenized:
        """See `LateInteractionReranker`: cut, marked, and in queries filled up.

        Raises:
            ModelError: a token is not in the model's vocabulary.
        """
        layout, mark = self.layout, self._marks[role]
        query = role == "query"
        length = self.query_length if query else self.document_length
        if query and layout.expansion and not layout.cuts_at_expansion and length is not None:
            length = max(length, self._expansion)
        assert length is not None
        found = tokenize(self.tokenizer, self.prepared(texts, role), max_length=length - len(mark))
        ids = [np.concatenate([row[:1], mark, row[1:]]) for row in found.ids]
        segments = [np.concatenate([row[:1], row[:1].repeat(len(mark)), row[1:]]) for row in found.segments]
        attended = None
        if query and layout.expansion:
            lengths = np.array([len(row) for row in ids], dtype=np.int64)
            attended = None if layout.attends else lengths
            missing = np.maximum(self._expansion - lengths, 0)
            ids = [_filled(row, count, self._mask_id) for row, count in zip(ids, missing.tolist(), strict=True)]
            segments = [_filled(row, count, 0) for row, count in zip(segments, missing.tolist(), strict=True)]
        require_vocabulary(self.checkpoint, ids)
        return Tokenized(ids, segments, found.truncated, attended)

    @property
    def _expansion(self) -> int:
        """Tokens to which queries are filled up."""
        cut = self.layout.cuts_at_expansion and self.config.max_length
        return int(cut or self.layout.expansion)

    @cached_property
    def _stages(self) -> list[Any]:
        """The linear layers over token vectors."""
        import torch

        from evalkit.models.stored_layers import TOKENS, load_dense
        from evalkit.models.weights import Stored, Tensors

        device = self.model.device
        with refusing(self.checkpoint):
            if "HF_ColBERT" not in self.checkpoint.config.get("architectures", []):
                folders = [self.checkpoint.path / folder for folder in self.layout.dense]
                return [load_dense(folder, device, reads=TOKENS, writes=TOKENS) for folder in folders]
            tensors = Tensors(self.checkpoint)
            width = self.checkpoint.numbers("hidden_size")["hidden_size"]
            shape = tensors.shapes.get(LINEAR, (0, 0))
            if shape[1:] != (width,):
                raise ModelError(f"{self.checkpoint.path}: has no {LINEAR} over vectors of width {width}.")
            layer = torch.nn.Linear(width, shape[0], bias=False, dtype=torch.float64, device=device)
            with torch.no_grad():
                layer.weight.copy_(tensors.read(Stored(LINEAR)))
            return [layer]

    def prepare_vectors(self) -> None:
        """See `LateInteractionReranker`."""
        _ = self._stages

    def unit(self, batch: "States") -> Any:
        """See `LateInteractionReranker`."""
        import torch

        vectors = batch.states.double()
        for stage in self._stages:
            vectors = stage(vectors)
        vectors = torch.nn.functional.normalize(vectors, dim=-1) if self.layout.normalizes else vectors
        return vectors.float()


class LateInteraction:
    """Chooses a reranker by the files of the checkpoint: one that was trained for late interaction, or any encoder."""

    @staticmethod
    def from_config(
        config: LateInteractionConfig, compute: ComputeConfig, *, instruction: str, weights: bool
    ) -> LateInteractionReranker:
        """See `Reranker`."""
        del instruction  # it has no place for one
        checkpoint = resolve(config.model, config.revision, also=[METADATA], weights=False)
        kind = LateInteractionReranker if multi_vector(checkpoint) is None else ColbertReranker
        return kind(config, compute, weights=weights)


def _filled(row: Ids, count: int, token: int) -> Ids:
    return np.concatenate([row, np.full(count, token, dtype=np.int32)])
