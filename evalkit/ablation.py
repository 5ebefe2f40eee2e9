"""What one setting does: results that differ in it alone, each against the first, query by query. Prints nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from evalkit.compare import Settings
from evalkit.errors import ConfigError
from evalkit.gather import per_query
from evalkit.lookalikes import instead
from evalkit.overall import as_one, by_entry
from evalkit.resources import config_names, shipped
from evalkit.results import Evaluation
from evalkit.significance import Values, holm, intervals, macro_intervals, randomisation_test
from evalkit.suites import macro_average


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
        reranker: its name.
        value: of the setting, as typed.
        mean: of the measure.
        difference: of the mean to the baseline's; None for the baseline.
        low: of its paired 95 % bootstrap interval.
        high: of the same.
        p: of the paired randomisation test, with Holm's correction within a dataset; None for an average.
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


def load_ablation(name: str) -> Ablation:
    """The preset of this name.

    Raises:
        ConfigError: there is none.
    """
    import yaml

    if name not in config_names("ablation"):
        raise ConfigError(f"ablation={name} is not a choice. {instead(name, config_names('ablation'))}")
    found: dict[str, Any] = yaml.safe_load((shipped("conf") / "ablation" / f"{name}.yaml").read_text(encoding="utf-8"))
    ((setting, values),) = found["hydra"]["sweeper"]["params"].items()
    return Ablation(name, setting, tuple(str(values).split(",")))


def ablate(results: Sequence[tuple[str, Evaluation]], settings: Settings) -> list[Effect]:
    """Every dataset and reranker, values in the order given; then, for several datasets, the averages.

    Args:
        results: value of the setting and what it gave.
        settings: measure, seed and draws.
    """
    grouped: dict[tuple[str, str], dict[str, Evaluation]] = defaultdict(dict)
    for value, one in results:
        grouped[one.dataset, one.result.manifest["reranker"]["name"]][value] = one
    measured: dict[str, dict[str, dict[str, Values]]] = defaultdict(lambda: defaultdict(dict))
    effects: list[Effect] = []
    for (dataset, reranker), by_value in grouped.items():
        values = {
            value: per_query(one.result, settings.measure).values[settings.measure] for value, one in by_value.items()
        }
        effects += _effects(dataset, reranker, by_value, values, settings)
        for value, column in values.items():
            measured[reranker][value][dataset] = column
    for reranker, columns in measured.items():
        effects += _averages(reranker, columns, settings)
    return effects


def _effects(
    dataset: str, reranker: str, evaluations: Mapping[str, Evaluation], values: Mapping[str, Values], settings: Settings
) -> list[Effect]:
    seeded = {"seed": settings.seed, "samples": settings.samples}
    baseline = next(iter(values.values()))
    between = {value: (column - baseline)[:, None] for value, column in list(values.items())[1:]}
    p_values = holm([float(randomisation_test(column, **seeded)[0]) for column in between.values()])
    corrected = dict(zip(between, p_values, strict=True))
    effects = []
    for value, column in values.items():
        manifest = evaluations[value].result.manifest
        found = Effect(
            dataset,
            reranker,
            value,
            float(column.mean()),
            truncated=manifest.get("truncated_pairs"),
            seconds=manifest["seconds"],
        )
        if value in between:
            low, high = intervals(between[value], **seeded)[:, 0].tolist()
            difference = float(between[value].mean())
            found = found._replace(difference=difference, low=low, high=high, p=corrected[value])
        effects.append(found)
    return effects


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
