"""What a reranker spent: the pairs that it scored and the seconds of that, as manifests recorded them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evalkit.analysis.pairwise import Comparison
from evalkit.system.stages import rate


class Spent(NamedTuple):
    """The work of a reranker over the datasets where it scored pairs.

    Attributes:
        pairs: that were scored in this time.
        kept: whose scores an earlier run had made, on these datasets.
        seconds: of the scoring.
        devices: that it ran on.
        datasets: names of those where it scored pairs.
        reranker: its identity without its name, which is the same over every first stage.
    """

    pairs: float
    kept: float
    seconds: float
    devices: frozenset[str]
    datasets: tuple[str, ...]
    reranker: Mapping[str, Any]

    @property
    def speed(self) -> float:
        """Pairs a second."""
        return self.pairs / self.seconds

    @property
    def scored(self) -> str:
        """The pairs as a sentence has them: of how many, where an earlier run had scored the others."""
        return f"{self.pairs:,.0f}{f' of {self.pairs + self.kept:,.0f}' if self.kept else ''} pairs"


def spent(name: str, comparisons: Sequence[Comparison]) -> Spent | None:
    """What the system of this name spent; None where it scored nothing."""
    pairs, kept, seconds, devices, datasets = 0.0, 0.0, 0.0, set[str](), list[str]()
    for one in comparisons:
        found = one.evaluations[one.names.index(name)].result.manifest
        facts = found.get("stages", {}).get("rerank", {})
        if rate(facts, "pairs") is not None:
            pairs, kept = pairs + facts["pairs"], kept + facts.get("kept_pairs", 0)
            seconds += facts["seconds"]
            devices.add(found["environment"]["device"])
            datasets.append(one.dataset)
    if not pairs:
        return None
    return Spent(pairs, kept, seconds, frozenset(devices), tuple(datasets), reranker_of(name, comparisons))


def reranker_of(name: str, comparisons: Sequence[Comparison]) -> Mapping[str, Any]:
    """The identity of a reranker without its name, of the first dataset that has it; its name, where nothing is known.

    The same reranker over another first stage has the same.
    """
    found = next(one.evaluations[one.names.index(name)] for one in comparisons if name in one.names)
    identity = {key: value for key, value in found.result.manifest.get("reranker", {}).items() if key != "name"}
    return identity or {"name": name}
