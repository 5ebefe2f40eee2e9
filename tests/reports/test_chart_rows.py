"""The rows of charts."""

from dataclasses import replace
from itertools import combinations

import pytest
from made import made

from evalkit.analysis.moves import first_pair
from evalkit.analysis.one_pass import AtDepth
from evalkit.analysis.pairwise import Settings
from evalkit.analysis.score_bins import ScoreBins
from evalkit.reports.chart_rows import (
    names_of,
    rows_of_dataset,
    rows_of_pair,
    rows_of_scores,
    rows_over_datasets,
)
from evalkit.reports.overview import overview
from evalkit.results.gather import gather


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    for name in ("one", "two"):
        root = made(folder, {"strong": 4.0, "middle": 1.5, "weak": 0.1}, dataset=name, queries=12)
    return overview(gather([root]), Settings(samples=200), queries=0)


@pytest.fixture(scope="module")
def view(found):
    return found.datasets[0]


def timed(view, *speeds):
    """The systems, best first, with these pairs/s."""
    own = [one._replace(speed=speed) for one, speed in zip(view.systems, speeds, strict=True)]
    return rows_of_dataset(replace(view, systems=tuple(own)))


def test_the_front_has_the_systems_that_none_beats_in_both(view):
    names = view.comparison.names
    rows = {row["system"]: row for row in timed(view, 10.0, 100.0, 50.0, 1000.0)["cost"]}
    assert [rows[name]["cost"] for name in names] == [100.0, 10.0, 20.0, 1.0]
    assert [rows[name]["front"] for name in names] == [True, True, False, True]


def test_one_timed_system_has_no_chart_of_costs(view):
    assert "cost" not in timed(view, 10.0, None, None, None)
    assert "cost" in timed(view, 10.0, 20.0, None, None)


def test_costs_are_compared_over_the_same_first_stage_alone(view):
    """One reranker over two first stages is no choice between two costs."""

    def over(one, stage, speed):
        manifest = one.evaluation.candidates.manifest
        manifest = {**manifest, "run_digest": stage}
        candidates = replace(one.evaluation.candidates, manifest=manifest)
        return one._replace(evaluation=replace(one.evaluation, candidates=candidates), speed=speed)

    places = [place for place, one in enumerate(view.systems) if not one.evaluation.is_first_stage]
    stages = dict(zip(places, ("a", "b", "a"), strict=True))
    systems = [over(one, stages.get(place, "a"), 10.0 * place + 10) for place, one in enumerate(view.systems)]
    two = [one._replace(speed=one.speed if place in places[:2] else None) for place, one in enumerate(systems)]
    assert "cost" not in rows_of_dataset(replace(view, systems=tuple(two)))
    three = [one._replace(speed=one.speed if place in places else None) for place, one in enumerate(systems)]
    rows = [row for row in rows_of_dataset(replace(view, systems=tuple(three)))["cost"] if "cost" in row]
    assert [(row["stage"], row["front"]) for row in rows] == [(0, True), (1, False), (0, True)]


def test_names_of_first_stages_in_a_chart_of_costs_stand_at_both_ends_in_turn(view):
    (stage,) = (one for one in view.systems if one.evaluation.is_first_stage)
    reranker = view.systems[0]._replace(speed=10.0)
    systems = (reranker, reranker, stage, stage)
    rows = rows_of_dataset(replace(view, systems=systems))["cost"]
    assert [row.get("end") for row in rows] == [None, None, "left", "right"]


def test_depth_has_the_first_stage_and_its_ceiling(view):
    curve = (AtDepth(6, 0.3, 0.4, 0.8), AtDepth(12, 0.35, 0.5, 1.0))
    place = view.comparison.names.index("strong")
    systems = list(view.systems)
    systems[place] = systems[place]._replace(curve=curve)
    rows = rows_of_dataset(replace(view, systems=tuple(systems)))["depth"]
    by_kind = {
        kind: [row["value"] for row in rows if row["kind"] == kind] for kind in ("reranked", "first stage", "ceiling")
    }
    assert by_kind == {"reranked": [0.4, 0.5], "first stage": [0.3, 0.35], "ceiling": [0.8, 1.0]}
    assert "depth" not in rows_of_dataset(view)  # the scores are replayed
    alone = tuple(
        one._replace(curve=curve if one.evaluation.is_first_stage else ()) for one in view.systems
    )  # as a run alone has it
    rows = rows_of_dataset(replace(view, systems=alone))["depth"]
    assert [(row["kind"], row["value"]) for row in rows] == [("reranked", 0.4), ("reranked", 0.5)]
    flat = tuple(one._replace(curve=tuple(at._replace(reranked=0.4) for at in one.curve)) for one in alone)
    assert "depth" not in rows_of_dataset(replace(view, systems=flat))


def test_pairs_of_queries_are_those_of_the_comparison(view):
    first, second = first_pair(view.comparison.evaluations)
    assert (view.comparison.names[first], view.comparison.names[second]) == ("stage-100", "strong")
    rows = rows_of_pair(view, first, second)
    assert [row["id"] for row in rows] == list(view.comparison.query_ids)
    values = view.comparison.values[:, [first, second]]
    assert [[row["first"], row["second"]] for row in rows] == values.round(4).tolist()


def test_bars_join_the_groups_that_cannot_be_told_apart(found):
    rows = rows_over_datasets(found.total, found.settings.alpha)
    ranks = [row["rank"] for row in rows if "rank" in row]
    assert ranks == sorted(ranks)
    (bar,) = [row for row in rows if "group" in row]  # two datasets cannot show a difference
    assert (bar["system"], bar["last"]) == (rows[0]["system"], rows[3]["system"])


def test_bars_that_do_not_meet_share_a_column(found):
    """Each of five systems is alike to its neighbours: bars of 1-2, 2-3, 3-4 and 4-5 need two columns."""
    names, total = [f"system{place}" for place in range(5)], found.total
    near = {(names[place], names[place + 1]) for place in range(4)}
    template = total.pairings[0]
    pairs = [
        template._replace(better=one, worse=other, randomisation=0.9 if (one, other) in near else 0.001)
        for one, other in combinations(names, 2)
    ]
    systems = [total.systems[0]._replace(name=name) for name in names]
    rows = rows_over_datasets(replace(total, systems=systems, pairings=pairs, ranks=[1.0, 2.0, 3.0, 4.0, 5.0]), 0.05)
    bars = [(row["system"][-1], row["last"][-1], row["group"]) for row in rows if "group" in row]
    assert bars == [("0", "1", 0), ("1", "2", 1), ("2", "3", 0), ("3", "4", 1)]


def test_bins_keep_their_numbers():
    bins = ScoreBins((0.0, 1.0, 2.0), (1, 2), (3, 4), (5, 6))
    assert rows_of_scores(bins) == [
        {"low": 0.0, "high": 1.0, "relevant": 1, "other": 3, "unjudged": 5},
        {"low": 1.0, "high": 2.0, "relevant": 2, "other": 4, "unjudged": 6},
    ]


def test_systems_are_named_once_with_what_they_are(found):
    assert dict(names_of(found)) == {"strong": False, "middle": False, "weak": False, "stage-100": True}
