"""Settings that every first stage has, and those of dense ones, which `models` reads too.

The settings of all others are in the module of their class.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from evalkit.config.cards import require_card
from evalkit.config.limits import MISSING, at_least, given, nameable, one_of
from evalkit.errors import ConfigError

POOLINGS = ("checkpoint", "cls", "mean", "max", "mean_sqrt_length", "weighted_mean", "last")
EMBEDDING_DTYPES = ("float16", "float32")


@dataclass
class RetrieverConfig:
    """Settings of every first stage.

    `implementation` is `module:Class` of the `FirstStage` that the settings are for, and `formerly` its name in results
    of older versions.
    """

    implementation: ClassVar[str] = ""
    formerly: ClassVar[str] = ""
    name: str = MISSING
    """Its name in tables and in the folder of results."""
    languages: list[str] = field(default_factory=list)
    """Languages of documents that it is made for; any, when empty. Another one is warned of."""
    card: dict[str, Any] = field(default_factory=dict)
    """Published facts about the model; see `config.cards`. They decide no score."""

    def __post_init__(self) -> None:
        """Check the name and the keys of the card."""
        nameable("retriever.name", self.name)
        require_card("retriever.card", self.card)


@dataclass
class DenseConfig(RetrieverConfig):
    """A bi-encoder: one vector a text, ranked by dot product over the whole corpus."""

    implementation: ClassVar[str] = "evalkit.retrieval.dense:DenseRetriever"
    model: str | None = None
    """A hub id, a folder, or `package:NAME/PATH` for weights inside an installed package."""
    revision: str | None = None
    """Commit of the hub id."""
    pooling: str = "checkpoint"
    """How token vectors become one, or whatever the checkpoint's own files say."""
    normalize: bool | None = None
    """Whether vectors are scaled to length 1; when not set, where the checkpoint's similarity is the cosine."""
    query_instruction: str | None = None
    """Put before every query as it is; the checkpoint's prompt `query` when not set."""
    document_instruction: str | None = None
    """Put before every document as it is; the checkpoint's prompt `document` when not set."""
    instruction_except: list[str] = field(default_factory=list)
    """Datasets whose queries get no `query_instruction`, by their key in `instructions.json`."""
    instructions: str = "none"
    """Task instruction: `none`; `dataset` for its entry in `instructions.json`; a text; or a .json file."""
    instructed_query: str | None = None
    """Text put before a query instead of `query_instruction` when there is a task `{instruction}`."""
    max_length: int | None = None
    """Tokens of one text, special tokens included; as many as the checkpoint says when not set."""
    truncate_dim: int | None = None
    """How many numbers of a vector are used; as many as the checkpoint says when not set."""
    embedding_dtype: str = "float16"
    """How document vectors are kept on disk; scores are summed in float64 and rounded to float32."""

    def __post_init__(self) -> None:
        """Check ranges and choices."""
        super().__post_init__()
        given("retriever.model", self.model, "HUB_ID_OR_FOLDER")
        one_of("retriever.pooling", self.pooling, POOLINGS)
        one_of("retriever.embedding_dtype", self.embedding_dtype, EMBEDDING_DTYPES)
        at_least("retriever.max_length", self.max_length, 8)
        at_least("retriever.truncate_dim", self.truncate_dim, 1)
        if self.instructions == "query":
            raise ConfigError(
                "retriever.instructions=query: only rerankers take an instruction from each query. Legal are none, "
                "dataset, a text and a .json file."
            )
        if self.instructions != "none" and "{instruction}" not in (self.instructed_query or ""):
            raise ConfigError(
                f"retriever.instructions={self.instructions}, but {self.name} has no place for an instruction. Set "
                "retriever.instructed_query to a text with {instruction} in it, or retriever.instructions=none."
            )
