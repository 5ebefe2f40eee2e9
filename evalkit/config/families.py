"""Datasets whose cards share most lines: one file a family under `conf/family/`, a line or two a dataset.

# MIRACL, {about}: questions against Wikipedia passages.     becomes the first comment of each card
defaults: [/schema/dataset/hub@_here_, _self_]
...                                                          settings that all have
members:
  miracl-ar: {about: Arabic, language: ar, ...}              settings that one has, and the word for its comment
"""

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple


class Member(NamedTuple):
    """A dataset of a family: the comment of its card, and its settings."""

    about: str
    settings: Mapping[str, Any]

    @property
    def card(self) -> dict[str, Any]:
        """Its settings, free to be changed."""
        return deepcopy(dict(self.settings))

    @property
    def text(self) -> str:
        """Its card as YAML."""
        import yaml

        fast = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        return f"{self.about}\n{yaml.dump(dict(self.settings), Dumper=fast, sort_keys=False, allow_unicode=True)}"


@cache
def members(folder: Path) -> Mapping[str, Member]:
    """Name -> dataset, of the families whose files are in a folder."""
    import yaml

    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[str, Member] = {}
    for path in sorted(folder.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        shared = yaml.load(text, Loader=fast)  # noqa: S506 - safe, both of them
        for name, own in shared.pop("members").items():
            about = text.partition("\n")[0].replace("{about}", own.pop("about"))
            found[name] = Member(about, {"defaults": shared["defaults"], "name": name, **shared, **own})
    return found
