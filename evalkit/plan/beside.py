"""Forecasts beside what happened: for manifests, and so that the next forecast rests on it."""

from collections.abc import Mapping, Sequence

from evalkit.config import DenseConfig, EvaluateConfig
from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.shape import shape_of
from evalkit.plan.already import Kept, scored, vectors_share
from evalkit.plan.forecast import Forecast, Stage, forecast
from evalkit.plan.machine import Machine
from evalkit.plan.reading import cutoff
from evalkit.plan.sample import sample_of
from evalkit.rerank import AnyReranker
from evalkit.retrieval.first_stage import FirstStage
from evalkit.run import Run
from evalkit.store import Store
from evalkit.types import Dataset

_TEXTS = 512
_LEAST_SECONDS = 2.0  # of work; less says little of a rate


class Beside:
    """The forecast of one evaluation, made as it comes to its stages.

    Args:
        config: settings of the evaluation.
        dataset: that it is on.
        store: with rates of this machine.
    """

    def __init__(self, config: EvaluateConfig, dataset: Dataset, store: Store) -> None:
        self._config, self._dataset, self._store = config, dataset, store
        self._machine = Machine(config.compute, store)
        self._retrieved = False

    def first_stage(self, first_stage: FirstStage) -> dict[str, dict[str, float]]:
        """What is planned of each stage before candidates are made; nothing for a model of unknown size."""
        self._retrieved = isinstance(self._config.retriever, DenseConfig)
        made = self._forecast(Kept(vectors_share(first_stage, self._dataset, self._store)))
        return _planned(made.stages[: made.first]) if made else {}

    def reranking(self, reranker: AnyReranker, candidates: Run) -> dict[str, dict[str, float]]:
        """What is planned of each stage before candidates are reranked."""
        kept = scored(reranker, candidates, self._dataset, self._store)
        made = self._forecast(kept._replace(libraries=self._retrieved))
        return _planned(made.stages[made.first :]) if made else {}

    def _forecast(self, kept: Kept) -> Forecast | None:
        try:
            return forecast(self._config, sample_of(self._dataset, texts=_TEXTS), self._machine, kept)
        except ModelError:
            return None

    def learn(self, kind: str, took: Mapping[str, float], checkpoint: Checkpoint | None) -> None:
        """Remember what a model reached in a stage, where that was long enough to tell.

        Args:
            kind: `encode` or `score`.
            took: what the stage noted.
            checkpoint: of the model.
        """
        if checkpoint is None or took.get("seconds", 0.0) < _LEAST_SECONDS:
            return
        try:
            shape = shape_of(checkpoint, layers=cutoff(self._config.reranker) if kind == "score" else None)
        except ModelError:
            return
        self._machine.keep(kind, shape, took, took["seconds"])


def _planned(stages: Sequence[Stage]) -> dict[str, dict[str, float]]:
    return {
        stage.name: {
            "planned_seconds": round(stage.left, 3),
            **({"planned_tokens": round(stage.tokens * (1 - stage.done))} if stage.tokens else {}),
        }
        for stage in stages
    }
