"""The cards of published datasets: each loads what is published under its name, and says of it what is known."""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import miniatures
import pytest
from local_hub import LocalHub, ask
from miniatures import QRELS, TWIN, cards, configured, settings

from evalkit.config.instructions import choose_instruction
from evalkit.config.resources import config_names, config_text
from evalkit.datasets import load
from evalkit.errors import DataError
from evalkit.store import Store
from evalkit.types import Dataset

CARDS = cards()
ZIPPED = [name for name, card in CARDS.items() if "zip_url" in card]
FORUMS = [name for name in CARDS if name.startswith("cqadupstack/")]
CMTEB = [name for name in CARDS if name.endswith("Retrieval")]
ALIKE = [name for names in miniatures.families().values() for name in names]
NEUCLIR = [name for name in CARDS if name.startswith("neuclir")]
CHECKED = ["scifact", "T2Retrieval", "neuclir22_zh_mteb"]  # one a layout, where the hub is asked once more
# Loads each dataset; arguments after the folder are `NAME SETTING=VALUE ...`. Without Hydra, to take half the time.
PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
import yaml
from evalkit.datasets import load
from evalkit.errors import EvalkitError
from evalkit.load import config_of
from evalkit.retrieval.candidates import candidates_from_rows
from evalkit.store import Store

folder, *commands = sys.argv[1:]
answers = {}
for command in commands:
    try:
        name, *changes = command.split()
        settings = {key: yaml.safe_load(value) for key, value in (change.split("=") for change in changes)}
        dataset = load(config_of("dataset", name, settings), Store(Path(folder)))
    except EvalkitError as error:
        answers[command] = str(error)
        continue
    total = len(dataset.documents)
    rows, scores = np.arange(total), np.linspace(2, 1, total, dtype=np.float32)
    twin = candidates_from_rows(dataset, ["7"], [rows], [scores], 2)
    answers[command] = {
        "ids": dataset.documents.ids.to_pylist(),
        "texts": dataset.documents.texts(range(total)),
        "queries": dict(dataset.queries),
        "qrels": dataset.qrels,
        "split": dataset.split,
        "language": dataset.language,
        "candidates": list(next(iter(twin)).doc_ids),
        "differences": dict(dataset.differences),
        "notes": dict(dataset.notes),
        "corpus_digest": dataset.corpus_digest,
        "digest": dataset.digest,
    }
print(json.dumps(answers))
"""


def content(name: str) -> str:
    """What the texts of a card's miniature contain."""
    card = CARDS[name]
    return f"{card['hub_id']} {card['subset']}" if "subset" in card else card["hub_id"]


def splits(hub_id: str) -> list[str]:
    """What its repository has judgments for: the splits of its cards, and in BEIR one more."""
    named = sorted({card["split"] for card in CARDS.values() if card["hub_id"] == hub_id})
    return named if hub_id.endswith("Retrieval") and "CQA" not in hub_id else [*named, "train"]


def write_repository(folder: Path, name: str) -> Path:
    """The miniature that stands for the repository of a card, in the layout of its publisher."""
    card = CARDS[name]
    return miniatures.write_repository(
        folder,
        card["hub_id"],
        splits=splits(card["hub_id"]),
        titled=name not in CMTEB,
        subsets=["fas", "rus", card["subset"]] if "subset" in card else (),
        qrels="qrels" if name == "webis-touche2020-v3" else "default",
    )


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What every command gives, all in one process."""
    folder = tmp_path_factory.mktemp("cards")
    published = {f"datasets/{card['hub_id']}@{card['revision']}": name for name, card in CARDS.items()}
    served = {key: write_repository(folder / name, name) for key, name in published.items()}
    checks = [f"{name} check={check}" for name in CHECKED for check in ("strict", "'off'")]
    commands = [*CARDS, *checks, "arguana drop_identical_ids=false"]
    with LocalHub(served) as hub:
        return ask(hub.endpoint, PROGRAM, folder / "store", *commands, home=folder / "home")


@pytest.fixture(scope="module")
def beir(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder with the miniature of a card in BEIR layout, as its zip is extracted."""
    top = tmp_path_factory.mktemp("beir")
    for name in ZIPPED:
        miniatures.write_beir(top / folder_name(name), content(name), splits(CARDS[name]["hub_id"]))

    return lambda name: top / folder_name(name)


def folder_name(name: str) -> str:
    """As the published zip names a card's folder."""
    return "msmarco" if name == "trec-dl19" else name


