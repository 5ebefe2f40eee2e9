"""Late interaction (MaxSim) over the token vectors of any encoder checkpoint.

Score of a pair: for every query token the largest cosine with a token of the document, averaged over the query's tokens
(ColBERT, Khattab and Zaharia 2020, with a mean in place of the sum as in bge-m3's multi-vector mode). Each distinct
document is encoded once and scored against all its queries, so its token vectors are never kept.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pickle import UnpicklingError  # noqa: TID251 - only the error, with which torch refuses what is no tensor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig, LateInteractionConfig
from evalkit.errors import ModelError, reason
from evalkit.inference.usage import Usage
from evalkit.models.arithmetic import facts, resolved, workers
from evalkit.models.checkpoint import resolve
from evalkit.models.loading import load_encoder, refusing, require_encoder, require_positions
from evalkit.models.packing import packed_encoder
from evalkit.models.sentence_transformer import lowercases
from evalkit.models.tokenizers import load_tokenizer, require_vocabulary
from evalkit.rerank.streaming import gathered
from evalkit.types import Identity, Pair, PairScores, Scored, checked_pair

_FORMAT = 2  # of scores; a higher number makes old ones be computed anew


class LateInteractionReranker:
    """Token-level MaxSim. Resolves its checkpoint at once, and loads it for the first pair."""

    def __init__(self, config: LateInteractionConfig, compute: ComputeConfig, *, weights: bool = True) -> None:
        self.config = config
        self._asked = compute
        self.usage = Usage()
        also = [config.projection] if config.projection else []
        self.checkpoint = resolve(config.model, config.revision, also=also, weights=weights)
        self.compute = resolved(compute, self.checkpoint)
        self.lowercase = lowercases(self.checkpoint)
        require_encoder(self.checkpoint)
        require_positions(self.checkpoint, config.max_length)

    def __reduce__(self) -> tuple[Any, ...]:
        """The same in another process, which finds the checkpoint for itself."""
        return LateInteractionReranker, (self.config, self._asked.on_worker())

    @property
    def identity(self) -> Identity:
        """Checkpoint, texts around the text, limits and arithmetic."""
        return {
            "kind": "late_interaction",
            "format": _FORMAT,
            "checkpoint": self.checkpoint.identity,
            "query_instruction": self.config.query_instruction,
            "document_instruction": self.config.document_instruction,
            "max_length": self.config.max_length,
            "lowercase": self.lowercase,
            "skip_first_token": self.config.skip_first_token,
            "projection": self.config.projection,
            "dtype": self.compute.dtype,
            "attention": self.compute.attention,
        }

    @cached_property
    def _model(self) -> Any:
        return packed_encoder(load_encoder(self.checkpoint, self.compute), self.compute)

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self.checkpoint)

    @cached_property
    def _projection(self) -> tuple[Any, Any] | None:
        """Weight and bias of the linear layer over token vectors, in float32 on the model's device."""
        import torch

        if self.config.projection is None:
            return None
        file = self.checkpoint.inside(self.config.projection)
        with refusing(self.checkpoint):
            try:
                state = torch.load(file, map_location=self._model.device, weights_only=True)
                weight, bias = state["weight"].float(), state["bias"].float()
            except (OSError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, UnpicklingError) as error:
                raise ModelError(f"{file}: no linear layer with weight and bias ({reason(error)}).") from error
        width = int(self.checkpoint.config["hidden_size"])
        if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:  # noqa: PLR2004
            raise ModelError(
                f"{file}: a layer of shape {tuple(weight.shape)} does not fit token vectors of width {width}."
            )
        return weight, bias

    def facts(self) -> Mapping[str, object]:
        """See `StreamingReranker`."""
        return facts(self.compute)

    def score(self, pairs: Sequence[Pair], *, advance: Callable[[int], None] = lambda _: None) -> PairScores:
        """Mean over query tokens of the best cosine with a document token, from -1 to 1."""
        pairs = [checked_pair(number, pair) for number, pair in enumerate(pairs)]
        return gathered(self.stream(pairs), len(pairs), advance)

    def stream(self, pairs: Sequence[Pair], *, known: NDArray[np.bool_] | None = None) -> Iterator[Scored]:
        """See `StreamingReranker`; all pairs of a document come together."""
        known = np.zeros(len(pairs), dtype=bool) if known is None else known
        queries = {text: index for index, text in enumerate(dict.fromkeys(pair.query for pair in pairs))}
        documents = {text: index for index, text in enumerate(dict.fromkeys(pair.document for pair in pairs))}
        pairs_of: dict[int, list[int]] = defaultdict(list)
        for row in np.flatnonzero(~known).tolist():
            pairs_of[documents[pairs[row].document]].append(row)
        query_of = [queries[pair.query] for pair in pairs]

        query_vectors: dict[int, Any] = {}
        cut_queries = np.zeros(len(queries), dtype=bool)
        for batch in self._token_vectors(list(queries), self.config.query_instruction):
            for index, vectors, cut in batch:
                query_vectors[index], cut_queries[index] = vectors, cut
        done = np.array([index not in pairs_of for index in range(len(documents))], dtype=bool)
        for batch in self._token_vectors(list(documents), self.config.document_instruction, known=done):
            rows: list[int] = []
            scores, cuts = [], []
            for index, vectors, cut in batch:
                own = pairs_of[index]
                rows += own
                scores.append(_max_sim([query_vectors[query_of[row]] for row in own], vectors))
                cuts += [cut or bool(cut_queries[query_of[row]]) for row in own]
            yield Scored(np.array(rows), np.concatenate(scores), np.array(cuts, dtype=bool))

    def _token_vectors(
        self, texts: Sequence[str], instruction: str, known: NDArray[np.bool_] | None = None
    ) -> Iterator[list[tuple[int, Any, bool]]]:
        """(which text, unit vectors of shape (tokens, width) in float32, whether it was cut), batch by batch."""
        import torch

        from evalkit.inference.forward import forward
        from evalkit.inference.linear import summed
        from evalkit.inference.tokens import prepare, tokenize

        prepared = prepare(texts, instruction=instruction, lowercase=self.lowercase)
        tokenized = tokenize(self._tokenizer, prepared, max_length=self.config.max_length)
        first = 1 if self.config.skip_first_token else 0
        require_vocabulary(self.checkpoint, tokenized.ids)
        for batch in forward(
            self._model,
            tokenized,
            batch_tokens=self.compute.batch_tokens,
            workers=workers(self.compute),
            known=known,
            usage=self.usage,
        ):
            states = batch.states.float()
            if self._projection is not None:
                states = summed(states, *self._projection)
            states = torch.nn.functional.normalize(states, dim=-1)
            texts = states.split(batch.lengths.tolist())
            yield [
                (index, vectors[first:], bool(tokenized.truncated[index]))
                for index, vectors in zip(batch.rows.tolist(), texts, strict=True)
            ]


def _max_sim(queries: list[Any], document: Any) -> NDArray[np.float32]:
    """Scores of one document against several queries, each of shape (tokens, width); see `summed` for the float64."""
    import torch

    best = (torch.cat(queries).double() @ document.double().T).amax(dim=1)
    lengths = [len(query) for query in queries]
    return np.array([part.mean().item() for part in best.split(lengths)], dtype=np.float32)
