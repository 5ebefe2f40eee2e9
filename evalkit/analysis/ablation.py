"""The effect of one setting: results that differ in it alone, each compared with the first. Prints nothing."""

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
    """A preset: its name, the setting that varies, such as `depth`, and values as typed, the baseline first."""

    name: str
    setting: str
    values: tuple[str, ...]


class Effect(NamedTuple):
    """One value of the setting on one dataset, or over all.

    Attributes:
        dataset: its name; `average` for the mean over datasets.
        reranker: its name, after the first stage's where there are several.
        value: value of the setting, as typed.
        difference: difference of the mean from the baseline's; None for the baseline.
        low: lower end of the paired 95 % bootstrap interval of the difference, not corrected.
        high: upper end of the same.
        p: p-value by `significance.Rule`, corrected for all differences on the dataset; None for an average.
        truncated: number of truncated pairs; None where no text was read.
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
"""Value of the setting -> its result, for a reranker over a first stage on a dataset; the baseline first."""


def ablate(results: Sequence[tuple[str, Evaluation]], settings: Settings) -> list[Effect]:
    """Every dataset and reranker, values in the order given; then, for several datasets, the averages.

    Args:
        results: value of the setting and its result, the baseline's first; where a value comes twice, the last counts
            (see `left_out`).
        settings: measure, seed and draws.
    """
    measured: dict[str, dict[str, dict[str, Values]]] = defaultdict(lambda: defaultdict(dict))
    effects: list[Effect] = []
    for dataset, groups in _grouped(results).items():
        columns = {
            (reranker, value): per_query(found.result, settings.measure).values[settings.measure]
            for reranker, by_value in groups.items()
            for value, found in by_value.items()
        }
        effects += _effects(dataset, groups, columns, settings)
        for (reranker, value), column in columns.items():
            measured[reranker][value][dataset] = column
    order = dict.fromkeys(value for value, _ in results)
    for reranker, by_value in measured.items():
        effects += _averages(reranker, {value: by_value[value] for value in order if value in by_value}, settings)
    return effects


def left_out(results: Sequence[tuple[str, Evaluation]]) -> list[str]:
    """A sentence for everything that the table does not show."""
    datasets = _grouped(results)
    shown = {found.result.folder for groups in datasets.values() for some in groups.values() for found in some.values()}
    sentences = [
        f"{found.result.folder} is not shown: another result has its dataset, first stage, reranker and value"
        for _, found in results
        if found.result.folder not in shown
    ]
    first = results[0][0]
    for dataset, groups in datasets.items():
        for reranker, by_value in groups.items():
            baseline = next(iter(by_value))
            if baseline != first:
                text = f"{reranker} has no result for {first} on {dataset}: its differences are to {baseline}"
                sentences.append(text)
    for reranker in dict.fromkeys(name for groups in datasets.values() for name in groups):
        values = {value for groups in datasets.values() for value in groups.get(reranker, {})}
        lacking = [dataset for dataset, groups in datasets.items() if not values <= groups.get(reranker, {}).keys()]
        if len(datasets) > 1 and lacking:
            sentences.append(f"the average of {reranker} is without {', '.join(lacking)}, where a value has no result")
    return sentences


def _grouped(results: Sequence[tuple[str, Evaluation]]) -> dict[str, dict[str, _Group]]:
    """Dataset -> reranker -> its results."""
    several = len({found.candidates.manifest["retriever"]["name"] for _, found in results}) > 1
    grouped: dict[str, dict[str, dict[str, Evaluation]]] = defaultdict(lambda: defaultdict(dict))
    for value, found in results:
        stage = f"{found.candidates.manifest['retriever']['name']} + " if several else ""
        grouped[found.dataset][f"{stage}{found.result.manifest['reranker']['name']}"][value] = found
    return {dataset: dict(groups) for dataset, groups in grouped.items()}


def _effects(
    dataset: str, groups: Mapping[str, _Group], columns: Mapping[tuple[str, str], Values], settings: Settings
) -> list[Effect]:
    effects, between = [], []
    for reranker, by_value in groups.items():
        baseline = columns[reranker, next(iter(by_value))]
        for place, (value, found) in enumerate(by_value.items()):
            column, facts = columns[reranker, value], found.result.manifest
            effect = Effect(dataset, reranker, value, float(column.mean()))
            effects.append(effect._replace(truncated=facts.get("truncated_pairs"), seconds=facts["seconds"]))
            if place:
                between.append((column - baseline)[:, None])
    tested = iter(zip(between, p_values(between, settings.rule), strict=True))
    return [
        effect if effect.value == next(iter(groups[effect.reranker])) else _compared(effect, *next(tested), settings)
        for effect in effects
    ]


def _compared(effect: Effect, between: Values, p: float, settings: Settings) -> Effect:
    low, high = intervals(between, seed=settings.seed, samples=settings.samples)[:, 0].tolist()
    return effect._replace(difference=float(between.mean()), low=low, high=high, p=p)


def _averages(reranker: str, by_value: Mapping[str, Mapping[str, Values]], settings: Settings) -> list[Effect]:
    """Over the datasets that every value has, the forums of CQADupStack counting once."""
    common = [name for name in next(iter(by_value.values())) if all(name in found for found in by_value.values())]
    if len(common) < 2:  # noqa: PLR2004 - nothing to average
        return []
    baseline = next(iter(by_value.values()))
    effects = []
    for value, found in by_value.items():
        effect = Effect("average", reranker, value, macro_average({name: float(found[name].mean()) for name in common}))
        if found is not baseline:
            between = {name: (found[name] - baseline[name])[:, None] for name in common}
            drawn = [as_one(some) for some in by_entry(between).values()]
            low, high = macro_intervals(drawn, seed=settings.seed, samples=settings.samples)[:, 0].tolist()
            difference = macro_average({name: float(column.mean()) for name, column in between.items()})
            effect = effect._replace(difference=difference, low=low, high=high)
        effects.append(effect)
    return effects
