"""The baseline of a gate as a file: the values of every query, as JSON that a review can read. Judges nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.errors import ResultError
from evalkit.formats import strict_json
from evalkit.system.files import write_output
from evalkit.system.versions import version

FORMAT = 1
DIGITS = 6  # of values in the baseline; a mean of them is off by less than 1e-6


class Name(NamedTuple):
    """The lasting name of a result. The reranker of a first stage is empty."""

    dataset: str
    first_stage: str
    reranker: str

    def __str__(self) -> str:
        return " / ".join(part for part in self if part)


@dataclass(frozen=True)
class BaselineEntry:
    """A result in a baseline.

    Attributes:
        dataset_digest: digest of documents, queries and judgments.
        candidates_digest: digest of each query's candidate documents, without their scores.
        measures: measure -> query -> value, rounded to six digits.
        missing: judged queries without any document; None in a baseline of a version that did not write them.
    """

    name: Name
    dataset_digest: str
    candidates_digest: str
    measures: Mapping[str, Mapping[str, float]]
    missing: frozenset[str] | None = frozenset()


def read_baseline(path: Path) -> list[BaselineEntry]:
    """A baseline.

    Raises:
        ResultError: the file is absent, or was not written by `write_baseline`.
    """
    try:
        found = strict_json.loads(path.read_text(encoding="utf-8"))
        return [_read(entry) for entry in _of_this_format(found)["results"]]
    except FileNotFoundError as error:
        raise ResultError(f"{path}: there is no such baseline. Write one with --update.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultError(
            f"{path}: not a baseline that evalkit wrote ({error}). Give --baseline the JSON file that --update wrote, "
            "or the name of a new file and --update to write one."
        ) from error


def _of_this_format(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"format is not {FORMAT}")
    return found


def _read(entry: dict[str, Any]) -> BaselineEntry:
    measures = {
        str(measure): {query: _finite(value) for query, value in zip(entry["queries"], own["values"], strict=True)}
        for measure, own in entry["measures"].items()
    }
    if not measures or not entry["queries"]:
        raise ValueError("an entry has no values")
    name = Name(str(entry["dataset"]), str(entry["first_stage"]), str(entry["reranker"]))
    missing = frozenset(map(_query_id, entry["without_documents"])) if "without_documents" in entry else None
    return BaselineEntry(name, str(entry["dataset_digest"]), str(entry["candidates_digest"]), measures, missing)


def _query_id(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a query is {value!r}, not a text")
    return value


def _finite(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= 1:
        raise ValueError(f"a value is {value!r}, not a number from 0 to 1")
    return float(value)


def write_baseline(path: Path, kept: Sequence[BaselineEntry]) -> None:
    """Write a baseline; the same results give the same bytes.

    Raises:
        OSError: the file cannot be written; the old one stays.
    """
    rows = []
    for entry in sorted(kept, key=lambda entry: entry.name):
        queries = sorted(next(iter(entry.measures.values())))
        measures = {
            measure: {"mean": round(sum(own.values()) / len(own), DIGITS), "values": [own[query] for query in queries]}
            for measure, own in sorted(entry.measures.items())
        }
        digests = {"dataset_digest": entry.dataset_digest, "candidates_digest": entry.candidates_digest}
        none = {} if entry.missing is None else {"without_documents": sorted(entry.missing)}
        rows.append({**entry.name._asdict(), **digests, **none, "queries": queries, "measures": measures})
    whole = {"format": FORMAT, "evalkit": version("evalkit"), "results": rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_output(path, json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
