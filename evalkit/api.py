"""An evaluation from Python: each stage is a name, a name with settings, a file, or an object of the user's own.

    def overlap(query, documents):
        return [len({*query.split()} & {*document.split()}) for document in documents]

    result = evalkit.evaluate(dataset="scifact", retriever="bm25", reranker=overlap)
    result.measures["nDCG@10"]

Each stage has one table of the objects that it may be: `rerank/own_forms.py`, `retrieval/own_searches.py` and
`datasets/own_dataset.py`.
"""

import logging
import operator
import os
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit import pipeline
from evalkit.config import ComputeConfig, EvaluateConfig
from evalkit.datasets.reranking_samples import are_samples
from evalkit.errors import ConfigError
from evalkit.load import STAGES, compute_of, config_of, stage_of
from evalkit.measures import canonical
from evalkit.reports.evaluation_grids import evaluation_doubts
from evalkit.results import Evaluation
from evalkit.results.own_systems import names_of
from evalkit.system.lookalikes import instead
from evalkit.system.reporting import shown

logger = logging.getLogger(__name__)

_DEFAULTS = {"depth": 100, "measures": None, "compute": None, "results_dir": "results", "cache_dir": None}


def evaluate(
    dataset: Any = None,
    *,
    retriever: Any = None,
    reranker: Any = None,
    depth: int = 100,
    measures: Sequence[str] | str | None = None,
    compute: str | Mapping[str, Any] | ComputeConfig | None = None,
    results_dir: str | os.PathLike[str] = "results",
    cache_dir: str | os.PathLike[str] | None = None,
    command: str = "",
    **settings: Any,
) -> Evaluation:
    """Retrieve, rerank, measure and save, or find what an earlier run saved.

    A stage is a name from `evalkit list`, a path, an object, the settings of its class, or any of the first three with
    settings: `("dense", {"model": DIR})`. Settings may also follow as on the command line, as in
    `**{"reranker.max_length": 256}`.

    Args:
        dataset: a name; a folder or file; or corpus, queries and judgments as three mappings or tables, in a tuple or a
            dict. Or an `EvaluateConfig`, as the only argument.
        retriever: a name; a folder with a model; a run, as a file, a `Run` or a dict; a function `f(queries, depth)`;
            or a model. None for reranking samples, which bring their candidates.
        reranker: a name; a folder with a model; a run, which is replayed; a function `f(query, documents)` or
            `f(pairs)`; or a model. None for none.
        depth: candidates of each query that are passed on to the reranker.
        measures: such as `["nDCG@10", "R@20"]`, or one; those of the dataset when None.
        compute: where and how evalkit's own models run: a name, or settings such as `{"device": "cpu"}`.
        results_dir: folder of the results.
        cache_dir: where corpora, embeddings and scores are kept; `~/.cache/evalkit` when None.
        command: what the manifest says was run; this call when empty.
        settings: of stages, such as `reranker.max_length`.

    Raises:
        EvalkitError: a setting, a file, a checkpoint or an object is not as it should be; nothing is half-written.
    """
    asked: dict[str, Any] = {"depth": depth, "measures": measures, "compute": compute}
    asked |= {"results_dir": results_dir, "cache_dir": cache_dir}
    if isinstance(dataset, EvaluateConfig):
        if retriever is not None or reranker is not None or settings or asked != _DEFAULTS:
            raise ConfigError("an EvaluateConfig has all settings. Give it alone, or give the stages one by one.")
        return _evaluated(_checked(dataset), command)
    stages = {"dataset": dataset, "retriever": retriever, "reranker": "none" if reranker is None else reranker}
    config = _config(stages, settings, **asked)
    return _evaluated(config, command or _command(config, settings))


def _checked(config: EvaluateConfig) -> EvaluateConfig:
    """The settings, if those of all stages are there."""
    for group, kind in STAGES.items():
        if not isinstance(own := getattr(config, group), kind):
            raise ConfigError(f"{group} of the EvaluateConfig is {shown(own)}, expected a {kind.__name__}.")
    return config


def _evaluated(config: EvaluateConfig, command: str) -> Evaluation:
    """The evaluation; what is odd about its numbers is logged."""
    found = pipeline.evaluate(config, command=command)
    for note in evaluation_doubts(found, canonical(config.measures, level=config.dataset.relevance_level)):
        logger.warning("%s, %s: %s", found.dataset, found.reranker, note.removeprefix("warning: "))
    return found


def _config(
    given: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    depth: Any,
    measures: Any,
    compute: Any,
    results_dir: Any,
    cache_dir: Any,
) -> EvaluateConfig:
    """The arguments of `evaluate`, checked."""
    of = _by_group(settings)
    stages: dict[str, Any] = {"dataset": stage_of("dataset", given["dataset"], of["dataset"])}
    if given["retriever"] is None and are_samples(stages["dataset"]):
        given = {**given, "retriever": "own"}
    stages |= {group: stage_of(group, given[group], of[group]) for group in ("retriever", "reranker")}
    return EvaluateConfig(
        **stages,
        compute=_compute(compute, of["compute"]),
        depth=_whole_number("depth", depth),
        measures=list(stages["dataset"].measures) if measures is None else names_of(measures),
        results_dir=_path("results_dir", results_dir),
        cache_dir=None if cache_dir is None else _path("cache_dir", cache_dir),
    )


def _by_group(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings such as `reranker.max_length` by their group."""
    found: dict[str, dict[str, Any]] = {group: {} for group in (*STAGES, "compute")}
    for key, value in settings.items():
        group, dot, name = key.partition(".")
        if not (dot and group in found):
            advice = "Settings of a stage have its name before a dot, as in **{'reranker.max_length': 256}."
            raise ConfigError(f"{key} is not an argument of evaluate. {instead(key, (*STAGES, *_DEFAULTS))} {advice}")
        found[group][name] = value
    return found


def _compute(given: Any, settings: Mapping[str, Any]) -> ComputeConfig:
    if isinstance(given, ComputeConfig):
        if settings:
            raise ConfigError(f"compute.{next(iter(settings))} is set as well as a ComputeConfig. Set it there.")
        return given
    if given is None or isinstance(given, str):
        found: ComputeConfig = config_of("compute", given or "local", settings)
        return found
    return compute_of({**given, **settings} if isinstance(given, Mapping) else given)


def _whole_number(key: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError as error:
        raise ConfigError(f"{key}={shown(value)} is not a whole number.") from error
    if isinstance(value, bool):
        raise ConfigError(f"{key}={value} is not a whole number.")
    return number


def _path(key: str, value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise ConfigError(f"{key}={shown(value)} is not the path of a folder.")
    return os.fspath(value)


def _command(config: EvaluateConfig, settings: Mapping[str, Any]) -> str:
    """This call, for the manifest; objects by their names."""
    stages = [f"{group}={getattr(config, group).name!r}" for group in STAGES]
    others = [f"{key}={value!r}" for key, value in settings.items()]
    return f"evalkit.evaluate({', '.join([*stages, f'depth={config.depth}', f'measures={config.measures}', *others])})"
