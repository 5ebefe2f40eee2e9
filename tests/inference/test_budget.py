"""A budget is found once, kept with the model, and told to whoever goes on with the work."""

import threading

import pytest

from evalkit.errors import ResultError
from evalkit.inference.budget import Budget, KeptBudget


def unasked() -> int:
    raise AssertionError("nobody should probe")


def test_probe_runs_once():
    budget = Budget()
    assert (budget.tokens, budget.found) == (None, None)
    assert budget.settle(lambda: 500) == budget.settle(unasked) == budget.tokens == budget.found == 500


def test_of_several_threads_one_probes():
    budget, probes, begun = Budget(), [], threading.Event()

    def probe() -> int:
        probes.append(1)
        begun.wait(5)
        return 7

    threads = [threading.Thread(target=budget.settle, args=(probe,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    begun.set()
    for thread in threads:
        thread.join()
    assert (probes, budget.tokens) == ([1], 7)


def test_budget_found_elsewhere_replaces_neither_a_set_nor_a_halved_one():
    fresh, own, halved, fixed = Budget(), Budget(), Budget(), Budget(64)
    own.settle(lambda: 300)
    halved.settle(lambda: 300)
    halved.lower(150)
    for budget in (fresh, own, halved, fixed):
        budget.take(200)
        budget.take(None)
    assert [budget.tokens for budget in (fresh, own, halved, fixed)] == [200, 200, 150, 64]
    assert [budget.found for budget in (fresh, own, halved, fixed)] == [200, 200, 300, None]


def test_first_budget_found_is_stored_for_the_next_run(tmp_path):
    path = tmp_path / "scores.log.budget"
    first = KeptBudget(path)
    first.keep(None)
    assert (first.tokens, path.exists()) == (None, False)
    first.keep(5000)
    first.keep(6000)
    assert first.tokens == KeptBudget(path).tokens == 5000


@pytest.mark.parametrize("content", ["", "many", "-3", "0", "1e4", "9" * 40, "\u0663"])
def test_file_without_a_budget_is_ignored(tmp_path, content):
    path = tmp_path / "x.budget"
    path.write_text(content, encoding="utf-8")
    kept = KeptBudget(path)
    assert kept.tokens is None
    kept.keep(5000)
    assert KeptBudget(path).tokens == 5000


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ResultError, match=r"gone.*x\.budget: cannot be written"):
        KeptBudget(tmp_path / "gone" / "x.budget").keep(1)
