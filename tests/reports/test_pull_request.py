"""A summary for a comment on a pull request."""

from evalkit.reports.grid import Column, Grid
from evalkit.reports.pull_request import summary


def grid(title, rows):
    return Grid(
        title, [Column("name"), Column("value", ".2f")], [[f"n{row}", row / 10] for row in range(rows)], ["a note"]
    )


def test_it_has_a_heading_sentences_a_table_and_the_rest_folded():
    text = summary("All | done", "* first.\n", grid("Shown", 1), [grid("Folded", 1)], "More")
    assert text == (
        "### All \\| done\n\n* first.\n\n"
        "**Shown**\n\n| name | value |\n| --- | ---: |\n| n0 | 0.00 |\n\na note\n\n"
        "<details><summary>More</summary>\n\n"
        "**Folded**\n\n| name | value |\n| --- | ---: |\n| n0 | 0.00 |\n\na note\n\n</details>\n"
    )
    assert summary("Nothing", "", None) == "### Nothing\n"


def test_a_long_table_shows_its_first_rows_and_says_so():
    text = summary("t", "", grid("Long", 100))
    assert text.count("| n") == 41
    assert "40 of 100 rows" in text


def test_it_is_never_longer_than_a_comment_may_be():
    folded = summary("t", "* first.\n", grid("Shown", 1), [grid("Folded", 5000)], "More")
    assert len(folded) < 1000
    assert folded.endswith("\nMore: too long for a comment.\n")
    some = [grid("A", 2), grid("B", 5000), grid("C", 1500), grid("D", 1200), grid("E", 2)]
    text = summary("t", "* first.\n", grid("Shown", 1), some, "More")
    assert 40_000 < len(text) <= 60_000
    assert [title for title in "ABCDE" if f"\n**{title}**\n" in text] == ["A", "C", "D", "E"]
    assert text.endswith("\n</details>\n\n1 of 5 folded tables: too long for a comment.\n")
    long = summary("t", "* first.\n" * 10_000, grid("Shown", 1), [grid("Folded", 1)], "More")
    assert 50_000 < len(long) < 65_536
    assert long.endswith("* first.\n\nThe rest is too long for a comment.\n")
