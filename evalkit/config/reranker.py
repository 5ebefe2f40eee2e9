"""Settings of a reranker."""

from dataclasses import dataclass, field

from evalkit.config.limits import MISSING, at_least, given, nameable, one_of
from evalkit.errors import ConfigError

TRUNCATIONS = ("longest_first", "only_second", "flag_embedding")
MINICPM_TRUNCATIONS = ("longest_first", "separate")
MINICPM_POOLINGS = ("last", "first", "mean")
HEAD_INDICES = ("official", "layer")
MISSING_SCORES = ("error", "below")
ORDERS = ("score", "rank")


@dataclass
class RerankerConfig:
    """What every reranker has. Also the schema of `none`, which keeps the first stage's order."""

    name: str = MISSING
    """Its name in tables and in the folder of results."""
    languages: list[str] = field(default_factory=list)
    """Languages of documents that it is made for; any, when empty. Another one is warned of."""

    def __post_init__(self) -> None:
        """Check the name."""
        nameable("reranker.name", self.name)


@dataclass
class LateInteractionConfig(RerankerConfig):
    """Token-level MaxSim with any encoder checkpoint."""

    model: str = MISSING
    revision: str | None = None
    query_instruction: str | None = None
    """Put before every query as it is; the checkpoint's prompt `query` when not set."""
    document_instruction: str | None = None
    """Put before every document as it is; the checkpoint's prompt `document` when not set."""
    max_length: int | None = None
    """Tokens of one text, special tokens included; as many as the checkpoint says when not set."""
    skip_first_token: bool = False
    """Leave the checkpoint's first token (`[CLS]`, `<s>`) out of queries and documents, as bge-m3's mode does."""
    projection: str | None = None
    """Linear layer over the token vectors, as a file in the checkpoint: bge-m3's `colbert_linear.pt`."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least("reranker.max_length", self.max_length, 8)


@dataclass
class PairRerankerConfig(RerankerConfig):
    """What every model has that reads query and document as one sequence."""

    model: str | None = None
    """A hub id, a folder, or `package:NAME/PATH` for weights inside an installed package."""
    revision: str | None = None
    """Commit of the hub id."""
    max_length: int | None = 512
    """Tokens of query and document together, special tokens included."""

    def __post_init__(self) -> None:
        """Check that there is a model, and ranges."""
        super().__post_init__()
        given("reranker.model", self.model, "HUB_ID_OR_FOLDER")
        at_least("reranker.max_length", self.max_length, 8)

    @property
    def tokens(self) -> int:
        """`max_length`, of settings that were filled in from the checkpoint where they leave it open."""
        assert self.max_length is not None
        return self.max_length


@dataclass
class CrossEncoderConfig(PairRerankerConfig):
    """Any sequence-classification checkpoint: BERT, XLM-R, and the published layouts of jina-reranker-v2 and gte."""

    max_length: int | None = None
    """Tokens of query and document together, special ones included; as many as the checkpoint says when not set."""
    query_instruction: str | None = None
    """Put before every query as it is; the checkpoint's default prompt when not set."""
    truncation: str = "longest_first"
    """`flag_embedding` cuts the query to 3/4 of `max_length`, then the document; `only_second` just the document."""
    label: int | None = None
    """Which logit is the score, for checkpoints with several. When not set, the only one; of two, the second less the
    first, as monoBERT scores."""
    layout: str | None = None
    """What the checkpoint must be: its `model_type`, or `jina` for a layout without one; any when not set."""

    def __post_init__(self) -> None:
        """Check choices."""
        super().__post_init__()
        one_of("reranker.truncation", self.truncation, TRUNCATIONS)


@dataclass
class MiniCPMRerankerConfig(PairRerankerConfig):
    """MiniCPM-Reranker and -Light: bidirectional MiniCPM with a score head."""

    max_length: int | None = 1024
    truncation: str = "longest_first"
    """`longest_first` as in the model card; `separate` cuts query and document to `max_length // 2` tokens each, as the
    card did before 2024-09-24 (512 and 512)."""
    pooling: str = "last"
    """Which token's state is scored, or the mean of all."""
    instructions: str = "none"
    """Task instruction: `none`; `generic`; `dataset` for its entry in `instructions.json`; `card` for that entry where
    the card's authors published it; `query` for that of each query; a text; or a .json file."""

    def __post_init__(self) -> None:
        """Check choices."""
        super().__post_init__()
        one_of("reranker.truncation", self.truncation, MINICPM_TRUNCATIONS)
        one_of("reranker.pooling", self.pooling, MINICPM_POOLINGS)


