"""Why a number is off: what each way of counting would give, from results on disk, and what to run for the rest.

The cheap ways need no model: the kept runs are measured anew. The expensive ones change what a model reads; each is a
command over a sample of the queries, and once it was run its effect is measured on the queries that both have.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evalkit.analysis.one_pass import at_depth, no_curve
from evalkit.analysis.published.tables import Column, Published, Row
from evalkit.config.suites import summarise
from evalkit.measures import measure, parse_measure
from evalkit.measures.ties import tie_range
from evalkit.results import Evaluation, Result
from evalkit.results.gather import dataset_of, per_query
from evalkit.run import Run
from evalkit.types import Dataset, Qrels

SAMPLE = 50  # queries of an expensive toggle
FOLDER = "explain"  # where the expensive ones go, beside the results


class Toggle(NamedTuple):
    """Another way of counting, or of running.

    Attributes:
        what: in words.
        value: of the cell under it, in points; None where it was not run.
        moved: points from ours.
        command: that runs it; empty for what is recomputed here.
    """

    what: str
    value: float | None
    moved: float | None
    command: str = ""


def explain(
    published: Published, row: Row, column: Column, chosen: Sequence[Evaluation], sampled: Sequence[Evaluation]
) -> list[Toggle]:
    """Every toggle, those that move the number most first, those that were not run last.

    Args:
        published: the tables.
        row: the system.
        column: what it was measured on.
        chosen: the evaluation of each dataset of the column.
        sampled: evaluations over samples of queries, as the commands leave them.

    Raises:
        DataError: a collection is not at hand.
    """
    sources = [
        _Source(one.candidates if row.reranker == "none" else one.result, dataset_of(one.result)) for one in chosen
    ]
    toggles = [*_counted(column, sources), *_depths(column, row, chosen, sources)]
    if row.reranker != "none":
        toggles += _expensive(published, row, column, chosen, sampled)
    return sorted(toggles, key=lambda one: -1.0 if one.moved is None else abs(one.moved), reverse=True)


class _Source(NamedTuple):
    result: Result
    dataset: Dataset


def _counted(column: Column, sources: Sequence[_Source]) -> list[Toggle]:
    """Other ways of counting the kept runs."""
    name = column.measure
    means = [one.result.manifest["measures"][name] for one in sources]
    ours = _points(column, means, sources)
    per_source: dict[str, Callable[[_Source], float | None]] = {
        "documents with the query's own id dropped": lambda one: _without_own_ids(one, name),
        "queries without any candidate left out": lambda one: _answered_only(one, name),
        "queries without a relevant document left out": lambda one: _relevant_only(one, name),
        "ties in their best order": lambda one: _tied(one, name, best=True),
        "ties in their worst order": lambda one: _tied(one, name, best=False),
        "ties by ascending document id": lambda one: _ascending(one, name),
    }
    toggles = []
    for what, count in per_source.items():
        values = [count(one) for one in sources]
        if any(value is not None for value in values):
            # A dataset for which it cannot be told keeps its number.
            kept = [mean if value is None else value for value, mean in zip(values, means, strict=True)]
            points = _points(column, kept, sources)
            toggles.append(Toggle(what, points, points - ours))
    return [*toggles, *_averages(column, sources, ours)]


def _points(column: Column, values: Sequence[float], sources: Sequence[_Source]) -> float:
    by_dataset = {one.dataset.name: value for one, value in zip(sources, values, strict=True)}
    mean = summarise(column.suite, by_dataset).mean
    assert mean is not None, "only complete cells are explained"
    return 100 * mean


def _averages(column: Column, sources: Sequence[_Source], ours: float) -> list[Toggle]:
    """Other averages of the same numbers, where there is more than one dataset."""
    if len(sources) < 2:  # noqa: PLR2004 - one dataset has no average
        return []
    name = column.measure
    means = [one.result.manifest["measures"][name] for one in sources]
    queries = [one.result.manifest["queries"] for one in sources]
    found = {
        "every query counts once": 100 * float(np.average(means, weights=queries)),
        "numbers rounded to two digits before they are averaged": _points(
            column, [round(100 * value, 2) / 100 for value in means], sources
        ),
    }
    if len(column.suite.entries) < len(sources):
        found["every forum of CQADupStack counts once"] = 100 * float(np.mean(means))
    return [Toggle(what, value, value - ours) for what, value in found.items()]


def _measured(qrels: Qrels, run: Run, name: str) -> float | None:
    return measure(qrels, run, [name]).means[name] if qrels and not parse_measure(name).by_answers else None


def _without_own_ids(one: _Source, name: str) -> float | None:
    if one.dataset.drop_identical_ids:
        return None  # they are dropped already; what would have been there was not kept
    run = one.result.read_run()
    own = np.concatenate(
        [np.array([doc_id == query_id for doc_id in doc_ids]) for query_id, doc_ids, _ in run] or [np.zeros(0, bool)]
    )
    return _measured(one.dataset.qrels, run.select(~own), name)


def _answered_only(one: _Source, name: str) -> float | None:
    found = per_query(one.result, name)
    missing = set(found.missing)
    keep = [query_id not in missing for query_id in found.query_ids]
    return float(found.values[name][keep].mean()) if any(keep) else None


def _relevant_only(one: _Source, name: str) -> float | None:
    without = set(one.dataset.without_relevant)
    qrels = {query_id: judged for query_id, judged in one.dataset.qrels.items() if query_id not in without}
    return _measured(qrels, one.result.read_run(), name)


def _tied(one: _Source, name: str, *, best: bool) -> float | None:
    if not one.dataset.qrels or parse_measure(name).by_answers:
        return None
    found = tie_range(one.dataset.qrels, one.result.read_run(), name)
    return found.greatest if best else found.least


def _ascending(one: _Source, name: str) -> float | None:
    """The rule of tools that sort by score alone and read documents in the order of their ids."""
    run = one.result.read_run()
    places: list[int] = []
    for _, doc_ids, scores in run:
        order = sorted(range(len(doc_ids)), key=lambda row: (-scores[row], doc_ids[row]))
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.arange(len(order))
        places += ranks.tolist()
    return _measured(one.dataset.qrels, run.rescored(-np.array(places, dtype=np.float32)), name)


def _depths(column: Column, row: Row, chosen: Sequence[Evaluation], sources: Sequence[_Source]) -> list[Toggle]:
    """Smaller depths, of rerankers: exactly what `depth=` would give."""
    if row.reranker == "none":
        return []
    ours = _points(column, [one.result.manifest["measures"][column.measure] for one in sources], sources)
    toggles = []
    reasons = dict.fromkeys(reason for one in chosen if (reason := no_curve(one)))
    if reasons:
        return [Toggle(f"smaller depths: not told, because {', '.join(reasons)}", None, None)]
    for depth in (10, 20, 50):
        values = [
            at_depth(one, source.dataset, column.measure, depth) for one, source in zip(chosen, sources, strict=True)
        ]
        if all(value is not None for value in values):
            points = _points(column, [value for value in values if value is not None], sources)
            toggles.append(Toggle(f"depth {depth}", points, points - ours))
    return toggles


def _expensive(
    published: Published, row: Row, column: Column, chosen: Sequence[Evaluation], sampled: Sequence[Evaluation]
) -> list[Toggle]:
    """What changes the texts or the arithmetic of the model, over a sample of the first dataset's queries."""
    base = chosen[0]
    settings = base.result.manifest["config"]
    toggles = []
    for what, changed in _changes(settings, published).items():
        found = next((one for one in sampled if one.dataset == base.dataset and _is(one, settings, changed)), None)
        value, moved = (None, None) if found is None else _on_common_queries(base, found, column.measure)
        toggles.append(Toggle(f"{what} ({base.dataset})", value, moved, _command(base, row, changed)))
    return toggles


