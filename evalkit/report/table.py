"""Tables on the terminal: one evaluation in detail, several side by side."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from evalkit.analysis.flags import flags_of_means
from evalkit.errors import printable
from evalkit.results import Evaluation
from evalkit.system.stages import Stages, rate, speed
from evalkit.system.terminal import harmless, measurable, naming_stdout, stop_telling

# Into a file or a pipe rich assumes 80 columns and would cut words; a table is better too wide than cut.
_WIDTH_WITHOUT_TERMINAL = 200


class _Console(Console):
    """Goes on where a pipe is not read to its end: what a command comes to does not depend on it."""

    def print(self, *objects: Any, **options: Any) -> None:
        """See `rich.console.Console`."""
        with naming_stdout():
            super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """See `rich.console.Console`. Escapes are put in before anything is measured: they are wider."""
        return super().render_str(measurable(text), **options)

    def on_broken_pipe(self) -> None:
        """See `rich.console.Console`, which would leave with exit code 1."""
        self.quiet = True
        stop_telling()


class _Harmless(RenderHook):
    """Whatever is printed, what is not of the console's own making reaches no terminal as a command to it."""

    class _One(NamedTuple):
        renderable: ConsoleRenderable

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
            for segment in console.render(self.renderable, options):
                yield segment if segment.control else segment._replace(text=harmless(segment.text))

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """See `rich.console.RenderHook`."""
        return [self._One(one) for one in renderables]


def console() -> Console:
    """Where results go: stdout."""
    plain = _Console(emoji=False)  # an id such as :dog: is no picture
    made = plain if plain.is_terminal else _Console(emoji=False, width=_WIDTH_WITHOUT_TERMINAL)
    made.push_render_hook(_Harmless())
    return made


def show(evaluation: Evaluation, measures: Sequence[str], out: Console) -> None:
    """First stage, reranked and ceiling side by side, and what else a reader should know of this one evaluation."""
    result, candidates = evaluation.result.manifest, evaluation.candidates.manifest
    title = f"{_dataset(result)}: {candidates['retriever']['name']} top {candidates['retriever']['depth']}"
    reranked = not evaluation.is_first_stage
    out.print(title, markup=False, highlight=False, style="bold")
    table = Table()
    table.add_column("measure")
    for column in ("first stage", *([result["reranker"]["name"]] if reranked else []), "ceiling"):
        table.add_column(escape(column), justify="right")
    for name in measures:
        values = [
            candidates["measures"][name],
            *([result["measures"][name]] if reranked else []),
            candidates["ceiling"][name],
        ]
        table.add_row(name, *(f"{value:.4f}" for value in values))
    out.print(table)
    for line in _remarks(evaluation, measures):
        out.print(line, style="dim", highlight=False, markup=False)


def _remarks(evaluation: Evaluation, measures: Sequence[str]) -> list[str]:
    result, candidates = evaluation.result.manifest, evaluation.candidates.manifest
    remarks = [
        f"{result['queries']:,} queries, {result['pairs']:,} candidates"
        + (f", truncated pairs: {result['truncated_pairs']:,}" if result["truncated_pairs"] is not None else ""),
        f"ties in the top 10 of {result['queries_with_ties_in_top_10']:,} queries",
        f"first stage {candidates['seconds']:.1f} s{'' if evaluation.candidates.fresh else ' (earlier)'}"
        + ("" if evaluation.is_first_stage else f", reranking {_speed(evaluation)}"),
    ]
    remarks += _split(evaluation)
    if result["unscored_pairs"]:
        remarks.append(f"{result['unscored_pairs']:,} candidates have no replayed score and rank below all others")
    depth = candidates["retriever"]["depth"]
    deeper = [name for name in measures if "@" in name and int(name.partition("@")[2]) > depth]
    if deeper:
        remarks.append(
            f"depth={depth} leaves no query more than {depth} candidates, fewer than {', '.join(deeper)} asks for"
        )
    if result["queries_without_candidates"]:
        names = result["queries_without_candidates"]
        remarks.append(f"{len(names)} queries have no candidate and count as 0, such as {printable(names[0])}")
    if result["dataset"]["empty_documents"]:
        remarks.append(f"{result['dataset']['empty_documents']} documents have no text; they are ranked like any other")
    if differences := result["dataset"].get("differences"):
        told = "; ".join(f"{name} {difference}" for name, difference in differences.items())
        remarks.append(f"not the published dataset: {told}")
    remarks += _queries_left_out(result["dataset"])
    if not evaluation.is_first_stage:
        for name in measures:
            values = (candidates["measures"][name], result["measures"][name], candidates["ceiling"][name])
            remarks += [f"{flag.level}: {flag.text}" for flag in flags_of_means(*values, name)]
    remarks.append(f"{'saved in' if evaluation.result.fresh else 'nothing to do, found in'} {evaluation.result.folder}")
    return remarks


