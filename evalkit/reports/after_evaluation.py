"""What was found when evaluations are done: sentences, and tables of several datasets or first stages.

By the test of `evalkit compare`, without what decides nothing and takes long.
"""

from collections.abc import Sequence
from typing import NamedTuple

from evalkit.analysis.findings import Finding, findings
from evalkit.analysis.over_stages import over_stages
from evalkit.analysis.overall import overall
from evalkit.analysis.pairwise import Settings, compare
from evalkit.reports.grid import Grid
from evalkit.reports.heat_grid import heat_grid
from evalkit.reports.over_stages_grid import over_stages_grid
from evalkit.results import Evaluation


class Ended(NamedTuple):
    """Findings of evaluations, and tables that go with them."""

    findings: list[Finding]
    grids: list[Grid]


def ended(evaluations: Sequence[Evaluation], measure: str) -> Ended:
    """The findings of these evaluations; nothing where none can be compared.

    Evaluations without the measure are left out, as are datasets that were not the same for all, such as two samples.
    """
    settings = Settings(measure, same_candidates=False, verdicts_only=True)
    if not (own := _comparable(evaluations, measure)):
        return Ended([], [])
    comparisons = compare(own, settings)
    total = overall(comparisons, settings)
    stages = over_stages(comparisons, total, settings)
    grids = [over_stages_grid(stages, settings)] if stages else []
    heat = heat_grid(comparisons, total, settings) if len(comparisons) > 1 else None
    return Ended(findings(comparisons, total, settings), [*grids, *([heat] if heat else [])])


def _comparable(evaluations: Sequence[Evaluation], measure: str) -> list[Evaluation]:
    """Every result once, in the order in which `compare` finds them."""
    digests: dict[str, set[str]] = {}
    for one in evaluations:
        digests.setdefault(one.dataset, set()).add(one.result.manifest["dataset"]["digest"])
    once = {one.result.folder: one for one in evaluations if measure in one.measures}
    kept = [one for one in once.values() if len(digests[one.dataset]) == 1]
    return sorted(kept, key=lambda one: one.result.folder)
