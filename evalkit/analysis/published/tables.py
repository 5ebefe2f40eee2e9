"""Published tables as data: numbers, their conditions, and the settings of ours that they need."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from evalkit.config.resources import config_names, read_config
from evalkit.config.suites import Suite, load_suite, summarise
from evalkit.errors import ConfigError
from evalkit.system.lookalikes import instead


class PublishedColumn(NamedTuple):
    """A column of a table.

    Attributes:
        name: as published.
        suite: datasets, whose average is published.
        first_stages: names of retrievers; of several, the mean over them is published.
    """

    name: str
    measure: str
    suite: Suite
    first_stages: tuple[str, ...]

    @property
    def parts(self) -> list[tuple[str, str]]:
        """The evaluations that a number is made of: first stage and dataset of each."""
        return [(stage, dataset) for stage in self.first_stages for dataset in self.suite.datasets]

    def mean(self, values: Mapping[tuple[str, str], float]) -> float | None:
        """The number, from the values of its parts; None where one is missing."""
        by_stage: dict[str, dict[str, float]] = {stage: {} for stage in self.first_stages}
        for (stage, dataset), value in values.items():
            by_stage[stage][dataset] = value
        means = [mean for found in by_stage.values() if (mean := summarise(self.suite, found).mean) is not None]
        return math.fsum(means) / len(means) if len(means) == len(by_stage) else None


class PublishedRow(NamedTuple):
    """A system.

    Attributes:
        name: as published.
        reranker: `reranker=`; `none` for the first stage.
        settings: settings of the reranker that differ from its defaults.
        values: in points, one a column; None for an empty cell.
        max_length: tokens that the reranker reads; None for that of the model's own configuration.
    """

    name: str
    reranker: str
    settings: dict[str, Any]
    values: tuple[float | None, ...]
    max_length: int | None = None

    @property
    def is_first_stage(self) -> bool:
        """Whether the system is the first stage alone."""
        return self.reranker == "none"


@dataclass(frozen=True)
class Table:
    """One table."""

    name: str
    columns: tuple[PublishedColumn, ...]
    rows: tuple[PublishedRow, ...]

    def cells(self) -> Iterator[tuple[PublishedRow, PublishedColumn, float]]:
        """Every number."""
        for row in self.rows:
            for column, value in zip(self.columns, row.values, strict=True):
                if value is not None:
                    yield row, column, value


@dataclass(frozen=True)
class Published:
    """Tables that were published together.

    Attributes:
        source: address of the publication.
        depth: candidates a query.
        notes: other conditions, which a manifest does not show.
    """

    title: str
    source: str
    depth: int
    notes: tuple[str, ...]
    tables: tuple[Table, ...]


@cache
def load_published(name: str) -> Published:
    """The published tables of this name, read once a process: a report looks into all of them.

    Raises:
        ConfigError: there are none, or the file is malformed.
    """
    if name not in config_names("published"):
        raise ConfigError(f"{name!r} is not a published table. {instead(name, config_names('published'))}")
    found = read_config("published", name)
    try:
        own = found["conditions"]
        tables = tuple(_table(key, table, own.get("max_length")) for key, table in found["tables"].items())
        return Published(found["title"], found["source"], own["depth"], tuple(found["notes"]), tables)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"conf/published/{name}.yaml: not a published table ({error!r}).") from error


def _table(name: str, table: dict[str, Any], max_length: int | None) -> Table:
    columns = tuple(_column(column) for column in table["columns"])
    rows = tuple(
        PublishedRow(
            row["name"],
            row["reranker"],
            row.get("settings", {}),
            tuple(row["values"]),
            row.get("max_length", max_length),
        )
        for row in table["rows"]
    )
    for row in rows:
        if len(row.values) != len(columns):
            raise ValueError(f"{name}, {row.name}: {len(row.values)} values, expected {len(columns)}")
    return Table(name, columns, rows)


def _column(column: dict[str, Any]) -> PublishedColumn:
    name, stages = column["name"], column["retriever"]
    if "suite" in column:
        suite = load_suite(column["suite"])
    else:
        datasets = column["dataset"]
        suite = Suite(name, tuple(datasets)) if isinstance(datasets, list) else Suite(datasets, (datasets,))
    return PublishedColumn(name, column["measure"], suite, tuple(stages) if isinstance(stages, list) else (stages,))