def expected_differences(name: str, *, hub: bool) -> dict[str, str]:
    """What the miniature is not, of what the card says."""
    judged, said = QRELS[CARDS[name]["split"]], dict(CARDS[name]["expected"])
    grades = [grade for found in judged.values() for grade in found.values()]
    counts = {"documents": 5, "queries": len(judged), "judgments": len(grades)}
    counts["relevant"] = sum(grade > 0 for grade in grades)
    if hub and said.get("judgments") != said["relevant"] and not said.pop("judgments_on_hub", False):
        said.pop("judgments", None)  # a count of the zip: the hub's copies may lack judgments of grade 0
    return {key: f"{counts[key]}, expected {count:,}" for key, count in said.items() if key in counts}


def message(name: str, *, hub: bool) -> str:
    return "; ".join(f"{key} {text}" for key, text in expected_differences(name, hub=hub).items())


# Loading


@pytest.mark.parametrize("name", CARDS)
def test_a_published_dataset_is_loaded_by_its_name_alone(loaded: dict[str, Any], name: str):
    actual, card = loaded[name], CARDS[name]
    assert isinstance(actual, dict), actual
    assert actual["ids"] == [TWIN, "d1", "d2", "d3", "d4"]
    assert actual["texts"] == miniatures.texts(content(name))
    assert actual["queries"] == miniatures.queries(content(name), card["split"])
    assert actual["qrels"] == QRELS[card["split"]]
    assert (actual["split"], actual["language"]) == (card["split"], card["language"])
    notes = actual["notes"]
    assert (notes["empty_documents"], notes["judged_documents_absent"], notes["unjudged_queries"]) == (1, 1, 3)


@pytest.mark.parametrize("name", CARDS)
def test_the_identical_id_is_dropped_before_the_cut_where_the_card_says_so(loaded: dict[str, Any], name: str):
    expected = ["d1", "d2"] if CARDS[name].get("drop_identical_ids") else [TWIN, "d1"]
    assert loaded[name]["candidates"] == expected


def test_the_policy_of_a_card_can_be_set_and_makes_another_task(loaded: dict[str, Any]):
    kept, dropped = loaded["arguana drop_identical_ids=false"], loaded["arguana"]
    assert kept["candidates"] == [TWIN, "d1"]
    assert kept["corpus_digest"] == dropped["corpus_digest"]
    assert kept["digest"] != dropped["digest"]


@pytest.mark.parametrize("name", CARDS)
def test_a_dataset_other_than_its_card_says_what_differs(loaded: dict[str, Any], name: str):
    assert loaded[name]["differences"] == expected_differences(name, hub=True)
    assert {"documents", "queries", "relevant"} <= set(expected_differences(name, hub=True))


@pytest.mark.parametrize("name", CHECKED)
def test_a_strict_check_refuses_it_and_none_is_silent(loaded: dict[str, Any], name: str):
    refusal = loaded[f"{name} check=strict"]
    assert refusal.startswith(f"{name} is not what its card says: {message(name, hub=True)}. Get the published version")
    assert "\n" not in refusal
    assert loaded[f"{name} check='off'"]["differences"] == expected_differences(name, hub=True)


def test_no_two_datasets_are_the_same_task_and_only_msmarco_is_one_corpus_twice(loaded: dict[str, Any]):
    answers = {name: loaded[name] for name in CARDS}
    assert len({answer["digest"] for answer in answers.values()}) == len(CARDS)
    digests = [answer["corpus_digest"] for answer in answers.values()]
    twice = [name for name, answer in answers.items() if digests.count(answer["corpus_digest"]) > 1]
    assert twice == ["msmarco", "trec-dl19"]


# From disk


def show(dataset: Dataset) -> tuple[object, ...]:
    documents = dataset.documents
    return (
        documents.ids.to_pylist(),
        documents.texts(range(len(documents))),
        dict(dataset.queries),
        {query_id: dict(judged) for query_id, judged in dataset.qrels.items()},
        dataset.split,
    )


@pytest.mark.parametrize("name", ZIPPED)
def test_the_zip_of_beir_and_its_folder_give_what_the_hub_gives(
    loaded: dict[str, Any], beir: Callable[[str], Path], store: Store, name: str
):
    """The zip of cqadupstack holds 12 collections, of which the card names one."""
    hub = loaded[name]
    expected = tuple(hub[key] for key in ("ids", "texts", "queries", "qrels", "split"))
    folder = beir(name)
    top = folder.parent if name in FORUMS else folder
    archive = miniatures.zipped(top, root=top.parent)

    zipped, plain = (load(configured(name, path=str(path)), store) for path in (archive, top))

    assert show(zipped) == expected
    assert show(plain) == expected
    assert zipped.differences == plain.differences == expected_differences(name, hub=False)
    assert zipped.digest == plain.digest


