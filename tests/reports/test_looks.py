"""Colours and shapes of systems."""

from itertools import combinations

import numpy as np
import pytest

from evalkit.reports.looks import BETTER, COLOURS, FIRST_STAGES, SHAPES, WORSE, look_of

# Machado, Oliveira, Fernandes 2009, severity 1, of linear RGB.
SEEN_BY = {
    "normal vision": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def linear(colour):
    values = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def luminance(colour):
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def oklab(values):
    """Ottosson 2020: equal distances look about equally different."""
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    axes = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return axes @ np.cbrt(cones @ np.clip(values, 0, 1))


@pytest.mark.parametrize("paper", ["#ffffff", "#14171a"])
@pytest.mark.parametrize("colour", [*COLOURS, FIRST_STAGES])
def test_every_colour_stands_out_from_light_and_dark_paper(colour, paper):
    """WCAG 2.2, 1.4.11: graphics have a contrast of at least 3 to 1."""
    lighter, darker = sorted([luminance(colour), luminance(paper)], reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 3


@pytest.mark.parametrize("sight", SEEN_BY)
def test_any_two_colours_differ_for_colour_blind_readers(sight):
    seen = {colour: oklab(SEEN_BY[sight] @ linear(colour)) for colour in {*COLOURS, BETTER, WORSE}}
    assert len(seen) >= len(COLOURS)
    assert all(np.linalg.norm(seen[one] - seen[other]) > 0.09 for one, other in combinations(seen, 2))


def test_forty_systems_have_forty_looks_and_first_stages_are_grey():
    systems = {f"system{number}": False for number in range(40)} | {"bm25": True, "dense": True}
    look = look_of(systems)
    pairs = list(zip(look.colours, look.shapes, strict=True))
    assert look.names == tuple(systems)
    assert len(set(pairs)) == 42
    assert {look.colours[place] for place in (40, 41)} == {FIRST_STAGES}
    assert set(look.shapes) <= set(SHAPES)


def test_first_stages_alone_have_colours_and_any_two_differ():
    look = look_of({f"run{number}": True for number in range(40)})
    assert look.colours[: len(COLOURS)] == COLOURS
    assert len(set(zip(look.colours, look.shapes, strict=True))) == 40
