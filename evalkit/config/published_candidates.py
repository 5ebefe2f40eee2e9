"""Candidates that others publish as run files: where they are, and what fixes their content. Downloads nothing."""

from typing import NamedTuple

from evalkit.config.resources import read_config
from evalkit.errors import ConfigError
from evalkit.system.lookalikes import instead


class CandidateFile(NamedTuple):
    """A published run of one dataset.

    Attributes:
        dataset: the dataset of evalkit that it has candidates for.
        place: the folder of its address, or a dataset repository of the hub.
        name: the file, below that place.
        md5: its published checksum; empty for a file of the hub.
        revision: the commit of the repository; empty for an address.
    """

    dataset: str
    place: str
    name: str
    md5: str
    revision: str


def candidate_files(name: str, datasets: tuple[str, ...] = ()) -> list[CandidateFile]:
    """The run files of a first stage, `conf/candidates/NAME.yaml`.

    Args:
        name: of the first stage, such as `rank_llm/bm25`.
        datasets: only those for these; all when empty.

    Raises:
        ConfigError: there is no such first stage, or it has no run for a dataset.
    """
    settings = read_config("candidates", name)
    files = settings["files"]
    for dataset in datasets:
        if dataset not in files:
            raise ConfigError(f"candidates={name} has no run for dataset={dataset}. {instead(dataset, list(files))}")
    place = str(settings.get("url") or settings["hub_id"])
    return [
        CandidateFile(dataset, place, file["name"], file.get("md5", ""), settings.get("revision", ""))
        for dataset, file in files.items()
        if not datasets or dataset in datasets
    ]
