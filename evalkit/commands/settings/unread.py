"""Datasets of families, as settings that Hydra stores. Making those of one takes 2 ms, so it waits for a choice."""

from typing import Any

from hydra.core.config_store import ConfigNode, ConfigStore
from omegaconf import OmegaConf

from evalkit.config.families import Member


class _Unread(ConfigNode):
    """Settings that are there for Hydra to list, and are made when it loads them."""

    def __init__(self, group: str, name: str, member: Member) -> None:
        self.name, self.group, self.package, self.provider = f"{name}.yaml", group, None, "evalkit"
        self._member = member

    def __getattr__(self, name: str) -> Any:
        if name != "node":
            raise AttributeError(name)
        return OmegaConf.create(self._member.card)


def store_member(group: str, name: str, member: Member) -> None:
    """Make a dataset a choice of a group."""
    *folders, last = f"{group}/{name}".split("/")
    place = ConfigStore.instance().repo
    for folder in folders:
        place = place.setdefault(folder, {})
    place[f"{last}.yaml"] = _Unread("/".join(folders), last, member)
