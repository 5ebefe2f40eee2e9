"""Tokens that a model reads: by its own tokenizer and template, or assumed where these are not on disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.config import DenseConfig, RerankerConfig
from evalkit.config.cards import published_shape
from evalkit.errors import AbsentModel
from evalkit.inference.tokens import Frame, Ids, Tokenizer, tokenize
from evalkit.models.checkpoint import Checkpoint, resolve
from evalkit.models.declared import Reading, declared, reading
from evalkit.models.multi_vector import multi_vector
from evalkit.models.routes import Route, of_route
from evalkit.models.shape import Shape, known_shape, shape_of
from evalkit.models.tokenizers import load_tokenizer
from evalkit.rerank.families import jina_listwise
from evalkit.rerank.families.jina_listwise import JinaListwiseConfig
from evalkit.rerank.late_interaction import LateInteractionConfig
from evalkit.rerank.pair_reranker import PairRerankerConfig, family_of, filled_in
from evalkit.retrieval.query_table import QUERY_TABLE
from evalkit.retrieval.splade import SpladeConfig
from evalkit.retrieval.static_encoder import table_width
from evalkit.system.network import warn_once
from evalkit.types import Pair

FROM_CARDS = "What was not downloaded is planned after its card and its published size."
"""Said once where the hub does not answer and something of it is needed."""
_LATIN, _CHINESE = 4.3, 1.6  # characters a token, as multilingual vocabularies have them
_FIRST_IDEOGRAPH = "\u2e80"
_LISTS = 32  # of a sample
_ASSUMED_LENGTH = 512  # tokens, of a checkpoint that is not on disk and a setting that leaves it open
_NO_LAYERS = Shape(hidden=0, inner=0, layers=0, attention=0, parameters=0, causal=False)
_NO_LIMIT = 2**31 - 1  # tokens: nothing limits a table
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}

ModelConfig = DenseConfig | SpladeConfig | LateInteractionConfig | PairRerankerConfig | JinaListwiseConfig


class AssumedTokenizer:
    """Has no vocabulary: a text gets as many tokens as so many letters usually make."""

    cuts_left = False
    splits_after_colon = False  # it counts whole texts

    def token_ids(self, texts: Sequence[str]) -> list[Ids]:
        """See `Tokenizer`; the ids mean nothing, only their number does."""
        return [np.arange(_count(text), dtype=np.int32) for text in texts]

    def frame(self, texts: int) -> Frame:
        """One token before the texts, one after them, and two between."""
        one, none = np.zeros(1, dtype=np.int32), np.zeros(0, dtype=np.int32)
        between = none if texts == 1 else np.zeros(2, dtype=np.int32)
        return Frame(one, between, one, (one, 0, between, 0, one))

    def token_id(self, token: str) -> int | None:
        """See `Tokenizer`; every string is a token."""
        del token
        return 0

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """See `Tokenizer`."""
        return ["?" for _ in ids]

    def text(self, ids: Sequence[int]) -> str:
        """See `Tokenizer`."""
        return " ".join(self.tokens(ids))


def _count(text: str) -> int:
    if not text:
        return 0
    return max(round(len(text) / (_CHINESE if text[-1] >= _FIRST_IDEOGRAPH else _LATIN)), 1)


@dataclass(frozen=True)
class TokenLengths:
    """Tokens of some texts or pairs, which stand for many.

    Attributes:
        sample: shape (texts,).
    """

    sample: NDArray[np.int64]

    def tokens(self, count: float) -> float:
        """Tokens of so many texts."""
        return float(self.sample.mean() * count) if len(self.sample) else 0.0

    def squares(self, count: float) -> float:
        """The sum of the squared token count of so many texts."""
        return float(np.square(self.sample, dtype=np.float64).mean() * count) if len(self.sample) else 0.0


class Reader:
    """A model as far as a plan needs it: its size, and how long texts are for it.

    Args:
        config: settings of the model.
        route: what it reads where a Router has queries and documents go through different modules.
        made_up: whether texts have no words, so that its vocabulary cannot count them.

    Raises:
        ModelError: it is not on disk, and nothing is known of its size.
    """

    def __init__(self, config: ModelConfig, *, made_up: bool, route: Route = "document") -> None:
        self.config, self._made_up, self._route = config, made_up, route

    @cached_property
    def checkpoint(self) -> Checkpoint | None:
        """Configuration and vocabulary; None where they are neither on disk nor can be downloaded."""
        try:
            reads_routes = isinstance(self.config, DenseConfig | SpladeConfig)
            found = resolve(str(self.config.model), self.config.revision, weights=False, routed=reads_routes)
            return of_route(found, self._route) if reads_routes else found
        except AbsentModel:
            warn_once(FROM_CARDS)
            return None

    @property
    def assumed(self) -> bool:
        """Whether tokens are counted without the model's own vocabulary."""
        return self._made_up or self.checkpoint is None or self.is_table

    @property
    def is_table(self) -> bool:
        """Whether it is a table of vectors without a transformer, which takes next to no time."""
        if self.checkpoint is not None:
            return self.checkpoint.static is not None
        return (published_shape(str(self.config.model)) or {}).get("num_hidden_layers") == 0

    @cached_property
    def of_queries(self) -> "Reader":
        """What reads queries; itself, unless a Router has them go through another model."""
        if self.checkpoint is None or self.checkpoint.router is None or self.has_query_table:
            return self
        found = Reader(self.config, made_up=self._made_up, route="query")
        return self if found.checkpoint and found.checkpoint.path == self.checkpoint.path else found

    @cached_property
    def has_query_table(self) -> bool:
        """Whether queries take weights from a table of their own, and the model reads documents only."""
        router = None if self.checkpoint is None else self.checkpoint.router
        return router is not None and of_route(router, "query").kinds == [QUERY_TABLE]

    @cached_property
    def shape(self) -> Shape:
        """The size of the layers that are computed."""
        found, layers = self.checkpoint, cutoff(self.config)
        if self.is_table:
            return _NO_LAYERS._replace(hidden=self.width or 0)
        shape = known_shape(str(self.config.model), layers=layers) if found is None else shape_of(found, layers=layers)
        if isinstance(self.config, SpladeConfig) and self.config.projection is None:  # a head for every token
            shape = shape._replace(parameters=shape.parameters + shape.hidden**2 + shape.embeddings)
        return shape

    @property
    def width(self) -> int | None:
        """Of a vector; None of a table whose weights are not on disk and that no card knows."""
        if not self.is_table:
            return self.shape.hidden
        known = published_shape(str(self.config.model))
        return int(known["hidden_size"]) if known else None if self.checkpoint is None else table_width(self.checkpoint)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return AssumedTokenizer() if self.assumed or self.checkpoint is None else load_tokenizer(self.checkpoint)

    @cached_property
    def _reading(self) -> Reading:
        """How texts are read; by the settings alone where the checkpoint is not on disk."""
        config = self.config
        assert isinstance(config, DenseConfig | SpladeConfig | LateInteractionConfig)
        if self.checkpoint is not None and not self.is_table:
            late = multi_vector(self.checkpoint) if isinstance(config, LateInteractionConfig) else None
            said = declared(self.checkpoint, late=late is not None)
            found = reading(self.checkpoint, said, config, group="retriever")
            if late is None or not isinstance(config, LateInteractionConfig):
                return found
            return found._replace(max_length=config.document_length or late.document_length or found.max_length)
        own = (config.query_instruction or "", config.document_instruction or "")
        return Reading(*own, config.max_length or (_NO_LIMIT if self.is_table else _ASSUMED_LENGTH))

    def queries(self, texts: Sequence[str], instruction: str | None = None) -> TokenLengths:
        """Lengths of queries, as bi-encoders and late interaction read them; with the usual instruction when None."""
        return self._texts(texts, self._reading.query_instruction if instruction is None else instruction)

    def documents(self, texts: Sequence[str]) -> TokenLengths:
        """Lengths of documents, as bi-encoders and late interaction read them."""
        return self._texts(texts, self._reading.document_instruction)

    def _texts(self, texts: Sequence[str], instruction: str) -> TokenLengths:
        instructed = [instruction + text for text in texts]
        return TokenLengths(tokenize(self._tokenizer, instructed, max_length=self._reading.max_length).lengths)

    def pairs(self, pairs: Sequence[Pair], instruction: str) -> TokenLengths:
        """Lengths of pairs of a query and a document, with all that the template puts around them."""
        assert isinstance(self.config, PairRerankerConfig)
        asked = [pair if pair.instruction is not None else pair._replace(instruction=instruction) for pair in pairs]
        assumed = replace(self.config, max_length=self.config.max_length or _ASSUMED_LENGTH)
        config = assumed if self.checkpoint is None else filled_in(self.config, self.checkpoint)
        return TokenLengths(family_of(config).tokenize(self._tokenizer, asked).lengths)

    def lists(self, pairs: Sequence[Pair], depth: int, instruction: str) -> tuple[TokenLengths, float]:
        """Lengths of the prompts of lists of so many documents, and how many prompts a list has.

        The tokens of template, query and documents are added up.
        """
        config, tokenizer = self.config, self._tokenizer
        assert isinstance(config, JinaListwiseConfig)
        queries = jina_listwise.read(tokenizer, [pair.query for pair in pairs], config.query_length)
        documents = jina_listwise.read(tokenizer, [pair.document for pair in pairs], config.max_length)
        window = config.window if self.checkpoint is None else jina_listwise.window_of(config, self.checkpoint)
        count, found = min(len(pairs), _LISTS), []
        for number in range(count):
            query = queries[pairs[number].query].tokens
            places = range(number * depth, (number + 1) * depth)
            lengths = [documents[pairs[place % len(pairs)].document].tokens for place in places]
            parts = jina_listwise.blocks(lengths, query, window=window, max_length=config.max_length)
            found += [(2 * query + sum(lengths[part]), len(lengths[part])) for part in parts]
        around = {
            own: len(tokenizer.token_ids([jina_listwise.written("", [""] * own, instruction)])[0])
            for own in dict.fromkeys(own for _, own in found)
        }
        sizes = np.array([tokens + around[own] for tokens, own in found], dtype=np.int64)
        return TokenLengths(sizes), len(found) / max(count, 1)

    def weights(self, dtype: str) -> int:
        """Bytes of all parameters in memory."""
        return (self.shape.parameters + self.shape.embeddings) * _BYTES[dtype]


def cutoff(config: Any) -> int | None:
    """After how many layers a model stops; None where all are computed."""
    layers = config.layers_scored if isinstance(config, RerankerConfig) else []
    return layers[-1] if layers else None


def compressed(config: Any, flops: float, layers: int) -> float:
    """Operations of a reranker that merges passage tokens on the way."""
    return flops * config.share_computed(layers) if isinstance(config, RerankerConfig) else flops