def _changes(settings: Mapping[str, Any], published: Published) -> dict[str, dict[str, Any]]:
    """In words, and as settings; only those that the reranker has and that differ from what it ran with."""
    reranker = settings["reranker"]
    wanted: dict[str, dict[str, Any]] = {
        "without an instruction": {"reranker.instructions": "none"},
        "with the dataset's instruction": {"reranker.instructions": "dataset"},
        "query and document cut apart": {"reranker.truncation": "separate"},
        "the longer of query and document cut": {"reranker.truncation": "longest_first"},
        f"max_length {published.max_length}": {"reranker.max_length": published.max_length},
        "max_length 512": {"reranker.max_length": 512},
        "title and text joined by a line break": {"dataset.title_separator": "\n"},
        "bfloat16": {"compute.dtype": "bfloat16"},
        "float32": {"compute.dtype": "float32"},
    }
    holders = {"reranker": reranker, "dataset": settings["dataset"], "compute": settings["compute"]}
    kept = {}
    for what, changed in wanted.items():
        ((key, value),) = changed.items()
        group, _, name = key.partition(".")
        if name in holders[group] and holders[group][name] != value:
            kept[what] = changed
    return kept


def _is(one: Evaluation, settings: Mapping[str, Any], changed: Mapping[str, Any]) -> bool:
    """Whether an evaluation has these settings and otherwise those of the model that is explained."""
    if one.is_first_stage:
        return False  # its manifest names the reranker that it was made for
    own = one.result.manifest["config"]
    for group in ("reranker", "compute"):
        expected = {**settings[group], **_of(changed, group)}
        ignored = {"device", "threads", "batch_tokens", "attention"}
        if any(own[group].get(key) != value for key, value in expected.items() if key not in ignored):
            return False
    separator = _of(changed, "dataset").get("title_separator", settings["dataset"]["title_separator"])
    return bool(own["dataset"]["title_separator"] == separator and own["dataset"].get("sample"))


def _of(changed: Mapping[str, Any], group: str) -> dict[str, Any]:
    return {key.partition(".")[2]: value for key, value in changed.items() if key.startswith(f"{group}.")}


def _on_common_queries(base: Evaluation, other: Evaluation, name: str) -> tuple[float, float]:
    """In points: the other's mean, and how far it is from the base's on the same queries."""
    ours, theirs = per_query(base.result, name), per_query(other.result, name)
    row_of = {query_id: row for row, query_id in enumerate(ours.query_ids)}
    rows = [row_of[query_id] for query_id in theirs.query_ids]
    mean = 100 * float(theirs.values[name].mean())
    return mean, mean - 100 * float(ours.values[name][rows].mean())


def _command(base: Evaluation, row: Row, changed: Mapping[str, Any]) -> str:
    """What was typed for the base, with other settings, over a sample."""
    typed = shlex.split(base.result.manifest["command"])[2:]
    if not typed:  # evaluated from Python
        settings = base.result.manifest["config"]
        typed = [f"dataset={base.dataset}", f"retriever={settings['retriever']['name']}", f"reranker={row.reranker}"]
    overrides = {**changed, "dataset.sample": SAMPLE, "results_dir": FOLDER}
    replaced = {*overrides, "suite", "ablation", "-m", "--multirun"}
    kept = [argument for argument in typed if argument.partition("=")[0] not in replaced]
    return shlex.join(["evalkit", "evaluate", *kept, *(f"{key}={value}" for key, value in overrides.items())])
