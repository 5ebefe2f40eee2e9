"""An encoder of texts: reads, cuts and runs them in batches. Retrieval and late interaction use its states."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig
from evalkit.inference.tokens import Tokenized, Tokenizer, prepare, tokenize
from evalkit.inference.usage import Usage
from evalkit.models.arithmetic import budget_of, require_torch, resolved, workers
from evalkit.models.checkpoint import resolve
from evalkit.models.declared import Declared, Reading, declared, reading
from evalkit.models.loading import load_encoder
from evalkit.models.processor import facts, warn_of_emulation
from evalkit.models.requirements import require_encoder, require_positions, require_text
from evalkit.models.routes import Route, of_route
from evalkit.models.tokenizers import load_tokenizer, require_vocabulary

if TYPE_CHECKING:
    from evalkit.inference.forward import Finish, States
    from evalkit.inference.packed import Select


class TextEncoder:
    """A checkpoint whose token vectors are used. Resolves it at once, and loads it for the first text.

    Attributes:
        checkpoint: with its configuration.
        compute: as resolved for the checkpoint.
        said: what its own files declare.
        reading: texts around a text, and the tokens that it may have.
        usage: what the engine took so far.
        budget: tokens of a batch.
    """

    usage: Usage

    def __init__(
        self,
        config: Any,
        compute: ComputeConfig,
        *,
        group: str,
        also: Sequence[str] = (),
        weights: bool,
        route: Route | None = None,
    ) -> None:
        """Resolve and check it.

        Args:
            config: `model`, `revision`, `query_instruction`, `document_instruction` and `max_length`.
            compute: where and how.
            group: `retriever` or `reranker`, for errors.
            also: files with weights that are read in addition to those of the model.
            weights: whether a hub id's weights are downloaded too.
            route: of a Router the one that is read; None where a Router is refused.
        """
        self.config = config
        self._asked = compute
        self.usage, self.budget = Usage(), budget_of(compute)
        found = resolve(str(config.model), config.revision, also=also, weights=weights, routed=route is not None)
        self.checkpoint = found if route is None else of_route(found, route)
        self.compute = resolved(compute, self.checkpoint)
        self.said, self.reading = self._declared(group)
        require_text(self.checkpoint, self.said)
        require_positions(self.checkpoint, self.reading.max_length)
        if weights:
            warn_of_emulation(compute)

    def _declared(self, group: str) -> tuple[Declared, Reading]:
        """The checkpoint's declarations, and how its texts are read."""
        require_encoder(self.checkpoint)
        said = declared(self.checkpoint)
        return said, reading(self.checkpoint, said, self.config, group=group)

    def __reduce__(self) -> tuple[Any, ...]:
        """The same in another process, which finds the checkpoint for itself."""
        return type(self), (self.config, self._asked.on_worker())

    def facts(self) -> Mapping[str, object]:
        """Other facts that decide the last bits of a state."""
        return facts(self.compute, self.checkpoint)

    @cached_property
    def model(self) -> Any:
        """The weights; loaded when first asked for."""
        require_torch()
        from evalkit.models.packing import packed_encoder  # imports torch, and settings must not

        return packed_encoder(load_encoder(self.checkpoint, self.compute), self.compute)

    def unload(self) -> None:
        """Give the memory of the weights back; they are loaded again when next asked for."""
        vars(self).pop("model", None)

    @cached_property
    def _alone(self) -> bool:
        """Whether each text is run by itself, as its states would depend on the padding of its batch."""
        from evalkit.models.padding import runs_alone

        return runs_alone(self.model, self.checkpoint, self.compute)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The checkpoint's."""
        return load_tokenizer(self.checkpoint)

    def tokenize(self, texts: Sequence[str], *, instruction: str = "") -> Tokenized:
        """Token ids of texts behind an instruction.

        Raises:
            ModelError: an id is not in the checkpoint's vocabulary.
        """
        prepared = prepare(texts, instruction=instruction, lowercase=self.said.lowercase)
        tokenized = tokenize(self.tokenizer, prepared, max_length=self.reading.max_length)
        require_vocabulary(self.checkpoint, tokenized.ids)
        return tokenized

    def forward(
        self,
        tokenized: Tokenized,
        finish: "Finish",
        *,
        select: "Select" = "all",
        known: NDArray[np.bool_] | None = None,
    ) -> "Iterator[States]":
        """The output of `finish` for the states, batch by batch; leaving known texts out changes no batch."""
        from evalkit.inference.forward import forward

        return forward(
            self.model,
            tokenized,
            batch_tokens=1 if self._alone else self.budget,
            select=select,
            workers=workers(self.compute),
            known=known,
            usage=self.usage,
            finish=finish,
        )
