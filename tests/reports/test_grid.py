"""Tables as data, in every form they are written."""

import csv
import io
import json
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from evalkit.reports.grid import FORMATS, Column, Grid, csv_text, escaped, json_text, latex, markdown, show, write

GRID = Grid(
    "a_b & 50 %",
    [Column("name"), Column("value", "+.2f"), Column("seen")],
    [["x|y", 0.12345, True], ["#1_{z}", None, False], ["~^\\$", -1, None]],
    ["a note"],
    sections=frozenset({2}),
    strong=frozenset({(0, 1)}),
)


def test_markdown_keeps_bars_out_of_cells_and_sets_numbers_right():
    lines = markdown([GRID]).splitlines()
    assert lines[2:6] == [
        "| name | value | seen |",
        "| --- | ---: | --- |",
        r"| x\|y | **+0.12** | yes |",
        r"| #&#8203;1\_{z} | — | no |",
    ]
    assert lines[-1] == "a note"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("</details><b>", "&lt;/details&gt;&lt;b&gt;"),
        ("&lt; a & b", "&amp;lt; a & b"),
        ("![x](y) `c`", r"!\[x\](y) \`c\`"),
        ("*a* _b_ ~c~ \\", r"\*a\* \_b\_ \~c\~ \\"),
        ("@who closes #1, GH-2, o/r#3", "@&#8203;who closes #&#8203;1, GH-&#8203;2, o/r#&#8203;3"),
        ("nDCG@10 of a_b", "nDCG@10 of a_b"),
        ("a\\|b\r\nc", r"a\\\|b  c"),
        ("* more than chance", r"\* more than chance"),
        ("- a", r"\- a"),
        ("# a", "#&#8203; a"),
        ("+0.12", "+0.12"),
        ("a\u202eb", r"a\\u202eb"),
    ],
)
def test_texts_are_shown_by_markdown_and_do_nothing(text, expected):
    assert escaped(text) == expected
    grid = Grid(text, [Column(text)], [[text], [text]], [text], strong=frozenset({(0, 0)}), marks={(0, 0): "*"})
    assert markdown([grid]) == (
        f"**{expected}**\n\n| {expected} |\n| --- |\n| **{expected}**\\* |\n| {expected} |\n\n{expected}\n"
    )


def test_latex_escapes_what_tex_reads_and_has_the_rules_of_booktabs():
    text = latex([GRID])
    assert r"\caption{a\_b \& 50 \%}" in text
    assert r"\begin{tabular}{lrl}" in text
    assert r"x\textbar{}y & \textbf{+0.12} & yes \\" in text
    assert r"\#1\_\{z\} & --- & no \\" in text
    assert r"\textasciitilde{}\textasciicircum{}\textbackslash{}\$ & -1.00 & --- \\" in text
    assert text.index(r"\#1") < text.index(r"\midrule", text.index(r"\#1")) < text.index(r"\textasciitilde")
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 2, 1]


def test_a_row_that_begins_with_a_bracket_is_no_argument_of_the_line_end_before_it():
    text = latex([Grid("p < 1", [Column("system"), Column("p>")], [["[a]", 1], ["[b]", 2]])])
    assert "\n  {[}b{]} & " in text
    assert r"\caption{p \textless{} 1}" in text
    assert r"p\textgreater{} \\" in text


def test_second_cells_are_underlined_and_signs_stand_behind_their_number():
    grid = replace(GRID, second=frozenset({(2, 1)}), marks={(0, 1): "†", (2, 1): "†"}, legend="† differs_")
    assert r"| x\|y | **+0.12**† | yes |" in markdown([grid])
    assert r"<u>-1.00</u>† |" in markdown([grid])
    assert markdown([grid]).splitlines()[-3::2] == [r"† differs\_", "a note"]
    text = latex([grid])
    assert r"\caption{a\_b \& 50 \%. $^{\dagger}$ differs\_}" in text
    assert r"x\textbar{}y & \textbf{+0.12}$^{\dagger}$ & yes \\" in text
    assert r"\underline{-1.00}$^{\dagger}$ & --- \\" in text
    out = Console(width=80, file=io.StringIO(), force_terminal=True, color_system="standard")
    show([grid], out)
    assert "\x1b[1m+0.12\x1b[0m†" in out.file.getvalue()
    assert "\x1b[4m-1.00\x1b[0m†" in out.file.getvalue()
    assert json.loads(json_text([grid]))[0]["notes"] == ["† differs_", "a note"]


def test_csv_is_unrounded_and_reads_back():
    rows = list(csv.reader(io.StringIO(csv_text([GRID]))))
    assert rows == [["name", "value", "seen"], ["x|y", "0.12345", "True"], ["#1_{z}", "", "False"], ["~^\\$", "-1", ""]]


def test_csv_of_several_tables_is_one_table_that_pandas_reads():
    other = Grid("other", [Column("value"), Column("late")], [[2.5, "x"]])
    found = pd.read_csv(io.StringIO(csv_text([GRID, other])))
    assert list(found.columns) == ["table", "name", "value", "seen", "late"]
    assert list(found["table"]) == [GRID.title] * 3 + ["other"]
    assert list(found["value"].fillna(0)) == [0.12345, 0, -1, 2.5]
    assert list(found["late"].fillna("")) == ["", "", "", "x"]


def test_notes_of_csv_go_to_stderr_so_that_stdout_is_the_table(capsys):
    write([GRID], "csv")
    printed = capsys.readouterr()
    assert printed.out == csv_text([GRID])
    assert printed.err == "evalkit: a note\n"


def test_json_has_objects_and_no_rounding():
    (found,) = json.loads(json_text([GRID]))
    assert found["rows"][0] == {"name": "x|y", "value": 0.12345, "seen": True}
    assert found["notes"] == ["a note"]


def test_terminal_shows_markup_in_names_as_it_is():
    out = io.StringIO()
    show([Grid("t", [Column("[b]c[/b]")], [["[red]x"]], ["[i]n"])], Console(file=out, width=80))
    assert all(text in out.getvalue() for text in ("[b]c[/b]", "[red]x", "[i]n"))


def test_every_form_is_written_to_the_console_s_file():
    for form in ("table", *FORMATS):
        out = io.StringIO()
        write([GRID], form, Console(file=out, width=80))
        assert "0.12" in out.getvalue()
