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
from evalkit.reports.grid import escaped
from evalkit.reports.overview import overview
from evalkit.reports.page import page as html_page
from evalkit.results.gather import gather
from evalkit.types import MatchedTokens

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
    """The page once it has its queries; fails if it said an error or asked for anything but itself."""
    page = browser.new_page(**settings)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready][data-queries]", timeout=20_000)
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


def charts(page):
    """Names of the charts that are drawn, once all are."""
    page.wait_for_selector("html[data-complete]", timeout=60_000)
    shown = page.locator("figure.chart:not([hidden])")
    assert shown.count() == page.locator("figure.chart:not([hidden]) .drawing svg.marks").count()
    return {name.removeprefix("chart-") for name in shown.evaluate_all("found => found.map((one) => one.id)")}


@pytest.mark.parametrize("count", [1, 3])
def test_few_rerankers(browser, tmp_path, count):
    systems = {f"system{number}": 1.0 + number for number in range(count)}
    path = made_report(tmp_path, systems, datasets=1, queries=12)
    with opened(browser, path) as page:
        drawn = charts(page)
        assert {"intervals", "length", "queries", "differences", "scores", "calibration"} <= drawn
        assert not drawn & {"cost", "depth", "ranks"}  # nothing was timed, scores are replayed, one dataset
        assert page.locator("#legend .key").count() == count + 1
        assert "the scores are replayed" in page.inner_text("#absent")
        assert page.locator("#heat-table tbody tr").count() == count
        assert page.locator(".findings li").count() >= 1


def test_many_rerankers_and_datasets(browser, many):
    with opened(browser, many) as page:
        assert {"ranks", "intervals", "cost", "depth"} <= charts(page)
        assert page.locator("#dataset option").count() == 15
        assert page.locator("#heat-table thead th").count() == 17
        page.select_option("#dataset", "14")
        assert page.locator("#chart-cost").is_hidden()
        assert page.locator("#summary .findings li").count() >= 1
        assert page.locator("#tables table").first.locator("tbody tr").count() == 14
        assert page.locator("#pairs-table tbody tr").count() == 78


def test_another_baseline_changes_the_differences(browser, many):
    with opened(browser, many) as page:
        row = "#heat-table tbody tr:has(th:text-is('system03'))"
        before = page.inner_text(row)
        page.select_option("#baseline", label="system11")
        assert page.inner_text(row) != before
        assert page.locator("#heat-table tbody tr:has(th:text-is('system11'))").count() == 0


def test_the_values_themselves_are_shown_instead_of_differences(browser, many):
    with opened(browser, many) as page:
        page.select_option("#baseline", label="nothing: the values")
        heads = page.locator("#heat-table thead th").all_inner_texts()
        assert heads[:3] == ["system", "average", page.evaluate("data.datasets[0].name")]
        assert len(heads) == 17
        means = page.evaluate("Object.fromEntries(data.overall.systems.map((one) => [one.name, one.mean]))")
        rows = page.locator("#heat-table tbody tr").evaluate_all(
            "rows => rows.map((row) => [...row.cells].map((cell) => cell.dataset.value ?? cell.textContent))"
        )
        assert [row[0] for row in rows] == sorted(means, key=lambda name: -means[name])
        assert {row[0]: float(row[1]) for row in rows} == means
        own = page.evaluate("data.datasets[14].systems.map((one) => [one.name, one.mean])")
        assert {row[0]: float(row[16]) for row in rows} == dict(map(tuple, own))
        best = page.locator("#heat-table td.real:nth-child(2)").all_inner_texts()
        assert best == [f"{max(means.values()):.3f}"]
        page.select_option("#baseline", label="its first stage")
        assert page.locator("#heat-table tbody tr").count() == 12


def test_paper_says_what_differences_are_to(browser, many):
    with opened(browser, many) as page:
        page.select_option("#baseline", label="system11")
        assert page.locator("#baseline-printed").is_hidden()
        page.emulate_media(media="print")
        assert page.locator("#baseline-printed").inner_text() == "Difference to: system11"
        assert page.locator("#baseline").is_hidden()


def test_the_page_begins_with_the_baseline_that_was_asked_for(browser, tmp_path):
    root = made(tmp_path, {"strong": 3.0, "weak": 1.0}, queries=8)
    found = overview(gather([root]), Settings(samples=200), queries=0, baseline="weak")
    path = tmp_path / "report.html"
    path.write_text(html_page(found), encoding="utf-8")
    with opened(browser, path) as page:
        assert page.locator("#baseline option:checked").inner_text() == "weak"
        assert sorted(page.locator("#heat-table tbody th").all_inner_texts()) == ["stage-100", "strong"]


