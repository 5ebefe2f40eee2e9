"""`reranker=auto`: which kind of reranker a checkpoint is, by its own files. Reads no weights.

What the files leave open, such as a query's instruction or the cut of BGE's encoders, the named rerankers say.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from evalkit.config import ComputeConfig
from evalkit.config.limits import at_least, given
from evalkit.config.registry import imported
from evalkit.config.reranker import RerankerConfig
from evalkit.config.resources import choices_of, config_names, read_config, schema_name
from evalkit.errors import ConfigError, ModelError
from evalkit.models.chat_template import writes_pairs
from evalkit.models.checkpoint import Checkpoint, resolve
from evalkit.models.declared import declared, is_late
from evalkit.models.layout import JINA_RANKING, is_minicpm
from evalkit.models.multi_vector import METADATA, multi_vector
from evalkit.models.pair_head import LOGIT_SCORE, head_of
from evalkit.models.refusals import instead_of_classifier
from evalkit.models.requirements import architectures, is_classifier
from evalkit.rerank import RERANKERS
from evalkit.rerank.families import qwen3
from evalkit.system.terminal import tell

_PROJECTION = "colbert_linear.pt"


@dataclass
class AutoConfig(RerankerConfig):
    """Any reranker: the kind is read off the checkpoint's own files."""

    implementation: ClassVar[str] = "evalkit.rerank.recognition:Recognition"
    reads_instructions: ClassVar[bool] = True

    model: str | None = None
    """A hub id, a folder, or `package:NAME/PATH` for weights inside an installed package."""
    revision: str | None = None
    """Commit of the hub id."""
    max_length: int | None = None
    """Tokens of query and document together; as many as the checkpoint or its kind says when not set."""
    instructions: str = "none"
    """Task instruction, of a kind that reads one; see `reranker=minicpm_reranker`."""

    def __post_init__(self) -> None:
        """Check that there is a model, and ranges."""
        super().__post_init__()
        given("reranker.model", self.model, "HUB_ID_OR_FOLDER")
        at_least("reranker.max_length", self.max_length, 8)

    def settled(self, *, weights: bool = True) -> RerankerConfig:
        """See `RerankerConfig`."""
        return recognised(self, weights=weights)


class Recognition:
    """Makes the reranker of the kind that a checkpoint is of."""

    @classmethod
    def from_config(cls, config: AutoConfig, compute: ComputeConfig, *, instruction: str, weights: bool) -> Any:
        """See `Reranker`."""
        settled = config.settled(weights=weights)
        own = instruction if settled.reads_instructions else ""
        return imported(settled.implementation).from_config(settled, compute, instruction=own, weights=weights)


class Recognised(NamedTuple):
    """The kind of a checkpoint.

    Attributes:
        kind: name in `RERANKERS`.
        reason: what says so.
        settings: of that class, where they are not its defaults.
    """

    kind: str
    reason: str
    settings: Mapping[str, Any] = {}


def recognised(config: AutoConfig, *, weights: bool = True) -> RerankerConfig:
    """The settings of the kind that a checkpoint is of; says on stderr which, and why.

    Raises:
        ModelError: the checkpoint is absent, or no reranker that evalkit knows.
        ConfigError: an instruction is asked for, and this kind reads none.
    """
    found = _named(config) or recognise(resolve(str(config.model), config.revision, also=[METADATA], weights=weights))
    schema: Any = RERANKERS[found.kind]
    if config.instructions != "none" and not schema.reads_instructions:
        raise ConfigError(
            f"reranker.instructions={config.instructions}, and {config.model} has no place for an instruction: it is "
            f"of the kind {found.kind}. Remove the setting."
        )
    own: dict[str, Any] = {} if config.instructions == "none" else {"instructions": config.instructions}
    if config.max_length is not None:
        own["max_length"] = config.max_length
    tell(f"{config.model}: read as {_as_typed(found.kind)}, since {found.reason}")
    return _made(schema, config, {**found.settings, **own})


def _as_typed(kind: str) -> str:
    """A kind by its configuration; one that has none of its own name, by the named rerankers of that kind."""
    names = config_names("reranker")
    if kind in names:
        return f"reranker={kind}"
    alike = [name for name in names if schema_name(read_config("reranker", name)) == kind]
    return f"the family {kind}, as is {' or '.join(f'reranker={name}' for name in alike)}"


def _made(schema: Any, config: AutoConfig, settings: Mapping[str, Any]) -> RerankerConfig:
    shared = {"name": config.name, "model": config.model, "languages": config.languages, "card": config.card}
    revision = {"revision": config.revision} if config.revision is not None else {}
    made: RerankerConfig = schema(**{**settings, **shared, **revision})
    return made


def _named(config: AutoConfig) -> Recognised | None:
    """The reranker that evalkit has for a hub id, in the revision that is pinned there or in any."""
    for name, stored in choices_of("reranker", str(config.model)):
        schema, settings = _published(stored)
        revision = {"revision": stored.get("revision")}
        return Recognised(schema, f"reranker={name} is of this hub id", settings | revision)
    return None


