"""Late interaction (MaxSim) over the token vectors of any encoder checkpoint.

Score of a pair: for every query token the largest cosine with a token of the document, averaged over the query's tokens
(ColBERT, Khattab and Zaharia 2020, with a mean in place of the sum as in bge-m3's multi-vector mode). Each distinct
document is encoded once and scored against all its queries, so its token vectors are never stored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig
from evalkit.config.limits import MISSING, at_least
from evalkit.config.reranker import RerankerConfig
from evalkit.errors import ModelError
from evalkit.inference.budget import Budget
from evalkit.inference.tokens import prepare
from evalkit.inference.usage import Usage
from evalkit.models.arithmetic import arithmetic
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.multi_vector import METADATA
from evalkit.models.processor import noting
from evalkit.models.text_encoder import TextEncoder
from evalkit.rerank.seam import Reranker
from evalkit.types import Identity, Pair, Scored

if TYPE_CHECKING:
    from evalkit.inference.forward import States
    from evalkit.inference.max_sim import TokenVectors
    from evalkit.inference.tokens import Ids, Tokenized

Role = Literal["query", "document"]

_PROJECTION = "colbert_linear.pt"  # bge-m3's
_FORMAT = 3  # of scores; raise it to have old ones recomputed
_ANY_PAIR = Pair("a", "a")  # the first pass through a model takes longer than the others


@dataclass
class LateInteractionConfig(RerankerConfig):
    """Token-level MaxSim with any encoder checkpoint."""

    implementation: ClassVar[str] = "evalkit.rerank.colbert:LateInteraction"

    model: str = MISSING
    revision: str | None = None
    query_instruction: str | None = None
    """Put before every query as it is; the checkpoint's prompt `query` when not set."""
    document_instruction: str | None = None
    """Put before every document as it is; the checkpoint's prompt `document` when not set."""
    max_length: int | None = None
    """Tokens of one text, special tokens included; as many as the checkpoint says when not set. Of a model that is
    trained for late interaction those of a query."""
    document_length: int | None = None
    """Tokens of a document, of a model that is trained for late interaction; as many as it says when not set."""
    skip_first_token: bool = False
    """Leave the checkpoint's first token (`[CLS]`, `<s>`) out of queries and documents, as bge-m3's mode does."""
    projection: str | None = None
    """Linear layer over the token vectors, as a file in the checkpoint: bge-m3's `colbert_linear.pt`."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least("reranker.max_length", self.max_length, 8)
        at_least("reranker.document_length", self.document_length, 8)


class LateInteractionReranker(TextEncoder, Reranker):
    """Mean over query tokens of the best cosine with a document token, from -1 to 1; see above.

    Attributes:
        averages: whether the sum over a query's tokens is divided by their number.
    """

    usage: Usage
    budget: Budget
    overlaps = True
    averages: bool = True

    def __init__(self, config: LateInteractionConfig, compute: ComputeConfig, *, weights: bool = True) -> None:
        also = [config.projection or _PROJECTION, METADATA]
        super().__init__(config, compute, group="reranker", also=also, weights=weights)
        self.name = config.name
        self._require(config)

    def _require(self, config: LateInteractionConfig) -> None:
        """Refuse a checkpoint whose token vectors are not those of its encoder alone."""
        _require_bare(self.checkpoint, config)

    @property
    def identity(self) -> Identity:
        """Checkpoint, texts around the text, limits and arithmetic."""
        return {
            "kind": "late_interaction",
            "format": _FORMAT,
            "checkpoint": self.checkpoint.identity,
            **self.reading._asdict(),
            "lowercase": self.said.lowercase,
            "skip_first_token": self.config.skip_first_token,
            "projection": self.config.projection,
            **arithmetic(self.compute, self.checkpoint),
        }

    @cached_property
    def _projection(self) -> tuple[Any, Any] | None:
        """Weight and bias of the linear layer over token vectors, in float32 on the model's device."""
        if self.config.projection is None:
            return None
        from evalkit.models.token_layer import load_token_layer  # imports torch

        return load_token_layer(self.checkpoint, self.config.projection, self.model.device)

    def load(self) -> None:
        """See `Reranker`."""
        before = replace(self.usage)
        self.score([_ANY_PAIR])
        self.usage = noting(before, self.compute, self.checkpoint)

    def stream(self, pairs: Sequence[Pair], known: NDArray[np.bool_]) -> Iterator[Scored]:
        """See `Reranker`. All pairs of a document come together."""
        from evalkit.inference.max_sim import max_sim, spans

        queries, query_of = _distinct([pair.query for pair in pairs])
        documents, document_of = _distinct([pair.document for pair in pairs])
        rows = np.flatnonzero(~known)
        rows = rows[np.argsort(document_of[rows], kind="stable")]
        starts = np.searchsorted(document_of[rows], np.arange(len(documents) + 1))
        counts = np.diff(starts)
        self.prepare_vectors()
        asked, cut_queries = self.queries(queries)
        tokenized = self.read(documents, "document")

        def own(batch: "States") -> NDArray[np.int64]:
            return rows[spans(starts[batch.rows], counts[batch.rows])]

        def scores(batch: "States") -> Any:
            place = np.repeat(np.arange(len(batch.rows)), counts[batch.rows])
            vectors = self.compared(self.unit(batch), tokenized, batch.rows, "document")
            return max_sim(asked, vectors, query_of[own(batch)], place, mean=self.averages)

        for batch in self.forward(tokenized, scores, known=counts == 0):
            done = own(batch)
            cut = tokenized.truncated[document_of[done]] | cut_queries[query_of[done]]
            yield Scored(done, batch.states.numpy(), cut)

    def queries(self, texts: Sequence[str]) -> "tuple[TokenVectors, NDArray[np.bool_]]":
        """Their token vectors on the model's device, and which of them were cut."""
        import torch

        from evalkit.inference.max_sim import TokenVectors
        from evalkit.inference.sending import copied

        tokenized = self.read(texts, "query")
        parts, order = [], []
        for batch in self.forward(tokenized, self.unit):
            parts.append(batch.states)
            order.append(batch.rows)
        if not parts:
            return TokenVectors(torch.empty(0, 0), *np.empty((2, 0), dtype=np.int64)), tokenized.truncated
        rows = np.concatenate(order)
        found = self.compared(torch.cat(parts), tokenized, rows, "query")
        starts, lengths = np.empty_like(rows), np.empty_like(rows)
        starts[rows], lengths[rows] = found.starts, found.lengths
        return TokenVectors(copied(found.vectors, self.model.device), starts, lengths), tokenized.truncated

    def compared(self, vectors: Any, tokenized: "Tokenized", rows: NDArray[np.int64], role: Role) -> "TokenVectors":
        """Of the token vectors of some texts those that are compared."""
        from evalkit.inference.max_sim import TokenVectors
        from evalkit.inference.sending import sent

        lengths = tokenized.lengths[rows]
        kept = np.concatenate([self.kept(tokenized.ids[row], role) for row in rows])
        counts = np.add.reduceat(kept.astype(np.int64), np.cumsum(lengths) - lengths)
        if not kept.all():
            vectors = vectors.index_select(0, sent(np.flatnonzero(kept), vectors.device))
        return TokenVectors(vectors, np.cumsum(counts) - counts, counts)

    def kept(self, ids: "Ids", role: Role) -> NDArray[np.bool_]:
        """Which tokens of a text are compared."""
        del role
        return np.arange(len(ids)) >= int(self.config.skip_first_token)

    def prepare_vectors(self) -> None:
        """Load what lies between states and vectors, or refuse it, before the threads of the batches ask for it."""
        _ = self._projection

    def instruction(self, role: Role) -> str:
        """What stands before every text."""
        return self.reading.query_instruction if role == "query" else self.reading.document_instruction

    def prepared(self, texts: Sequence[str], role: Role) -> list[str]:
        """Texts as the tokenizer reads them."""
        return prepare(texts, instruction=self.instruction(role), lowercase=self.said.lowercase)

    def mark(self, role: Role) -> "Ids":
        """Tokens that stand behind the first one of a text; none here."""
        del role
        return np.array([], dtype=np.int32)

    def read(self, texts: Sequence[str], role: Role) -> "Tokenized":
        """Token ids of queries or of documents."""
        return self.tokenize(texts, instruction=self.instruction(role))

    def tokenize(self, texts: Sequence[str], *, instruction: str = "") -> "Tokenized":
        """See `TextEncoder`.

        Raises:
            ModelError: likewise, or no token of a text is left to compare.
        """
        tokenized = super().tokenize(texts, instruction=instruction)
        if self.config.skip_first_token and (short := np.flatnonzero(tokenized.lengths < 2)).size:  # noqa: PLR2004
            raise ModelError(
                f"{self.checkpoint.path}: text {int(short[0])} is a single token, which reranker.skip_first_token=true "
                "leaves out. Set reranker.skip_first_token=false."
            )
        return tokenized

    def unit(self, batch: "States") -> Any:
        """Vectors of length 1 of all tokens, of shape (tokens, width) and float32, where the states are."""
        import torch

        from evalkit.inference.linear import summed

        projected = batch.states.float() if self._projection is None else summed(batch.states, *self._projection)
        return torch.nn.functional.normalize(projected, dim=-1)


