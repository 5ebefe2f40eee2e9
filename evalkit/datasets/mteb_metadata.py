"""Which task of mteb a dataset of ours is: the metadata by which models of mteb choose their prompts."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from evalkit.config.languages import mteb_code
from evalkit.config.resources import config_names, read_config
from evalkit.types import Dataset

TYPES = ("Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking")
"""Types of tasks that rank documents for queries, by searching a corpus or lists of it."""


def metadata_of(dataset: Dataset) -> Any:
    """Metadata of the task that a dataset is, so that models of mteb choose their prompts by it.

    That of the task itself, or of the one that reads the same files as our card of this name; else of a task with the
    dataset's name and without a prompt of its own.
    """
    if dataset.mteb_task is not None:
        return dataset.mteb_task
    if dataset.name in config_names("dataset") and (found := task_reading(read_config("dataset", dataset.name))):
        return found
    return general(dataset.name, dataset.split, dataset.language)


@cache
def _known() -> list[Any]:
    """Metadata of every task that ranks documents; finding them takes a second."""
    import mteb

    tasks = mteb.get_tasks(task_types=list(TYPES), exclude_superseded=False, exclude_aggregate=True)
    return [task.metadata for task in tasks]


def general(name: str = "evalkit", split: str = "test", language: str = "en") -> Any:
    """Metadata of a retrieval task that mteb does not know, without a prompt of its own."""
    from mteb.abstasks.task_metadata import TaskMetadata

    return TaskMetadata(
        name=name,
        description=name,
        dataset={"path": name, "revision": "none"},
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        eval_splits=[split],
        eval_langs=[mteb_code(language)],
        main_score="ndcg_at_10",
    )


def task_reading(settings: Mapping[str, Any]) -> Any:
    """Metadata of mteb's task that reads the files of a dataset of ours; None if there is none.

    Args:
        settings: of the dataset: its `task`, or the repository of the hub and its revision.
    """
    known = _known()
    if settings.get("task"):
        return next((task for task in known if task.name == settings["task"]), None)
    path, revision = settings.get("hub_id"), settings.get("revision")
    same = (task for task in known if (task.dataset["path"], task.dataset["revision"]) == (path, revision))
    return next(same, None) if path else None
