"""What a terminal is sent, and what becomes of a command whose stdout is closed, full, or not read."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.cli import main
from evalkit.errors import EvalkitError, report
from evalkit.progress import progress
from evalkit.report.grid import FORMATS, Column, Grid, write
from evalkit.report.table import console
from evalkit.terminal import harmless, say, tell

TITLE = "\x1b]0;owned\x07"  # sets the title of a terminal
HOSTILE = f"{TITLE}\x9b31m\x7f\u202e"
SHOWN = r"\x1b]0;owned\x07\x9b31m\x7f\u202e"


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def open_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    return sys.stdout


@pytest.fixture
def run_file(tmp_path):
    (tmp_path / "qrels").write_text(f"{HOSTILE} 0 d1 1\nq2 0 d1 1\n")
    (tmp_path / "run").write_text("q2 Q0 d1 1 1 x\n")
    return [str(tmp_path / "qrels"), str(tmp_path / "run")]


def piped(arguments, **streams):
    return subprocess.run(
        [sys.executable, "-m", "evalkit", *arguments], stderr=subprocess.PIPE, text=True, check=False, **streams
    )


def test_what_is_no_command_to_a_terminal_is_left_as_it_is():
    assert harmless("数据\u3000é\ta\n\u200d") == "数据\u3000é\ta\n\u200d"


def test_a_terminal_is_sent_escapes_for_control_characters(monkeypatch):
    terminal = open_terminal(monkeypatch)
    say(f"{HOSTILE}\n")
    assert terminal.getvalue() == f"{SHOWN}\n"


def test_a_pipe_is_sent_the_very_characters(capsys):
    say(HOSTILE)
    assert capsys.readouterr().out == HOSTILE


def test_whatever_is_printed_by_a_console_is_harmless(monkeypatch):
    terminal = open_terminal(monkeypatch)
    out = console()
    out.print(f"a {HOSTILE}", markup=False)
    write([Grid(f"title {TITLE}", [Column("a")], [[HOSTILE]], notes=[f"note {TITLE}"])], "table", out)
    assert r"title \x1b]0;owned" in terminal.getvalue()
    assert r"note \x1b]0;owned" in terminal.getvalue()
    assert not set(terminal.getvalue()) & set("\x1b\x07\x9b\x7f\u202e")


@pytest.mark.parametrize("form", FORMATS)
def test_other_formats_are_harmless_on_a_terminal_too(monkeypatch, form):
    terminal = open_terminal(monkeypatch)
    write([Grid(TITLE, [Column(TITLE)], [[HOSTILE]])], form, console())
    assert not set(terminal.getvalue()) & set("\x1b\x07\x9b\x7f\u202e")


def test_messages_are_harmless_and_of_one_line(capsys):
    tell(f"{HOSTILE}\n")
    report(EvalkitError(HOSTILE))
    assert capsys.readouterr().err == f"evalkit: {SHOWN}\\n\nevalkit: error: {SHOWN}\n"


def test_progress_names_hostile_files_harmlessly(capsys, clock):
    with progress(f"checking {TITLE}", 1, "MB") as advance:
        clock.wait(2.0)
        advance(1)
    assert capsys.readouterr().err.startswith(r"checking \x1b]0;owned\x07: 1 MB in 2.0 s")


def test_progress_on_a_terminal_takes_no_name_for_markup(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with progress(f"checking [/red]{TITLE}", 1, "MB") as advance:
        advance(1)
    assert r"checking [/red]\x1b]0;owned" in sys.stderr.getvalue()


def test_ids_of_a_run_reach_no_terminal_as_they_are(monkeypatch, run_file, capsys):
    terminal = open_terminal(monkeypatch)
    assert main(["measure", *run_file, "--per-query"]) == 0
    assert f"{SHOWN}\t0.0000" in terminal.getvalue()
    assert capsys.readouterr().err.endswith(f"such as {SHOWN}\n")


def test_a_message_that_quotes_an_endless_id_is_cut(capsys):
    report(EvalkitError(f"start {'x' * 100_000} end"))
    told = capsys.readouterr().err
    assert told.startswith("evalkit: error: start xxx")
    assert told.endswith("xxx end\n")
    assert len(told) < 5_000


@pytest.mark.parametrize("command", [["--help"], ["list", "datasets"], ["measure", "--help"]], ids=" ".join)
def test_a_pipe_that_nobody_reads_is_no_failure(command):
    end, start = os.pipe()
    os.close(end)
    done = piped(command, stdout=start)
    os.close(start)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize("command", [["--help"], ["list", "datasets"]], ids=" ".join)
def test_a_full_stdout_is_told_in_one_line(command):
    with Path("/dev/full").open("w") as full:
        done = piped(command, stdout=full)
    assert done.returncode == 2
    assert done.stderr == "evalkit: error: stdout: No space left on device.\n"


def test_a_closed_stdout_is_refused_before_anything_is_done(run_file):
    done = piped(["measure", *run_file], preexec_fn=lambda: os.close(1))
    assert done.returncode == 2
    assert done.stderr.startswith("evalkit: error: stdout is closed")


def test_closed_stdin_and_stderr_are_no_failure(run_file):
    def close():
        os.close(0)
        os.close(2)

    done = piped(["measure", *run_file, "R@1"], stdout=subprocess.PIPE, preexec_fn=close)
    assert (done.returncode, done.stdout) == (0, "R@1  0.5000\n")


@pytest.mark.parametrize("argument", ["\udcff", "a\0b"], ids=["bytes", "NUL"])
@pytest.mark.parametrize("command", ["measure", "evaluate", "cache"])
def test_arguments_that_no_record_can_hold_are_refused(capsys, command, argument):
    assert main([command, f"results_dir={argument}"]) == 2
    assert "is not UTF-8. If it is the name of a file, rename the file." in capsys.readouterr().err
