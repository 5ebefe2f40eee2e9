"""The settings, as dataclasses with checks. YAML files under `conf/` choose a class and fill it in.

A dataclass here is a schema: it fixes names, types and defaults, and `__post_init__` checks ranges and choices. It does
not know how a setting is used. Dataclasses are not frozen because Hydra fills them in place.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.errors import ConfigError

MISSING: Any = "???"  # OmegaConf's mark of a mandatory value; spelt out so that this module imports nothing heavy

LANGUAGES = ("en", "zh")
POOLINGS = ("checkpoint", "cls", "mean")
TRUNCATIONS = ("longest_first", "only_second", "flag_embedding")
EMBEDDING_DTYPES = ("float16", "float32")
DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("float32", "bfloat16", "float16")
ATTENTIONS = ("sdpa", "eager", "flash_attention_2")
# bm25s also has bm25l and bm25+, but these score every document above 0, so that all of them would be candidates.
BM25_METHODS = ("lucene", "robertson", "atire")
MISSING_SCORES = ("error", "below")

# A name becomes a folder of results, so it may not climb out of it, hide in it, or surprise a shell.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]*(/[A-Za-z0-9][A-Za-z0-9._+@-]*)?")


def _choice(key: str, value: str, legal: tuple[str, ...]) -> None:
    if value not in legal:
        raise ConfigError(f"{key}={value} is not a choice. Legal are: {', '.join(legal)}.")


def _at_least(key: str, value: float, least: float) -> None:
    if not (math.isfinite(value) and value >= least):
        raise ConfigError(f"{key}={value} is out of range. Legal are numbers from {least}.")


def _name(key: str, value: str) -> None:
    if not _NAME.fullmatch(value) or len(value) > 100:  # noqa: PLR2004
        raise ConfigError(
            f"{key}={value!r} cannot name a folder of results. Legal are up to 100 letters, digits and . _ + @ -, "
            "starting with a letter or digit."
        )


def _given(key: str, value: str | None, example: str) -> None:
    if not value:
        raise ConfigError(f"{key} is not set. Add {key}={example} to the command.")


@dataclass
class DatasetConfig:
    """What every dataset has."""

    name: str = MISSING
    language: str = "en"
    """Language of the documents: `en` or `zh`."""
    path: str | None = None
    """A folder or zip in BEIR layout to read instead of the published source."""
    split: str = "test"
    """Which judgments: `qrels/<split>.tsv`."""
    title_separator: str = " "
    """Document text is `(title + title_separator + text).strip()`."""
    drop_identical_ids: bool = False
    """Drop a candidate that has the query's own id, before the depth cut."""

    def __post_init__(self) -> None:
        """Check names and choices."""
        _name("dataset.name", self.name)
        _name("dataset.split", self.split)
        _choice("dataset.language", self.language, LANGUAGES)


@dataclass
class BundledDatasetConfig(DatasetConfig):
    """A collection that ships with evalkit."""

    def __post_init__(self) -> None:
        """Check that nothing else is passed off as it."""
        super().__post_init__()
        if self.path:
            raise ConfigError(f"dataset={self.name} ships with evalkit. For another collection set dataset=folder.")


@dataclass
class FolderDatasetConfig(DatasetConfig):
    """Anyone's collection in BEIR layout; `path` is a folder or a zip, and `name` defaults to its last part."""

    name: str = ""

    def __post_init__(self) -> None:
        """Check, and name the dataset after its folder where no name is given."""
        _given("dataset.path", self.path, "FOLDER (with corpus.jsonl, queries.jsonl and qrels/test.tsv)")
        if not self.name:
            last = Path(str(self.path)).absolute().name.removesuffix(".zip")
            self.name = re.sub(r"[^A-Za-z0-9._+@-]", "_", last).lstrip("._+@-") or "folder"
        super().__post_init__()


@dataclass
class HubDatasetConfig(DatasetConfig):
    """A published dataset in parquet on the Hugging Face hub, at a pinned revision."""

    hub_id: str = MISSING
    revision: str = MISSING
    """A full commit: a branch moves, and what was made from it would be taken for what it is now."""

    def __post_init__(self) -> None:
        """Check that the revision is a commit."""
        super().__post_init__()
        if not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ConfigError(f"dataset.revision={self.revision} is not a full commit of 40 hexadecimal digits.")


@dataclass
class RetrieverConfig:
    """What every first stage has."""

    name: str = MISSING
    languages: list[str] = field(default_factory=list)
    """Languages of documents that it is made for; any, when empty. Another one is warned of."""

    def __post_init__(self) -> None:
        """Check the name."""
        _name("retriever.name", self.name)


@dataclass
class DenseConfig(RetrieverConfig):
    """A bi-encoder: one vector a text, ranked by dot product over the whole corpus."""

    model: str = MISSING
    """A hub id, a folder, or `package:NAME/PATH` for weights inside an installed package."""
    revision: str | None = None
    """Commit of the hub id."""
    pooling: str = "checkpoint"
    """`cls`, `mean`, or whatever the checkpoint's own files say."""
    normalize: bool = True
    query_instruction: str = ""
    """Put before every query as it is."""
    document_instruction: str = ""
    max_length: int = 512
    """Tokens of one text, special tokens included."""
    embedding_dtype: str = "float16"
    """How document vectors are kept on disk; scores are summed in float64 and rounded to float32."""

    def __post_init__(self) -> None:
        """Check ranges and choices."""
        super().__post_init__()
        _choice("retriever.pooling", self.pooling, POOLINGS)
        _choice("retriever.embedding_dtype", self.embedding_dtype, EMBEDDING_DTYPES)
        _at_least("retriever.max_length", self.max_length, 8)


