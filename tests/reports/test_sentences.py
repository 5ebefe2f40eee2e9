"""Findings as lines."""

from evalkit.analysis.findings import BEST, SUSPICIOUS, Finding
from evalkit.reports.sentences import markdown_list, shown, write_findings

BEST_ONE = Finding(BEST, "x|y is the best.")


def odd(count):
    return [Finding(SUSPICIOUS, f"fact {chr(97 + number)}.", "warning") for number in range(count)]


def test_markdown_is_a_bullet_a_finding_and_keeps_ids_on_their_line():
    found = [BEST_ONE, Finding(SUSPICIOUS, "a\nb.", "error"), *odd(1)]
    assert markdown_list(found) == "* x\\|y is the best.\n* serious: a b.\n* suspicious: fact a.\n"
    assert markdown_list([]) == ""


def test_many_suspicious_facts_are_counted_after_the_first_five():
    assert shown([BEST_ONE, *odd(5)]) == [BEST_ONE, *odd(5)]
    *some, last = shown([*odd(7), BEST_ONE])
    assert some == [BEST_ONE, *odd(5)]
    assert last.text == "2 facts more; `evalkit compare --format json` lists all."


def test_a_suspicious_fact_of_many_datasets_is_said_once_with_the_numbers_of_the_first():
    def cut(number, systems=("weak",)):
        text = f"set{number}, weak: {number},817 of 46,700 pairs were truncated."
        return Finding(SUSPICIOUS, text, "warning", f"set{number}", systems)

    (one,) = shown([cut(number) for number in range(1, 5)])
    assert one.text == "set1, weak: 1,817 of 46,700 pairs were truncated. Likewise on set2, set3 and set4."
    (one,) = shown([cut(number) for number in range(1, 8)])
    assert one.text.endswith("Likewise on set2, set3 and 4 others.")
    assert shown([cut(1), cut(2, ("strong",))]) == [cut(1), cut(2, ("strong",))]


def test_only_forms_with_room_for_sentences_have_them(capsys):
    for form in ("csv", "json", "latex"):
        write_findings([BEST_ONE], form)
    assert capsys.readouterr().out == ""
    write_findings([BEST_ONE], "table")
    assert capsys.readouterr().out == "x|y is the best.\n"
    write_findings([BEST_ONE], "markdown")
    assert capsys.readouterr().out == "* x\\|y is the best.\n\n"
