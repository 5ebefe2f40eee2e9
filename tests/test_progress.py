"""Progress goes to stderr, and says nothing of what took no time."""

import time

from evalkit.progress import progress


def test_a_quick_step_writes_nothing_into_a_pipe(capsys):
    with progress("scoring", 10, "pairs") as advance:
        advance(10)
    assert capsys.readouterr() == ("", "")


def test_a_long_step_writes_one_line_with_its_rate_to_stderr(capsys):
    with progress("scoring", 10, "pairs") as advance:
        time.sleep(1.01)
        advance(10)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("scoring: 10 pairs in 1.")
    assert captured.err.endswith("pairs/s\n")
