"""The HTML report in a real Chromium: no error, no request, charts drawn, controls that work, keyboard included.

Skipped where there is no Chromium or no playwright: `apt-get install chromium && pip install 'evalkit[browser]'`.
"""

import json
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest
from made import made, write_collection

from evalkit.analysis.one_pass import AtDepth
from evalkit.analysis.pairwise import Settings
from evalkit.reports.overview import overview
from evalkit.reports.page import page as html_page
from evalkit.results.gather import gather

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\"> 中文"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def opened(browser, path, **settings):
    """The page once it is ready; fails if it said an error or asked for anything but itself."""
    page = browser.new_page(**settings)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=20_000)
    yield page
    assert said == []
    assert asked == [path.as_uri()]
    page.close()


def made_report(folder, systems, *, datasets, queries, speeds=False):
    for number in range(datasets):
        root = made(folder, systems, dataset=f"set{number}", queries=queries)
    found = overview(gather([root]), Settings(samples=200), queries=10)
    if speeds:
        curve = (AtDepth(5, 0.2, 0.3, 0.6), AtDepth(12, 0.2, 0.4, 1.0))
        timed = [
            one._replace(speed=3.0 * 2**place, curve=curve, no_curve="")
            for place, one in enumerate(found.datasets[0].systems)
        ]
        found = replace(found, datasets=(replace(found.datasets[0], systems=tuple(timed)), *found.datasets[1:]))
    path = folder / "report.html"
    path.write_text(html_page(found), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Twelve rerankers on 15 datasets."""
    systems = {f"system{number:02d}": 0.2 * number for number in range(12)}
    return made_report(tmp_path_factory.mktemp("many"), systems, datasets=15, queries=4, speeds=True)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    collection = write_collection(folder / "collections" / "set0", queries=8)
    path = collection / "corpus.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(json.dumps({**row, "text": HOSTILE}) + "\n" for row in rows), encoding="utf-8")
    return made_report(folder, {"strong": 3.0}, datasets=1, queries=8)


@pytest.mark.parametrize("count", [1, 3])
def test_few_rerankers(browser, tmp_path, count):
    systems = {f"system{number}": 1.0 + number for number in range(count)}
    path = made_report(tmp_path, systems, datasets=1, queries=12)
    with opened(browser, path) as page:
        assert page.locator("#intervals circle").count() == count + 1
        assert page.inner_text("#depth").count("the scores are replayed") == count
        assert "No system here was timed" in page.inner_text("#speed")
        assert page.locator("#ranks").count() == 0


def test_many_rerankers_and_datasets(browser, many):
    with opened(browser, many) as page:
        assert page.locator("#dataset option").count() == 15
        assert page.locator("#ranks circle").count() >= 13
        assert page.locator("#speed circle").count() == 13
        assert page.locator("#depth polyline").count() == 14
        page.select_option("#dataset", "14")
        assert "No system here was timed" in page.inner_text("#speed")
        assert page.locator("#summary tbody tr").count() == 14


def test_tables_sort_with_the_keyboard_and_the_ceiling_stays_last(browser, many):
    with opened(browser, many) as page:
        button = page.locator("#summary thead button").nth(2)
        orders = []
        for _ in range(2):
            button.focus()
            page.keyboard.press("Enter")
            texts = page.locator("#summary tbody tr td:nth-child(3)").all_inner_texts()
            orders.append([float(text) for text in texts[:-1]])
            assert page.locator("#summary tbody tr").last.inner_text().startswith("ceiling")
        assert orders[0] == sorted(orders[0], reverse=True)
        assert orders[1] == sorted(orders[1])


def test_queries_are_browsed_with_the_keyboard(browser, many):
    with opened(browser, many) as page:
        before = page.inner_text("#asked")
        page.focus("#query")
        page.keyboard.press("ArrowDown")
        assert page.inner_text("#asked") != before
        page.click("#previous")
        assert page.inner_text("#asked") == before
        page.select_option("#second", "3")
        assert "system" in page.locator("#rankings h3").nth(1).inner_text()
        assert page.locator("#rankings li").count() == 20
        assert page.locator("#rankings li.moved").count() > 0


def test_a_dot_opens_its_query(browser, hostile):
    with opened(browser, hostile) as page:
        page.locator("#scatter").scroll_into_view_if_needed()
        place = page.evaluate("({left: state.points.at(-1).left, top: state.points.at(-1).top})")
        page.locator("#scatter").hover(position={"x": place["left"], "y": place["top"]})
        assert "q" in page.inner_text("#point")
        page.locator("#scatter").click(position={"x": place["left"], "y": place["top"]})
        ids = page.evaluate("state.points.at(-1).queries.map((one) => state.dataset.ids[one])")
        assert page.inner_text("#asked").partition(":")[0] in ids


def test_hostile_texts_are_shown_and_not_run(browser, hostile):
    with opened(browser, hostile) as page:
        assert page.title() != "run"
        assert HOSTILE in page.locator("#rankings li div").nth(1).inner_text()
        assert page.locator("#rankings img").count() == 0


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(browser, many, width):
    with opened(browser, many, viewport={"width": width, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_light_dark_and_print(browser, many):
    background = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, many, color_scheme="dark") as page:
        dark = page.evaluate(background)
        page.click("#theme")
        light = page.evaluate(background)
        assert light == "rgb(255, 255, 255)" != dark
        page.click("#theme")
        assert page.evaluate(background) == dark
        page.emulate_media(media="print")
        assert page.evaluate(background) == light
        assert not page.locator("#theme").is_visible()


def test_thousands_of_queries_stay_quick(browser, tmp_path):
    """What is drawn is bounded, whatever the number of queries: the dots of a chart are distinct pairs of values."""
    path = made_report(tmp_path, {"strong": 3.0, "weak": 1.0}, datasets=1, queries=3000)
    with opened(browser, path) as page:
        assert page.evaluate("state.dataset.values.length") == 3000
        assert page.evaluate("state.points.length") < 1500
        assert page.evaluate("document.querySelectorAll('*').length") < 1500
