"""Results that are on disk: found below folders, told apart by name, and joined to their dataset again."""

from collections.abc import Callable, Sequence
from pathlib import Path

from evalkit import datasets, results
from evalkit.answers import AnswerJudge
from evalkit.config.dataset import dataset_config
from evalkit.errors import ConfigError, ResultError, reason
from evalkit.manifest import MANIFEST
from evalkit.measures import measure, parse_measure
from evalkit.results import CANDIDATES, Evaluation, Result
from evalkit.store import open_store
from evalkit.types import Dataset, PerQuery


def gather(paths: Sequence[str | Path]) -> list[Evaluation]:
    """The evaluations in these folders and below them, in the order of their paths, none twice.

    A folder of candidates that is named itself gives the first stage as an evaluation of its own; below a named folder
    they are found only as what rerankers started from.

    Raises:
        ResultError: a folder is absent, holds no result, or holds one that is damaged.
    """
    found: dict[Path, Evaluation] = {}
    for path in map(Path, paths):
        folder = path.parent if path.name == MANIFEST else path
        if not folder.is_dir():
            raise ResultError(f"{path}: there is no such folder. Give a result, or a folder of results.")
        own = [folder] if (folder / MANIFEST).is_file() else sorted(_below(folder))
        if not own:
            raise ResultError(f"{path}: holds no result (no {MANIFEST} in it or below). Run `evalkit evaluate` first.")
        for one in own:
            if one.resolve() not in found:
                found[one.resolve()] = _evaluation(one)
    return list(found.values())


def _below(folder: Path) -> list[Path]:
    """Folders with a result of a reranker; hidden ones are those still being written."""
    inside = (path.parent for path in folder.rglob(MANIFEST))
    return [
        one
        for one in inside
        if one.name != CANDIDATES and not any(part.startswith(".") for part in one.relative_to(folder).parts)
    ]


def _evaluation(folder: Path) -> Evaluation:
    result = results.read(folder)
    if "reranker" not in result.manifest:
        return Evaluation(result, result)
    candidates = results.read(folder.parent / CANDIDATES)
    if candidates.manifest["key"] != result.manifest["candidates"]["key"]:
        raise ResultError(f"{folder}: was not made from the candidates beside it. Remove {folder} and run again.")
    return Evaluation(result, candidates)


def names(evaluations: Sequence[Evaluation]) -> list[str]:
    """What to call each evaluation within its dataset: its reranker; with the first stage where there are several.

    Where that is not enough, the name of its folder, which holds a part of its key.
    """
    stages = {one.first_stage for one in evaluations}
    given = [
        one.reranker if one.is_first_stage or len(stages) == 1 else f"{one.first_stage} + {one.reranker}"
        for one in evaluations
    ]
    seen = [(name, one.dataset) for name, one in zip(given, evaluations, strict=True)]
    return [
        name if seen.count(mark) == 1 else f"{one.candidates.folder.parent.name}/{one.result.folder.name}"
        for name, mark, one in zip(given, seen, evaluations, strict=True)
    ]


def dataset_of(result: Result) -> Dataset:
    """The dataset that a result was measured on, with its texts and judgments.

    Raises:
        DataError: its files are not there any more.
        ResultError: what is there now is not what was measured on.
    """
    settings = result.manifest["config"]
    try:
        config = dataset_config(settings["dataset"])
    except (ConfigError, TypeError, KeyError, AttributeError) as error:
        raise ResultError(
            f"{result.folder}: does not say what it was measured on ({reason(error)}). Run again."
        ) from error
    if config is None:
        raise ResultError(f"{result.folder}: was made by another version of evalkit. Run again.")
    dataset = datasets.load(config, open_store(settings["cache_dir"]))
    if dataset.digest != result.manifest["dataset"]["digest"]:
        raise ResultError(
            f"{result.folder}: was measured on other documents, queries or judgments than {dataset.name} has now. "
            "Run again, or restore the collection."
        )
    return dataset


def joiner() -> Callable[[Result], Dataset]:
    """`dataset_of`, which loads a dataset once for results that follow each other."""
    last: dict[tuple[str, str], Dataset] = {}

    def join(result: Result) -> Dataset:
        facts = result.manifest["dataset"]
        key = facts["name"], facts["digest"]  # one collection may go under two names
        if key not in last:
            loaded = dataset_of(result)
            last.clear()  # one at a time: a corpus may be large
            last[key] = loaded
        return last[key]

    return join


def measure_of(evaluations: Sequence[Evaluation], name: str) -> str:
    """The measure that a name means for these evaluations: at the relevance level of their datasets where it has none.

    Raises:
        ConfigError: the name is unknown, or means measures of several levels.
    """
    found = {_at_level(one, name): one.dataset for one in evaluations} or {parse_measure(name).name: ""}
    if len(found) > 1:
        listed = " and ".join(f"{measure} for {dataset}" for measure, dataset in found.items())
        raise ConfigError(f"{name} means {listed}. Name the relevance level.")
    return next(iter(found))


def _at_level(one: Evaluation, name: str) -> str:
    level = one.result.manifest["config"]["dataset"].get("relevance_level", 1)
    return parse_measure(name, level=level).name


def per_query(result: Result, measure_name: str) -> PerQuery:
    """Values of a measure for every judged query, as kept with the result, or measured now on its run.

    Raises:
        DataError: the dataset is not there any more, or has no judgments for the measure.
        ResultError: it is not what was measured on.
    """
    if measure_name in result.manifest["measures"]:
        return result.read_per_query()
    dataset, run = dataset_of(result), result.read_run()
    answers = AnswerJudge(dataset).judge(run) if dataset.answers else None
    return measure(dataset.qrels, run, [measure_name], answers=answers)