@dataclass
class FlagLLMConfig(PairRerankerConfig):
    """BGE's rerankers from language models, with FlagEmbedding's prompt; on its own, bge-reranker-v2-gemma.

    As in FlagEmbedding, `max_length` counts the query, the document and what joins them. The prompt comes on top.
    """

    max_length: int | None = 1024
    query_prefix: str = "A: "
    document_prefix: str = "B: "
    prompt: str = (
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
        "prediction of either 'Yes' or 'No'."
    )


@dataclass
class LayerwiseConfig(FlagLLMConfig):
    """bge-reranker-v2-minicpm-layerwise: a score head after every layer from `start_layer` on."""

    cutoff_layers: list[int] | None = None
    """After which layers to score; the last when not set. Several give several scores, with `evalkit score` alone."""

    def __post_init__(self) -> None:
        """Check the layers."""
        super().__post_init__()
        _layers("reranker.cutoff_layers", self.cutoff_layers)


@dataclass
class LightweightConfig(FlagLLMConfig):
    """bge-reranker-v2.5-gemma2-lightweight: cut-off layers, and passage tokens merged on the way."""

    prompt: str = "Predict whether passage B contains an answer to query A."
    cutoff_layers: list[int] | None = None
    """After which layers to score; the last when not set. Several give several scores, with `evalkit score` alone."""
    compress_ratio: int = 1
    """How many passage tokens become one at each of `compress_layers`."""
    compress_layers: list[int] = field(default_factory=lambda: [8])
    attention_softcap: bool = True
    """The architecture's cap on attention scores. The official code leaves it out where it runs SDPA."""
    head_index: str = "official"
    """`official` takes the head by its position in the list of cut-offs, as BAAI's code; `layer` the layer's own."""

    def __post_init__(self) -> None:
        """Check layers, ranges and choices."""
        super().__post_init__()
        _layers("reranker.cutoff_layers", self.cutoff_layers)
        _layers("reranker.compress_layers", self.compress_layers or None)
        at_least("reranker.compress_ratio", self.compress_ratio, 1)
        if self.compress_ratio > 1 and not any(self.compress_layers):
            raise ConfigError(
                f"reranker.compress_ratio={self.compress_ratio} has no layer to work at. Set reranker.compress_layers."
            )
        one_of("reranker.head_index", self.head_index, HEAD_INDICES)


@dataclass
class Qwen3RerankerConfig(PairRerankerConfig):
    """Qwen3-Reranker: the logit of `yes` less that of `no` after a chat prompt."""

    max_length: int | None = 8192
    instructions: str = "none"
    """Task instruction: `none` for `default_instruction`; else as for MiniCPM-Reranker: `generic`, `dataset`, `card`,
    `query`, a text, or a .json file."""
    default_instruction: str | None = None
    """The task where there is no other; the checkpoint's default prompt when not set, else that of the model card."""


def _layers(key: str, layers: list[int] | None) -> None:
    """Layers are written in ascending order, so that scores come in the order in which they were asked for."""
    if layers is not None and (not layers or layers != sorted(set(layers)) or layers[0] < 0):
        raise ConfigError(f"{key}={layers} is not a list of ascending layer numbers, such as [24,40].")


@dataclass
class ReplayConfig(RerankerConfig):
    """Scores that someone else made, from a run file."""

    path: str | None = None
    missing: str = "error"
    """A candidate that the file lacks: `error`, or rank it `below` all scored ones, in first-stage order."""
    order: str | None = None
    """What counts where ranks and scores disagree: `score` or `rank`. When not set, scores do, with a note."""

    def __post_init__(self) -> None:
        """Check the path and the choice."""
        super().__post_init__()
        given("reranker.path", self.path, "RUN_FILE")
        one_of("reranker.missing", self.missing, MISSING_SCORES)
        if self.order is not None:
            one_of("reranker.order", self.order, ORDERS)


RERANKERS = {
    "none": RerankerConfig,
    "late_interaction": LateInteractionConfig,
    "cross_encoder": CrossEncoderConfig,
    "minicpm": MiniCPMRerankerConfig,
    "flag_llm": FlagLLMConfig,
    "layerwise": LayerwiseConfig,
    "lightweight": LightweightConfig,
    "qwen3": Qwen3RerankerConfig,
    "replay": ReplayConfig,
}