def test_tables_sort_with_the_keyboard_and_the_ceiling_stays_last(browser, many):
    with opened(browser, many) as page:
        table = page.locator("#tables table").first
        button = table.locator("thead button").nth(2)
        orders = []
        for _ in range(2):
            button.focus()
            page.keyboard.press("Enter")
            texts = table.locator("tbody tr td:nth-child(3)").all_inner_texts()
            orders.append([float(text) for text in texts[:-1]])
            assert table.locator("tbody tr").last.inner_text().startswith("ceiling")
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
        assert page.locator("#rankings .up").count() > 0
        assert page.locator("#rankings .down").count() > 0
        assert page.locator("#rankings .grade2, #rankings .grade1").count() > 0
        assert page.locator("#rankings mark").count() > 0  # query, about and a number are words of every query


def test_a_move_is_the_same_on_both_sides(browser, many):
    with opened(browser, many) as page:
        page.select_option("#second", "3")
        sides = page.locator("#rankings .ranking").evaluate_all(
            "lists => lists.map((list) => Object.fromEntries([...list.children].map((one) => "
            "[one.querySelector('code').textContent, [one.querySelector('b').textContent, "
            "one.querySelector('.move').textContent]])))"
        )
        before, after = sides
        moved = 0
        for doc_id in before.keys() & after.keys():
            (rank, there), (other, here) = before[doc_id], after[doc_id]
            if rank == other:
                assert there == here == "same place"
                continue
            moved += 1
            arrow = "\u25b2" if int(other) < int(rank) else "\u25bc"
            steps = abs(int(other) - int(rank))
            assert (there, here) == (f"{arrow} {steps}, to {other}", f"{arrow} {steps}, from {rank}")
        assert moved > 0


def test_words_are_marked_with_their_plurals_and_short_ones_alone(browser, many):
    marks = "(text, asked) => marked(text, wordsOf(asked)).filter((one) => one.tagName).map((one) => one.textContent)"
    with opened(browser, many) as page:
        of = lambda text, asked: page.evaluate(f"([text, asked]) => ({marks})(text, asked)", [text, asked])  # noqa: E731
        assert of("The U.S entered; us, US", "why did us enter") == ["us", "US"]
        assert of("Birds and a bird, routes", "bird route") == ["Birds", "bird", "routes"]
        assert of("a route", "routes") == ["route"]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """Of the better system the matches of two tokens: `document` in the text, and a special token."""
    folder = tmp_path_factory.mktemp("tokens")
    found = overview(gather([made(folder, {"strong": 3.0}, queries=8)]), Settings(samples=200), queries=4)
    (view,) = found.datasets
    place = view.comparison.names.index("strong")
    match = MatchedTokens(1.25, ("<b>what</b>", "[SEP]"), (0.75, 0.5), ("document", "[SEP]"), ((0, 8), (-1, -1)))

    def matched(one):
        own = dict.fromkeys(one.rankings[place], match)
        return one._replace(tokens=tuple(own if number == place else {} for number in range(len(view.systems))))

    path = folder / "report.html"
    listings = tuple(map(matched, view.listings))
    path.write_text(html_page(replace(found, datasets=(replace(view, listings=listings),))), encoding="utf-8")
    return path


def test_matched_tokens_are_shown_for_the_pointer_and_the_keyboard(browser, tokens):
    with opened(browser, tokens) as page:
        sides = page.locator("#rankings > div")
        assert sides.nth(0).locator(".strip, .token, .match").count() == 0  # the first stage matches no tokens
        late = sides.nth(1)
        buttons, marks, lines = late.locator(".strip button"), late.locator("mark.token"), late.locator(".match")
        assert buttons.all_inner_texts() == ["<b>what</b>", "[SEP]"]
        assert set(marks.all_inner_texts()) == {"document"}
        assert marks.count() == lines.count() == late.locator("li").count() > 1
        assert lines.first.inner_text() == "2 tokens of the query: sum of the products 1.2500, mean 0.6250"
        assert marks.first.get_attribute("title") == "matched by <b>what</b> 0.7500"
        buttons.nth(0).focus()
        assert late.locator("mark.chosen").count() == marks.count()
        assert set(lines.all_inner_texts()) == {"<b>what</b> \u2192 document 0.7500"}
        page.keyboard.press("Tab")
        assert late.locator("mark.chosen").count() == 0
        assert set(lines.all_inner_texts()) == {"[SEP] \u2192 [SEP] 0.5000"}
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        assert [one.get_attribute("aria-pressed") for one in buttons.all()] == ["true", "false"]
        page.focus("#query")
        assert late.locator("mark.chosen").count() == marks.count()  # kept
        buttons.nth(0).click()
        page.focus("#query")
        page.mouse.move(0, 0)
        assert late.locator("mark.chosen").count() == 0
        page.select_option("#second", label="stage-100")
        assert page.locator(".strip").count() == 0


