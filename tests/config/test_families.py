"""Families: what their members share, what each has, and the comment of its card."""

import yaml

from evalkit.config.families import members
from evalkit.config.resources import config_text, read_config

FAMILY = """\
# A family, {about}: of two.
defaults: [/schema/dataset/hub@_here_, _self_]
split: dev
language: en
members:
  made-a: {about: the first, language: de, expected: {documents: 1}}
  made-b: {about: the second}
"""


def test_a_member_has_what_all_share_and_its_own_comes_before(tmp_path):
    (tmp_path / "made.yaml").write_text(FAMILY)
    found = members(tmp_path)
    assert list(found) == ["made-a", "made-b"]
    assert found["made-a"].about == "# A family, the first: of two."
    shared = {"defaults": ["/schema/dataset/hub@_here_", "_self_"], "split": "dev"}
    assert found["made-a"].card == {**shared, "name": "made-a", "language": "de", "expected": {"documents": 1}}
    assert found["made-b"].card == {**shared, "name": "made-b", "language": "en"}
    assert yaml.safe_load(found["made-a"].text) == found["made-a"].card
    assert found["made-a"].text.startswith("# A family, the first: of two.\ndefaults:\n")


def test_a_card_that_is_changed_stays_as_it_is_for_others():
    first = read_config("dataset", "miracl-sw")
    first["expected"]["documents"] = 0
    assert read_config("dataset", "miracl-sw")["expected"]["documents"] == 131924
    assert config_text("dataset", "miracl-sw").startswith("# MIRACL, Swahili: ")
