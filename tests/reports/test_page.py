"""The HTML report as text: complete, self-contained, and safe whatever the texts hold."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from made import made, write_collection
from report_pages import single_queries

from evalkit.analysis.findings import Finding
from evalkit.analysis.flags import Flag
from evalkit.analysis.pairwise import Settings
from evalkit.cli import main
from evalkit.reports.overview import overview
from evalkit.reports.page import page
from evalkit.results.gather import gather

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!-- & \u2028 \" ' {{ 7*7 }}"


class Elements(HTMLParser):
    """Every element with its attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if not self.found:
            return
        tag, attributes = self.found[-1]
        if tag in {"script", "style"} and data.strip():
            name = attributes.get("id") or tag
            self.inside[name if name not in self.inside else f"{name} 2"] = data


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The page of a collection of which every text is hostile."""
    folder = tmp_path_factory.mktemp("page")
    collection = write_collection(folder / "collections" / "one", queries=8)
    for name in ("corpus", "queries"):
        path = collection / f"{name}.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        path.write_text("".join(json.dumps({**row, "text": HOSTILE}) + "\n" for row in rows), encoding="utf-8")
    root = made(folder, {"strong": 3.0, "weak": 0.1}, queries=8)
    found = overview(gather([root]), Settings(samples=200), queries=8)
    (view,) = found.datasets
    systems = tuple(one._replace(name=f"<b>{one.name}</b>") for one in view.comparison.systems)
    return page(replace(found, datasets=(replace(view, comparison=replace(view.comparison, systems=systems)),)))


def test_hostile_texts_and_names_are_text(hostile):
    elements = Elements(hostile)
    tags = [tag for tag, _ in elements.found]
    assert tags.count("script") == 4
    assert not {"b", "img", "iframe", "object", "link"} & set(tags)
    assert not any(name.startswith("on") or name in {"src", "style"} for _, each in elements.found for name in each)
    (found,) = single_queries(hostile)
    assert {one["text"] for one in found["documents"]} == {HOSTILE}
    assert {one["text"] for one in found["listings"]} == {HOSTILE}
    data = json.loads(elements.inside["data"])
    assert "<b>strong</b>" in {one["name"] for one in data["datasets"][0]["systems"]}
    assert "&lt;b&gt;strong&lt;/b&gt;" in hostile


def test_nothing_turns_the_direction_of_writing(tmp_path):
    turning = "a\u202eb\u2066c"
    collection = write_collection(tmp_path / "collections" / "one", queries=8)
    for name in ("corpus", "queries"):
        path = collection / f"{name}.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        path.write_text("".join(json.dumps({**row, "text": turning}) + "\n" for row in rows), encoding="utf-8")
    found = overview(gather([made(tmp_path, {"strong": 3.0}, queries=8)]), Settings(samples=200), queries=8)
    (view,) = found.datasets
    systems = tuple(one._replace(name=f"{turning} {one.name}") for one in view.comparison.systems)
    text = page(replace(found, datasets=(replace(view, comparison=replace(view.comparison, systems=systems)),)))
    shown, _, scripts = text.partition('<script type="application/json" id="data">')
    assert re.findall(".{30}[\u202a-\u202e\u2066-\u2069]", shown + scripts.partition("</script>")[0]) == []
    assert r"a\u202eb\u2066c strong</th>" in text
    (queries,) = single_queries(text)
    assert {one["text"] for one in [*queries["documents"], *queries["listings"]]} == {r"a\u202eb\u2066c"}
    data = json.loads(Elements(text).inside["data"])
    assert r"a\u202eb\u2066c strong" in {one["name"] for one in data["datasets"][0]["systems"]}


def test_the_policy_allows_exactly_the_style_and_scripts_that_are_there(hostile):
    elements = Elements(hostile)
    policy = next(each["content"] for tag, each in elements.found if each.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    digests = [hashlib.sha256(elements.inside[name].encode()).digest() for name in ("style", "script", "script 2")]
    assert allowed == [base64.b64encode(one).decode() for one in digests]


def test_links_stay_within_the_page(hostile):
    elements = Elements(hostile)
    ids = {each["id"] for _, each in elements.found if "id" in each}
    links = [each["href"] for _, each in elements.found if "href" in each]
    assert len(links) >= 5
    assert all(link.startswith("#") and link[1:] in ids for link in links)


def rows(columns):
    return [dict(zip(columns["fields"], row, strict=True)) for row in columns["rows"]]


def assert_alike(found, expected):
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for key, value in other.items():
            assert one[key] == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value), key


def test_single_queries_are_those_of_the_comparison(tmp_path):
    root = made(tmp_path, {"strong": 3.0, "weak": 0.1}, queries=9)
    found = overview(gather([root]), Settings(samples=200), queries=3)
    (view,), (own,) = found.datasets, single_queries(page(found))
    assert own["ids"] == list(view.comparison.query_ids)
    assert own["values"] == [[round(value * 1e4) for value in column] for column in view.comparison.values.T.tolist()]
    for shown, listing in zip(own["listings"], view.listings, strict=True):
        ids = [own["documents"][place]["id"] for place in shown["documents"]]
        assert dict(zip(ids, shown["grades"], strict=True)) == {doc: listing.grades.get(doc) for doc in ids}
        for ranks, expected, ranking in zip(shown["ranks"], listing.ranks, listing.rankings, strict=True):
            assert {doc: rank for doc, rank in zip(ids, ranks, strict=True) if rank is not None} == expected
            assert sorted(ids, key=lambda doc: expected.get(doc, 99))[: len(ranking)] == list(ranking)


def test_every_number_and_mark_is_that_of_compare(tmp_path, capsys):
    """What the page says of systems, pairs and differences, against the command's JSON."""
    for number in range(7):
        strength = {"strong": 4.0, "weak": 0.1, "alike": 0.2}
        root = made(tmp_path, strength, dataset=f"set{number}", queries=12)
    assert main(["compare", str(root), "--format", "json", "--samples", "10000"]) == 0
    asked = json.loads(capsys.readouterr().out)
    data = json.loads(Elements(page(overview(gather([root]), Settings(), queries=1))).inside["data"])
    marks = {real for one in asked["datasets"] for real in (pair["real"] for pair in one["pairs"])}
    assert marks == {True, False}
    for one, own in zip(asked["datasets"], data["datasets"], strict=True):
        assert [{key: each[key] for key in one["systems"][0]} for each in own["systems"]] == one["systems"]
        assert_alike(rows(own["pairs"]), one["pairs"])
        intervals = {row["system"]: row for row in rows(own["charts"]["intervals"])}
        for system in one["systems"]:
            assert intervals[system["name"]]["mean"] == pytest.approx(system["mean"], rel=1e-5)
            assert intervals[system["name"]]["groups"] == system["groups"]
    assert_alike(rows(data["overall"]["pairs"]), asked["overall"]["pairs"])
    ranks = {row["system"]: row["rank"] for row in rows(data["overall"]["rows"]) if row["rank"] is not None}
    names = [one["name"] for one in asked["overall"]["systems"]]
    assert ranks == pytest.approx(dict(zip(names, asked["overall"]["ranks"], strict=True)), rel=1e-5)