def test_matched_tokens_are_darker_the_stronger_and_those_behind_the_text_are_named(browser, tokens):
    of = "matches => withTokens('bees make honey', ['a', 'b', 'c'], matches).filter((one) => one.tagName)"
    with opened(browser, tokens) as page:
        shades = page.evaluate(
            f"({of})([[0.9, 0, 4], [0.3, 10, 15], [0.5, 90, 95]])"
            ".map((one) => [one.textContent, parseFloat(one.style.getPropertyValue('--strength'))])"
        )
        (first, strong), (second, weak) = shades
        assert (first, second) == ("bees", "honey")
        assert strong > weak > 0
        words = page.evaluate("JSON.parse(matchLine('bees make honey', [[0.5, 90, 95], [1, '[D]']]).dataset.matches)")
        assert words == [[0.5, "a token behind the text shown"], [1, "[D]"]]


def test_filters_keep_the_queries_that_were_won_or_lost(browser, many):
    with opened(browser, many) as page:
        page.select_option("#second", label="system00")
        every = page.locator("#query option").count()
        counts = {}
        for name, test in (("won", "+"), ("lost", "\u2212")):
            page.check(f"[value={name}]")
            shown = page.locator("#query option").all_inner_texts()
            counts[name] = len(shown)
            assert all(text.startswith(test) for text in shown)
            page.uncheck(f"[value={name}]")
        assert 0 < counts["won"] + counts["lost"] <= every
        page.check("[value=unjudged]")
        assert 0 < page.locator("#query option").count() <= every
        assert "unjudged" in page.inner_text("#rankings")


def test_queries_are_listed_by_the_difference_of_the_two_systems_shown_and_the_largest_is_open(browser, many):
    with opened(browser, many) as page:
        for place in (None, "5", "9"):
            if place:
                page.select_option("#second", place)
            texts = page.locator("#query option").all_inner_texts()
            apart = [abs(float(text.split()[0].replace("\u2212", "-"))) for text in texts]
            assert len(apart) > 1
            assert apart == sorted(apart, reverse=True)
            assert page.locator("#query").evaluate("one => one.selectedIndex") == 0
            assert texts[0].split()[1] == f"{page.inner_text('#asked code')}:"
            page.click("#next")


def test_a_filter_keeps_the_query_that_is_open(browser, many):
    with opened(browser, many) as page:
        page.click("#next")
        asked = page.inner_text("#asked")
        name = "won" if page.inner_text("#query option:checked").startswith("+") else "lost"
        page.check(f"[value={name}]")
        assert page.inner_text("#asked") == asked


def test_a_permalink_opens_the_query_with_its_systems(browser, many):
    with opened(browser, many) as page:
        page.select_option("#dataset", "3")
        page.select_option("#second", label="system05")
        page.click("#next")
        asked, link = page.inner_text("#asked"), page.get_attribute("#permalink", "href")
        dataset = page.evaluate("state.dataset.name")
    other = browser.new_page()
    other.goto(f"{many.as_uri()}{link}")
    other.wait_for_selector("html[data-queries]", timeout=20_000)
    assert other.inner_text("#asked") == asked
    assert other.evaluate("state.dataset.name") == dataset != "set0"
    assert other.locator("#rankings h3").nth(1).inner_text().startswith("system05")
    other.close()


