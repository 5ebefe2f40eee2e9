"""mteb's tasks and our datasets: equal if they read the same repository on the hub at the same revision."""

from typing import Any

from evalkit.config.languages import mteb_code
from evalkit.config.resources import config_names, read_config
from evalkit.datasets.mteb_metadata import task_reading
from evalkit.errors import MissingExtra


def mteb_module(purpose: str) -> Any:
    """Mteb.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import mteb
    except ImportError as error:
        raise MissingExtra("mteb", extra="mteb", purpose=purpose) from error
    return mteb


def task_of(settings: dict[str, Any], purpose: str) -> Any:
    """Metadata of mteb's task; None if no task reads the same files.

    Args:
        settings: settings of the dataset, from a manifest.
        purpose: why mteb is needed, for the error.

    Raises:
        MissingExtra: mteb is not installed.
    """
    mteb_module(purpose)
    return task_reading(settings)


def languages_of(task: Any, subset: str, language: str) -> list[str]:
    """Mteb's codes of a language, such as `eng-Latn`."""
    if task is None:
        return [mteb_code(language)]
    found = task.eval_langs
    return list(found[subset] if isinstance(found, dict) else found)


def card_of(repository: str, subset: str) -> dict[str, Any] | None:
    """Our card of the dataset in a repository of the hub; None where we have none."""
    for name in config_names("dataset"):
        card = read_config("dataset", name)
        if card.get("hub_id") == repository and card.get("subset") in {None, subset}:
            return card
    return None