def test_every_sentence_is_that_of_compare(tmp_path, capsys):
    """Scores with many ties, so that something is suspicious on both datasets, and a system that is worse."""
    tied = {f"q{query}": {f"d{query}_{place}": 1.0 for place in range(12)} for query in range(12)}
    for number in range(2):
        root = made(tmp_path, {"strong": 4.0, "tied": tied, "weak": -3.0}, dataset=f"set{number}", queries=12)
    assert main(["compare", str(root), "--format", "json"]) == 0
    asked = json.loads(capsys.readouterr().out)["findings"]
    text = page(overview(gather([root]), Settings(), queries=1))
    shown = [html.unescape(one) for one in re.findall(r'<li class="finding-[a-z]+">(.*?)</li>', text)]
    plain = [re.sub("^(suspicious|serious): | Likewise on .*$", "", one) for one in shown]
    assert set(plain) <= {one["text"] for one in asked}
    assert {one["text"] for one in asked if one["kind"] != "suspicious"} <= set(plain)
    again = [one for one in shown if "Likewise on set1." in one]
    assert again
    for one in again:
        twin = plain[shown.index(one)].replace("set0", "set1")
        assert any(re.sub(r"[\d.,]+", "", other["text"]) == re.sub(r"[\d.,]+", "", twin) for other in asked)


