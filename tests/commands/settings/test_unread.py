"""Members of families as choices of Hydra: made when they are chosen, each time anew, also in another process."""

from copy import deepcopy

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from evalkit.commands.settings.compose import compose
from evalkit.commands.settings.unread import store_member
from evalkit.config.families import Member
from evalkit.config.resources import members


def test_a_member_is_loaded_as_its_card_and_a_change_does_not_stay():
    member = Member("# One.", {"name": "made-up/one", "expected": {"documents": 3}})
    store_member("dataset", "made-up/one", member)
    try:
        store = ConfigStore.instance()
        assert store.list("dataset/made-up") == ["one.yaml"]
        first = store.load("dataset/made-up/one.yaml").node
        first.expected.documents = 4
        assert OmegaConf.to_container(store.load("dataset/made-up/one.yaml").node) == member.card
        # A launcher copies the store into the processes of its jobs.
        kept = deepcopy(store.repo["dataset"]["made-up"]["one.yaml"])
        assert (kept.name, kept.group) == ("one.yaml", "dataset/made-up")
        assert OmegaConf.to_container(kept.node) == member.card
    finally:
        del ConfigStore.instance().repo["dataset"]["made-up"]


def test_a_name_with_dots_and_one_with_a_slash_are_chosen_as_they_are_typed():
    for name in ("bright-v1.1-long-pony", "cqadupstack/tex"):
        config = compose("fetch", [f"dataset={name}"]).dataset
        card = members("dataset")[name].settings
        assert (config.name, config.hub_id, config.expected.documents) == (
            name,
            card["hub_id"],
            card["expected"]["documents"],
        )
