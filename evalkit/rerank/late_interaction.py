"""Late interaction (MaxSim) over the token vectors of any encoder checkpoint.

Score of a pair: for every query token the largest cosine with a token of the document, averaged over the query's tokens
(ColBERT, Khattab and Zaharia 2020, with a mean in place of the sum as in bge-m3's multi-vector mode). Each distinct
document is encoded once and scored against all its queries, so its token vectors are never kept.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pickle import UnpicklingError  # noqa: TID251 - only the error, with which torch refuses what is no tensor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig, LateInteractionConfig
from evalkit.config.compute import PACKED
from evalkit.errors import ModelError, reason
from evalkit.inference.usage import Usage
from evalkit.models.arithmetic import budget_of, emulated, facts, resolved, warn_of_emulation, workers
from evalkit.models.checkpoint import Checkpoint, resolve
from evalkit.models.declared import declared, reading, require_text
from evalkit.models.loading import load_encoder, refusing, require_encoder, require_positions
from evalkit.models.packing import packed_encoder
from evalkit.models.tokenizers import load_tokenizer, require_vocabulary
from evalkit.rerank.streaming import gathered
from evalkit.types import Identity, Pair, PairScores, Scored

_PROJECTION = "colbert_linear.pt"  # bge-m3's
_FORMAT = 3  # of scores; a higher number makes old ones be computed anew
_ANY_PAIR = Pair("a", "a")  # the first pass through a model takes longer than the others


class LateInteractionReranker:
    """Token-level MaxSim. Resolves its checkpoint at once, and loads it for the first pair."""

    def __init__(self, config: LateInteractionConfig, compute: ComputeConfig, *, weights: bool = True) -> None:
        self.config = config
        self._asked = compute
        self.usage, self.budget = Usage(), budget_of(compute)
        also = [config.projection or _PROJECTION]
        self.checkpoint = resolve(config.model, config.revision, also=also, weights=weights)
        self.compute = resolved(compute, self.checkpoint)
        require_encoder(self.checkpoint)
        _require_bare(self.checkpoint, config)
        self.said = declared(self.checkpoint)
        self.reading = reading(self.checkpoint, self.said, config, group="reranker")
        require_text(self.checkpoint, self.said)
        require_positions(self.checkpoint, self.reading.max_length)
        if weights:
            warn_of_emulation(compute)

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
            **self.reading._asdict(),
            "lowercase": self.said.lowercase,
            "skip_first_token": self.config.skip_first_token,
            "projection": self.config.projection,
            "dtype": self.compute.dtype,
            "attention": self.compute.attention,
        }

    @cached_property
    def _model(self) -> Any:
        return packed_encoder(load_encoder(self.checkpoint, self.compute), self.compute)

    @cached_property
    def _alone(self) -> bool:
        """Whether each text is run by itself, as its states would depend on the padding of its batch."""
        from evalkit.models.padding import minds_padding

        return self.compute.attention not in PACKED and minds_padding(self._model)

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

    def load(self) -> None:
        """See `LoadingReranker`."""
        before = replace(self.usage)
        list(self.stream([_ANY_PAIR]))
        self.usage = replace(before, emulated=emulated(self.compute))

    def facts(self) -> Mapping[str, object]:
        """See `StreamingReranker`."""
        return facts(self.compute)

    def score(self, pairs: Sequence[Pair], *, advance: Callable[[int], None] = lambda _: None) -> PairScores:
        """Mean over query tokens of the best cosine with a document token, from -1 to 1."""
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
        for batch in self._token_vectors(list(queries), self.reading.query_instruction):
            for index, vectors, cut in batch:
                query_vectors[index], cut_queries[index] = vectors, cut
        done = np.array([index not in pairs_of for index in range(len(documents))], dtype=bool)
        for batch in self._token_vectors(list(documents), self.reading.document_instruction, known=done):
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

        prepared = prepare(texts, instruction=instruction, lowercase=self.said.lowercase)
        tokenized = tokenize(self._tokenizer, prepared, max_length=self.reading.max_length)
        first = 1 if self.config.skip_first_token else 0
        require_vocabulary(self.checkpoint, tokenized.ids)
        for batch in forward(
            self._model,
            tokenized,
            batch_tokens=1 if self._alone else self.budget,
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


def _require_bare(checkpoint: Checkpoint, config: LateInteractionConfig) -> None:
    """Refuse a checkpoint whose token vectors go through more than its encoder, where that is not computed.

    Raises:
        ModelError: `modules.json` has other modules, or there is bge-m3's projection and no setting names it.
    """
    kinds = [kind for kind, _ in checkpoint.modules()]
    if others := sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"}):
        raise ModelError(
            f"{checkpoint.path}: modules.json has {', '.join(others)} behind the encoder, so its token vectors are not "
            "those of the encoder alone. Late-interaction models (ColBERT) of this layout do not run yet."
        )
    if config.projection is None and (checkpoint.path / _PROJECTION).is_file():
        raise ModelError(
            f"{checkpoint.path}: holds {_PROJECTION}, the layer that its token vectors are trained to go through. Set "
            f"reranker.projection={_PROJECTION} reranker.skip_first_token=true."
        )


def _max_sim(queries: list[Any], document: Any) -> NDArray[np.float32]:
    """Scores of one document against several queries, each of shape (tokens, width); see `summed` for the float64."""
    import torch

    best = (torch.cat(queries).double() @ document.double().T).amax(dim=1)
    lengths = [len(query) for query in queries]
    return np.array([part.mean().item() for part in best.split(lengths)], dtype=np.float32)
