"""Published tables as data: numbers, the conditions they were made under, and which settings of ours they ask for."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from evalkit.config.resources import config_names, read_config
from evalkit.config.suites import Suite, load_suite
from evalkit.errors import ConfigError
from evalkit.system.lookalikes import instead


class Column(NamedTuple):
    """What a column is measured on.

    Attributes:
        name: as published.
        measure: such as `nDCG@10`.
        suite: datasets; their average is what is published.
        retriever: the first stage.
    """

    name: str
    measure: str
    suite: Suite
    retriever: str


class Row(NamedTuple):
    """A system.

    Attributes:
        name: as published.
        reranker: `reranker=`; `none` for the first stage.
        settings: of the reranker, beside its defaults.
        values: in points, a column each; None where there is none.
    """

    name: str
    reranker: str
    settings: dict[str, Any]
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Table:
    """One table."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Published:
    """What was published together.

    Attributes:
        title: for people.
        source: where.
        depth: candidates.
        max_length: of the rerankers, in tokens.
        notes: other conditions, which a manifest does not show.
        tables: in order.
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
        raise ConfigError(f"{name!r} is no published table. {instead(name, config_names('published'))}")
    found = read_config("published", name)
    try:
        tables = tuple(_table(key, table) for key, table in found["tables"].items())
        own = found["conditions"]
        return Published(
            found["title"], found["source"], own["depth"], own["max_length"], tuple(found["notes"]), tables
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"conf/published/{name}.yaml: is no published table ({error!r}).") from error


def _table(name: str, table: dict[str, Any]) -> Table:
    columns = tuple(_column(column) for column in table["columns"])
    rows = tuple(
        Row(row["name"], row["reranker"], row.get("settings", {}), tuple(row["values"])) for row in table["rows"]
    )
    for row in rows:
        if len(row.values) != len(columns):
            raise ValueError(f"{name}, {row.name}: {len(row.values)} values, expected {len(columns)}")
    return Table(name, columns, rows)


def _column(column: dict[str, str]) -> Column:
    suite = load_suite(column["suite"]) if "suite" in column else Suite(column["dataset"], (column["dataset"],))
    return Column(column["name"], column["measure"], suite, column["retriever"])
