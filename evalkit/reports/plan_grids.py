"""Plans as tables: the stages of one evaluation, or several evaluations."""

from collections import Counter
from collections.abc import Sequence

from evalkit.plan.forecast import UNKNOWN, Forecast
from evalkit.plan.machine import Machine
from evalkit.reports.grid import Column, Grid
from evalkit.system.memory import GIB
from evalkit.system.stages import duration, speed

_UNITS = (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6))


def stages_grid(forecast: Forecast, machine: Machine) -> Grid:
    """One evaluation, a row for each stage."""
    config = forecast.config
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
    names = Counter(stage.name for stage in forecast.stages)
    parts = ["first stage"] * forecast.first + ["result"] * (len(forecast.stages) - forecast.first)
    rows = [
        (
            stage.name if names[stage.name] == 1 else f"{stage.name} ({part})",
            stage.texts,
            stage.tokens or None,
            stage.flops or None,
            None if stage.source == UNKNOWN else stage.left("seconds"),
            stage.done,
            stage.rate.value if stage.rate else None,
            stage.source,
        )
        for stage, part in zip(forecast.stages, parts, strict=True)
    ]
    title = f"{config.dataset.name}: {config.retriever.name} top {config.depth}, {config.reranker.name}"
    return Grid(f"{title}, on {machine.name}", columns, rows, notes=_notes([forecast], machine))


def evaluations_grid(forecasts: Sequence[Forecast], machine: Machine) -> Grid:
    """Several evaluations, a row each; what they share is counted in each of them."""
    columns = [
        *(Column(name) for name in ("dataset", "first stage", "reranker")),
        *(Column(name, ",.0f") for name in ("documents", "queries", "pairs")),
        *(Column(name, write=_count) for name in ("tokens", "FLOP")),
        Column("time", write=duration),
        Column("kWh", ",.2f"),
        Column("disk", write=_bytes),
        Column("in the store", ".0%"),
    ]
    rows = [
        (
            found.config.dataset.name,
            f"{found.config.retriever.name}-{found.config.depth}",
            found.config.reranker.name,
            found.sample.documents,
            found.sample.queries,
            found.pairs,
            found.left("tokens"),
            found.left("flops"),
            found.left("seconds"),
            machine.kilowatt_hours(found.left("seconds")),
            found.disk,
            _share(found),
        )
        for found in forecasts
    ]
    shared = "each evaluation is planned by itself; vectors and candidates that several share are counted in each"
    return Grid(f"plan, on {machine.name}", columns, rows, notes=[*_notes(forecasts, machine), shared])


def _notes(forecasts: Sequence[Forecast], machine: Machine) -> list[str]:
    seconds, tokens, flops = (sum(found.left(name) for found in forecasts) for name in ("seconds", "tokens", "flops"))
    energy = machine.kilowatt_hours(seconds)
    host, device = max(found.host for found in forecasts), max(found.device for found in forecasts)
    notes = [
        f"in all {duration(seconds)}"
        + (f", {_energy(energy)}" if energy is not None else "")
        + f", {_count(tokens)} tokens, {_count(flops)} FLOP, {_bytes(sum(found.disk for found in forecasts))} of disk",
        f"memory of a process {host / GIB:.1f} GiB" + (f", of a device {device / GIB:.1f} GiB" if device else ""),
    ]
    assumed = dict.fromkeys(text for found in forecasts for text in found.assumed)
    return notes + ([f"assumed, not counted: {'; '.join(assumed)}"] if assumed else [])


def _share(forecast: Forecast) -> float:
    """Share of an evaluation's time that need not be spent again."""
    whole = sum(stage.seconds for stage in forecast.stages)
    return 1 - forecast.left("seconds") / whole if whole else 0.0


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
