"""What the scripts of a page read."""

import base64
import gzip
import json

import pytest
from made import made

from evalkit.analysis.pairwise import Settings
from evalkit.reports import page_data
from evalkit.reports.overview import overview
from evalkit.reports.page_data import embedded, packed, queries
from evalkit.results.gather import gather

HOSTILE = "</script><script>alert(1)</script><!-- & \u2028 \" ' {{ 7*7 }}"


def test_embedded_json_reads_back_and_holds_nothing_that_html_would_see():
    value = {"text": HOSTILE, "half": "a\ud800b"}
    text = embedded(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"text": HOSTILE, "half": "a?b"}


def test_packed_json_reads_back_and_has_the_same_bytes_again():
    value = {"text": HOSTILE, "half": "a\ud800b"}
    assert json.loads(gzip.decompress(base64.b64decode(packed(value)))) == {"text": HOSTILE, "half": "a?b"}
    assert packed(value) == packed(value)


@pytest.mark.parametrize(("room", "longest"), [(1_000_000, 700), (40 * 120, 120), (1, 100)])
def test_documents_are_shortened_until_all_of_them_fit(tmp_path, monkeypatch, room, longest):
    root = made(tmp_path, {"strong": 3.0}, queries=8)
    path = tmp_path / "collections" / "one" / "corpus.jsonl"
    found = overview(gather([root]), Settings(samples=200), queries=4)
    (view,) = found.datasets
    long = [one._replace(texts=dict.fromkeys(one.texts, "x" * 800)) for one in view.listings]
    shown = len({doc_id for one in long for doc_id in one.texts})
    object.__setattr__(view, "listings", tuple(long))
    monkeypatch.setattr(page_data, "_ALL_TEXTS", room if room != 40 * 120 else shown * 120)
    (own,) = queries(found)
    assert path.exists()
    assert {len(one["text"]) for one in own["documents"]} == {longest}