def recognise(checkpoint: Checkpoint) -> Recognised:
    """The kind of reranker that a checkpoint is.

    Raises:
        ModelError: it is none that evalkit knows; the message says what it is instead, or what is nearest.
    """
    for rule in _RULES:
        if (found := rule(checkpoint)) is not None:
            return found
    names = architectures(checkpoint)
    late = is_late(checkpoint)
    raise ModelError(f"{checkpoint.path}: {instead_of_classifier(names, checkpoint.kinds, late=late)}")


def _of_layers(checkpoint: Checkpoint) -> Recognised | None:
    """BGE's language models with a head on every layer, and MiniCPM-Reranker."""
    config = checkpoint.config
    if config.get("model_type") == "cost_wise_gemma":
        return Recognised("lightweight", "config.json says model_type=cost_wise_gemma")
    if not is_minicpm(checkpoint):
        return None
    if config.get("head_multi"):
        return Recognised("layerwise", "config.json has MiniCPM's scale_depth and a head on every layer")
    return Recognised("minicpm", "config.json has MiniCPM's scale_depth and scale_emb")


def _of_lists(checkpoint: Checkpoint) -> Recognised | None:
    if JINA_RANKING not in architectures(checkpoint):
        return None
    return Recognised("jina_listwise", f"config.json names {JINA_RANKING}: all documents of a query share a prompt")


def _of_late_interaction(checkpoint: Checkpoint) -> Recognised | None:
    if multi_vector(checkpoint) is not None:
        return Recognised("late_interaction", "its files have settings of late interaction (ColBERT)")
    projection = {"projection": _PROJECTION, "skip_first_token": True}
    if (checkpoint.path / _PROJECTION).is_file():
        return Recognised("late_interaction", f"it holds bge-m3's {_PROJECTION}", projection)
    return None


def _of_modules(checkpoint: Checkpoint) -> Recognised | None:
    """Heads that `modules.json` names."""
    head = head_of(checkpoint)
    if head == "classifier":
        return None
    what = f"modules.json ends in {LOGIT_SCORE}" if head == "answers" else "modules.json ends in a Dense that scores"
    if head == "answers" or declared(checkpoint, pairs=True).chat:
        return Recognised("language_model", what)
    return Recognised("cross_encoder", what)


def _of_language_models(checkpoint: Checkpoint) -> Recognised | None:
    """Language models without `modules.json`: published rerankers are known by their architecture alone."""
    name = next((name for name in architectures(checkpoint) if name.endswith("ForCausalLM")), None)
    if name is None or checkpoint.modules() or is_classifier(checkpoint):  # an adapter over it may bring a classifier
        return None
    if not (qwen3.asks_otherwise if name == "Qwen3ForCausalLM" else writes_pairs)(checkpoint):
        known = {
            "GemmaForCausalLM": "bge_reranker_v2_gemma",
            "Qwen2ForCausalLM": "mxbai_rerank_base_v2",
            "Qwen3ForCausalLM": "qwen3_reranker_0_6b",
        }.get(name)
        if known is None:
            return None
        schema, settings = _published(read_config("reranker", known))
        reason = f"config.json names {name} and nothing says otherwise: prompt and words are those of {known}"
        return Recognised(schema, reason, settings)
    # As sentence-transformers does.
    words = {"positive": "yes", "negative": "no"}
    return Recognised("language_model", f"it is a {name} whose chat template writes pairs; words are yes and no", words)


def _published(stored: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The kind of a named reranker, and its settings without those of the one checkpoint."""
    of_checkpoint = {"defaults", "name", "model", "revision", "languages", "card"}
    settings = {key: value for key, value in stored.items() if key not in of_checkpoint}
    return schema_name(stored), settings


def _of_encoder_decoders(checkpoint: Checkpoint) -> Recognised | None:
    if "T5ForConditionalGeneration" not in architectures(checkpoint):
        return None
    return Recognised("t5", "config.json names T5ForConditionalGeneration: prompt and words are monoT5's")


def _of_classifiers(checkpoint: Checkpoint) -> Recognised | None:
    names = architectures(checkpoint)
    if is_late(checkpoint) or set(checkpoint.kinds) - {"Transformer"} or not is_classifier(checkpoint):
        return None
    said = declared(checkpoint, pairs=True).chat
    if said or (said is None and writes_pairs(checkpoint)):
        return Recognised("language_model", f"it is a {', '.join(names)} and its chat template writes pairs")
    return Recognised("cross_encoder", f"it is a {', '.join(names) or 'checkpoint without architectures'}")


_RULES: Sequence[Callable[[Checkpoint], Recognised | None]] = (
    _of_layers,
    _of_lists,
    _of_late_interaction,
    _of_modules,
    _of_language_models,
    _of_encoder_decoders,
    _of_classifiers,
)
