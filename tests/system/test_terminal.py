"""What a terminal is sent, and what becomes of a command whose stdout is closed, full, or not read."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table

from evalkit.cli import main
from evalkit.errors import EvalkitError
from evalkit.reports.console import console
from evalkit.reports.grid import FORMATS, Column, Grid, write
from evalkit.system.progress import progress
from evalkit.system.reporting import report
from evalkit.system.terminal import harmless, measurable, say, tell

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


def test_harmless_characters_are_not_escaped():
    assert harmless("数据\u3000é\ta\n\u200d") == "数据\u3000é\ta\n\u200d"


def test_characters_without_a_width_are_escaped():
    assert r"\u200d\xad\u202e\x9b\ufeff" == measurable("\u200d\xad\u202e\x9b\ufeff")
    assert "数据\u3000é\xa0\ta\n" == measurable("数据\u3000é\xa0\ta\n")


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


# C0, C1, delete, zero width, soft hyphen, direction, line breaks, wide, combining, joined, unassigned, half, markup
TEXTS = [
    *("a\x1b[31mb", "a\x9b31mb\x85c", "a\x08\x08b\x00", "\x7f", "a\u200bb\ufeff", "a\xadb", "a\u202eb\u2066"),
    *(
        "a\u061cb",
        "a\u2028b\rc\x0bd",
        "数据\u3000集",
        "e\u0301a\u0300",
        "\u0301",
        "👩\u200d👩\u200d👧 ❤\ufe0f 🇩🇪",
        "\u0378",
    ),
    *("a\U000e0041b", "a\udc80b", "[red]a[/red]", "a\x1b[red]b", ":dog: a\tb", "عربى\u200cمتن", "각\u1112\u1161"),
    *("a\nb", "\\"),
]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_no_text_moves_the_borders_of_a_table(monkeypatch, text, terminal):
    monkeypatch.setattr("sys.stdout", Terminal() if terminal else io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    out = console()
    write([Grid("title", [Column("name"), Column(f"{text} ")], [[text, text], ["plain", "1"]])], "table", out)
    table = Table(escape(text), "other", title=escape(text))
    table.add_row(escape(text), "1")
    table.add_row("plain", escape(text))
    out.print(table)
    bordered = [line for line in sys.stdout.getvalue().split("\n") if line.strip()[:1] in "┏┃┡│└" and line.strip()]
    assert len(bordered) >= 12
    assert all(line == measurable(line) for line in bordered)  # so that every terminal takes it as wide
    starts = [place for place, line in enumerate(bordered) if line.startswith("┏")]
    for first, stop in zip(starts, [*starts[1:], None], strict=True):
        assert 1 == len({cell_len(line) for line in bordered[first:stop]}), bordered[first:stop]
    assert not any("🐶" in line for line in bordered)


@pytest.mark.parametrize("broken", ["\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"], ids=ascii)
def test_a_row_of_markdown_stays_one_line(broken, capsys):
    write([Grid("title", [Column(f"a{broken}b")], [[f"c{broken}d"]])], "markdown", console())
    assert "| a b |" == capsys.readouterr().out.splitlines()[2]


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


def test_control_characters_in_ids_are_escaped_on_a_terminal(monkeypatch, run_file, capsys):
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
def test_a_closed_pipe_is_not_a_failure(command):
    end, start = os.pipe()
    os.close(end)
    done = piped(command, stdout=start)
    os.close(start)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize("command", [["--help"], ["list", "datasets"]], ids=" ".join)
def test_a_full_stdout_is_a_one_line_error(command):
    with Path("/dev/full").open("w") as full:
        done = piped(command, stdout=full)
    assert done.returncode == 2
    assert done.stderr == "evalkit: error: stdout: No space left on device.\n"


def test_a_closed_stdout_is_refused_before_anything_is_done(run_file):
    done = piped(["measure", *run_file], preexec_fn=lambda: os.close(1))
    assert done.returncode == 2
    assert done.stderr.startswith("evalkit: error: stdout is closed")


def test_closed_stdin_and_stderr_are_not_a_failure(run_file):
    def close():
        os.close(0)
        os.close(2)

    done = piped(["measure", *run_file, "R@1"], stdout=subprocess.PIPE, preexec_fn=close)
    assert (done.returncode, done.stdout) == (0, "R@1  0.5000\n")


@pytest.mark.parametrize("argument", ["\udcff", "a\0b"], ids=["bytes", "NUL"])
@pytest.mark.parametrize("command", ["measure", "evaluate", "cache"])
def test_arguments_that_are_not_utf8_are_refused(capsys, command, argument):
    assert main([command, f"results_dir={argument}"]) == 2
    assert "is not UTF-8. If it is the name of a file, rename the file." in capsys.readouterr().err
