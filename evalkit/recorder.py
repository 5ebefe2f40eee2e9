"""From a run to a result on disk: measures, ceiling, and the manifest that says how it came about."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalkit import results
from evalkit.config import EvaluateConfig
from evalkit.measures import ceiling, measure, parse_measure
from evalkit.provenance import environment
from evalkit.results import Result
from evalkit.run import Run
from evalkit.types import Dataset

FORMAT = 1  # of results; a higher number makes old ones be computed anew
STANDARD_MEASURES = ("nDCG@10", "nDCG@20", "R@20", "R@100", "MAP@100", "RR@10", "P@10")
_TIES_CUTOFF = 10


@dataclass(frozen=True)
class Recorder:
    """Measures runs over one dataset and keeps them with what they were made from.

    Attributes:
        config: all settings of the evaluation.
        dataset: what is measured on.
        command: what the user typed.
    """

    config: EvaluateConfig
    dataset: Dataset
    command: str

    @property
    def measures(self) -> list[str]:
        """The measures asked for, then the standard set.

        Raises:
            ConfigError: an unknown measure.
        """
        asked = [parse_measure(name).name for name in self.config.measures]
        return list(dict.fromkeys([*asked, *STANDARD_MEASURES]))

    def keep(self, folder: Path, run: Run, *, key: str, tag: str, inner: str = "", **facts: Any) -> Result:
        """Measure a run and save it in `folder/inner`; `facts` of the stage that made it go into the manifest.

        Raises:
            ResultError: it cannot be written; nothing is left behind.
        """
        per_query = measure(self.dataset.qrels, run, self.measures)
        manifest = {
            "format": FORMAT,
            "key": key,
            "measures": per_query.means,
            "ceiling": self._ceiling(run, self.measures),
            "queries": len(per_query.query_ids),
            "queries_without_candidates": list(per_query.missing),
            f"queries_with_ties_in_top_{_TIES_CUTOFF}": run.tied_queries(_TIES_CUTOFF),
            **facts,
            "dataset": self._describe_dataset(),
            "config": asdict(self.config),
            "command": self.command,
            "environment": environment(self.config.compute.device),
        }
        return results.save(folder, run=run, per_query=per_query, manifest=manifest, tag=tag, inner=inner)

    def complete(self, found: Result) -> Result:
        """A result that was found, with the measures added that are asked for now and were not then."""
        if set(self.measures) <= set(found.manifest["measures"]):
            return found
        run = found.read_run()
        names = list(dict.fromkeys([*self.measures, *found.manifest["measures"]]))
        per_query = measure(self.dataset.qrels, run, names)
        changes = {"measures": per_query.means, "ceiling": self._ceiling(run, names)}
        return results.update(found, per_query=per_query, changes=changes)

    def _ceiling(self, run: Run, names: list[str]) -> dict[str, float]:
        return measure(self.dataset.qrels, ceiling(self.dataset.qrels, run), names).means

    def _describe_dataset(self) -> dict[str, Any]:
        names = ("name", "split", "digest", "corpus_digest")
        return {**{name: getattr(self.dataset, name) for name in names}, **self.dataset.notes}
