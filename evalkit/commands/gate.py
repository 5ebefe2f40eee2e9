"""`evalkit gate --baseline FILE RESULTS`: exit 0 fine, 1 a regression, 2 could not be judged."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from evalkit.analysis.baseline import BaselineEntry, read_baseline, write_baseline
from evalkit.analysis.regression import NEW, TOLERANCE, entries, exit_code, judge, with_other_measures
from evalkit.commands.options import IN_MARKDOWN, Parser, put_summary, require_one_form, require_place
from evalkit.commands.runs_alone import add_runs, gathered
from evalkit.errors import ConfigError
from evalkit.formats.notes import counted, listed
from evalkit.measures import parse_measure
from evalkit.reports.console import console
from evalkit.reports.gate_grid import gate_summary, grid, junit
from evalkit.reports.grid import write
from evalkit.results.gather import measure_of
from evalkit.system.files import write_output
from evalkit.system.terminal import tell

_REMEDIES = {
    1: "a number fell. If that is intended, run the same command with --update.",
    2: "something could not be judged. Evaluate it again with the settings of the baseline, or if the change is "
    "intended, run the same command with --update.",
}
_NOTHING = "nothing was judged, since the baseline is empty. Write it with the same command and --update."


def main(arguments: list[str]) -> int:
    """Judge, or with --update write the baseline."""
    options = _parser().parse_args(arguments)
    require_one_form(options)
    if not 0 <= options.tolerance < 1:
        raise ConfigError(
            f"--tolerance {options.tolerance:g} is not from 0 to 1. Measures are from 0 to 1 as well: give 0.005 for "
            "half a point of an nDCG@10 that is written 64.51."
        )
    require_place("--summary", options.summary)
    require_place("--junit", options.junit)
    measures = [parse_measure(name).name for name in options.measure]
    evaluations = gathered(options, measures)
    if options.update:
        _update(options.baseline, entries(evaluations, measures), whole=not measures)
        return 0
    baseline = read_baseline(options.baseline)
    meant = {name: {measure_of([one], name) for one in evaluations} for name in measures}
    _require_known(meant, baseline, options.baseline)
    now = entries(evaluations, measures, baseline=baseline)
    judgements = judge(baseline, now, tolerance=options.tolerance, measures=sorted(set().union(*meant.values())))
    code = exit_code(judgements)
    if options.junit:
        write_output(options.junit, junit(judgements, options.tolerance))
    if options.summary:
        put_summary(options.summary, gate_summary(judgements, options.tolerance, code))
    if options.summary != IN_MARKDOWN:
        write([grid(judgements, options.tolerance)], options.format)
    if code:
        tell(_NOTHING if {one.status for one in judgements} <= {NEW} else _REMEDIES[code])
    return code


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit gate",
        description="Compare results with a baseline, query by query. A regression is a drop of the mean beyond the "
        "tolerance that is more than chance by the test of `evalkit compare`, with Holm's correction for all that is "
        "judged. Exit code 0: fine; 1: a regression; 2: something could not be judged, such as a missing result, "
        "other candidates, or queries that lost all of their documents.",
    )
    add_runs(parser, texts=False)
    parser.add_argument("--baseline", type=Path, required=True, metavar="FILE", help="JSON, as --update writes it")
    parser.add_argument("--update", action="store_true", help="write the baseline instead of judging")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help=f"absolute; default: {TOLERANCE}")
    parser.add_argument(
        "--measure", action="append", default=[], help="again for more; default: the baseline's, and those reported"
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also as JUnit XML")
    parser.add_summary()
    parser.add_format()
    return parser


def _require_known(measures: Mapping[str, set[str]], baseline: Sequence[BaselineEntry], path: Path) -> None:
    """Refuse a measure that no result of the baseline has; the keys are names as typed, the values what they mean."""
    known = sorted({name for entry in baseline for name in entry.measures})
    if absent := [name for name, meant in measures.items() if meant.isdisjoint(known)]:
        add = " ".join(f"--measure {name}" for name in absent)
        raise ConfigError(
            f"{path}: no result in it has {listed(absent)}. It has {listed(known) or 'no measures'}. Add "
            f"{'it' if len(absent) == 1 else 'them'} with --update {add}."
        )


def _update(path: Path, new: list[BaselineEntry], *, whole: bool) -> None:
    """Write the baseline; unless `whole`, its results keep the measures that were not asked for."""
    before = {entry.name: entry for entry in read_baseline(path)} if path.is_file() else {}
    write_baseline(path, new if whole else with_other_measures(new, list(before.values())))
    now = {entry.name: entry for entry in read_baseline(path)}
    added, removed = now.keys() - before.keys(), before.keys() - now.keys()
    changed = [name for name in now.keys() & before.keys() if now[name] != before[name]]
    lost = {measure for name in changed for measure in before[name].measures.keys() - now[name].measures.keys()}
    without = f"; without {listed(sorted(lost))} of before" if lost else ""
    console().print(
        f"{path}: {counted(len(now), 'result')} ({len(added)} new, {len(changed)} changed, {len(removed)} removed"
        f"{without})",
        markup=False,
    )
