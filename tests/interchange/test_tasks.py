"""Our datasets and mteb's tasks: matched by repository and revision."""

import importlib.util

import pytest

from evalkit.config.resources import read_config
from evalkit.interchange.tasks import card_of, languages_of, task_of

pytestmark = [
    pytest.mark.slow,  # importing mteb takes seconds
    pytest.mark.skipif(importlib.util.find_spec("mteb") is None, reason="mteb is not installed"),
]


def card(name):
    return read_config("dataset", name)


@pytest.mark.parametrize(
    ("name", "task"),
    [("scifact", "SciFact"), ("fiqa", "FiQA2018"), ("T2Retrieval", "T2Retrieval"), ("mini", None)],
)
def test_a_card_is_the_task_that_reads_the_same_files(name, task):
    found = task_of(card(name), "a test")
    assert (found and found.name) == task


def test_another_revision_is_not_a_task_of_mteb():
    assert task_of({**card("scifact"), "revision": "0" * 40}, "a test") is None


def test_a_task_that_was_chosen_by_name_is_itself():
    assert task_of({"task": "NFCorpus"}, "a test").name == "NFCorpus"


@pytest.mark.parametrize(("task", "name"), [("SciFact", "scifact"), ("CQADupstackUnixRetrieval", "cqadupstack/unix")])
def test_a_task_finds_its_card(task, name):
    import mteb

    assert card_of(mteb.get_task(task).metadata.dataset["path"], "default")["name"] == name
    assert card_of("nobody/nothing", "default") is None


def test_languages_are_codes_of_mteb():
    assert languages_of(None, "default", "zh") == ["zho-Hans"]
    assert languages_of(task_of(card("scifact"), "a test"), "default", "en") == ["eng-Latn"]
