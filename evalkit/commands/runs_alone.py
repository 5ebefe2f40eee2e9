"""Runs and judgments alone, for verbs that read results: the options, and evaluations in memory."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalkit.commands.options import Parser
from evalkit.datasets.of_judgments import dataset_of_judgments
from evalkit.errors import ConfigError
from evalkit.formats.run_names import judgments_name
from evalkit.formats.runfile import ORDERS
from evalkit.formats.trec import read_qrels
from evalkit.measures.given_runs import MEASURES, Rules, of_documents
from evalkit.results import Evaluation
from evalkit.results.gather import gather
from evalkit.results.judged_runs import judge_runs, notes_of
from evalkit.results.reading_runs import read_runs
from evalkit.system.terminal import tell

_OF_RUNS = {
    "first_stage_run": "--first-stage",
    "common_queries": "--common-queries",
    "order": "--order",
    "drop_identical_ids": "--drop-identical-ids",
    "maxp": "--maxp",
    "corpus": "--corpus",
    "query_texts": "--queries FILE",
}


class CountOrFile(argparse.Action):
    """`--queries N` and `--queries FILE`, which may both be given."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        """See `argparse.Action`."""
        del parser, option
        if re.fullmatch(r"[+-]?\d+", values):
            setattr(namespace, self.dest, int(values))
        else:
            namespace.query_texts = Path(values)


def add_runs(parser: Parser, *, texts: bool = True) -> None:
    """Add the results of a verb, and the options for runs and judgments alone.

    Args:
        parser: of the verb.
        texts: whether the verb shows texts.
    """
    parser.add_argument("results", nargs="+", help="results, or folders of results; with --qrels run files")
    group = parser.add_argument_group("runs and judgments alone")
    group.add_argument("--qrels", type=Path, metavar="FILE", help="judgments of the runs, which then need no corpus")
    group.add_argument(
        "--first-stage", dest="first_stage_run", type=Path, metavar="RUN", help="the run that all others reordered"
    )
    add_reading(group)
    if texts:
        group.add_argument("--corpus", type=Path, metavar="FILE", help="texts of documents, as in a collection")
    parser.set_defaults(query_texts=None, corpus=None)


def add_reading(group: Any) -> None:
    """Add the options for how runs are read, and which queries count."""
    group.add_argument(
        "--common-queries", action="store_true", help="only queries that every run has; else a missing one counts 0"
    )
    group.add_argument("--order", choices=ORDERS, help="what orders documents where ranks and scores disagree")
    group.add_argument(
        "--maxp",
        type=_delimiter,
        metavar="DELIMITER",
        help="documents of a run are passages, such as D1#3 with --maxp '#': the best one of a document counts",
    )
    group.add_argument(
        "--drop-identical-ids", action="store_true", help="leave out a document with the id of the query"
    )


def _delimiter(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("is empty; give the delimiter of passage ids, such as '#'")
    return text


def rules_of(options: Any) -> Rules:
    """Which queries count, by the options of `add_reading`."""
    return Rules(common=options.common_queries, own_ids=not options.drop_identical_ids)


def tell_left_out(rules: Rules, *, queries: int, of: int) -> None:
    """Say how many judged queries count, where only common ones do."""
    if rules.common:
        tell(f"--common-queries leaves out {of - queries:,} of {of:,} judged queries, which not every run has.")


def gathered(options: Any, measures: Sequence[str]) -> list[Evaluation]:
    """The results that were given; with `--qrels` the runs, measured.

    Args:
        options: as `add_runs` has them.
        measures: names, as typed; those of `evalkit measure` where there are none.

    Raises:
        ConfigError: an option of runs without `--qrels`.
        DataError: a run or judgments cannot be read.
        ResultError: a result cannot be read.
    """
    if options.qrels is None:
        if typed := [option for name, option in _OF_RUNS.items() if getattr(options, name)]:
            raise ConfigError(f"{typed[0]} is for runs and judgments alone. Give --qrels FILE as well.")
        return gather(options.results)
    qrels, rules = read_qrels(options.qrels), rules_of(options)
    paths, first = [*map(Path, options.results)], options.first_stage_run
    if first is not None:
        paths = [first, *(path for path in paths if path.resolve() != first.resolve())]
    runs = of_documents(read_runs(paths, order=options.order), options.maxp)
    dataset = dataset_of_judgments(
        qrels,
        judgments_name(options.qrels),
        documents=options.corpus,
        queries=options.query_texts,
        run=next(iter(runs.values())).file.run,
    )
    stage = next(iter(runs)) if first is not None else ""
    found = judge_runs(dataset, runs, measures or MEASURES, rules=rules, first_stage=stage)
    tell_left_out(rules, queries=found[0].result.manifest["queries"], of=len(qrels))
    for path, note in notes_of(found):
        tell(f"{path}: {note.text}")
    return found
