"""What cannot be composed is one line; what fails in the job is not taken for it."""

import pytest

from evalkit.commands.compose import compose, composing
from evalkit.errors import ConfigError


def job():
    raise ValueError("a bug")


def test_whatever_stops_composing_is_a_mistake_of_the_settings():
    with pytest.raises(ConfigError, match="the settings cannot be read: no list"), composing(job):
        raise ValueError("no list")


def test_a_bug_of_the_job_is_shown_whole():
    with pytest.raises(ValueError, match="a bug"), composing(job):
        job()


def test_a_bug_of_a_launcher_is_shown_whole():
    place = {"__name__": "hydra_plugins.some.launcher"}
    exec("def launch():\n    raise ValueError('lost')", place)
    with pytest.raises(ValueError, match="lost"), composing(job):
        place["launch"]()


@pytest.mark.parametrize("text", ["'a\0b'", "'a\udcffb'"], ids=["NUL", "half a character"])
def test_a_setting_that_no_record_can_hold_is_refused(text):
    with pytest.raises(ConfigError, match=r"dataset.notes='a.*b' holds a NUL or half a character"):
        compose("fetch", ["dataset=mini", f"dataset.notes={text}"])
