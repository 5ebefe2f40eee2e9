"""Systems on datasets by one or more measures, and which of them differ from a baseline. Prints nothing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np

from evalkit.analysis.overall import as_one
from evalkit.analysis.pairwise import Settings, named_systems
from evalkit.config.resources import config_names
from evalkit.config.suites import entry_of, load_suite
from evalkit.errors import ConfigError
from evalkit.measures.significance import Values, p_values
from evalkit.results import Evaluation
from evalkit.results.gather import measure_of, per_query
from evalkit.system.lookalikes import instead
from evalkit.types import PerQuery


class Place(NamedTuple):
    """Which number it is. The reranker of a first stage is `none`; `dataset` may be an entry of a suite."""

    system: str
    first_stage: str
    reranker: str
    dataset: str
    measure: str


class Standing(NamedTuple):
    """A mean over queries; of an entry of a suite over its datasets.

    Attributes:
        value: the mean.
        queries: number of judged queries.
        p: corrected p-value of the difference to the baseline; None where nothing was tested.
    """

    value: float
    queries: int
    p: float | None = None


@dataclass(frozen=True)
class Standings:
    """All numbers of a table.

    Attributes:
        found: first stages before their rerankers, otherwise in the order given; a system may lack datasets.
        comparisons: number of differences that were tested together.
    """

    found: Mapping[Place, Standing]
    comparisons: int


_Column = tuple[Place, list[Values]]  # values of every query, an array a dataset of the entry


def standings(
    evaluations: Sequence[Evaluation], measures: Sequence[str], settings: Settings, baseline: str = ""
) -> Standings:
    """Means of every system on every dataset.

    Args:
        evaluations: results.
        measures: names; those of relevant documents are taken at the level of the datasets.
        settings: rule of the tests; whether first stages are systems; candidates may differ.
        baseline: name of the system that all others are tested against, over all datasets and measures together.

    Raises:
        ConfigError: no system has the name of the baseline, or a measure means several levels.
        ResultError: two results under the name of a dataset were measured on different ones.
    """
    named = _first_stages_first(named_systems(evaluations, settings._replace(same_candidates=False)))
    names = dict.fromkeys(name for name, _ in named)
    if baseline and baseline not in names:
        raise ConfigError(f"no system is called {baseline!r}. {instead(baseline, names)}")
    columns = _columns(named, [measure_of(evaluations, measure) for measure in measures])
    p = _p_values(columns, settings, baseline) if baseline else {}
    return Standings({place: _standing(parts, p.get(place)) for place, parts in columns}, len(p))


def _standing(parts: Sequence[Values], p: float | None) -> Standing:
    means = [math.fsum(values) / len(values) for values in parts]
    return Standing(math.fsum(means) / len(means), sum(map(len, parts)), p)


def _first_stages_first(named: Sequence[tuple[str, Evaluation]]) -> list[tuple[str, Evaluation]]:
    stages = list(dict.fromkeys(evaluation.first_stage for _, evaluation in named))
    return sorted(named, key=lambda pair: (stages.index(pair[1].first_stage), not pair[1].is_first_stage))


def _columns(named: Sequence[tuple[str, Evaluation]], measures: Sequence[str]) -> list[_Column]:
    """Values of each system on each dataset, or entry of a suite, of which it has all; of one measure after another."""
    measured: dict[tuple[str, str, str], dict[str, PerQuery]] = {}
    for name, evaluation in named:
        reranker = "none" if evaluation.is_first_stage else evaluation.reranker
        own = measured.setdefault((name, evaluation.first_stage, reranker), {})
        own[evaluation.dataset] = per_query(evaluation.result, *measures)
    entries = _entries([evaluation.dataset for _, evaluation in named])
    return [
        (Place(*system, entry, measure), [own[dataset].values[measure] for dataset in datasets])
        for measure in measures
        for system, own in measured.items()
        for entry, datasets in entries.items()
        if own.keys() >= set(datasets)
    ]


def _entries(datasets: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Label -> its datasets: an entry such as CQADupStack where all of its datasets are there, else each by itself."""
    found: dict[str, tuple[str, ...]] = {}
    for dataset in dict.fromkeys(datasets):
        entry = entry_of(dataset)
        parts = load_suite(entry).datasets if entry != dataset and entry in config_names("suite") else ()
        found |= {entry: parts} if parts and set(parts) <= set(datasets) else {dataset: (dataset,)}
    return found


def _p_values(columns: Sequence[_Column], settings: Settings, baseline: str) -> dict[Place, float]:
    """Corrected p-value of every system that is not the baseline, where the baseline has the dataset."""
    base = {(place.dataset, place.measure): parts for place, parts in columns if place.system == baseline}
    tested: dict[str, dict[Place, list[Values]]] = {}
    for place, parts in columns:
        against = base.get((place.dataset, place.measure))
        if place.system != baseline and against is not None:
            differences = [own - other for own, other in zip(parts, against, strict=True)]
            tested.setdefault(place.dataset, {})[place] = differences
    # A matrix a dataset, since signs are drawn once for all columns of a matrix; no p-value depends on that.
    matrices = [as_one([np.column_stack(part) for part in zip(*own.values(), strict=True)]) for own in tested.values()]
    return dict(zip(chain.from_iterable(tested.values()), p_values(matrices, settings.rule), strict=True))
