"""Suites: datasets that are reported together, and their average.

Datasets whose names share the part before a slash are one entry of a suite: CQADupStack, as in the published tables, is
the mean of its 12 forums and counts once. In a suite with `forums_apart: true` each dataset is an entry, and so it is
wherever exactly these datasets are averaged. Nothing is rounded before it is averaged.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from evalkit.config.resources import config_names, read_config
from evalkit.errors import ConfigError


def entry_of(dataset: str) -> str:
    """The entry of a suite that a dataset belongs to: `cqadupstack` of `cqadupstack/android`."""
    return dataset.partition("/")[0]


class Suite(NamedTuple):
    """Datasets in the order of their table."""

    name: str
    datasets: tuple[str, ...]
    forums_apart: bool = False

    @property
    def entries(self) -> dict[str, tuple[str, ...]]:
        """Averages of the suite: name -> datasets."""
        entries: dict[str, tuple[str, ...]] = {}
        for dataset in self.datasets:
            name = dataset if self.forums_apart else entry_of(dataset)
            entries[name] = (*entries.get(name, ()), dataset)
        return entries


class Entry(NamedTuple):
    """An entry with its value; None where that is missing or incomplete."""

    name: str
    value: float | None
    present: int
    total: int


class Summary(NamedTuple):
    """The entries of a suite and their mean; None where an entry has no value and that was not allowed."""

    entries: tuple[Entry, ...]
    mean: float | None

    @property
    def averaged(self) -> tuple[str, ...]:
        """Names of the entries with a value."""
        return tuple(entry.name for entry in self.entries if entry.value is not None)


def load_suite(name: str, own: Path | None = None) -> Suite:
    """The suite of this name; `own` is a user's folder with a group `suite/`, as given by `--config-dir`."""
    found = read_config("suite", name, own)
    datasets, apart = found.pop("datasets", None), found.pop("forums_apart", False)
    is_list = isinstance(datasets, list) and all(isinstance(d, str) for d in datasets)
    if found or not is_list or not isinstance(apart, bool):
        raise ConfigError(
            f"suite/{name}.yaml is not a suite. Expected one list of names: datasets: [scifact, nfcorpus]. Another key "
            "may be forums_apart, true or false."
        )
    return Suite(name, tuple(dict.fromkeys(datasets)), apart)


def of_datasets(datasets: Iterable[str]) -> Suite:
    """Any datasets as a suite; forums count once unless a suite of exactly these datasets has them apart."""
    chosen = tuple(dict.fromkeys(datasets))
    return Suite("", chosen, forums_apart=frozenset(chosen) in _apart())


@cache
def _apart() -> frozenset[frozenset[str]]:
    suites = map(load_suite, config_names("suite"))
    return frozenset(frozenset(suite.datasets) for suite in suites if suite.forums_apart)


def summarise(suite: Suite, values: Mapping[str, float], *, partial: bool = False) -> Summary:
    """The average of a suite: the mean over its entries, of each the mean over its datasets."""
    entries = []
    for name, datasets in suite.entries.items():
        found = [values[dataset] for dataset in datasets if dataset in values]
        complete = len(found) == len(datasets) or (partial and found)
        entries.append(Entry(name, _mean(found) if complete else None, len(found), len(datasets)))
    known = [entry.value for entry in entries if entry.value is not None]
    complete = len(known) == len(entries) or (partial and known)
    return Summary(tuple(entries), _mean(known) if complete else None)


def macro_average(values: Mapping[str, float]) -> float:
    """The mean over entries of any datasets, dataset -> value."""
    mean = summarise(of_datasets(values), values).mean
    assert mean is not None, "no dataset is missing"
    return mean


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
