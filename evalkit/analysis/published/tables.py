"""Published tables as data: numbers, their conditions, and the settings of ours that they need."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from evalkit.config.resources import config_names, read_config
from evalkit.config.suites import Suite, load_suite
from evalkit.errors import ConfigError
from evalkit.system.lookalikes import instead


class PublishedColumn(NamedTuple):
    """A column of a table.

    Attributes:
        name: as published.
        suite: datasets, whose average is published.
        retriever: the first stage.
    """

    name: str
    measure: str
    suite: Suite
    retriever: str


class PublishedRow(NamedTuple):
    """A system.

    Attributes:
        name: as published.
        reranker: `reranker=`; `none` for the first stage.
        settings: settings of the reranker that differ from its defaults.
        values: in points, one a column; None for an empty cell.
    """

    name: str
    reranker: str
    settings: dict[str, Any]
    values: tuple[float | None, ...]

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
        max_length: tokens that the rerankers read.
        notes: other conditions, which a manifest does not show.
    """

    title: str
    source: str
    depth: int
    max_length: int
    notes: tuple[str, ...]
    tables: tuple[Table, ...]


def load_published(name: str) -> Published:
    """The published tables of this name.

    Raises:
        ConfigError: there are none, or the file is malformed.
    """
    if name not in config_names("published"):
        raise ConfigError(f"{name!r} is not a published table. {instead(name, config_names('published'))}")
    found = read_config("published", name)
    try:
        tables = tuple(_table(key, table) for key, table in found["tables"].items())
        own = found["conditions"]
        notes = tuple(found["notes"])
        return Published(found["title"], found["source"], own["depth"], own["max_length"], notes, tables)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"conf/published/{name}.yaml: not a published table ({error!r}).") from error


def _table(name: str, table: dict[str, Any]) -> Table:
    columns = tuple(_column(column) for column in table["columns"])
    rows = tuple(
        PublishedRow(row["name"], row["reranker"], row.get("settings", {}), tuple(row["values"]))
        for row in table["rows"]
    )
    for row in rows:
        if len(row.values) != len(columns):
            raise ValueError(f"{name}, {row.name}: {len(row.values)} values, expected {len(columns)}")
    return Table(name, columns, rows)


def _column(column: dict[str, str]) -> PublishedColumn:
    suite = load_suite(column["suite"]) if "suite" in column else Suite(column["dataset"], (column["dataset"],))
    return PublishedColumn(column["name"], column["measure"], suite, column["retriever"])
