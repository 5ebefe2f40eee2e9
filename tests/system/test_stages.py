"""How long stages took and how fast they were, by a clock that the test sets."""

import pytest

from evalkit.system.stages import FINDING, LOADING, Meter, Stages, rate, speed


def test_blocks_of_one_name_are_added_up_with_what_they_note(clock):
    stages = Stages()
    for tokens in (3, 4):
        with stages.timed("encode") as noted:
            clock.wait(1.5)
            noted["tokens"] = tokens
    assert stages == {"encode": {"seconds": 3.0, "tokens": 7}}


def test_stages_come_in_the_order_of_the_work_and_are_added_up():
    stages = Stages()
    stages.join({"load": {"seconds": 1.0}})
    stages.join({"search": {"seconds": 3.0, "documents": 6}, "write": {"seconds": 4.0}})
    stages.join({"load": {"seconds": 0.5}})
    assert list(stages) == ["load", "search", "write"]
    assert stages["load"] == {"seconds": 1.5}
    assert stages.with_speeds()["search"] == {"seconds": 3.0, "documents": 6, "documents_per_second": 2.0}


# Speeds


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"seconds": 2.0, "pairs": 300, "kept_pairs": 5000, "tokens": 9}, (150.0, "pairs")),
        ({"seconds": 4.0, "documents": 2}, (0.5, "documents")),
        ({"seconds": 2.0, "pairs": 0, "kept_pairs": 5000}, None),
        ({"seconds": 2.0, "tokens": 500}, None),
        ({"pairs": 300}, None),
        ({"seconds": 0.0, "pairs": 300}, None),
        ({"seconds": 1e-310, "pairs": 300}, None),
        ({}, None),
    ],
)
def test_a_speed_divides_new_units_by_the_seconds_of_work(facts, expected):
    assert rate(facts) == expected


def test_slow_speeds_are_written_with_two_digits():
    assert [speed(value) for value in (12_345.6, 10.0, 9.87, 0.412)] == ["12,346", "10", "9.9", "0.41"]
    assert str(rate({"seconds": 3.0, "pairs": 1})) == "0.33 pairs/s"


def test_loading_and_earlier_units_count_in_no_speed(clock):
    meter = Meter("pairs")
    with meter.not_working(LOADING):
        clock.wait(7)
    with meter.not_working(FINDING):
        clock.wait(2)
    meter.found(1000)
    clock.wait(3)
    meter(30)
    assert meter.rate == (10.0, "pairs")
    assert (meter.seconds, meter.elapsed) == (3, 12)
    assert meter.facts == {"seconds": 3, "pairs": 30, "kept_pairs": 1000}


def test_a_block_inside_another_keeps_its_own_seconds(clock):
    meter = Meter("pairs")
    with meter.not_working(LOADING):
        clock.wait(1)
        with meter.not_working(FINDING):
            clock.wait(4)
        clock.wait(2)
    clock.wait(5)
    assert (meter.apart, meter.seconds) == ({FINDING: 4, LOADING: 3}, 5)


def test_a_meter_that_was_stopped_says_the_same_ever_after(clock):
    meter = Meter("pairs")
    clock.wait(2)
    meter(4)
    meter.stop()
    clock.wait(50)
    meter.stop()
    assert (meter.seconds, meter.rate) == (2, (2.0, "pairs"))


def test_a_meter_becomes_stages_of_finding_loading_and_work(clock):
    meter = Meter("pairs")
    with meter.not_working(FINDING):
        clock.wait(1)
    with meter.not_working(LOADING):
        clock.wait(2)
    meter.found(5)
    clock.wait(4)
    meter(8)
    stages = Stages()
    stages.take("rerank", meter, model="reranker", tokens=90)
    assert stages.with_speeds() == {
        "find kept pairs": {"seconds": 1},
        "load reranker": {"seconds": 2},
        "rerank": {"seconds": 4, "pairs": 8, "kept_pairs": 5, "tokens": 90, "pairs_per_second": 2.0},
    }
    assert list(stages) == ["find kept pairs", "load reranker", "rerank"]
    assert stages.seconds == 4