def test_the_folder_of_one_forum_is_read_as_well(beir: Callable[[str], Path], store: Store):
    path = beir("cqadupstack/gis")
    dataset = load(configured("cqadupstack/gis", path=str(path)), store)
    assert show(dataset) == show(load(configured("cqadupstack/gis", path=str(path.parent)), store))


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_compared_with_a_folder_too(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture, name: str
):
    path = miniatures.write_beir(tmp_path / "mine", content(name), [CARDS[name]["split"]])
    with caplog.at_level(logging.WARNING, "evalkit"):
        warned = load(configured(name, path=str(path)), store)
    said = f"{name} is not what its card says: {message(name, hub=False)}."
    assert f"{said} Its numbers are not comparable" in caplog.text
    assert warned.differences == expected_differences(name, hub=False)
    if name not in CHECKED:
        return
    with pytest.raises(DataError) as caught:
        load(configured(name, path=str(path), check="strict"), store)
    assert said in str(caught.value)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "evalkit"):
        silent = load(configured(name, path=str(path), check="off"), store)
    assert "card" not in caplog.text
    assert (silent.digest, silent.differences) == (warned.digest, warned.differences)


# What the cards say


def facts(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "facts" / "mteb_tasks.json").read_text(encoding="utf-8"))


def task_of(name: str, shared: Path) -> str:
    """mteb's name of the task that a card is, by the table of names in the facts."""
    given = {
        "neuclir22_zh_mteb": "NeuCLIR2022Retrieval",
        "neuclir22_zh_mteb_hard_negatives": "NeuCLIR2022RetrievalHardNegatives",
        "neuclir23_zh_mteb_hard_negatives": "NeuCLIR2023RetrievalHardNegatives",
        "webis-touche2020-v3": "Touche2020Retrieval.v3",
    }
    rows = re.findall(r"^\| (\S+) \| (\S+) \| mteb/", facts_text(shared), flags=re.MULTILINE)
    beir = {beir_name: task for task, beir_name in rows}
    forums = {forum: f"CQADupstack{forum.partition('/')[2].title()}Retrieval" for forum in FORUMS}
    return {**{task: task for task in CMTEB}, **beir, **forums, **given}[name]


def facts_text(shared: Path) -> str:
    return (shared / "facts" / "datasets.md").read_text(encoding="utf-8")


PUBLISHED = [name for name in CARDS if not name.startswith("trec-dl")]  # which the table of facts does not have


@pytest.mark.shared
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_card_says_what_is_known_of_the_task(shared: Path, name: str):
    task, card = facts(shared)[task_of(name, shared)], CARDS[name]
    assert (card["hub_id"], card["revision"], card["split"]) == (task["hf"], task["revision"], task["split"])
    assert card.get("drop_identical_ids", False) == task["ignore_identical_ids"]
    expected = {key: card["expected"][key] for key in ("documents", "queries", "relevant")}
    # mteb counts every judgment that is not 0, and trec-covid has two of -1.
    relevant = task["rel_pairs"] - (2 if name == "trec-covid" else 0)
    assert expected == {"documents": task["docs"], "queries": task["queries"], "relevant": relevant}
    if task["licence"] not in {None, "not specified"}:
        assert card["licence"] == task["licence"]


@pytest.mark.shared
def test_every_task_of_the_tables_has_a_card(shared: Path):
    """Left out: mteb's MKQARetrieval is another task than MKQA, its NeuCLIR2023Retrieval points at the data of 2022."""
    tasks = set(facts(shared)) - {"MKQARetrieval", "NeuCLIR2023Retrieval"}
    assert tasks == {task_of(name, shared) for name in PUBLISHED}
    assert {"mkqa_en_zh_cn", "neuclir22_zh", "neuclir23_zh", "mteb", "folder"} <= set(config_names("dataset"))
    assert (len(FORUMS), len(CMTEB), len(NEUCLIR)) == (12, 8, 3)


