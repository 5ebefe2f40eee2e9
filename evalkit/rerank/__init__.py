"""Rerankers: each turns a Run of candidates into a Run of the same pairs in a better order. Knows no judgments.

Two of them, `none` and `replay`, need no text. All others are a `Reranker`: texts in, float32 logits out.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evalkit.config import ComputeConfig, DatasetConfig, RerankerConfig
from evalkit.config.instructions import PER_QUERY, choose_instruction
from evalkit.config.registry import Registry, implementation
from evalkit.errors import ConfigError
from evalkit.rerank.passthrough import Reordering
from evalkit.rerank.seam import Reranker
from evalkit.rerank.texts import score_candidates
from evalkit.results.outcome import Reranked
from evalkit.run import Run
from evalkit.store import Store
from evalkit.system.stages import Stages
from evalkit.types import Dataset, Pair

if TYPE_CHECKING:
    from evalkit.rerank.pair_reranker import PairReranker

logger = logging.getLogger(__name__)

AnyReranker = Reranker | Reordering

RERANKERS = Registry(
    "reranker",
    {
        "none": "evalkit.rerank.passthrough:KeepOrderConfig",
        "replay": "evalkit.rerank.passthrough:ReplayConfig",
        "python": "evalkit.rerank.own_reranker:PythonRerankerConfig",
        "auto": "evalkit.rerank.recognition:AutoConfig",
        "late_interaction": "evalkit.rerank.late_interaction:LateInteractionConfig",
        "cross_encoder": "evalkit.rerank.families.cross_encoder:CrossEncoderConfig",
        "minicpm": "evalkit.rerank.families.minicpm:MiniCPMRerankerConfig",
        "flag_llm": "evalkit.rerank.families.flag_llm:FlagLLMConfig",
        "layerwise": "evalkit.rerank.families.flag_llm:LayerwiseConfig",
        "lightweight": "evalkit.rerank.families.flag_llm:LightweightConfig",
        "language_model": "evalkit.rerank.families.language_model:LanguageModelConfig",
        "t5": "evalkit.rerank.families.t5:T5RerankerConfig",
        "qwen3": "evalkit.rerank.families.qwen3:Qwen3RerankerConfig",
        "jina_listwise": "evalkit.rerank.families.jina_listwise:JinaListwiseConfig",
    },
    base="evalkit.config.reranker:RerankerConfig",
)
"""Schema of a reranker -> its settings; then the entry points `evalkit.rerankers` of installed packages."""


def build(
    config: RerankerConfig, compute: ComputeConfig, *, dataset: DatasetConfig | None = None, weights: bool = True
) -> AnyReranker:
    """The reranker that a configuration names. Loads no model; scoring does.

    Args:
        config: which, and its settings.
        compute: where and how models run.
        dataset: that is evaluated on: its instruction is looked up, where the settings say so. None for pairs of any
            origin.
        weights: whether the weights of a hub id are downloaded too; `evalkit prompt` and `evalkit plan` need none.

    Raises:
        ConfigError: there is no reranker for this kind of configuration.
        ModelError: the checkpoint is absent, or contradicts the settings.
    """
    choose = "one from `evalkit list rerankers`"
    kind = implementation(config, noun="reranker", choose=choose, maker="from_config", base="evalkit.Reranker")
    instruction = instruction_of(config, dataset)
    made: AnyReranker = kind.from_config(config, compute, instruction=instruction, weights=weights)
    return made


def require_one_score(config: RerankerConfig) -> None:
    """Refuse several cut-off layers where a ranking is made.

    Raises:
        ConfigError: a pair would have several scores.
    """
    cutoffs = config.layers_scored
    if len(cutoffs) > 1:
        raise ConfigError(
            f"reranker.cutoff_layers={cutoffs} gives {len(cutoffs)} scores a pair, and a ranking needs one. Give one "
            "layer, or compare them: evalkit evaluate -m 'reranker.cutoff_layers=[8],[28]'."
        )


def instructed(config: RerankerConfig, dataset: Dataset) -> Dataset:
    """The dataset with the instructions of its queries if the reranker uses them; else without, and a note says so.

    Raises:
        ConfigError: they are asked for, and no query has one.
    """
    count, total = len(dataset.instructions), len(dataset.queries)
    if _instructions(config) == PER_QUERY:
        if not count:
            raise ConfigError(
                f"reranker.instructions=query, but no query of {dataset.name} has an instruction. Put one next to each "
                "query, under the key instruction, or choose another setting."
            )
        if count < total:
            logger.warning("%s: %d of %d queries have no instruction of their own.", dataset.name, total - count, total)
        return dataset
    if count:
        way_out = (
            "Set reranker.instructions=query to use it" if config.reads_instructions else "It has no place for one"
        )
        logger.warning(
            "%s: %d of %d queries have an instruction of their own, which %s does not use. %s.",
            dataset.name,
            count,
            total,
            f"reranker={config.name}",
            way_out,
        )
    return replace(dataset, instructions={})


def require_texts(reranker: AnyReranker, name: str) -> Reranker:
    """The reranker, if it reads texts.

    Raises:
        ConfigError: it does not.
    """
    if isinstance(reranker, Reordering):
        raise ConfigError(f"reranker {name} reads no texts, so it has no score for them.")
    return reranker


def require_pairs(reranker: AnyReranker) -> "PairReranker":
    """The reranker, if it reads query and document as one sequence.

    Raises:
        ConfigError: it does not.
    """
    from evalkit.rerank.pair_reranker import PairReranker

    if not isinstance(reranker, PairReranker):
        raise ConfigError("this reranker does not read query and document as one sequence, so a pair has no tokens.")
    return reranker


def tokens_of(reranker: AnyReranker, pairs: Sequence[Pair]) -> list[dict[str, list[int]]]:
    """The tokens that are read of each pair, by the name of what they are: of the pair, or of query and document.

    Where all documents of a query are read together, those of the prompt that has the pair's document.

    Raises:
        ConfigError: it reads no tokens.
    """
    from evalkit.rerank.late_interaction import LateInteractionReranker
    from evalkit.rerank.listwise import ListwiseReranker

    if isinstance(reranker, ListwiseReranker):
        return [{"input_ids": ids} for ids in reranker.prepare(pairs).ids]
    if isinstance(reranker, LateInteractionReranker):
        queries = reranker.read([pair.query for pair in pairs], "query").ids
        documents = reranker.read([pair.document for pair in pairs], "document").ids
        return [
            {"query_input_ids": query.tolist(), "document_input_ids": document.tolist()}
            for query, document in zip(queries, documents, strict=True)
        ]
    return [{"input_ids": ids.tolist()} for ids in require_pairs(reranker).tokenize(pairs).ids]


def instruction_of(config: RerankerConfig, dataset: DatasetConfig | None) -> str:
    """The task instruction of a dataset's pairs; empty for a reranker that has no place for one."""
    if not config.reads_instructions:
        return ""
    key = dataset.key if dataset else None
    return choose_instruction(_instructions(config), key=key, name="reranker.instructions")


def _instructions(config: Any) -> str:
    """The setting `instructions`, which the schemas of kinds that read instructions have."""
    return str(config.instructions) if config.reads_instructions else "none"


def apply(
    reranker: AnyReranker,
    candidates: Run,
    dataset: Dataset,
    store: Store | None = None,
    compute: ComputeConfig | None = None,
) -> Reranked:
    """The candidates in the reranker's order. Scores are saved in the store, if there is one, as they are made.

    Raises:
        DataError: a candidate has no text in the corpus, or no score in the file that is replayed.
    """
    if isinstance(reranker, Reordering):
        stages = Stages()
        with stages.timed("rerank"):  # no pair is scored, so there is no speed
            run, unscored, notes = reranker.reorder(candidates)
        return Reranked(run, truncated=None, unscored=unscored, notes=notes, stages=stages)
    reranker.begin(dataset)
    return score_candidates(reranker, candidates, dataset, store, compute)