@dataclass
class BM25Config(RetrieverConfig):
    """Lexical retrieval with bm25s."""

    method: str = "lucene"
    k1: float = 1.5
    b: float = 0.75

    def __post_init__(self) -> None:
        """Check ranges and choices."""
        super().__post_init__()
        _choice("retriever.method", self.method, BM25_METHODS)
        _at_least("retriever.k1", self.k1, 0)
        if not 0 <= self.b <= 1:
            raise ConfigError(f"retriever.b={self.b} is out of range. Legal are numbers from 0 to 1.")


@dataclass
class SavedConfig(RetrieverConfig):
    """Candidates that someone else retrieved: a TREC run, or JSON of BEIR, FlagEmbedding, mteb or rank_llm."""

    path: str | None = None

    def __post_init__(self) -> None:
        """Check that there is a path."""
        super().__post_init__()
        _given("retriever.path", self.path, "RUN_FILE")


@dataclass
class RerankerConfig:
    """What every reranker has. Also the schema of `none`, which keeps the first stage's order."""

    name: str = MISSING
    languages: list[str] = field(default_factory=list)
    """Languages of documents that it is made for; any, when empty. Another one is warned of."""

    def __post_init__(self) -> None:
        """Check the name."""
        _name("reranker.name", self.name)


@dataclass
class LateInteractionConfig(RerankerConfig):
    """Token-level MaxSim with any encoder checkpoint."""

    model: str = MISSING
    revision: str | None = None
    query_instruction: str = ""
    document_instruction: str = ""
    max_length: int = 256
    skip_first_token: bool = False
    """Leave the checkpoint's first token (`[CLS]`, `<s>`) out of queries and documents, as bge-m3's mode does."""
    projection: str | None = None
    """Linear layer over the token vectors, as a file in the checkpoint: bge-m3's `colbert_linear.pt`."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        _at_least("reranker.max_length", self.max_length, 8)


@dataclass
class CrossEncoderConfig(RerankerConfig):
    """Any sequence-classification checkpoint that reads query and document together."""

    model: str | None = None
    revision: str | None = None
    max_length: int = 512
    """Tokens of query and document together, special tokens included."""
    truncation: str = "longest_first"
    """`flag_embedding` cuts the query to 3/4 of `max_length`, then the document; `only_second` just the document."""
    label: int | None = None
    """Which logit is the score, for checkpoints with several; a checkpoint with one needs none."""

    def __post_init__(self) -> None:
        """Check ranges and choices."""
        super().__post_init__()
        _given("reranker.model", self.model, "HUB_ID_OR_FOLDER")
        _choice("reranker.truncation", self.truncation, TRUNCATIONS)
        _at_least("reranker.max_length", self.max_length, 8)


@dataclass
class ReplayConfig(RerankerConfig):
    """Scores that someone else made, from a run file."""

    path: str | None = None
    missing: str = "error"
    """A candidate that the file lacks: `error`, or rank it `below` all scored ones, in first-stage order."""

    def __post_init__(self) -> None:
        """Check the path and the choice."""
        super().__post_init__()
        _given("reranker.path", self.path, "RUN_FILE")
        _choice("reranker.missing", self.missing, MISSING_SCORES)


@dataclass
class ComputeConfig:
    """Where and how models run."""

    device: str = "auto"
    """`auto` takes CUDA where there is one; the manifest says which was used."""
    dtype: str = "float32"
    attention: str = "sdpa"
    batch_tokens: int = 2048
    """Tokens in one batch; more is faster on a GPU, and slower on a CPU once it leaves the cache."""
    threads: int | None = None
    """CPU threads; as many as there are cores when not set."""

    def __post_init__(self) -> None:
        """Check ranges and choices."""
        _choice("compute.device", self.device, DEVICES)
        _choice("compute.dtype", self.dtype, DTYPES)
        _choice("compute.attention", self.attention, ATTENTIONS)
        _at_least("compute.batch_tokens", self.batch_tokens, 1)
        if self.threads is not None:
            _at_least("compute.threads", self.threads, 1)


@dataclass
class EvaluateConfig:
    """One evaluation: a dataset, a first stage, a reranker, and what to measure."""

    dataset: DatasetConfig = MISSING
    retriever: RetrieverConfig = MISSING
    reranker: RerankerConfig = MISSING
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    depth: int = 100
    """Candidates of each query that are passed on to the reranker."""
    measures: list[str] = field(default_factory=lambda: ["nDCG@10", "R@20"])
    """Columns of the table. The manifest holds these and a standard set."""
    results_dir: str = "results"
    cache_dir: str | None = None
    """Where corpora and embeddings are kept; `~/.cache/evalkit` when not set."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _at_least("depth", self.depth, 1)
        _given("results_dir", self.results_dir, "FOLDER")
        if not all(isinstance(name, str) for name in self.measures):
            raise ConfigError(f"measures={self.measures} is not a list of names, such as [nDCG@10,R@20].")
        if not self.measures:
            raise ConfigError("measures is empty. Name at least one, such as measures=[nDCG@10,R@20].")


DATASETS = {"bundled": BundledDatasetConfig, "folder": FolderDatasetConfig, "hub": HubDatasetConfig}
RETRIEVERS = {"dense": DenseConfig, "bm25": BM25Config, "saved": SavedConfig}
RERANKERS = {
    "none": RerankerConfig,
    "late_interaction": LateInteractionConfig,
    "cross_encoder": CrossEncoderConfig,
    "replay": ReplayConfig,
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "dataset": DATASETS,
    "retriever": RETRIEVERS,
    "reranker": RERANKERS,
    "compute": {"compute": ComputeConfig},
}
"""Schema names by group, as the `defaults` lists under `conf/` write them: `/schema/<group>/<name>@_here_`."""
