"""What one setting does: results that differ in it alone, each against the first, query by query. Prints nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from evalkit.analysis.overall import as_one, by_entry
from evalkit.analysis.pairwise import Settings
from evalkit.config.resources import read_config
from evalkit.config.suites import macro_average
from evalkit.errors import ConfigError
from evalkit.measures.significance import Values, intervals, macro_intervals, p_values
from evalkit.results import Evaluation
from evalkit.results.gather import per_query


@dataclass(frozen=True)
class Ablation:
    """A preset.

    Attributes:
        name: as in `ablation=`.
        setting: what is varied, such as `depth`.
        values: as typed; the first is the baseline.
    """

    name: str
    setting: str
    values: tuple[str, ...]


class Effect(NamedTuple):
    """One value of the setting on one dataset, or over all.

    Attributes:
        dataset: its name; `average` for the mean over datasets.
        reranker: its name; with the first stage's where there are several.
        value: of the setting, as typed.
        mean: of the measure.
        difference: of the mean to the baseline's; None for the baseline.
        low: lower end of its paired 95 % bootstrap interval, not corrected.
        high: upper end of the same.
        p: p-value by `significance.Rule`, corrected for all differences on the dataset; None for an average.
        truncated: pairs that were cut; None where no text was read.
        seconds: of reranking.
    """

    dataset: str
    reranker: str
    value: str
    mean: float
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    truncated: int | None = None
    seconds: float | None = None


def load_ablation(name: str, own: Path | None = None) -> Ablation:
    """The preset of this name; `own` is a user's folder with a group `ablation/`, as given by `--config-dir`.

    Raises:
        ConfigError: there is no such preset, or its file holds no setting and values.
    """
    found = read_config("ablation", name, own)
    setting, values = found.get("setting"), found.get("values")
    if found.keys() != {"setting", "values"} or not isinstance(setting, str) or not isinstance(values, list):
        raise ConfigError(f"ablation/{name}.yaml is not an ablation. Expected setting: depth and values: [100, 50].")
    return Ablation(name, setting, tuple(map(str, values)))


_Group = Mapping[str, Evaluation]
"""Value of the setting -> what it gave, for a reranker over a first stage on a dataset; the baseline first."""


def ablate(results: Sequence[tuple[str, Evaluation]], settings: Settings) -> list[Effect]:
    """Every dataset and reranker, values in the order given; then, for several datasets, the averages.

    Args:
        results: value of the setting and what it gave, the baseline's first; where a value comes twice, the last counts
            (see `left_out`).
        settings: measure, seed and draws.
    """
    datasets = _grouped(results)
    measured: dict[str, dict[str, dict[str, Values]]] = defaultdict(lambda: defaultdict(dict))
    effects: list[Effect] = []
    for dataset, groups in datasets.items():
        effects += _effects(dataset, groups, settings)
        for reranker, by_value in groups.items():
            for value, one in by_value.items():
                measured[reranker][value][dataset] = per_query(one.result, settings.measure).values[settings.measure]
    order = dict.fromkeys(value for value, _ in results)
    for reranker, columns in measured.items():
        effects += _averages(reranker, {value: columns[value] for value in order if value in columns}, settings)
    return effects


def left_out(results: Sequence[tuple[str, Evaluation]]) -> list[str]:
    """What the table does not show, and why: a sentence each."""
    datasets = _grouped(results)
    shown = {one.result.folder for groups in datasets.values() for some in groups.values() for one in some.values()}
    found = [
        f"{one.result.folder} is not shown: another result has its dataset, first stage, reranker and value"
        for _, one in results
        if one.result.folder not in shown
    ]
    first = results[0][0]
    for dataset, groups in datasets.items():
        for reranker, by_value in groups.items():
            baseline = next(iter(by_value))
            if baseline != first:
                found.append(f"{reranker} has no result for {first} on {dataset}: its differences are to {baseline}")
    for reranker in dict.fromkeys(name for groups in datasets.values() for name in groups):
        lacking = [dataset for dataset in datasets if dataset not in _complete(datasets, reranker)]
        if len(datasets) > 1 and lacking:
            found.append(f"the average of {reranker} is without {', '.join(lacking)}, where a value has no result")
    return found


def _grouped(results: Sequence[tuple[str, Evaluation]]) -> dict[str, dict[str, _Group]]:
    """Dataset -> reranker -> its results."""
    several = len({one.candidates.manifest["retriever"]["name"] for _, one in results}) > 1
    found: dict[str, dict[str, dict[str, Evaluation]]] = defaultdict(lambda: defaultdict(dict))
    for value, one in results:
        stage = f"{one.candidates.manifest['retriever']['name']} + " if several else ""
        found[one.dataset][f"{stage}{one.result.manifest['reranker']['name']}"][value] = one
    return {dataset: dict(groups) for dataset, groups in found.items()}


def _complete(datasets: Mapping[str, Mapping[str, _Group]], reranker: str) -> list[str]:
    """The datasets on which a reranker has every value that it has on any."""
    values = {value for groups in datasets.values() for value in groups.get(reranker, {})}
    return [dataset for dataset, groups in datasets.items() if values <= groups.get(reranker, {}).keys()]


def _effects(dataset: str, groups: Mapping[str, _Group], settings: Settings) -> list[Effect]:
    effects: list[Effect] = []
    between: list[Values] = []
    for reranker, by_value in groups.items():
        columns = [per_query(one.result, settings.measure).values[settings.measure] for one in by_value.values()]
        for (value, one), column in zip(by_value.items(), columns, strict=True):
            facts = one.result.manifest
            found = Effect(dataset, reranker, value, float(column.mean()))
            effects.append(found._replace(truncated=facts.get("truncated_pairs"), seconds=facts["seconds"]))
        between += [(column - columns[0])[:, None] for column in columns[1:]]
    tested = iter(zip(between, p_values(between, settings.rule), strict=True))
    return [
        one if one.value == next(iter(groups[one.reranker])) else _compared(one, *next(tested), settings)
        for one in effects
    ]


def _compared(effect: Effect, between: Values, p: float, settings: Settings) -> Effect:
    low, high = intervals(between, seed=settings.seed, samples=settings.samples)[:, 0].tolist()
    return effect._replace(difference=float(between.mean()), low=low, high=high, p=p)


def _averages(reranker: str, by_value: Mapping[str, Mapping[str, Values]], settings: Settings) -> list[Effect]:
    """Over the datasets that every value has, the forums of CQADupStack counting once."""
    common = [name for name in next(iter(by_value.values())) if all(name in found for found in by_value.values())]
    if len(common) < 2:  # noqa: PLR2004 - nothing to average
        return []
    baseline = next(iter(by_value))
    effects = []
    for value, found in by_value.items():
        effect = Effect("average", reranker, value, macro_average({name: float(found[name].mean()) for name in common}))
        if value != baseline:
            between = {name: (found[name] - by_value[baseline][name])[:, None] for name in common}
            drawn = [as_one(some) for some in by_entry(between).values()]
            low, high = macro_intervals(drawn, seed=settings.seed, samples=settings.samples)[:, 0].tolist()
            difference = macro_average({name: float(one.mean()) for name, one in between.items()})
            effect = effect._replace(difference=difference, low=low, high=high)
        effects.append(effect)
    return effects