def test_a_permalink_opens_its_query_whatever_the_filters(browser, many):
    with opened(browser, many) as page:
        page.select_option("#second", label="system00")
        page.check("[value=won]")
        won = page.locator("#query option").all_inner_texts()
        page.uncheck("[value=won]")
        while page.inner_text("#query option:checked") in won:
            page.click("#next")
        link, asked = page.get_attribute("#permalink", "href"), page.inner_text("#asked")
        page.check("[value=won]")
        assert page.inner_text("#asked") != asked
        page.evaluate("link => { location.hash = link; }", link)
        page.wait_for_function("asked => document.getElementById('asked').innerText === asked", arg=asked)
        assert not page.is_checked("[value=won]")


def test_the_filter_of_truncated_pairs_keeps_their_queries(browser, tmp_path):
    found = overview(gather([made(tmp_path, {"strong": 3.0}, queries=12)]), Settings(samples=200), queries=6)
    (view,) = found.datasets
    place = view.comparison.names.index("strong")
    first, second, *_ = view.listings
    pairs = {(first.query_id, first.rankings[place][3]), (second.query_id, "absent from the top")}
    cut = tuple(frozenset(pairs if number == place else ()) for number in range(2))
    path = tmp_path / "report.html"
    path.write_text(html_page(replace(found, datasets=(replace(view, cut=cut),))), encoding="utf-8")
    with opened(browser, path) as page:
        assert page.locator("#query option").count() == len(view.listings) > 1
        page.check("[value=cut]")
        assert page.locator("#query option").count() == 1
        assert f" {first.query_id}: " in page.inner_text("#query option")
        assert page.locator("#rankings li:has-text('truncated') b").all_inner_texts() == ["4"]


def test_one_system_has_nothing_to_compare(browser, tmp_path):
    found = overview(gather([made(tmp_path, {}, queries=8)]), Settings(samples=200))
    path = tmp_path / "report.html"
    path.write_text(html_page(found), encoding="utf-8")
    with opened(browser, path) as page:
        assert "intervals" in charts(page)
        assert "nothing to compare it with" in page.inner_text("#summary")
        for name in ("heat", "pair", "browser"):
            assert not page.locator(f"#{name}").is_visible()
        links = page.locator("nav a").evaluate_all("found => found.map((one) => one.getAttribute('href'))")
        assert all(page.locator(link).is_visible() for link in links)


def test_a_query_is_copied_as_markdown(browser, many):
    with opened(browser, many) as page:
        text = page.evaluate("asMarkdown(state.listings[state.query])")
        head, _, names, _, *rows = text.splitlines()
        assert head.startswith("**set0, q")
        assert names.count("nDCG@10") == 2
        assert len(rows) == 10
        assert rows[0].startswith("| 1 | d")


def test_a_copied_query_is_text_of_one_line_to_markdown(browser, many):
    text = "</details>\r\n\u2028![x](y) `a` *b* _c_ d_e ~f~ a\\\\|b @who closes #1 GH-2 &lt; & nDCG@10"
    with opened(browser, many) as page:
        found = page.evaluate("text => asMarkdown({...state.listings[state.query], text}).split('\\n')[0]", text)
    assert found.partition("**: ")[2] == escaped(text)


def test_hostile_texts_are_shown_and_not_run(browser, hostile):
    with opened(browser, hostile) as page:
        assert page.title() != "run"
        assert HOSTILE in page.locator("#rankings li > div:last-child").nth(1).inner_text()
        assert page.locator("#rankings img").count() == 0


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(browser, many, width):
    with opened(browser, many, viewport={"width": width, "height": 800}) as page:
        charts(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_light_dark_and_print(browser, many):
    background = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('#chart-intervals svg text')).fill"
    with opened(browser, many, color_scheme="dark") as page:
        dark = page.evaluate(background)
        page.click("#theme")
        light = page.evaluate(background)
        assert light == "rgb(255, 255, 255)" != dark
        page.click("#theme")
        assert page.evaluate(background) == dark
        page.emulate_media(media="print")
        assert page.evaluate(background) == light
        assert page.evaluate(ink) == "rgb(0, 0, 0)"
        assert not page.locator("#theme").is_visible()
        page.pdf()
        assert not page.locator("#conditions table").is_visible()  # 195 rows: printed where a reader opened them


def test_short_tables_are_printed_and_long_ones_where_they_are_open(browser, many, tmp_path):
    path = made_report(tmp_path, {"strong": 3.0}, datasets=1, queries=8)
    with opened(browser, path) as page:
        assert not page.locator("#conditions table").is_visible()
        page.pdf()
        assert page.locator("#conditions table").is_visible()
    with opened(browser, many) as page:
        charts(page)
        assert not page.locator("#pairs-table").is_visible()
        pages = page.pdf(format="A4").count(b"/Type /Page\n")
        assert 3 <= pages <= 7
        page.click("#pairs summary")
        assert page.pdf(format="A4").count(b"/Type /Page\n") > pages