def _distinct(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The texts without repetitions, and which of these each one is."""
    places = {text: index for index, text in enumerate(dict.fromkeys(texts))}
    return list(places), np.array([places[text] for text in texts], dtype=np.int64)


def _require_bare(checkpoint: Checkpoint, config: LateInteractionConfig) -> None:
    """Refuse a checkpoint whose token vectors go through more than its encoder, where that is not computed.

    Raises:
        ModelError: `modules.json` has other modules, or there is bge-m3's projection and no setting names it.
    """
    if config.document_length is not None:
        raise ModelError(
            f"{checkpoint.path}: is not trained for late interaction, so its texts have one length. Set "
            "reranker.max_length, and remove reranker.document_length."
        )
    kinds = checkpoint.kinds
    if others := sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"}):
        raise ModelError(
            f"{checkpoint.path}: modules.json has {', '.join(others)} behind the encoder, so its token vectors are not "
            "those of the encoder alone, and no file says that it is trained for late interaction."
        )
    if config.projection is None and (checkpoint.path / _PROJECTION).is_file():
        raise ModelError(
            f"{checkpoint.path}: holds {_PROJECTION}, the layer that its token vectors are trained to go through. Set "
            f"reranker.projection={_PROJECTION} reranker.skip_first_token=true."
        )
