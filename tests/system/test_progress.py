"""Progress goes to stderr, says nothing of what took no time, and no speed but that of work done now."""

import io

from rich.console import Console
from rich.progress import Progress

from evalkit.system import progress as module
from evalkit.system.progress import progress
from evalkit.system.stages import FINDING, LOADING


def test_a_quick_step_writes_nothing_into_a_pipe(capsys, clock):
    with progress("scoring", 10, "pairs") as meter:
        clock.wait(0.9)
        meter(10)
    assert capsys.readouterr() == ("", "")


def test_a_long_step_writes_one_line_with_its_rate_to_stderr(capsys, clock):
    with progress("scoring", 10, "pairs") as meter:
        clock.wait(1.25)
        meter(40)
    assert capsys.readouterr() == ("", "scoring: 40 pairs in 1.2 s, 32 pairs/s\n")


def test_one_unit_is_not_a_plural(capsys, clock):
    for unit in ("systems", "queries", "MB"):
        with progress("report", None, unit) as meter:
            clock.wait(31)
            meter(1)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines if " in " not in line] == [
        "report: 1 system",
        "report: 1 query",
        "report: 1 MB",
    ]
    assert [line.partition(" in ")[0] for line in lines if " in " in line] == [
        "report: 1 system",
        "report: 1 query",
        "report: 1 MB",
    ]


def test_loading_and_earlier_units_do_not_count_in_the_rate(capsys, clock):
    with progress("scoring", 5040, "pairs") as meter:
        with meter.not_working(LOADING):
            clock.wait(6)
        with meter.not_working(FINDING):
            clock.wait(3)
        meter.found(5000)
        clock.wait(2)
        meter(40)
    line = "scoring: 40 pairs in 2.0 s, 20 pairs/s, 5,000 pairs from an earlier run, loading 6.0 s\n"
    assert capsys.readouterr().err == line


def test_a_step_without_new_work_has_no_rate(capsys, clock):
    with progress("scoring", 5000, "pairs") as meter:
        clock.wait(2)
        meter.found(5000)
    assert capsys.readouterr().err == "scoring: 0 pairs in 2.0 s, 5,000 pairs from an earlier run\n"


def test_a_bar_counts_what_is_left_to_do_and_its_rate_is_that_of_the_meter(monkeypatch, clock):
    out = io.StringIO()
    bar = Progress(*Progress.get_default_columns(), console=Console(file=out, force_terminal=True, width=120))
    monkeypatch.setattr(module, "_bar", lambda: bar)
    with progress("scoring", 110, "pairs") as meter:
        meter.found(100)
        clock.wait(2)
        meter(5)
        (task,) = bar.tasks
        assert (task.completed, task.total) == (5, 10)
        assert task.fields["rate"] == "2.5 pairs/s, 100 pairs from an earlier run"


def test_a_pipe_gets_a_line_every_thirty_seconds_with_the_rate_and_the_time_left(capsys, clock):
    with progress("scoring", 10_100, "pairs") as meter:
        meter.found(100)
        lines = []
        for _ in range(10):
            clock.wait(9.9)
            meter(250)
            lines.append(capsys.readouterr().err)
    assert [line for line in lines if line] == [
        "scoring: 1,000 of 10,000 pairs, 25 pairs/s, 100 pairs from an earlier run, 6 min left\n",
        "scoring: 2,000 of 10,000 pairs, 25 pairs/s, 100 pairs from an earlier run, 5 min left\n",
    ]
    assert [place for place, line in enumerate(lines) if line] == [3, 7]
    assert capsys.readouterr().err.startswith("scoring: 2,500 pairs in 99.0 s")


def test_a_line_without_a_known_end_or_a_rate_says_neither(capsys, clock):
    with progress("reading", None, "documents") as meter:
        clock.wait(31)
        meter.found(5)
    assert capsys.readouterr().err.splitlines()[0] == "reading: 0 documents, 5 documents from an earlier run"


def test_a_terminal_gets_only_its_bar(monkeypatch, capsys, clock):
    out = io.StringIO()
    bar = Progress(*Progress.get_default_columns(), console=Console(file=out, force_terminal=True, width=120))
    monkeypatch.setattr(module, "_bar", lambda: bar)
    with progress("scoring", 10, "pairs") as meter:
        clock.wait(61)
        meter(5)
    assert capsys.readouterr() == ("", "")


def test_the_last_unit_writes_the_closing_line_alone(capsys, clock):
    with progress("scoring", 10, "pairs") as meter:
        clock.wait(40)
        meter(10)
    assert capsys.readouterr().err == "scoring: 10 pairs in 40.0 s, 0.25 pairs/s\n"
