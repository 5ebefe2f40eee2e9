"""Plans as tables: the stages of one evaluation, or several evaluations in the order in which they cost least."""

from collections.abc import Sequence

from evalkit.plan.machine import Machine
from evalkit.plan.order import Planned
from evalkit.report.grid import Column, Grid
from evalkit.system.memory import GIB
from evalkit.system.stages import duration, speed

_UNITS = (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6))


def stages_grid(planned: Planned, machine: Machine) -> Grid:
    """One evaluation, a row a stage."""
    config = planned.forecast.config
    columns = [
        Column("stage"),
        Column("texts", ",.0f"),
        Column("tokens", write=_count),
        Column("FLOP", write=_count),
        Column("time", write=duration),
        Column("in the store", ".0%"),
        Column("texts/s", write=speed),
        Column("rate"),
    ]
    rows = [
        (
            stage.name,
            stage.texts,
            stage.tokens or None,
            stage.flops or None,
            stage.left,
            stage.done,
            stage.rate.value if stage.rate else None,
            stage.source,
        )
        for stage in planned.stages
    ]
    title = f"{config.dataset.name}: {config.retriever.name} top {config.depth}, {config.reranker.name}"
    return Grid(f"{title}, on {machine.name}", columns, rows, notes=_notes([planned], machine))


def evaluations_grid(planned: Sequence[Planned], machine: Machine) -> Grid:
    """Several evaluations, a row each, the cheapest next."""
    columns = [
        *(Column(name) for name in ("dataset", "first stage", "reranker")),
        *(Column(name, ",.0f") for name in ("documents", "queries", "pairs")),
        *(Column(name, write=_count) for name in ("tokens", "FLOP")),
        Column("time", write=duration),
        Column("done after", write=duration),
        Column("kWh", ",.2f"),
        Column("disk", write=_bytes),
        Column("in the store", ".0%"),
    ]
    rows = [
        (
            one.forecast.config.dataset.name,
            f"{one.forecast.config.retriever.name}-{one.forecast.config.depth}",
            one.forecast.config.reranker.name,
            one.forecast.sample.documents,
            one.forecast.sample.queries,
            one.forecast.pairs,
            _left(one, "tokens"),
            _left(one, "flops"),
            one.seconds,
            one.until,
            machine.kilowatt_hours(one.seconds),
            one.disk,
            _share(one),
        )
        for one in planned
    ]
    return Grid(f"plan, on {machine.name}", columns, rows, notes=_notes(planned, machine))


def _notes(planned: Sequence[Planned], machine: Machine) -> list[str]:
    seconds = sum(one.seconds for one in planned)
    energy = machine.kilowatt_hours(seconds)
    host = max(one.forecast.host for one in planned)
    device = max(one.forecast.device for one in planned)
    notes = [
        f"in all {duration(seconds)}"
        + (f", {_energy(energy)}" if energy is not None else "")
        + f", {_count(sum(_left(one, 'tokens') for one in planned))} tokens, "
        f"{_count(sum(_left(one, 'flops') for one in planned))} FLOP, "
        f"{_bytes(sum(one.disk for one in planned))} to be kept on disk",
        f"memory of a process {host / GIB:.1f} GiB" + (f", of a device {device / GIB:.1f} GiB" if device else ""),
    ]
    assumed = dict.fromkeys(text for one in planned for text in one.forecast.assumed)
    return notes + ([f"assumed, not counted: {'; '.join(assumed)}"] if assumed else [])


def _left(one: Planned, what: str) -> float:
    return sum(float(getattr(stage, what)) * (1 - stage.done) for stage in one.stages)


def _share(one: Planned) -> float:
    """What of an evaluation need not be done again, by time."""
    whole = sum(stage.seconds for stage in one.forecast.stages)
    return 1 - sum(stage.left for stage in one.forecast.stages) / whole if whole else 0.0


def _count(number: float) -> str:
    """Such as `3.4 M` or `1.2 P`."""
    for unit, size in _UNITS:
        if number >= size:
            return f"{number / size:,.3g} {unit}"
    return f"{number:,.0f}"


def _energy(kilowatt_hours: float) -> str:
    return f"{kilowatt_hours:,.1f} kWh" if kilowatt_hours >= 1 else f"{kilowatt_hours:.2g} kWh"


def _bytes(number: float) -> str:
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.0f} MB"  # noqa: PLR2004
