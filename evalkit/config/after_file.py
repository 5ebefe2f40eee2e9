"""Names of stages that read a run file: they are named after it unless a name is set."""

import re
from pathlib import Path
from typing import ClassVar

from evalkit.config.retriever import RetrieverConfig
from evalkit.formats.run_names import named_after

_OURS = "run.trec.gz"  # the run of every result of evalkit, which is named after its folder
_FIRST_STAGES = ("candidates", "none")  # folders of results that hold the order of the first stage
_MOST = 100  # characters of a folder's name
_BETWEEN = "._+@-"


class NamedAfterFile:
    """Settings of a stage with a `path`, part of a dataclass that derives from `RetrieverConfig` or `RerankerConfig`.

    Attributes:
        unnamed: its name where the file gives none, and in results of versions that did not look at the file.
        derived: whether the name is that of the file.
    """

    unnamed: ClassVar[str] = ""
    name: str
    path: str | None

    def name_after_file(self) -> None:
        """Take the file's name where no name is set."""
        self.derived = not self.name
        if self.derived:
            self.name = self._derived("")

    def leave_out(self, dataset: str) -> None:
        """Take a name without that of the dataset, so that `runs/BERT-scifact.trec` is `BERT` on every dataset."""
        if self.derived:
            self.name = self._derived(dataset)

    def _derived(self, dataset: str) -> str:
        path = Path(str(self.path)).absolute()
        own = named_after(path)
        if path.name == _OURS:
            own = path.parents[1 if path.parent.name in _FIRST_STAGES else 0].name
        for part in filter(None, (dataset, dataset.rpartition("/")[2])):
            own = re.sub(rf"(^|[{_BETWEEN}]){re.escape(part)}(?=[{_BETWEEN}]|$)", "", own, flags=re.IGNORECASE)
        return re.sub(r"[^A-Za-z0-9._+@-]", "_", own).strip(_BETWEEN)[:_MOST] or self.unnamed


def former_name(stage: object) -> str:
    """The name of a stage in results of versions that called it otherwise; empty where it had the same."""
    if isinstance(stage, RetrieverConfig) and stage.formerly:
        return stage.formerly
    return stage.unnamed if isinstance(stage, NamedAfterFile) and stage.derived and stage.name != stage.unnamed else ""