def _queries_left_out(dataset: dict[str, Any]) -> list[str]:
    remarks = []
    if left_out := dataset.get("queries_not_sampled"):
        remarks.append(f"a sample: {left_out:,} queries were left out (dataset.sample), so it is no number to report")
    if dropped := dataset.get("queries_dropped"):
        remarks.append(f"{dropped} queries without a relevant document were dropped")
    elif unanswerable := dataset.get("queries_without_relevant"):
        remarks.append(f"{unanswerable} queries have no relevant document and count as 0")
    return remarks


def _value(values: dict[str, float], name: str) -> str:
    return f"{values[name]:.4f}" if name in values else ""


def _split(evaluation: Evaluation) -> list[str]:
    """The time by stage, of what this command did, with speeds; stages of less than a hundredth are left out."""
    stages = Stages()
    for one in (evaluation.candidates, *([] if evaluation.is_first_stage else [evaluation.result])):
        stages.join(one.manifest.get("stages", {}) if one.fresh else {})
    whole = sum(facts["seconds"] for facts in stages.values())
    told = [
        f"{name} {facts['seconds']:.1f} s" + (f" ({found})" if (found := rate(facts)) else "")
        for name, facts in stages.items()
        if facts["seconds"] >= whole / 100
    ]
    return [f"time by stage: {', '.join(told)}"] if told else []


def _speed(evaluation: Evaluation) -> str:
    """Seconds of reranking, pairs/s of those that were scored then, and how many had been scored before."""
    kept = evaluation.result.manifest.get("kept_pairs") or 0
    earlier = [] if evaluation.result.fresh else ["earlier"]
    told = [*earlier, *([str(evaluation.rate)] if evaluation.rate else [])]
    told += [f"{kept:,} pairs scored before"] if kept else []
    return f"{evaluation.result.manifest['seconds']:.1f} s" + (f" ({', '.join(told)})" if told else "")


def _dataset(manifest: dict[str, Any]) -> str:
    return f"{manifest['dataset']['name']} ({manifest['dataset']['split']})"


def show_all(
    evaluations: Sequence[Evaluation], measures: Sequence[str], out: Console, *, settings: Sequence[str] = ()
) -> None:
    """One row an evaluation, for the end of a sweep. A measure that an evaluation lacks is left blank.

    Args:
        evaluations: in the order of the rows.
        measures: columns.
        out: where to.
        settings: of each evaluation, what tells it from the others beside the names; empty where names do.
    """
    out.print("All runs", style="bold")
    table = Table()
    for column in ("dataset", "first stage", "reranker", *(["settings"] if any(settings) else [])):
        table.add_column(column, overflow="fold")  # a narrow terminal breaks a name rather than hide its end
    for column in (*measures, f"ceiling {measures[0]}", "ties", "truncated", "seconds", "pairs/s"):
        table.add_column(column, justify="right", overflow="fold")
    for row, evaluation in enumerate(evaluations):
        result, candidates = evaluation.result.manifest, evaluation.candidates.manifest
        table.add_row(
            escape(result["dataset"]["name"]),
            escape(evaluation.first_stage),
            escape(result["reranker"]["name"]),
            *([escape(settings[row])] if any(settings) else []),
            *(_value(result["measures"], name) for name in measures),
            _value(candidates["ceiling"], measures[0]),
            f"{result['queries_with_ties_in_top_10']:,}",
            "" if result["truncated_pairs"] is None else f"{result['truncated_pairs']:,}",
            f"{(candidates if evaluation.is_first_stage else result)['seconds']:.1f}",
            speed(evaluation.rate.value) if evaluation.rate else "",
        )
    out.print(table)
