"""A folder of results as tables and as a page."""

from evalkit.reports.watch_grids import headline, watch_grids, watch_page
from evalkit.results.watching import FIRST_STAGE, Finished, Look
from evalkit.system.running import Running

FACTS = {"dataset": "mini", "first_stage": "bm25-100", "reranker": "x", "number": 2, "of": 8}
BUSY = Running("running", FACTS, 100.0, 190.0, "reranking", "pairs", 50, 10, 110, 5.0)
IDLE = Running("running", {**FACTS, "number": 3}, 160.0, 190.0)
LOST = Running("killed", {**FACTS, "reranker": "<y>"}, 10.0, 80.0, "reranking", "pairs", 5, 0, None, 2.0)
FAILED = Running("failed", FACTS, 10.0, 20.0, message="no <file>")
RERANKERS = ["x", FIRST_STAGE] * 7
DONE = [Finished("mini", "bm25-100", reranker, "nDCG@10", 0.5, 1.5, 140.0) for reranker in RERANKERS]


def test_evaluations_have_stage_count_rate_and_time_left():
    (grid,) = watch_grids(Look([BUSY, IDLE], [LOST, FAILED], []), now=200.0)
    assert [column.name for column in grid.columns][3:] == ["state", "stage", "done", "rate", "left", "since"]
    assert [row[3:] for row in grid.rows] == [
        ["running", "reranking", "60 of 110 pairs (55%)", "5 pairs/s", "10 s", "100 s"],
        ["running", None, None, None, None, "40 s"],
        ["killed", "reranking", "5 pairs", "2 pairs/s", None, "2 min"],
        ["failed", None, None, None, None, "3 min"],
    ]
    assert grid.notes == ["mini / bm25-100 / x: no <file>"]


def test_the_last_results_are_shown_and_the_others_counted():
    (grid,) = watch_grids(Look([], [], DONE), now=200.0)
    assert len(grid.rows) == 12
    assert grid.rows[0] == ["mini", "bm25-100", "x", "nDCG@10", 0.5, 1.5, "60 s ago"]
    assert grid.rows[1][2] == "first stage"
    assert grid.notes == ["2 more"]
    assert watch_grids(Look([], [], [])) == []


def test_the_headline_counts_everything():
    text = "2 running, 1 killed, 1 failed, 7 results on 1 dataset, evaluation 4 of 8 of the sweep"
    assert headline(Look([BUSY, IDLE], [LOST, FAILED], DONE)) == text
    assert headline(Look([], [], [])) == "0 running, 0 results on 0 datasets"


def test_a_single_command_is_no_sweep():
    alone = BUSY._replace(facts={**FACTS, "number": 0, "of": 1})
    assert headline(Look([alone], [], [])) == "1 running, 0 results on 0 datasets"


def test_what_has_the_same_names_is_told_apart_by_what_was_typed():
    typed = ["reranker=x", "depth=100"]
    plain = BUSY._replace(facts={**FACTS, "overrides": typed})
    short = FAILED._replace(facts={**FACTS, "overrides": [*typed, "reranker.max_length=128"]})
    done = [DONE[0]._replace(overrides=(f"seed={seed}", *typed)) for seed in (1, 2)]
    evaluations, results = watch_grids(Look([plain], [short], done), now=200.0)
    assert [column.name for column in evaluations.columns][2:5] == ["reranker", "settings", "state"]
    assert [row[3] for row in evaluations.rows] == [None, "reranker.max_length=128"]
    assert evaluations.notes == ["mini / bm25-100 / x reranker.max_length=128: no <file>"]
    assert [row[3] for row in results.rows] == ["seed=1", "seed=2"]


def test_the_page_loads_itself_again_and_shows_ids_as_text():
    page = watch_page(Look([BUSY], [LOST, FAILED], DONE), every=2.4, title="evalkit: <results>")
    assert '<meta http-equiv="refresh" content="2">' in page
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert '<td class="killed">killed</td>' in page
    for text in ("evalkit: &lt;results&gt;", "&lt;y&gt;", "no &lt;file&gt;", "60 of 110 pairs"):
        assert text in page


def test_the_page_shows_what_turns_the_direction_of_writing_as_an_escape():
    turned = Running("failed", FACTS, 10.0, 20.0, message="no \u202efile")
    page = watch_page(Look([], [turned], []), every=2.4, title="x")
    assert "no \\u202efile" in page
    assert "\u202e" not in page
