"""How long stages took."""

import time

from evalkit.stages import Stages


def test_blocks_of_one_name_are_added_up_with_what_they_note():
    stages = Stages()
    for tokens in (3, 4):
        with stages.timed("encode") as noted:
            time.sleep(0.01)
            noted["tokens"] = tokens
    assert stages["encode"]["tokens"] == 7
    assert 0.02 <= stages["encode"]["seconds"] < 2


def test_what_was_planned_and_did_not_happen_is_left_out():
    stages = Stages()
    stages.join({"encode": {"planned_seconds": 5.0}, "search": {"planned_seconds": 1.0}})
    with stages.timed("search"):
        pass
    happened = stages.happened()
    assert list(happened) == ["search"]
    assert happened["search"]["planned_seconds"] == 1.0
    assert happened["search"]["seconds"] < 1


def test_stages_come_in_the_order_of_the_work():
    stages = Stages()
    stages.join({"load": {"seconds": 1.0}})
    stages.join({"search": {"planned_seconds": 1.0}, "load": {"planned_seconds": 2.0}})
    stages.join({"search": {"seconds": 3.0}})
    assert stages.happened() == {
        "load": {"seconds": 1.0, "planned_seconds": 2.0},
        "search": {"planned_seconds": 1.0, "seconds": 3.0},
    }
