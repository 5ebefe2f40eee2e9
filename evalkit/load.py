"""Stages in Python, by name or as objects: what `evalkit score` and `evalkit embed` do, without files.

reranker = load_reranker("bge_reranker_v2_m3", compute={"dtype": "bfloat16"})
reranker.score([Pair("what do bees make?", "Bees make honey.")]).scores
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit import rerank, retrieval
from evalkit.config import ComputeConfig, DatasetConfig, RerankerConfig, RetrieverConfig
from evalkit.config.choices import checked, chosen, schema_among
from evalkit.config.limits import one_of
from evalkit.config.registry import Registry
from evalkit.config.resources import config_names
from evalkit.datasets import DATASETS
from evalkit.errors import ConfigError
from evalkit.rerank import RERANKERS
from evalkit.rerank.seam import Reranker
from evalkit.retrieval import RETRIEVERS
from evalkit.retrieval.encoding_retriever import EncodingRetriever
from evalkit.retrieval.first_stage import FirstStage
from evalkit.run import Run
from evalkit.store import open_store
from evalkit.system.files import expanded
from evalkit.system.lookalikes import instead
from evalkit.system.own_code import call, given_name, nameable, own_name
from evalkit.system.reporting import shown

if TYPE_CHECKING:
    from evalkit.interchange.beir_search import BeirSearch
    from evalkit.interchange.mteb_search import PipelineSearch

SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "dataset": DATASETS,
    "retriever": RETRIEVERS,
    "reranker": RERANKERS,
    "compute": {"compute": ComputeConfig},
}
"""Schema names by group, as the `defaults` lists under `conf/` write them: `/schema/<group>/<name>@_here_`."""


STAGES: dict[str, type] = {"dataset": DatasetConfig, "retriever": RetrieverConfig, "reranker": RerankerConfig}
"""The class of all settings of a stage."""
_PATHS = {"dataset": ("folder", "path"), "retriever": ("saved", "path"), "reranker": ("replay", "path")}
FOLDERS = {**_PATHS, "retriever": ("dense", "model"), "reranker": ("auto", "model")}
"""Choice and setting that a path stands for, and that of a folder, which holds a checkpoint."""
_DATA = {"dataset": "dataset", "retriever": "run", "reranker": "reranker"}  # what data without a name is called


def usable_schemas() -> dict[str, Mapping[str, Any]]:
    """`SCHEMAS` without those of packages that cannot be used; a warning names each of these."""
    return {group: schemas.usable() if isinstance(schemas, Registry) else schemas for group, schemas in SCHEMAS.items()}


def load_reranker(name: str, *, compute: Mapping[str, Any] | None = None, **settings: Any) -> Reranker:
    """A reranker that scores pairs of texts. Its weights are loaded for the first pair.

    Args:
        name: as in `evalkit list rerankers`.
        compute: `device`, `dtype`, `attention`, `batch_tokens`, `threads`.
        settings: of the reranker, such as `model`, `max_length` or `cutoff_layers`.

    Raises:
        ConfigError: there is no such reranker or setting, or it reads no texts.
        ModelError: the checkpoint is absent, or contradicts the settings.
    """
    return rerank.require_texts(rerank.build(config_of("reranker", name, settings), compute_of(compute)), name)


def load_retriever(name: str, *, compute: Mapping[str, Any] | None = None, **settings: Any) -> EncodingRetriever:
    """A retriever with `encode_queries` and `encode_documents`. Its weights are loaded for the first text.

    Vectors are float32 arrays; those of sparse retrievers, such as `splade`, a `scipy.sparse.csr_array`.

    Args:
        name: as in `evalkit list retrievers`.
        compute: `device`, `dtype`, `attention`, `batch_tokens`, `threads`.
        settings: of the retriever, such as `model` or `query_instruction`.

    Raises:
        ConfigError: there is no such retriever or setting, or it makes no vectors.
        ModelError: the checkpoint is absent, or contradicts the settings.
    """
    built = retrieval.build(config_of("retriever", name, settings), compute_of(compute), open_store())
    if not isinstance(built, EncodingRetriever):
        raise ConfigError(f"retriever {name} has no encoder, so it makes no vectors.")
    return built


def load_search(
    retriever: Any,
    reranker: Any = "none",
    *,
    depth: int = 100,
    compute: Mapping[str, Any] | None = None,
    retriever_settings: Mapping[str, Any] | None = None,
    reranker_settings: Mapping[str, Any] | None = None,
    library: str = "mteb",
    dataset: str | None = None,
) -> "PipelineSearch | BeirSearch":
    """First stage and reranker as one searcher for `mteb.evaluate`, or for `EvaluateRetrieval` of beir.

    Args:
        retriever: as in `evalkit list retrievers`, or an object, as for `evaluate`.
        reranker: as in `evalkit list rerankers`, or an object; `none` for the first stage alone.
        depth: candidates of each query that are reranked.
        compute: `device`, `dtype`, `attention`, `batch_tokens`, `threads`.
        retriever_settings: such as `model`.
        reranker_settings: such as `model` or `max_length`.
        library: `mteb` or `beir`, whose searcher it is to be.
        dataset: as in `evalkit list datasets`, for language and instruction of a collection that beir loads; mteb says
            itself which task it is.

    Raises:
        ConfigError: there is no such retriever, reranker, dataset or setting.
        MissingExtra: mteb is not installed.
    """
    from evalkit.interchange.two_stages import TwoStages

    one_of("library", library, ("mteb", "beir"))
    first = stage_of("retriever", retriever, retriever_settings or {})
    second = stage_of("reranker", reranker, reranker_settings or {})
    stages = TwoStages(first, second, compute_of(compute), depth=depth, store=open_store())
    if library == "beir":
        from evalkit.interchange.beir_search import BeirSearch

        return BeirSearch(stages, None if dataset is None else config_of("dataset", dataset, {}))
    if dataset is not None:
        raise ConfigError(f"dataset={dataset} is for library='beir'. mteb says itself which task it is.")
    from evalkit.interchange.mteb_search import PipelineSearch
    from evalkit.interchange.tasks import mteb_module

    mteb_module("load_search")
    return PipelineSearch(stages)


def compute_of(settings: Mapping[str, Any] | None) -> ComputeConfig:
    """Where and how models run, from some settings.

    Raises:
        ConfigError: they are not a mapping, or one of them is not legal.
    """
    if settings is not None and not isinstance(settings, Mapping):
        raise ConfigError(f"compute={settings!r} is not a mapping. Give settings, such as compute={{'device': 'cpu'}}.")
    found: ComputeConfig = checked(ComputeConfig, "compute", settings or {})
    return found


def config_of(group: str, name: str, settings: Mapping[str, Any]) -> Any:
    """The settings in `conf/<group>/<name>.yaml`, with some replaced.

    Raises:
        ConfigError: there is no such choice or setting.
    """
    if not isinstance(name, str):
        raise ConfigError(f"{group} is {shown(name)}, expected a name from `evalkit list`.")
    return chosen(group, name, settings, SCHEMAS[group])


def stage_of(group: str, given: Any, settings: Mapping[str, Any]) -> Any:
    """The settings of a stage, whatever it was given as.

    Args:
        group: `dataset`, `retriever` or `reranker`.
        given: name, path, object, settings of its class, or one of the first three with settings.
        settings: further ones, by name.

    Raises:
        ConfigError: there is no such choice or setting, or nothing was given.
    """
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Mapping):  # noqa: PLR2004
        given, settings = given[0], {**given[1], **settings}
    if given is None:
        raise ConfigError(
            f"evaluate needs a {group}. Give a name from `evalkit list {group}s`, or an object of your own."
        )
    if isinstance(given, STAGES[group]):
        if settings:
            raise ConfigError(
                f"{group}.{next(iter(settings))} is set as well as a {type(given).__name__}. Set it there."
            )
        return given
    if isinstance(given, str | os.PathLike):
        if isinstance(given, str) and (given in config_names(group) or not _exists(given)):
            _require_no_path(group, given)
            return config_of(group, given, settings)
        path = expanded(Path(given))
        choice, key = (FOLDERS if path.is_dir() else _PATHS)[group]
        named = {"name": nameable(path.name)} if key == "model" else {}
        return config_of(group, choice, {key: os.fspath(given), **named, **settings})
    legal = {field.name for field in fields(SCHEMAS[group]["python"])}
    if unknown := [key for key in settings if key not in legal]:
        raise ConfigError(
            f"{group}.{unknown[0]} is not a setting of an object. {instead(str(unknown[0]), sorted(legal))} What its "
            f"class is made with goes into settings, as in {{'settings': {{{unknown[0]!r}: ...}}}}."
        )
    config = config_of(group, "python", {"name": call(group, _name, group, given), **settings})
    config.attach(given)
    return config


def _name(group: str, given: Any) -> str:
    """A name for an object; data without a name of its own is called what it is."""
    if isinstance(given, Mapping) and "name" in given and not isinstance(given["name"], Mapping):
        return given_name(given["name"], f"a {group}")
    is_data = isinstance(given, Mapping | Sequence | Run) or hasattr(given, "columns")
    if is_data:
        return _DATA[group]
    if isinstance(given, FirstStage) and hasattr(given, "config"):  # one of evalkit's own
        return str(given.config.name)
    return type(given).__name__ if getattr(given, "name", "") == Reranker.name else own_name(given)


def _require_no_path(group: str, given: str) -> None:
    """Refuse a name that is written as a path, of which nothing is there."""
    above = f"{given.partition('/')[0]}/"  # of a choice such as cqadupstack/unix, or of a model on the hub
    names = config_names(group)
    is_choice = given in names or any(name.startswith(above) for name in names)
    if given.startswith(("/", "./", "../", "~")) or (group == "dataset" and "/" in given and not is_choice):
        raise ConfigError(f"{group}={given}: no such file or folder. Check the path.")


def _exists(path: str) -> bool:
    return "\0" not in path and bool(path) and Path(expanded(path)).exists()


def schema_of(group: str, settings: Mapping[str, Any]) -> Any:
    """The class that checks the settings of a choice.

    Raises:
        ConfigError: the package that has it cannot be used, or there is none of this name.
    """
    return schema_among(SCHEMAS[group], group, settings)
