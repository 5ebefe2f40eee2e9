"""README.md and docs/: sizes, navigation, links, and that what they name and quote is there. Needs no mkdocs."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from pages import DOCS, PAGES, README, ROOT, anchors, blocks, commands, links

WRITTEN = [*PAGES, *(ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def navigation(entries):
    for entry in entries:
        for target in entry.values():
            if isinstance(target, list):
                yield from navigation(target)
            else:
                yield target


def test_readme_is_a_page_that_people_read():
    assert len(README.read_bytes()) <= 8192


def test_every_page_is_in_the_navigation_once():
    assert sorted(page.name for page in DOCS.glob("*.md")) == sorted(navigation(SITE["nav"]))


def test_the_site_loads_nothing_from_elsewhere():
    assert SITE["theme"]["font"] is False
    assert SITE["plugins"] == ["search"]
    assert not {"extra_css", "extra_javascript"} & SITE.keys()


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", [page for page in PAGES if page != README], ids=lambda page: page.name)
def test_pages_of_the_site_link_to_nothing_outside_it(page):
    inside = [link for link in links(page) if not re.match(r"[a-z]+:", link)]
    assert all((page.parent / link.partition("#")[0]).resolve().is_relative_to(DOCS) for link in inside), inside


def test_anchors_are_made_as_mkdocs_makes_them():
    assert "interrupted-runs" in anchors(DOCS / "results.md")
    assert "why-is-ndcg-above-098-of-the-ceiling-flagged" in anchors(DOCS / "faq.md")


def test_pictures_are_small_and_shown():
    pictures = sorted((DOCS / "images").iterdir())
    assert pictures
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    for picture in pictures:
        assert picture.stat().st_size < 150_000
        assert picture in shown


@pytest.mark.parametrize(("words", "place"), [(one.words, one.place) for one in commands("make")])
def test_every_make_target_exists(words, place):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert words[1] in targets, place


@pytest.mark.parametrize(("words", "place"), [(one.words, one.place) for one in commands("python")])
def test_every_script_exists(words, place):
    assert words[1] in {"-m", "-c"} or (ROOT / words[1]).is_file(), place


@pytest.mark.parametrize(("words", "place"), [(one.words, one.place) for one in commands("pytest")])
def test_every_selection_of_tests_selects_something(words, place):
    chosen = dict(zip(words[1::2], words[2::2], strict=False))
    files = {name for path in (ROOT / "tests").rglob("test_*.py") for name in (path.stem, path.parent.name)}
    named = chosen.get("-k", "").replace(" or ", " ").split()
    assert named or "-m" in chosen, place
    assert set(named) <= files, place
    markers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert chosen.get("-m", "gpu") in {line.partition(":")[0] for line in markers["markers"]}, place


def test_tables_of_the_demo_have_the_numbers_of_the_baseline():
    results = json.loads((ROOT / "results" / "baselines" / "ci.json").read_text(encoding="utf-8"))["results"]
    means = {
        (one["first_stage"], one["reranker"], name): values["mean"]
        for one in results
        if one["dataset"] == "mini"
        for name, values in one["measures"].items()
    }
    tables = [block.body for page in PAGES for block in blocks(page) if "late_interaction ┃ ceiling" in block.body]
    assert tables
    for table in tables:
        for name in ("nDCG@10", "R@20"):
            first, reranked, _ = re.search(rf"│ {name} *│ *(\S+) │ *(\S+) │ *(\S+) │", table).groups()
            assert first == f"{means['all_minilm_l6_v2-100', '', name]:.4f}"
            assert reranked == f"{means['all_minilm_l6_v2-100', 'late_interaction', name]:.4f}"


def test_speeds_next_to_other_tools_are_the_best_measured():
    measured = json.loads((ROOT / "results" / "benchmarks" / "rerank_dl19.json").read_text(encoding="utf-8"))
    best = {
        package: max(
            one["texts_per_second"]["median"]
            for one in measured["contenders"]
            if (one["package"], one["dtype"]) == (package, "float32")
        )
        for package in ("evalkit", "mteb", "FlagEmbedding", "sentence-transformers")
    }
    row = next(line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("| pairs/s"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == [f"{speed:.1f}" for speed in best.values()]


@pytest.mark.parametrize("page", [README, DOCS / "your-data.md"], ids=lambda page: page.name)
def test_the_three_files_of_a_collection_are_one(page, tmp_path, capsys):
    from evalkit.cli import main

    files = {block.title: block.body for block in blocks(page) if block.title}
    assert {"corpus.jsonl", "queries.jsonl", "qrels/test.tsv"} == files.keys()
    collection = tmp_path / "bees"
    for name, text in files.items():
        path = collection / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    places = [f"dataset.path={collection}", f"cache_dir={tmp_path / 'cache'}", f"results_dir={tmp_path / 'results'}"]
    assert main(["evaluate", "dataset=folder", *places, "retriever=bm25", "reranker=none"]) == 0
    assert "bees (test): bm25 top 100" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "results" / "bees" / "bm25-100" / "none" / "manifest.json").read_text())
    assert manifest["measures"]["nDCG@10"] == 1


def test_the_pages_name_files_of_benchmarks_that_are_there():
    named = {Path(name) for page in PAGES for name in re.findall(r"results/[\w/]+\.json", page.read_text("utf-8"))}
    assert named
    assert all((ROOT / name).is_file() for name in named)
