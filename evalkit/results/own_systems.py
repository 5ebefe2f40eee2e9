"""Systems as Python code gives them: results, runs, or both; measured, or as evaluations."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict

from evalkit.config.limits import one_of
from evalkit.datasets.of_judgments import dataset_of_judgments
from evalkit.errors import ConfigError, DataError
from evalkit.formats.python_objects import kind_of, qrels_of, subtopics_of
from evalkit.formats.run_names import judgments_name
from evalkit.formats.runfile import ORDERS
from evalkit.formats.subtopics import over_subtopics
from evalkit.measures import canonical
from evalkit.measures import measure as measure_run
from evalkit.measures.given_runs import MEASURES, Rules, by_subtopics, counting, measured, of_documents
from evalkit.results.gather import dataset_of
from evalkit.results.judged_runs import judge_runs, notes_of
from evalkit.results.reading_runs import is_result, named_run, named_runs, path_of, read_runs, results_in
from evalkit.results.result import Evaluation, Result
from evalkit.run import Run
from evalkit.system.lookalikes import instead
from evalkit.types import Dataset, PerQuery, Qrels

logger = logging.getLogger(__name__)

_SYSTEMS = "a list of results or runs, or a dict of them by name"
_FLAGS, _TEXTS = ("common_queries", "drop_identical_ids"), ("corpus", "query_texts")
_RULES = Rules(by_rank="order='rank'", without_own_ids="drop_identical_ids=True")


class RunSettings(TypedDict, total=False):
    """Settings that runs have and results do not.

    Attributes:
        order: what orders documents where ranks and scores of a run disagree: `score` or `rank`.
        common_queries: whether only queries count that every run has; otherwise one that a run lacks counts 0.
        first_stage: name of the run that all others reordered.
        drop_identical_ids: whether a document with the id of its query is left out.
        maxp: delimiter of passage ids, `#` for `D1#3`: the best passage of a document counts.
        dataset: what to call the judgments; by default after their file.
        corpus: the documents' texts: a file, `{id: text}`, or a table.
        query_texts: the queries' texts, likewise.
    """

    order: str | None
    common_queries: bool
    first_stage: str | None
    drop_identical_ids: bool
    maxp: str | None
    dataset: str
    corpus: Any
    query_texts: Any


def measure(
    qrels: Any,
    run: Any,
    measures: Sequence[str] | str = MEASURES,
    *,
    answers: Qrels | None = None,
    maxp: str | None = None,
    order: str | None = None,
    drop_identical_ids: bool = False,
) -> PerQuery:
    """Values of every measure for every judged query; 0 where the run has no document for the query.

    Args:
        qrels: judgments: `{query: {document: grade}}`, a table, or a file. Ids are texts or integers. For measures of
            subtopics a TREC file, or a table or rows with a column `subtopic` or `iteration`.
        run: `{query: {document: score}}`, a table, a `Run`, a file, or a result.
        measures: names, or measures of ir_measures; one, or several.
        answers: judgments by answers of at least the documents of the run, for measures that ask for them.
        maxp: delimiter of passage ids, `#` for `D1#3`: the best passage of a document counts.
        order: what orders documents where ranks and scores of the run disagree: `score` or `rank`.
        drop_identical_ids: whether a document with the id of its query is left out.

    What is odd about the run is logged, as `evalkit measure` says it on stderr.

    Raises:
        ConfigError: an unknown measure, or an illegal setting.
        DataError: judgments or run are something else, or the run has no judged query or document.
    """
    _require_kinds({"maxp": maxp, "order": order, "drop_identical_ids": drop_identical_ids})
    with explained_errors():
        label = str(run) if isinstance(run, str | PathLike) else "run"
        names, found = names_of(measures), named_run(label, _given("run", run), order=order)
        given = of_documents({label: found}, maxp)[label]
        if answers is not None:
            judged = {} if _is_empty(qrels) else qrels_of(qrels, "qrels")
            return measure_run(judged, given.file.run, names, answers=answers)
        subtopics = subtopics_of(_given("qrels", qrels), "qrels") if by_subtopics(names) else None
        judged = qrels_of(_given("qrels", qrels), "qrels") if subtopics is None else over_subtopics(subtopics)
        rules = _RULES._replace(own_ids=not drop_identical_ids)
        name = str(qrels) if isinstance(qrels, str | PathLike) else "qrels"
        result = measured(counting(judged, {label: given}, rules, name=name), given, names, rules, subtopics)
    for note in result.notes:
        logger.warning("%s: %s", label, note.text)
    return result.values


def systems_of(
    results: Any, qrels: Any, measures: Sequence[str], of_runs: RunSettings
) -> tuple[list[Evaluation], list[str]]:
    """Evaluations of what was given, and what is odd about the runs, which is also logged.

    Args:
        results: a list or a dict by name of results and runs, or a single result or folder.
        qrels: judgments; None where there are only results, or the first result's dataset has them.
        measures: of runs.
        of_runs: how to read and judge runs.

    Raises:
        ConfigError: a setting is illegal, or runs have no judgments.
        DataError: a run or judgments are something else, or of different collections.
        ResultError: a result is absent or damaged.
    """
    _require_kinds(of_runs)
    items = _items(results)
    values = list(items.values()) if isinstance(items, Mapping) else items
    if qrels is None and all(map(is_result, values)):
        if typed := [name for name, value in of_runs.items() if _is_set(name, value)]:
            raise ConfigError(f"{typed[0]} is for runs. Give their judgments as well: qrels=.")
        return (_named_results(items) if isinstance(items, Mapping) else results_in(items)), []
    return _judged(items, qrels, measures, of_runs)


def _judged(
    items: Sequence[Any] | Mapping[Any, Any], qrels: Any, measures: Sequence[str], of_runs: RunSettings
) -> tuple[list[Evaluation], list[str]]:
    order, first, common = of_runs.get("order"), of_runs.get("first_stage"), of_runs.get("common_queries", False)
    runs = named_runs(items, order=order) if isinstance(items, Mapping) else read_runs(items, order=order)
    runs = of_documents(runs, of_runs.get("maxp"))
    if first is not None and first not in runs:
        raise ConfigError(f"first_stage={first!r} is not one of the runs: {', '.join(runs)}.")
    if qrels is None:
        values = list(items.values()) if isinstance(items, Mapping) else items
        dataset, level = _of_first_result(values, of_runs)
    else:
        dataset, level = _of_judgments(qrels, next(iter(runs.values())).file.run, of_runs), 1
    rules = _RULES._replace(common=common, own_ids=not of_runs.get("drop_identical_ids"))
    found = judge_runs(dataset, runs, measures, rules=rules, first_stage=first or "", level=level)
    notes = [f"{path}: {note.text}" for path, note in notes_of(found)]
    if common:
        left, of = len(dataset.qrels) - found[0].result.manifest["queries"], len(dataset.qrels)
        notes.insert(0, f"common_queries leaves out {left:,} of {of:,} judged queries, which not every run has")
    for note in notes:
        logger.warning("%s", note)
    return found, notes


def _require_kinds(of_runs: RunSettings) -> None:
    """Refuse settings that do not exist, or of other types."""
    for name, value in of_runs.items():
        if name not in RunSettings.__annotations__:
            raise ConfigError(f"{name} is not a setting. {instead(name, list(RunSettings.__annotations__))}")
        if name in _FLAGS:
            require_flag(name, value)
        elif name not in _TEXTS and not isinstance(value, str | None):
            raise ConfigError(f"{name} is {brief(value)}, expected a text.")
    if (order := of_runs.get("order")) is not None:
        one_of("order", order, ORDERS)


def _items(results: Any) -> Sequence[Any] | Mapping[Any, Any]:
    """The systems: a list, or a dict by name; a single result or folder is a list of one."""
    if isinstance(results, Evaluation | str | PathLike):
        results = [results]
    if not isinstance(results, list | tuple | Mapping):
        raise ConfigError(f"results is {kind_of(results)}, expected {_SYSTEMS}.")
    if not results:
        raise ConfigError(f"results is empty, expected {_SYSTEMS}.")
    return results


def _named_results(items: Mapping[Any, Any]) -> list[Evaluation]:
    """Results under the names that they were given."""
    found: list[Evaluation] = []
    stages: dict[str, Result] = {}
    for name, item in items.items():
        if not isinstance(name, str) or not name:
            raise ConfigError(f"a result is named {name!r}. Names are texts: {{'first': result}}.")
        for evaluation in results_in([item]):
            if evaluation.is_first_stage:
                key = evaluation.candidates.manifest["key"]
                stages[key] = _called(evaluation.candidates, "retriever", name=name, depth=None)  # the name alone
            else:
                evaluation = replace(evaluation, result=_called(evaluation.result, "reranker", name=name))  # noqa: PLW2901
            found.append(evaluation)
    candidates = [stages.get(each.candidates.manifest["key"], each.candidates) for each in found]
    return [
        Evaluation(stage if each.result.folder == stage.folder else each.result, stage)
        for each, stage in zip(found, candidates, strict=True)
    ]


def _called(result: Result, stage: str, **facts: str | None) -> Result:
    """A result whose stage has another name."""
    return replace(result, manifest={**result.manifest, stage: {**result.manifest[stage], **facts}})


def _of_judgments(qrels: Any, run: Run, of_runs: RunSettings) -> Dataset:
    """The judgments that were given, with texts where there are some."""
    name = judgments_name(str(qrels)) if isinstance(qrels, str | PathLike) else "judgments"
    corpus, queries = (of_runs.get(name) for name in _TEXTS)
    judged = qrels_of(_given("qrels", qrels), "qrels")
    texts = {"documents": _texts(corpus), "queries": _texts(queries)}
    return dataset_of_judgments(judged, of_runs.get("dataset") or name, run=run, **texts)


def _is_set(name: str, value: Any) -> bool:
    return value is not None if name in _TEXTS else bool(value)


def _texts(given: Any) -> Any:
    return path_of(given) if isinstance(given, str | PathLike) else given


def _of_first_result(items: Sequence[Any], of_runs: RunSettings) -> tuple[Dataset, int]:
    """The dataset of the first result, and the grade from which its documents are relevant."""
    found = results_in(items)
    if not found:
        raise ConfigError("runs need judgments: give qrels= as a file, a table, or {query: {document: grade}}.")
    if typed := [name for name in ("dataset", *_TEXTS) if _is_set(name, of_runs.get(name))]:
        raise ConfigError(f"{typed[0]} goes with qrels=. Without it, name and texts are those of the first result.")
    settings = found[0].result.manifest["config"]["dataset"]
    return dataset_of(found[0].result), int(settings.get("relevance_level", 1))


def names_of(names: Any) -> list[str]:
    """Names of measures, of one or several; a measure of ir_measures is its own name.

    Raises:
        ConfigError: they are something else.
    """
    given = list(names) if isinstance(names, list | tuple) else [names]
    found = [str(name) if type(name).__module__.startswith("ir_measures.") else name for name in given]
    wrong = [name for name in found if not isinstance(name, str)]
    if wrong or not found:
        what = f"measures has {brief(wrong[0])}" if wrong else "measures is empty"
        raise ConfigError(f"{what}, expected names such as ['nDCG@10', 'R@20'].")
    return canonical(found)


def require_flag(name: str, value: Any) -> None:
    """Refuse anything but True and False."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is {brief(value)}, expected True or False.")


def a_path(name: str, value: Any) -> Path:
    """A path; anything else is refused."""
    if not isinstance(value, str | PathLike):
        raise ConfigError(f"{name} is {brief(value)}, expected a path.")
    return path_of(value)


def brief(value: Any) -> str:
    """A value for an error: a number or text as it is, of anything else its kind."""
    return f"{value!r}" if isinstance(value, int | float | str | None) else kind_of(value)


def _given(name: str, value: Any) -> Any:
    if value is None:
        raise DataError(f"{name} is None. Give a file, a table, or a dict.")
    return _texts(value)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping) and not value)


@contextmanager
def explained_errors() -> Iterator[None]:
    """Errors of the system, such as that of an absent file, as evalkit's."""
    try:
        yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise DataError(f"{place}{error.strerror or error}.") from error