def judged_counts(shared: Path) -> dict[str, dict[str, int]]:
    """Card -> counts of its documents, queries and judgments in ir_datasets."""
    entries = json.loads((shared / "facts" / "ir_datasets_counts.json").read_text(encoding="utf-8"))
    found = {}
    for name in [*ZIPPED, "neuclir22_zh", "neuclir23_zh"]:
        corpus = "neuclir/1/zh" if name.startswith("neuclir") else f"beir/{folder_name(name)}"
        split = settings(name).get("split", "test")
        # Where a corpus has several splits, each is an entry below it.
        named = {"webis-touche2020": f"{corpus}/v2", "neuclir22_zh": f"{corpus}/trec-2022"}
        named["neuclir23_zh"] = f"{corpus}/trec-2023"
        entry = entries[named.get(name, f"{corpus}/{split}" if f"{corpus}/{split}" in entries else corpus)]
        grades = entry["qrels"]["fields"]["relevance"]["counts_by_value"]
        found[name] = {
            "documents": entries[corpus]["docs"]["count"],
            "queries": entry["queries"]["count"],
            "judgments": entry["qrels"]["count"],
            "relevant": sum(count for grade, count in grades.items() if int(grade) > 0),
        }
    return found


@pytest.mark.shared
def test_the_counts_of_the_cards_are_those_of_ir_datasets(shared: Path):
    expected = judged_counts(shared)
    assert len(expected) == 29
    assert expected == {
        name: {key: settings(name)["expected"][key] for key in counts} for name, counts in expected.items()
    }


def test_the_judgments_of_trec_dl19_are_counted_on_the_hub_too():
    assert expected_differences("trec-dl19", hub=True)["judgments"] == "5, expected 9,260"
    assert "judgments" not in expected_differences("trec-covid", hub=True)


@pytest.mark.shared
def test_the_zips_are_the_published_ones(shared: Path):
    text = facts_text(shared)
    listed = text[text.index("md5 (beir README):") : text.index("Layout: `corpus.jsonl`")]
    published = dict(re.findall(r"([a-z0-9-]+) ([0-9a-f]{32})[,.]", listed))
    assert len(published) == 15
    stems = {name: folder_name(name).partition("/")[0] for name in ZIPPED}
    base = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets"
    assert {name: CARDS[name]["zip_url"] for name in ZIPPED} == {n: f"{base}/{stems[n]}.zip" for n in ZIPPED}
    assert {name: CARDS[name]["zip_md5"] for name in ZIPPED} == {n: published[stems[n]] for n in ZIPPED}
    assert set(stems.values()) == set(published)


def test_every_dataset_has_an_instruction_or_is_known_to_have_none():
    """The published file has one for each of BEIR and C-MTEB; mteb has one for some of the others."""
    anyone_s = {"folder", "ir_datasets", "mteb", "python"}
    without = {"litsearch", "mini", "mini_en_zh", "mini_zh", "mkqa_en_zh_cn", "neuclir22_zh", "neuclir23_zh", *NEUCLIR}
    without |= {
        name for family in ("followir", "ifir", "lotte", "mldr", "r2med") for name in miniatures.families()[family]
    }
    for name in sorted(set(config_names("dataset")) - anyone_s):
        key = settings(name).get("instruction_key", name)
        instruction = choose_instruction("dataset", key=key, name="reranker.instructions")
        assert (instruction == "") == (name in without), name


@pytest.mark.parametrize("name", [name for name in config_names("dataset") if name not in ALIKE])
def test_a_card_is_well_formed(name: str):
    require_well_formed(name)


def test_cards_of_families_are_well_formed():
    for name in ALIKE:
        require_well_formed(name)


def require_well_formed(name: str) -> None:
    about, *rest = config_text("dataset", name).splitlines()
    assert re.fullmatch(r"# \S[^{}]*[^.\s]\.", about), about
    assert rest[0].startswith("defaults:")
    card = settings(name)
    assert card["defaults"][0].startswith("/schema/dataset/")
    assert re.fullmatch(r"([a-z]+(-[a-z0-9.]+)*)?", card.get("licence", "")), card["licence"]
    assert re.fullmatch(r"(\S[^\n]*[^.\s]\.)?", card.get("notes", "")), card["notes"]
    expected = card.get("expected", {})
    assert all(isinstance(count, int) and count > 0 for count in expected.values())
    assert expected.get("relevant", 0) <= expected.get("judgments", expected.get("relevant", 0))


def test_trec_dl_counts_grade_2_as_relevant_in_binary_measures():
    """The track's own rule: grade 1 is "related", on the topic and without the answer."""
    assert {"trec-dl19": 2, "trec-dl20": 2} == {
        name: card["relevance_level"] for name, card in CARDS.items() if "relevance_level" in card
    }
