"""Rerankers: each turns a Run of candidates into a Run of the same pairs in a better order. Knows no judgments.

Two of them, `none` and `replay`, need no text. All others are a `Reranker`: texts in, float32 logits out.
"""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from evalkit.config import (
    ComputeConfig,
    DatasetConfig,
    LateInteractionConfig,
    LayerwiseConfig,
    LightweightConfig,
    MiniCPMRerankerConfig,
    PairRerankerConfig,
    Qwen3RerankerConfig,
    ReplayConfig,
    RerankerConfig,
)
from evalkit.config.instructions import PER_QUERY, choose_instruction
from evalkit.errors import ConfigError
from evalkit.rerank.passthrough import KeepOrder, Reordering, Replay
from evalkit.rerank.seam import Reranker
from evalkit.rerank.texts import score_candidates
from evalkit.results.outcome import Reranked
from evalkit.run import Run
from evalkit.store import Store
from evalkit.system.stages import Stages
from evalkit.types import Dataset

if TYPE_CHECKING:
    from evalkit.rerank.pair_reranker import PairReranker

logger = logging.getLogger(__name__)

AnyReranker = Reranker | Reordering


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
    match config:
        case LateInteractionConfig():
            from evalkit.rerank.late_interaction import LateInteractionReranker

            return LateInteractionReranker(config, compute, weights=weights)
        case PairRerankerConfig():
            from evalkit.rerank.families import family_of
            from evalkit.rerank.pair_reranker import PairReranker

            return PairReranker(config, compute, family_of, instruction_of(config, dataset), weights=weights)
        case ReplayConfig():
            return Replay(config)
        case RerankerConfig(name="none"):
            return KeepOrder()
        case _:
            raise ConfigError(
                f"there is no reranker for {type(config).__name__}. Choose one from `evalkit list rerankers`."
            )


def require_one_score(config: RerankerConfig) -> None:
    """Refuse several cut-off layers where a ranking is made.

    Raises:
        ConfigError: a pair would have several scores.
    """
    cutoffs = config.cutoff_layers if isinstance(config, LayerwiseConfig | LightweightConfig) else None
    if cutoffs and len(cutoffs) > 1:
        raise ConfigError(
            f"reranker.cutoff_layers={cutoffs} gives {len(cutoffs)} scores a pair, and a ranking needs one. Give one "
            "layer, or compare them: evalkit evaluate -m 'reranker.cutoff_layers=[8],[28]'."
        )


def reads_instructions(config: RerankerConfig) -> TypeGuard[MiniCPMRerankerConfig | Qwen3RerankerConfig]:
    """Whether the reranker's template has a place for a task instruction."""
    return isinstance(config, MiniCPMRerankerConfig | Qwen3RerankerConfig)


def instructed(config: RerankerConfig, dataset: Dataset) -> Dataset:
    """The dataset with the instructions of its queries if the reranker uses them; else without, and a note says so.

    Raises:
        ConfigError: they are asked for, and no query has one.
    """
    count, total = len(dataset.instructions), len(dataset.queries)
    has_place = reads_instructions(config)
    if reads_instructions(config) and config.instructions == PER_QUERY:
        if not count:
            raise ConfigError(
                f"reranker.instructions=query, but no query of {dataset.name} has an instruction. Put one beside each "
                "query, under the key instruction, or choose another setting."
            )
        if count < total:
            logger.warning("%s: %d of %d queries have no instruction of their own.", dataset.name, total - count, total)
        return dataset
    if count:
        way_out = "Set reranker.instructions=query to use it" if has_place else "It has no place for one"
        logger.warning(
            "%s: %d of %d queries have an instruction of their own, which %s does not use. %s.",
            dataset.name,
            count,
            total,
            f"reranker={config.name}",
            way_out,
        )
    return replace(dataset, instructions={})


def require_pairs(reranker: AnyReranker) -> "PairReranker":
    """The reranker, if it reads query and document as one sequence.

    Raises:
        ConfigError: it does not.
    """
    from evalkit.rerank.pair_reranker import PairReranker

    if not isinstance(reranker, PairReranker):
        raise ConfigError("this reranker does not read query and document as one sequence, so a pair has no tokens.")
    return reranker


def instruction_of(config: PairRerankerConfig, dataset: DatasetConfig | None) -> str:
    """The task instruction of a dataset's pairs, for the families that have a place for one."""
    if not reads_instructions(config):
        return ""
    key = dataset.key if dataset else None
    return choose_instruction(config.instructions, key=key, name="reranker.instructions")


def apply(
    reranker: AnyReranker,
    candidates: Run,
    dataset: Dataset,
    store: Store | None = None,
    compute: ComputeConfig | None = None,
) -> Reranked:
    """The candidates in the reranker's order.

    Args:
        reranker: as `build` gave it.
        candidates: of the dataset's queries.
        dataset: with the texts.
        store: where scores are kept as they are made; they are not when None.
        compute: where it is done; in this process when None.

    Raises:
        DataError: a candidate has no text in the corpus, or no score in the file that is replayed.
    """
    if isinstance(reranker, Reordering):
        stages = Stages()
        with stages.timed("rerank"):  # no pair is scored, so there is no speed
            run, unscored, notes = reranker.reorder(candidates)
        return Reranked(run, truncated=None, unscored=unscored, notes=notes, stages=stages)
    return score_candidates(reranker, candidates, dataset, store, compute)