def test_long_names_stay_apart_on_axes_and_beside_numbers_on_a_phone(browser, tmp_path):
    """A first stage, a reranker, and its setting: names of three parts."""
    endings = ("max_length=none", "max_length=16")
    root = made(tmp_path, {"strong": 3.0, "weak": 1.0}, dataset="set0", queries=8)
    settings = dict(zip(("strong", "weak"), endings, strict=True))
    found = overview(gather([root]), Settings(samples=200), queries=4)
    (view,) = found.datasets
    names = [one.name for one in view.comparison.systems]
    long = {one: f"a_dense_stage-100 + a_reranker_of_ours {settings.get(one, one)}" for one in names}
    systems = tuple(one._replace(name=long[one.name]) for one in view.comparison.systems)
    pairs = tuple(one._replace(better=long[one.better], worse=long[one.worse]) for one in view.comparison.pairings)
    comparison = replace(view.comparison, systems=systems, pairings=pairs)
    path = tmp_path / "report.html"
    path.write_text(html_page(replace(found, datasets=(replace(view, comparison=comparison),))), encoding="utf-8")
    for width in (390, 1280):
        with opened(browser, path, viewport={"width": width, "height": 800}) as page:
            charts(page)
            labels = page.locator("#chart-intervals svg .role-axis-label text").all_text_contents()
            shown = " ".join(labels)
            assert all(ending in shown for ending in endings)
            assert "\u2026" not in shown
            numbers = page.locator("#heat-table td.number")
            assert numbers.count() >= 2
            for place in range(numbers.count()):
                box = numbers.nth(place).bounding_box()
                assert box["x"] + box["width"] <= width


def test_a_ceiling_is_explained_where_there_is_one(browser, many, tmp_path):
    with opened(browser, many) as page:
        assert page.locator("#of-ceiling").is_visible()
    found = overview(gather([made(tmp_path, {"strong": 3.0}, queries=8)]), Settings(samples=200), queries=0)
    (view,) = found.datasets
    view = replace(view, comparison=replace(view.comparison, ceiling=None))
    path = tmp_path / "report.html"
    path.write_text(html_page(replace(found, datasets=(view,))), encoding="utf-8")
    with opened(browser, path) as page:
        assert not page.locator("#of-ceiling").is_visible()


def test_charts_and_controls_have_names_for_screen_readers(browser, many):
    with opened(browser, many) as page:
        charts(page)
        drawings = page.locator("figure.chart:not([hidden]) [role=graphics-document]")
        assert drawings.count() == page.locator("figure.chart:not([hidden])").count()
        assert all(drawings.evaluate_all("found => found.map((one) => one.getAttribute('aria-label'))"))
        unnamed = "found => found.filter((one) => !one.labels.length).length"
        assert page.locator("select, input").evaluate_all(unnamed) == 0


def test_texts_of_charts_are_whole_and_legends_have_ink_in_the_dark(browser, many):
    """Titles of charts of few systems were cut by the height of a system, and legends were black on black."""
    with opened(browser, many, color_scheme="dark") as page:
        charts(page)
        texts = page.locator("figure.chart:not([hidden]) svg text").evaluate_all(
            "found => found.filter((one) => one.getBoundingClientRect().width).map((one) => one.textContent)"
        )
        assert len(texts) > 100
        assert [text for text in texts if "\u2026" in text] == []
        fills = page.locator("figure.chart:not([hidden]) .role-legend-symbol path").evaluate_all(
            "found => found.map((one) => getComputedStyle(one).fill)"
        )
        assert fills
        assert "rgb(0, 0, 0)" not in fills


def test_thousands_of_queries_stay_quick(browser, tmp_path):
    """What is drawn is bounded, whatever the number of queries: the dots of a chart are distinct pairs of values."""
    path = made_report(tmp_path, {"strong": 3.0, "weak": 1.0}, datasets=1, queries=3000)
    with opened(browser, path) as page:
        charts(page)
        assert page.evaluate("ofDataset().ids.length") == 3000
        assert page.locator("#chart-queries svg .mark-symbol path").count() < 1500
