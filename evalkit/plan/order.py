"""In which order evaluations cost least to get answers from: the cheapest next, with what they share done once."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

from evalkit.plan.forecast import Forecast, Stage


class Planned(NamedTuple):
    """An evaluation in its place.

    Attributes:
        forecast: of it alone.
        stages: of it after those before it: what they have done is done.
        seconds: that it adds.
        disk: bytes that it adds.
        until: seconds from the start until it is there.
    """

    forecast: Forecast
    stages: tuple[Stage, ...]
    seconds: float
    disk: float
    until: float


class _Waiting(NamedTuple):
    """An evaluation, and the keys of its document vectors and of its candidates."""

    forecast: Forecast
    vectors: str
    candidates: str


def cheapest_first(forecasts: Sequence[Forecast]) -> list[Planned]:
    """Each the one that adds the fewest seconds then."""
    waiting = [_Waiting(one, _vectors(one), _candidates(one)) for one in forecasts]
    ordered, done = list[Planned](), set[str]()
    until = 0.0
    while waiting:
        added = [_after(one, done) for one in waiting]
        place = min(range(len(added)), key=lambda number: sum(stage.left for stage in added[number]))
        chosen, stages = waiting.pop(place), added[place]
        seconds = sum(stage.left for stage in stages)
        until += seconds
        found = chosen.vectors in done
        ordered.append(Planned(chosen.forecast, stages, seconds, 0.0 if found else chosen.forecast.disk, until))
        done |= {chosen.vectors, chosen.candidates}
    return ordered


def _after(waiting: _Waiting, done: set[str]) -> tuple[Stage, ...]:
    """The stages of an evaluation, of which some were done for others."""
    one = waiting.forecast
    if waiting.vectors not in done:
        return one.stages
    found = waiting.candidates in done
    stages = []
    for place, stage in enumerate(one.stages):
        if stage.name == "load":
            stages.append(stage._replace(seconds=min(stage.seconds, one.checking)))
        elif stage.name == "encode documents" or (found and place < one.first):
            stages.append(stage._replace(done=1.0))
        else:
            stages.append(stage)
    return tuple(stages)


def _vectors(one: Forecast) -> str:
    """What decides the vectors of the documents, as far as settings tell."""
    dataset = {name: value for name, value in asdict(one.config.dataset).items() if name in _CORPUS and value}
    corpus = dataset if len(dataset) > 1 else one.config.dataset.name
    return json.dumps([corpus, asdict(one.config.retriever), one.config.compute.dtype], sort_keys=True)


def _candidates(one: Forecast) -> str:
    config = one.config
    return json.dumps([asdict(config.dataset), asdict(config.retriever), config.depth, config.compute.dtype])


# Of a dataset, what decides its documents; the title separator alone decides none.
_CORPUS = {
    "title_separator",
    "path",
    "folder",
    "hub_id",
    "revision",
    "subset",
    "source",
    "task",
    "corpus_hub_id",
    "corpus_path",
    "documents_path",
    "text_cleanup",
}
