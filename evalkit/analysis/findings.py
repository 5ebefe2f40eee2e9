"""What was found, in sentences that are made from a comparison by rule: the same for the page, terminal and Markdown.

A sentence states what `significance.Rule` decided, times as they were recorded, and what manifests say of themselves.
Nothing is tested here and nothing is printed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evalkit.analysis.differences import Difference, difference, first_stages
from evalkit.analysis.overall import Overall
from evalkit.analysis.pairwise import Comparison, Pairing, Settings, System, groups
from evalkit.analysis.spent import reranker_of, spent
from evalkit.analysis.suspicions import suspicions
from evalkit.formats.notes import counted, listed
from evalkit.results.labels import legend
from evalkit.system.stages import duration, speed

BEST, ALIKE, GAIN, WORSE, COST, FEW = "best", "alike", "gain", "worse", "cost", "few"
SUSPICIOUS, NAMES = "suspicious", "names"


class Finding(NamedTuple):
    """One sentence.

    Attributes:
        kind: `best`, `alike`, `gain`, `worse`, `cost`, `few` (queries or datasets), `suspicious` or `names` (legend).
        text: for people.
        level: `note`, `warning` or `error`, as flags have them.
        dataset: name of the dataset; empty over all.
        systems: names of the systems in the text, the subject first.
        numbers: numbers in the text, unrounded, by what they are.
    """

    kind: str
    text: str
    level: str = "note"
    dataset: str = ""
    systems: tuple[str, ...] = ()
    numbers: Mapping[str, float] = {}


@dataclass(frozen=True)
class _Scope:
    """A dataset, or all of them together.

    Attributes:
        where: as a sentence says it, such as `on scifact`.
        dataset: its name; empty over all.
        systems: best first, with their letters.
        stages: name of each reranker -> name of its first stage.
        unit: what the test is over, `queries` or `datasets`.
        count: how many of these there are.
        comparisons: of the datasets.
    """

    where: str
    dataset: str
    systems: Sequence[System]
    pairings: Sequence[Pairing]
    stages: Mapping[str, str]
    unit: str
    count: int
    comparisons: Sequence[Comparison]
    settings: Settings

    @property
    def can_tell(self) -> bool:
        """Whether so many queries or datasets can show a difference at all."""
        return self.count >= self.settings.rule.fewest(len(self.pairings))

    @property
    def alike(self) -> list[System]:
        """The systems that cannot be told apart from the best."""
        best, *others = self.systems
        return [one for one in others if not self.between(best.name, one.name).real]

    def between(self, one: str, other: str) -> Difference:
        found = difference(self.pairings, one, other, self.settings.alpha)
        assert found is not None, f"{one} and {other} were not compared"
        return found

    def pair(self, one: str, other: str) -> Pairing:
        return next(pair for pair in self.pairings if {pair.better, pair.worse} == {one, other})

    def is_equal(self, one: str, other: str) -> bool:
        return self.pair(one, other).is_equal

    def never_differs(self, one: str, other: str) -> bool:
        """Whether two systems are equal on every query, or over datasets on every dataset."""
        pair = self.pair(one, other)
        return not pair.wins and not pair.losses

    def over_stage(self, name: str) -> Difference | None:
        return self.between(name, self.stages[name]) if name in self.stages else None


def findings(comparisons: Sequence[Comparison], total: Overall | None, settings: Settings) -> list[Finding]:
    """Over all datasets where systems were compared over them, else of one dataset after the other."""
    scopes = [_over(total, comparisons, settings)] if total else [_on(one, settings) for one in comparisons]
    found = [sentence for scope in scopes if scope.pairings for sentence in _of(scope, comparisons)]
    found += [_suspicious(*one) for one in suspicions(comparisons, settings.measure)]
    explained = legend([evaluation for one in comparisons for evaluation in one.evaluations])
    return [*found, *(Finding(NAMES, f"{line}.") for line in explained)]


def _on(one: Comparison, settings: Settings) -> _Scope:
    stages = first_stages(one)
    where = f"on {one.dataset}"
    return _Scope(where, one.dataset, one.systems, one.pairings, stages, "queries", one.queries, (one,), settings)


def _over(total: Overall, comparisons: Sequence[Comparison], settings: Settings) -> _Scope:
    names, count = [one.name for one in total.systems], len(total.entries)
    letters = groups(names, total.pairings, settings.alpha)
    systems = [one._replace(groups=own) for one, own in zip(total.systems, letters, strict=True)]
    whole = [one for one in comparisons if set(names) <= set(one.names)]
    stages = {name: stage for name, stage in first_stages(whole[0]).items() if {name, stage} <= set(names)}
    where = f"over {counted(count, 'dataset')}"
    return _Scope(where, "", systems, total.pairings, stages, "datasets", count, whole, settings)


def _of(scope: _Scope, comparisons: Sequence[Comparison]) -> list[Finding]:
    # A system that is not on all datasets is worse where it is, too.
    own = [one for one in comparisons if scope.dataset in ("", one.dataset)]
    found = [_best(scope), *_alike(scope), *_gains(scope), *_worse(scope, own), *_cost(scope)]
    if not scope.can_tell:
        text = f"{counted(scope.count, *_UNITS[scope.unit])} {'is' if scope.count == 1 else 'are'} too few"
        needed = scope.settings.rule.fewest(len(scope.pairings))
        found.append(
            Finding(
                FEW,
                f"{text} to tell systems apart: it takes {needed} that all agree.",
                dataset=scope.dataset,
                numbers={scope.unit: scope.count, "needed": needed},
            )
        )
    return found


_UNITS = {"queries": ("query", "queries"), "datasets": ("dataset", "datasets")}


def _best(scope: _Scope) -> Finding:
    """Which system is best, and by how much."""
    best, second = scope.systems[:2]
    name, stage = best.name, scope.stages.get(best.name)
    if stage is None and scope.stages:
        return _no_gain(scope, best)
    own = scope.between(name, stage or second.name)
    text = f"{_leader(scope)} {scope.where}: {scope.settings.measure} {best.mean:.4f}"
    text += f", {_signed(own.value)} over {f'its first stage {stage}' if stage else second.name}"
    text += _verdict(scope, own, (name, stage or second.name))
    numbers = {"mean": best.mean, **_numbers(own)}
    if scope.unit == "datasets":
        numbers["real on"] = real = _real_on(scope, name, stage or second.name)
        text += f", which is more than chance on {real} of {counted(len(scope.comparisons), 'dataset')}"
    return Finding(BEST, f"{text}.", dataset=scope.dataset, systems=(name, stage or second.name), numbers=numbers)


def _real_on(scope: _Scope, name: str, other: str) -> int:
    """On how many datasets a system is better than another, by the test over queries."""
    found = [difference(one.pairings, name, other, scope.settings.alpha) for one in scope.comparisons]
    return sum(own is not None and own.real and own.value > 0 for own in found)


def _leader(scope: _Scope) -> str:
    best, second = scope.systems[:2]
    what = "macro average" if scope.unit == "datasets" else "mean"
    if scope.is_equal(best.name, second.name):
        return f"{best.name}, like {listed(_equals(scope, best.name))}, has the highest {what}"
    return f"{best.name} " + (f"has the highest {what}" if scope.alike or not scope.can_tell else "is the best")


def _equals(scope: _Scope, name: str) -> list[str]:
    """The other systems with exactly the mean of this one."""
    return [one.name for one in scope.systems if one.name != name and scope.is_equal(one.name, name)]


def _no_gain(scope: _Scope, best: System) -> Finding:
    """A first stage is the best: the highest reranker, and how far it is below."""
    nearest = next(one for one in scope.systems if one.name in scope.stages)
    near = [nearest.name, *(name for name in _equals(scope, nearest.name) if name in scope.stages)]
    own = scope.between(nearest.name, best.name)
    text = (
        f"No reranker has a higher mean than the first stage {best.name} {scope.where}: {scope.settings.measure} "
        f"{best.mean:.4f}; {listed(near)} {'comes' if len(near) == 1 else 'come'} nearest, {_signed(own.value)}"
        f"{_verdict(scope, own, (nearest.name, best.name))}."
    )
    numbers = {"mean": best.mean, **_numbers(own)}
    return Finding(BEST, text, "warning", scope.dataset, (best.name, *near), numbers)


def _verdict(scope: _Scope, own: Difference, both: tuple[str, str]) -> str:
    """The p-value and what it means; nothing where so few queries or datasets show nothing."""
    if scope.never_differs(*both):
        return f" (equal on every {_UNITS[scope.unit][0]})"
    if not scope.can_tell:
        return ""
    return f" (p {own.p:.3g})" if own.real else f" (p {own.p:.3g}: may be chance)"


def _signed(value: float) -> str:
    return f"{round(value, 4) + 0.0:+.4f}"  # never -0.0000


def _numbers(own: Difference) -> dict[str, float]:
    return {"difference": own.value, "p": own.p}


def _alike(scope: _Scope) -> list[Finding]:
    """What cannot be told apart from the best; of two systems the first sentence says it."""
    if not scope.can_tell or not scope.alike or len(scope.systems) == 2:  # noqa: PLR2004
        return []
    best, names = scope.systems[0].name, [one.name for one in scope.alike]
    apart = {name: scope.between(name, best) for name in names}
    shown = [f"{name} ({_signed(own.value)})" for name, own in apart.items()]
    text = f"{listed(shown)} cannot be told apart from {best} {scope.where}."
    return [
        Finding(ALIKE, text, "note", scope.dataset, (best, *names), {name: own.value for name, own in apart.items()})
    ]


def _gains(scope: _Scope) -> list[Finding]:
    """How many of several rerankers are better than their first stage."""
    over = {name: own for name in scope.stages if (own := scope.over_stage(name)) is not None}
    if len(over) < 2:  # noqa: PLR2004 - the first sentence says it of one
        return []
    if not scope.can_tell:
        return _gains_within(scope)
    better = [name for name, own in over.items() if own.real and own.value > 0]
    same = [name for name in over if scope.never_differs(name, scope.stages[name])]
    unclear = [name for name, own in over.items() if not own.real and name not in same]
    text = f"{_of_rerankers(scope, better, list(over))} {scope.where} by more than chance"
    if unclear:
        text += f"; {listed(unclear)} cannot be told apart from {'its first stage' if len(unclear) == 1 else 'theirs'}"
    if same:
        text += f"; {listed(same)} {'is equal to its' if len(same) == 1 else 'are equal to their'} first stage"
        text += f" on every {_UNITS[scope.unit][0]}"
    if worse := [name for name, own in over.items() if own.real and own.value < 0]:
        text += f"; {listed(worse)} {'is' if len(worse) == 1 else 'are'} worse"
    numbers = {"better": len(better), "worse": len(worse), "rerankers": len(over)}
    return [Finding(GAIN, f"{text}.", "note", scope.dataset, (*better, *unclear, *same, *worse), numbers)]


def _of_rerankers(scope: _Scope, better: Sequence[str], over: Sequence[str]) -> str:
    """How many of the rerankers are better; of one that has several first stages, over how many of them."""
    stages: dict[str, set[str]] = {}
    for name in over:
        settings = json.dumps(reranker_of(name, scope.comparisons), sort_keys=True, default=str)
        stages.setdefault(settings, set()).add(scope.stages[name])
    most = max(map(len, stages.values()))
    if len(stages) == 1 and most == len(over):
        return f"The reranker is better than its first stage over {len(better)} of {len(over)} first stages"
    what = "rerankers" if most == 1 else "systems with a reranker"
    return f"{len(better)} of {len(over)} {what} are better than their first stage"


def _gains_within(scope: _Scope) -> list[Finding]:
    """On how many of a few datasets each reranker is better than its first stage; the first sentence says it of one."""
    if scope.unit != "datasets":
        return []
    best, of = scope.systems[0].name, len(scope.comparisons)
    real = {name: _real_on(scope, name, stage) for name, stage in scope.stages.items() if name != best}
    shown = listed([f"{name} on {count} of {of}" for name, count in real.items()])
    text = f"Better than the first stage by more than chance, of the datasets: {shown}."
    return [Finding(GAIN, text, "note", scope.dataset, tuple(real), real)]


def _worse(scope: _Scope, comparisons: Sequence[Comparison]) -> list[Finding]:
    """Rerankers that are worse than their first stage on one of these datasets, by more than chance."""
    fallen: dict[str, dict[str, Difference]] = {}
    for one in comparisons:
        for name, stage in first_stages(one).items():
            own = difference(one.pairings, name, stage, scope.settings.alpha)
            if own is not None and own.real and own.value < 0:
                fallen.setdefault(name, {})[one.dataset] = own
    found = []
    for name, where in fallen.items():
        shown = listed([f"{dataset} ({_signed(own.value)}, p {own.p:.3g})" for dataset, own in where.items()])
        text = f"{name} is worse than its first stage by more than chance on {shown}."
        numbers = {dataset: own.value for dataset, own in where.items()}
        found.append(Finding(WORSE, text, "error", scope.dataset, (name,), numbers))
    return found


def _cost(scope: _Scope) -> list[Finding]:
    """The speed of the best reranker, and of the fastest other one that is better than its first stage."""
    known = {name: one for name in scope.stages if (one := spent(name, scope.comparisons)) is not None}
    best = next((one.name for one in scope.systems if one.name in known), None)
    if best is None:
        return []
    own = known[best]
    text = f"{best} scored {own.scored} in {duration(own.seconds)}, {speed(own.speed)} pairs/s{_device(own.devices)}"
    text += f", timed on {listed(own.datasets)} alone" if len(own.datasets) < len(scope.comparisons) else ""
    numbers, systems = {"pairs": own.pairs, "seconds": own.seconds, "pairs/s": own.speed}, [best]
    numbers |= {"kept pairs": own.kept} if own.kept else {}
    useful = [name for name in known if (gain := scope.over_stage(name)) and gain.value > 0 and gain.real]
    # The same reranker over another first stage does the same work: how its speeds differ is noise.
    others = [name for name in useful if known[name].reranker != own.reranker]
    fastest = max(others, key=lambda name: known[name].speed, default=best)
    if known[fastest].speed > own.speed:
        ratio, apart = known[fastest].speed / own.speed, scope.between(fastest, best)
        text += f"; {fastest} is {ratio:.2g} times as fast, {_signed(apart.value)} {scope.settings.measure}"
        text += "" if apart.real or scope.never_differs(fastest, best) else " (may be chance)"
        text += "" if known[fastest].devices == own.devices else f", but{_device(known[fastest].devices)}"
        numbers |= {"times as fast": ratio, "difference": apart.value}
        systems.append(fastest)
    return [Finding(COST, f"{text}.", "note", scope.dataset, tuple(systems), numbers)]


def _device(names: frozenset[str]) -> str:
    return f" on {listed(sorted(names))}"


def _suspicious(level: str, dataset: str, systems: tuple[str, ...], text: str) -> Finding:
    return Finding(SUSPICIOUS, text if text.endswith("?") else f"{text}.", level, dataset, systems)
