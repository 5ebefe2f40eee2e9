"""What the rounds say: rates, ratios, padding, share of the peak; as JSON, as a table, and as a chart."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_peak import matmul_peak
from benchmarking import OURS, Contender, Field, Sample, Timing, run_rounds, spread, write_json
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from evalkit.errors import ConfigError, MissingExtra
from evalkit.models.shape import Shape

Agreement = Callable[[NDArray[np.float32], NDArray[np.float32]], dict[str, float]]
"""(output, evalkit's) -> how far they are apart; the larger, the further, but for `spearman`."""

_COLOURS = {"float32": "tab:blue", "bfloat16": "tab:orange", "float16": "tab:green"}


def measure(
    found: Field, samples: Sequence[Sample], shape: Shape, *, seed: int, device: str, threads: int, agreement: Agreement
) -> dict[str, Any]:
    """Run all rounds, and the matmul peak in each of them; see `entries` and `best_peers` for what comes out."""
    contenders = found.contenders
    dtypes = list(dict.fromkeys(contender.dtype for contender in contenders))
    peaks: dict[str, dict[str, float]] = {dtype: {} for dtype in dtypes}
    reference = place_of_reference(contenders)
    rounds: list[list[Timing]] = []
    distances: list[list[dict[str, float]]] = []
    for timings in run_rounds(contenders, samples, seed=seed, device=device, threads=threads):
        distances.append([agreement(timing.output, timings[reference].output) for timing in timings])
        rounds.append(timings)
        for dtype in dtypes:
            for way, rate in matmul_peak(shape, dtype, device).items():
                peaks[dtype][way] = max(peaks[dtype].get(way, 0.0), rate)
    best = {dtype: max(rates.values()) for dtype, rates in peaks.items()}
    flops = [shape.flops(sample.lengths.sum(), np.square(sample.lengths).sum()) for sample in samples]
    listed = entries(contenders, rounds, samples)
    for place, entry in enumerate(listed):
        shares = [
            of_round / timings[place].seconds / best[entry["dtype"]]
            for of_round, timings in zip(flops, rounds, strict=True)
        ]
        entry["share_of_matmul_peak"] = spread(shares)
        entry["distance_from_evalkit"] = _worst([of_round[place] for of_round in distances])
    return {
        "flops_per_round": flops,
        "matmul_peak_flops_per_second": peaks,
        "reference": f"{OURS}, {contenders[reference].dtype}",
        "contenders": listed,
        "best_peers": best_peers(listed),
        "skipped": found.skipped,
    }


def place_of_reference(contenders: Sequence[Contender]) -> int:
    """Where evalkit runs in float32, or in the first dtype that it runs in."""
    ours = [place for place, contender in enumerate(contenders) if contender.package == OURS]
    return next((place for place in ours if contenders[place].dtype == "float32"), ours[0])


def _worst(distances: Sequence[dict[str, float]]) -> dict[str, float]:
    pick = {key: min if key == "spearman" else max for key in distances[0]}
    return {key: float(choose(one[key] for one in distances)) for key, choose in pick.items()}


def entries(
    contenders: Sequence[Contender], rounds: Sequence[Sequence[Timing]], samples: Sequence[Sample]
) -> list[dict[str, Any]]:
    """A row for every contender.

    `ratio` is evalkit's rate over the contender's in the same dtype and round. Rates are per second of wall time.
    """
    ours = {contender.dtype: place for place, contender in enumerate(contenders) if contender.package == OURS}
    texts = [sample.texts for sample in samples]
    tokens = [int(sample.lengths.sum()) for sample in samples]
    found = []
    for place, contender in enumerate(contenders):
        seconds = [timings[place].seconds for timings in rounds]
        entry = {
            "name": contender.name,
            "package": contender.package,
            "dtype": contender.dtype,
            "seconds": seconds,
            "processor_seconds": [timings[place].processor_seconds for timings in rounds],
            "texts_per_second": spread([count / time for count, time in zip(texts, seconds, strict=True)]),
            "tokens_per_second": spread([count / time for count, time in zip(tokens, seconds, strict=True)]),
            **_usage([timings[place] for timings in rounds], sum(tokens), sum(seconds)),
        }
        if contender.package != OURS:
            entry["ratio"] = spread(
                [timings[place].seconds / timings[ours[contender.dtype]].seconds for timings in rounds]
            )
        found.append(entry)
    return found


def _usage(timings: Sequence[Timing], tokens: int, seconds: float) -> dict[str, float | None]:
    executed = [timing.usage.executed for timing in timings]
    tokenizing = [timing.usage.tokenizing for timing in timings]
    total = sum(one for one in executed if one is not None) if None not in executed else None
    return {
        "executed_over_useful_tokens": total / tokens if total else None,
        "padding": 1 - tokens / total if total else None,
        "tokenizing_share": sum(one for one in tokenizing if one is not None) / seconds
        if None not in tokenizing
        else None,
    }


def best_peers(listed: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each dtype the peer with the highest median rate, and evalkit's ratio to it."""
    found: dict[str, dict[str, Any]] = {}
    for entry in listed:
        if entry["package"] == OURS:
            continue
        best = found.get(entry["dtype"])
        rate = entry["texts_per_second"]["median"]
        if best is None or rate > best["texts_per_second"]:
            found[entry["dtype"]] = {"name": entry["name"], "texts_per_second": rate, "ratio": entry["ratio"]}
    return found


def table(report: Mapping[str, Any], unit: str) -> Table:
    """The contenders, fastest first within a dtype."""
    shown = Table(title=report["title"])
    shown.add_column("contender")
    for column in (
        "dtype",
        f"{unit}/s",
        "evalkit / it",
        "tokens/s",
        "padding",
        "tokenising",
        "of peak",
        "distance, ranks",
    ):
        shown.add_column(column, justify="right")
    order = sorted(report["contenders"], key=lambda entry: (entry["dtype"], -entry["texts_per_second"]["median"]))
    for entry in order:
        ratio = entry.get("ratio")
        shown.add_row(
            entry["name"],
            entry["dtype"],
            _between(entry["texts_per_second"], 1),
            _between(ratio, 2) if ratio else "",
            f"{entry['tokens_per_second']['median']:,.0f}",
            _percent(entry["padding"]),
            _percent(entry["tokenizing_share"]),
            _percent(entry["share_of_matmul_peak"]["median"]),
            " ".join(f"{value:.1e}" if key != "spearman" else f"{value:.5f}" for key, value in _distances(entry)),
        )
    return shown


def _distances(entry: Mapping[str, Any]) -> list[tuple[str, float]]:
    return list(entry["distance_from_evalkit"].items())


def _between(values: Mapping[str, Any], digits: int) -> str:
    return f"{values['median']:.{digits}f} [{values['min']:.{digits}f}, {values['max']:.{digits}f}]"


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{share:.1%}"


def finish(report: dict[str, Any], unit: str, json: Path | None, chart: Path | None) -> None:
    """Print, and write the files that were asked for."""
    show(report, unit)
    if json:
        write_json(json, report)
    if chart:
        plot(report, unit, chart)


def show(report: Mapping[str, Any], unit: str) -> None:
    """Print the table, what was left out, and the ratios that count."""
    console = Console(width=None if Console().is_terminal else 160)
    console.print(table(report, unit))
    for name, why in report["skipped"].items():
        console.print(f"left out: {name}: {why}", highlight=False, markup=False)
    for dtype, best in report["best_peers"].items():
        ratio = _between(best["ratio"], 2)
        console.print(f"{dtype}: {ratio} times the best peer, {best['name']}", highlight=False, markup=False)
    for step in report.get("growth", []):
        rate = f"{step['pairs_per_second']:.1f} pairs/s, " if "pairs_per_second" in step else ""
        rest = step.get("skipped") or f"{step['memory_increase_mib']:.0f} MiB more memory at the peak"
        console.print(f"{step['pairs']:,} pairs: {rate}{rest}", highlight=False, markup=False)


def require_matplotlib() -> None:
    """Refuse before the rounds, not after.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtra("matplotlib", extra="bench", purpose="--plot") from error
    mpl.use("Agg")


def require_suffix(file: Path | None) -> None:
    """Refuse a chart in a format that matplotlib does not write.

    Raises:
        ConfigError: the name says so.
        MissingExtra: matplotlib is not installed.
    """
    if file is None:
        return
    require_matplotlib()
    if file.suffix not in (".png", ".svg", ".pdf"):
        raise ConfigError(f"--plot {file.name}: legal suffixes are .png, .svg and .pdf.")


def plot(report: Mapping[str, Any], unit: str, file: Path) -> None:
    """Median rates as bars, with the extremes of the rounds as whiskers; growth beside them where it was measured."""
    from matplotlib.figure import Figure

    steps = [step for step in report.get("growth", []) if "pairs_per_second" in step]
    rows = sorted(report["contenders"], key=lambda entry: entry["texts_per_second"]["median"])
    figure = Figure(figsize=(15 if steps else 10, 1.5 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots(1, 2 if steps else 1, squeeze=False, width_ratios=[2, 1] if steps else [1])[0]
    rates = [entry["texts_per_second"] for entry in rows]
    whiskers = [[rate["median"] - rate["min"] for rate in rates], [rate["max"] - rate["median"] for rate in rates]]
    axes[0].barh(
        range(len(rows)),
        [rate["median"] for rate in rates],
        xerr=whiskers,
        color=[_COLOURS[entry["dtype"]] for entry in rows],
        edgecolor=["black" if entry["package"] == OURS else "none" for entry in rows],
        capsize=2,
    )
    axes[0].set_yticks(range(len(rows)), [f"{entry['name']}, {entry['dtype']}" for entry in rows])
    axes[0].set_xlabel(f"{unit} per second (median; whiskers: extremes of the rounds)")
    axes[0].set_title(report["title"], fontsize="medium")
    if steps:
        _plot_growth(axes[1], steps)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150)


def _plot_growth(axes: Any, steps: Sequence[Mapping[str, Any]]) -> None:
    counts = [step["pairs"] for step in steps]
    axes.semilogx(counts, [step["pairs_per_second"] for step in steps], "o-", color="tab:blue")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("pairs in one call")
    axes.set_ylabel("pairs per second", color="tab:blue")
    memory = axes.twinx()
    memory.semilogx(counts, [step["memory_increase_mib"] for step in steps], "s--", color="tab:red")
    memory.set_ylim(bottom=0)
    memory.set_ylabel("more memory at the peak, MiB", color="tab:red")
    axes.set_title(f"evalkit alone, {steps[0]['dtype']}", fontsize="medium")