def test_the_heat_map_has_the_differences_and_marks_of_compare_for_every_baseline(tmp_path, capsys):
    for number in range(2):
        root = made(tmp_path, {"strong": 4.0, "weak": 0.1}, dataset=f"set{number}", queries=12)
    assert main(["compare", str(root), "--format", "json"]) == 0
    asked = json.loads(capsys.readouterr().out)
    data = json.loads(Elements(page(overview(gather([root]), Settings(), queries=1))).inside["data"])
    assert set(data["heat"]) == {"", "strong", "weak", "stage-100"}
    for baseline, heat in data["heat"].items():
        to = baseline or "stage-100"
        of_column = {"average": asked["overall"], **{one["dataset"]: one for one in asked["datasets"]}}
        assert len(heat["rows"]) == 2
        for at, row in enumerate(heat["rows"]):
            for column, name in enumerate(heat["columns"][1:], start=1):
                pair = next(one for one in of_column[name]["pairs"] if {one["better"], one["worse"]} == {row[0], to})
                sign = 1 if pair["better"] == row[0] else -1
                assert row[column] == pytest.approx(sign * pair["difference"], rel=1e-5)
                assert ([at, column] in heat["real"]) == pair["real"]


@pytest.fixture(scope="module")
def strong(tmp_path_factory):
    """The overview of a dataset with one system."""
    folder = tmp_path_factory.mktemp("strong")
    return overview(gather([made(folder, {"strong": 4.0}, queries=12)]), Settings(samples=200), queries=1)


def test_commands_in_findings_are_code_and_a_lone_backtick_stays(strong):
    texts = ("See `evalkit doctor <x>` and `b`.", "a ` lone one")
    text = page(replace(strong, findings=tuple(Finding("gain", one) for one in texts)))
    assert '<li class="finding-note">See <code>evalkit doctor &lt;x&gt;</code> and <code>b</code>.</li>' in text
    assert '<li class="finding-note">a ` lone one</li>' in text
    (view,) = strong.datasets
    own = tuple(one._replace(flags=(Flag("warning", "see `evalkit doctor`"),)) for one in view.systems)
    assert "see <code>evalkit doctor</code></li>" in page(replace(strong, datasets=(replace(view, systems=own),)))


def test_findings_come_first(strong):
    text = page(strong)
    assert strong.findings[0].text.split(":")[0] in text
    assert text.index(strong.findings[0].text.split(":")[0]) < text.index('id="heat"')


@pytest.mark.parametrize(("count", "words"), [(1, "1 remark"), (2, "2 remarks")])
def test_remarks_are_counted_in_words(strong, count, words):
    (view,) = strong.datasets
    flags = tuple(Flag("warning", f"remark {number}") for number in range(count))
    systems = (view.systems[0]._replace(flags=flags), *(one._replace(flags=()) for one in view.systems[1:]))
    assert f"<summary>{words}</summary>" in page(replace(strong, datasets=(replace(view, systems=systems),)))


def test_the_same_results_give_the_same_bytes(tmp_path):
    root = made(tmp_path, {"strong": 3.0}, queries=6)
    pages = {page(overview(gather([root]), Settings(samples=200), queries=3)) for _ in range(2)}
    assert len(pages) == 1


def test_groups_over_datasets_hold_systems_without_a_significant_difference(tmp_path):
    for number in range(3):
        root = made(tmp_path, {"strong": 3.0, "weak": 0.1}, dataset=f"set{number}", queries=6)
    found = overview(gather([root]), Settings(samples=200), queries=1)
    data = json.loads(Elements(page(found)).inside["data"])["overall"]["rows"]
    shown = rows(data)
    assert shown[0]["system"] == "strong"
    # Three datasets are too few for any difference: one bar joins all.
    (bar,) = [row for row in shown if row["group"] is not None]
    assert bar["members"].split(", ") == [row["system"] for row in shown if row["rank"] is not None]
