"""The HTML report as text: complete, self-contained, and safe whatever the texts hold."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from made import made, write_collection

from evalkit.analysis.pairwise import Settings
from evalkit.reports.overview import overview
from evalkit.reports.page import embedded, page
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
            self.inside.setdefault(attributes.get("id") or tag, data)


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
    assert tags.count("script") == 2
    assert not {"b", "img", "iframe", "object", "link"} & set(tags)
    assert not any(name.startswith("on") or name in {"src", "style"} for _, each in elements.found for name in each)
    data = json.loads(elements.inside["data"])
    assert {one["text"] for one in data["datasets"][0]["documents"]} == {HOSTILE}
    assert {one["text"] for one in data["datasets"][0]["listings"]} == {HOSTILE}
    assert "<b>strong</b>" in {one["name"] for one in data["datasets"][0]["systems"]}
    assert "&lt;b&gt;strong&lt;/b&gt;" in hostile


def test_the_policy_allows_exactly_the_style_and_script_that_are_there(hostile):
    elements = Elements(hostile)
    policy = next(each["content"] for tag, each in elements.found if each.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(elements.inside[kind].encode()).digest()).decode()
        assert re.search(rf"{kind}-src 'sha256-{re.escape(digest)}'", policy)


def test_links_stay_within_the_page(hostile):
    elements = Elements(hostile)
    ids = {each["id"] for _, each in elements.found if "id" in each}
    links = [each["href"] for _, each in elements.found if "href" in each]
    assert len(links) >= 5
    assert all(link.startswith("#") and link[1:] in ids for link in links)


def test_data_are_the_numbers_of_the_comparison(tmp_path):
    root = made(tmp_path, {"strong": 3.0, "weak": 0.1}, queries=9)
    found = overview(gather([root]), Settings(samples=200), queries=3)
    data = json.loads(Elements(page(found)).inside["data"])
    (view,), (own,) = found.datasets, data["datasets"]
    assert [one["mean"] for one in own["systems"]] == [one.mean for one in view.comparison.systems]
    assert own["ids"] == list(view.comparison.query_ids)
    assert own["values"] == [[round(value * 1e4) for value in row] for row in view.comparison.values.tolist()]
    for shown, listing in zip(own["listings"], view.listings, strict=True):
        ids = [[own["documents"][place]["id"] for place in ranking] for ranking in shown["rankings"]]
        assert ids == [list(ranking) for ranking in listing.rankings]
        assert {own["documents"][int(place)]["id"]: grade for place, grade in shown["grades"].items()} == listing.grades


def test_the_same_results_give_the_same_bytes(tmp_path):
    root = made(tmp_path, {"strong": 3.0}, queries=6)
    pages = {page(overview(gather([root]), Settings(samples=200), queries=3)) for _ in range(2)}
    assert len(pages) == 1


def test_groups_over_datasets_hold_systems_without_a_significant_difference(tmp_path):
    for number in range(3):
        root = made(tmp_path, {"strong": 3.0, "weak": 0.1}, dataset=f"set{number}", queries=6)
    found = overview(gather([root]), Settings(samples=200), queries=1)
    data = json.loads(Elements(page(found)).inside["data"])["overall"]
    assert data["systems"][0]["name"] == "strong"
    # Three datasets are too few for any difference.
    assert data["groups"] == [[one["name"] for one in data["systems"]]]


def test_embedded_json_reads_back_and_holds_nothing_that_html_would_see():
    value = {"text": HOSTILE, "half": "a\ud800b"}
    text = embedded(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"text": HOSTILE, "half": "a?b"}
