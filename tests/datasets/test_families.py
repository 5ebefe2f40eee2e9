"""Datasets whose cards share a file: each reads its own part of what is published, and says what is known of it."""

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import miniatures
import pytest
from in_process import evalkit as command
from local_hub import LocalHub, hub_clients
from miniatures import QRELS, settings
from mteb_made import WordCrossEncoder, scores
from tiny_checkpoints import write_minicpm_reranker

import evalkit
from evalkit.config.resources import config_names
from evalkit.datasets import load
from evalkit.load import config_of
from evalkit.store import Store
from evalkit.types import Dataset

FAMILIES = {family: names for family, names in miniatures.families().items() if family != "cqadupstack"}
BY_LIBRARIES = ("ifir", "trec_dl_v2")  # which mteb and ir_datasets read
ON_THE_HUB = {family: names for family, names in FAMILIES.items() if family not in BY_LIBRARIES}
FIRST = [names[0] for names in ON_THE_HUB.values()]  # one a layout, and one a file
EXCLUDED = {"q2": ["d1"]}
needs_mteb = pytest.mark.skipif(importlib.util.find_spec("mteb") is None, reason="mteb is not installed")


def is_of(name: str, family: str) -> bool:
    return name in FAMILIES[family]


def content(name: str) -> str:
    """What the texts of a dataset's miniature contain."""
    card = settings(name)
    split = card["split"] if is_of(name, "nanobeir_bm25") else None
    parts = [card["hub_id"], card.get("subset") or card.get("part") or split]
    return " ".join(filter(None, [*parts, "long" if card["split"] == "long" else ""]))


def write_repository(folder: Path, hub_id: str, names: list[str]) -> Path:
    """The repository that these datasets are in, in the layout of its publisher."""
    card = settings(names[0])
    if "part" in card:
        parts = dict.fromkeys(settings(name)["part"] for name in names)
        return miniatures.write_examples(folder, card, [*parts, "another"], EXCLUDED)
    if hub_id.startswith("R2MED/"):
        return miniatures.write_r2med(folder, hub_id)
    if is_of(names[0], "followir"):
        return miniatures.write_followir(folder, hub_id)
    if is_of(names[0], "nanobeir_bm25"):
        return miniatures.write_nanobeir(folder, hub_id, [settings(name)["split"] for name in names])
    subsets = [settings(name)["subset"] for name in names if "subset" in card]
    others = ["another"] if subsets else []
    more = {"top_ranked": miniatures.LISTS} if "candidates" in card else {}
    return miniatures.write_repository(folder, hub_id, splits=[card["split"]], subsets=[*others, *subsets], more=more)


@contextmanager
def published(folder: Path, names: list[str]) -> Iterator[None]:
    """The repositories of datasets on a hub that this process asks."""
    by_repository: dict[str, list[str]] = {}
    for name in names:
        card = settings(name)
        by_repository.setdefault(f"{card['hub_id']}@{card['revision']}", []).append(name)
    served = {
        f"datasets/{key}": write_repository(folder / key.replace("/", "-"), key.partition("@")[0], own)
        for key, own in by_repository.items()
    }
    with LocalHub(served) as hub, hub_clients(hub.endpoint, folder / "home"):
        yield


def expected_qrels(name: str) -> dict[str, dict[str, int]]:
    card = settings(name)
    if is_of(name, "followir"):
        return miniatures.FOLLOWIR
    if "part" not in card and not is_of(name, "nanobeir_bm25"):
        return QRELS["test" if card["hub_id"].startswith("R2MED/") else card["split"]]
    gold = {query: {key: 1 for key, grade in judged.items() if grade > 0} for query, judged in QRELS["test"].items()}
    first = {query: dict(list(judged.items())[:1]) for query, judged in gold.items()}
    return first if card["split"] == "long" else gold


def expected_candidates(name: str) -> dict[str, list[str]]:
    if is_of(name, "followir"):
        return {key: ["d4", "d3", "d2", "d1"] for key in miniatures.FOLLOWIR}
    found = {query: miniatures.CANDIDATES[query] for query in expected_qrels(name)}
    # Without an order they are in that of their ids.
    return found if "candidates_ranked" in settings(name) else {key: sorted(ids)[::-1] for key, ids in found.items()}


def loaded(name: str, store: Store, **changed: object) -> Dataset:
    return load(config_of("dataset", name, changed), store)


def require_own_part(name: str, store: Store) -> None:
    """Check that a dataset is the miniature that stands for it, and is compared with its card."""
    dataset, card, qrels = loaded(name, store), settings(name), expected_qrels(name)
    asked = miniatures.queries(content(name).removesuffix(" long"))
    if is_of(name, "followir"):
        asked = dict.fromkeys(qrels, "tides and bread")
    assert dataset.documents.texts(range(5)) == miniatures.texts(content(name)), name
    assert dict(dataset.queries) == {query: asked[query] for query in qrels}
    assert {query: dict(judged) for query, judged in dataset.qrels.items()} == qrels
    assert (dataset.name, dataset.split, dataset.language) == (name, card["split"], card["language"])
    assert dict(dataset.excluded) == (EXCLUDED if "part" in card else {})
    assert dict(dataset.instructions) == (miniatures.INSTRUCTIONS if is_of(name, "followir") else {})
    grades = [grade for judged in qrels.values() for grade in judged.values()]
    counts = {"documents": 5, "queries": len(qrels), "relevant": sum(grade > 0 for grade in grades)}
    if "candidates" in card:
        brought = {query: list(doc_ids) for query, doc_ids, _ in dataset.candidates}
        assert brought == expected_candidates(name)
        counts["candidates"] = sum(map(len, brought.values()))
    else:
        assert dataset.candidates is None
    said = card["expected"]
    assert dataset.differences == {key: f"{counts[key]}, expected {said[key]:,}" for key in said}


def test_the_first_of_each_family_reads_its_own_part_of_what_is_published(tmp_path: Path, store: Store):
    with published(tmp_path, FIRST):
        for name in FIRST:
            require_own_part(name, store)


@pytest.mark.slow  # a quarter of a second each
def test_every_dataset_of_a_family_reads_its_own_part_of_what_is_published(tmp_path: Path, store: Store):
    names = [name for own in ON_THE_HUB.values() for name in own]
    with published(tmp_path, names):
        digests = {}
        for name in names:
            require_own_part(name, store)
            digests[name] = loaded(name, store).digest
    assert len(set(digests.values())) == len(names)


def test_litsearch_numbers_its_questions_and_finds_papers_by_their_numbers(tmp_path: Path, store: Store):
    card = settings("litsearch")
    folder = miniatures.write_litsearch(tmp_path / "repository", card)
    served = {f"datasets/{card['hub_id']}@{card['revision']}": folder}
    with LocalHub(served) as hub, hub_clients(hub.endpoint, tmp_path / "home"):
        dataset = loaded("litsearch", store)
    assert dict(dataset.queries) == {"q1": "what of tides", "q2": "what of bees"}
    assert dataset.qrels == {"q1": {"20": 1}, "q2": {"18": 1, "21": 1}}
    assert dataset.documents.ids.to_pylist() == ["17", "18", "19", "20", "21"]
    assert dataset.documents.texts([1, 3]) == [miniatures.texts(card["hub_id"])[row] for row in (1, 3)]


def test_the_sets_of_nanobeir_with_candidates_have_the_counts_of_those_without():
    for name in FAMILIES["nanobeir"]:
        mine, other = settings(name.replace("nanobeir", "nanobeir-bm25")), settings(name)
        assert (mine["expected"], mine["lengths"]) == (other["expected"], other["lengths"])


def test_the_relevant_documents_can_be_put_behind_the_candidates(tmp_path: Path, store: Store):
    """As sentence-transformers evaluates NanoBEIR, here with the first two candidates of each query."""
    name = FAMILIES["nanobeir_bm25"][0]
    with published(tmp_path, [name]):
        honest, added = loaded(name, store), loaded(name, store, candidates_with_relevant=2)
    lists = {query: list(doc_ids) for query, doc_ids, _ in added.candidates}
    assert lists == {"7": ["d3", "d1", "d4"], "q2": ["d1", "d3", "absent"]}
    assert honest.digest != added.digest


def test_a_suite_is_evaluated_and_each_of_its_datasets_counts_once(tmp_path: Path):
    names = FAMILIES["r2med"][:2]
    (tmp_path / "conf" / "suite").mkdir(parents=True)
    (tmp_path / "conf" / "suite" / "two.yaml").write_text(f"# Two sets.\ndatasets: [{', '.join(names)}]\n")
    with published(tmp_path, names):
        done = command(
            *("evaluate", "--config-dir", "conf", "suite=two", "retriever=bm25", "reranker=none", "cache_dir=cache"),
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr
    found = [json.loads((tmp_path / f"results/{name}/bm25-100/none/manifest.json").read_text()) for name in names]
    table = done.stdout[done.stdout.index("suite=two: nDCG@10") : done.stdout.index("suite=two: R@10")]
    rows = {cells[1]: cells[3] for line in table.splitlines() if (cells := line.split())[:1] == ["│"]}
    expected = {name: one["measures"]["nDCG@10"] for name, one in zip(names, found, strict=True)}
    expected["average"] = sum(expected.values()) / 2
    assert {name: rows[name] for name in expected} == {name: f"{value:.4f}" for name, value in expected.items()}


def test_lists_of_candidates_are_reranked_and_a_constant_score_gains_nothing(tmp_path: Path):
    """The relevant documents of a published list come first; their order is not taken for a ranking."""
    places = {"results_dir": tmp_path / "results", "cache_dir": tmp_path / "cache"}
    with published(tmp_path, ["T2Reranking"]):
        first = evalkit.evaluate("T2Reranking", retriever="own", **places)
        constant = evalkit.evaluate("T2Reranking", retriever="own", reranker=lambda pairs: [0.0] * len(pairs), **places)
        of_bees = evalkit.evaluate("T2Reranking", retriever="own", reranker=bees_first, **places)
    # By id from behind: d4 d3 d2 d1 for 7, with d3 and d1 relevant; d4 d1 for q10, with d1 and one that is absent.
    assert first.measures["MAP"] == pytest.approx(((1 / 2 + 2 / 4) / 2 + 1 / 4) / 2)
    assert first.measures["RR@10"] == 0.5
    assert constant.measures == first.measures
    assert of_bees.measures["MAP"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)
    assert of_bees.measures["RR@10"] == 1.0


def bees_first(pairs: Any) -> list[float]:
    return [float("Bees" in document) for _, document in pairs]


def test_the_instructions_of_followir_tell_the_queries_of_a_topic_apart(tmp_path: Path):
    model = write_minicpm_reranker(tmp_path / "model")
    name = FAMILIES["followir"][0]
    settings_of_reranker = {"model": str(model), "max_length": 64}
    runs = {}
    with published(tmp_path, [name]):
        for instructions in ("none", "query"):
            runs[instructions] = evalkit.evaluate(
                name,
                retriever="own",
                reranker=("minicpm_reranker", {**settings_of_reranker, "instructions": instructions}),
                compute={"device": "cpu"},
                results_dir=tmp_path / instructions,
                cache_dir=tmp_path / "cache",
            )
    assert runs["none"].measures["p-MRR"] == 0.0
    for instructions, found in runs.items():
        one, other = (dict(zip(ids, values.tolist(), strict=True)) for _, ids, values in found.result.read_run())
        assert (one == pytest.approx(other, abs=1e-6)) == (instructions == "none")


# What the cards say

MEASURE = {  # as mteb calls it -> as we do
    "ndcg_at_10": "nDCG@10",
    "ndcg_at_20": "nDCG@20",
    "recall_at_1": "R@1",
    "hit_rate_at_5": "Success@5",
    "map_at_1000": "MAP",
    "p-MRR": "p-MRR",
}
WITHOUT = {
    "theoremqa_questions"
}  # has a query that lists no document: mteb counts it, and no value of it enters a mean


def facts(task: Any, card: dict[str, Any]) -> dict[str, float]:
    """What mteb counted of the data that a card is of."""
    own = task.descriptive_stats[card.get("split", "test")]
    for_subset = own.get("hf_subset_descriptive_stats") or {}
    found = for_subset.get(card.get("subset") or card.get("part"), own)
    relevant, documents = found["relevant_docs_statistics"], found["documents_text_statistics"]
    asked = round(relevant["num_relevant_docs"] / relevant["average_relevant_docs_per_query"])
    lists = found["top_ranked_statistics"] if "candidates" in card else None
    return {
        **({"candidates": lists["num_top_ranked"]} if lists else {}),
        "documents": round(documents["total_text_length"] / documents["average_text_length"]),
        "queries": asked - (card.get("part") in WITHOUT and task.name == "BrightRetrieval"),
        "relevant": relevant["num_relevant_docs"],
        "document_characters": round(documents["average_text_length"], 1),
        "query_characters": round(found["queries_text_statistics"]["average_text_length"], 1),
    }


@needs_mteb
@pytest.mark.slow  # importing mteb takes seconds
def test_every_card_says_what_mteb_knows_of_the_task_that_reads_the_same_files():
    import mteb

    from evalkit.config.languages import short_code
    from evalkit.datasets.mteb_metadata import task_reading

    told = {family: names for family, names in FAMILIES.items() if family not in {"nanobeir_bm25", "trec_dl_v2"}}
    names = [name for own in told.values() for name in own] + ["litsearch", "trec-dl20"]
    for name in names:
        card = settings(name)
        task = task_reading(card)
        assert task is not None, name
        if "hub_id" in card:
            assert (task.dataset["path"], task.dataset["revision"]) == (card["hub_id"], card["revision"])
            assert card["split"] in task.eval_splits
        counts = {key: count for key, count in card["expected"].items() if key != "judgments"}
        assert {**counts, **card["lengths"]} == facts(task, card), name
        assert MEASURE[task.main_score] in card["measures"] if "measures" in card else task.main_score == "ndcg_at_10"
        assert card.get("licence", "not specified") == task.license
        if "hub_id" in card:
            assert card.get("drop_identical_ids", False) == mteb.get_task(task.name).ignore_identical_ids
        codes = task.eval_langs
        codes = codes[card.get("subset") or card["part"]] if isinstance(codes, dict) else codes
        assert short_code(codes[0]) == card["language"]


@needs_mteb
@pytest.mark.slow  # importing mteb takes seconds
def test_mteb_loads_the_same_dataset_from_the_same_files(tmp_path: Path, store: Store):
    """BRIGHT without v1.1 is left out: mteb reads all of its collections at once, and ignores exclusions."""
    from evalkit.datasets.mteb_metadata import task_reading

    names = [name for name in FIRST if not is_of(name, "nanobeir_bm25")]
    names = [name for name in names if not (is_of(name, "bright") or is_of(name, "bright_long"))]
    with published(tmp_path, names):
        for name in names:
            mine, card = loaded(name, store), settings(name)
            task = {"task": task_reading(card).name, "split": card["split"], "subset": card.get("subset")}
            theirs = load(config_of("dataset", "mteb", task), store)
            for part in ("queries", "qrels", "instructions"):
                assert dict(getattr(mine, part)) == dict(getattr(theirs, part)), (name, part)
            assert {key: sorted(ids) for key, ids in mine.excluded.items()} == {
                key: sorted(ids) for key, ids in theirs.excluded.items()
            }
            assert lists_of(mine) == lists_of(theirs)
            assert mine.documents.ids.to_pylist() == theirs.documents.ids.to_pylist()
            assert mine.documents.texts(range(5)) == theirs.documents.texts(range(5))
            assert (mine.language, mine.split) == (theirs.language, theirs.split)
            assert mine.drop_identical_ids == theirs.drop_identical_ids


@needs_mteb
@pytest.mark.slow  # importing mteb takes seconds
def test_followir_has_the_values_of_mteb_for_its_own_task(tmp_path: Path):
    import mteb

    name, model = FAMILIES["followir"][0], WordCrossEncoder()
    with published(tmp_path, [name]):
        theirs = scores(model, mteb.get_task("Robust04InstructionRetrieval"), tmp_path / "mteb")
        found = evalkit.evaluate(
            (name, {"append_instructions": True}),
            retriever="own",
            reranker=model,
            measures=["p-MRR", "MAP@1000", "nDCG@5"],
            results_dir=tmp_path / "results",
            cache_dir=tmp_path / "cache",
        )
    expected = {"p-MRR": theirs["p-MRR"], "MAP@1000": theirs["map_at_1000"], "nDCG@5": theirs["ndcg_at_5"]}
    assert {key: found.measures[key] for key in expected} == pytest.approx(expected, abs=6e-6)
    assert found.measures["p-MRR"] == pytest.approx(3 / 4 - 1)


@needs_mteb
@pytest.mark.slow  # importing mteb takes seconds
def test_ifir_is_read_by_mteb_with_its_instructions(tmp_path: Path, store: Store):
    from evalkit.datasets.mteb_metadata import task_reading

    name = FAMILIES["ifir"][0]
    task = task_reading(settings(name))
    hub_id, revision = task.dataset["path"], task.dataset["revision"]
    asked = {query: f"only for {query}" for query in miniatures.QUERIES}
    instruction = {"query-id": list(asked), "instruction": list(asked.values())}
    folder = miniatures.write_repository(
        tmp_path / "repository", hub_id, splits=["test"], more={"instruction": instruction}
    )
    with LocalHub({f"datasets/{hub_id}@{revision}": folder}) as hub, hub_clients(hub.endpoint, tmp_path / "home"):
        dataset = loaded(name, store)
    assert dataset.documents.texts(range(5)) == miniatures.texts(hub_id)
    assert dataset.qrels == QRELS["test"]
    assert dict(dataset.instructions) == {query: asked[query] for query in QRELS["test"]}
    assert dataset.differences["documents"] == "5, expected 2,914"


def lists_of(dataset: Dataset) -> dict[str, list[str]] | None:
    found = dataset.candidates
    return None if found is None else {query: list(doc_ids) for query, doc_ids, _ in found}


@needs_mteb
@pytest.mark.slow  # importing mteb takes seconds
def test_the_suites_are_the_benchmarks_of_mteb():
    import mteb

    from evalkit.config.suites import load_suite
    from evalkit.datasets.mteb_metadata import task_reading

    def tasks(suite: str) -> set[str]:
        return {task_reading(settings(name)).name for name in load_suite(suite).datasets}

    def benchmark(name: str, kind: str = "Retrieval") -> set[str]:
        return {task.metadata.name for task in mteb.get_benchmark(name).tasks if task.metadata.type == kind}

    assert tasks("nanobeir") == benchmark("NanoBEIR")
    assert tasks("mteb_eng_v2") == benchmark("MTEB(eng, v2)")
    assert tasks("r2med") == benchmark("R2MED")
    assert tasks("bright_v1_1") | tasks("bright_v1_1_long") == benchmark("BRIGHT(v1.1)")
    assert {*tasks("bright"), *tasks("bright_long")} == {"BrightRetrieval", "BrightLongRetrieval"}
    assert tasks("cmteb_reranking") == benchmark("MTEB(cmn, v1)", "Reranking")
    assert tasks("followir") == benchmark("FollowIR", "InstructionReranking")
    assert len(tasks("ifir")) == 7
    reranking = ("miracl_reranking", "MIRACLReranking")
    for suite, task in (
        reranking,
        ("miracl", "MIRACLRetrieval"),
        ("mldr", "MultiLongDocRetrieval"),
        ("lotte", "LoTTE"),
    ):
        assert tasks(suite) == {task}
        assert {settings(name)["subset"] for name in load_suite(suite).datasets} == set(mteb.get_task(task).hf_subsets)


# Queries and grades as ir_datasets 0.6.3 counts them (etc/metadata.json).
TREC_DL = {
    "trec-dl20": (54, {0: 7780, 1: 1940, 2: 1020, 3: 646}),
    "trec-dl21": (53, {0: 4338, 1: 3063, 2: 2341, 3: 1086}),
    "trec-dl22": (76, {0: 286459, 1: 52218, 2: 46080, 3: 1659}),
    "trec-dl23": (82, {0: 13866, 1: 4372, 2: 2259, 3: 1830}),
}


def test_the_cards_of_trec_dl_say_what_ir_datasets_counts():
    assert set(TREC_DL) == {name for name in config_names("dataset") if name.startswith("trec-dl")} - {"trec-dl19"}
    for name, (queries, grades) in TREC_DL.items():
        card = settings(name)
        relevant = sum(count for grade, count in grades.items() if grade > 0)
        counts = {"queries": queries, "judgments": sum(grades.values()), "relevant": relevant}
        counts["documents"] = 8_841_823 if name == "trec-dl20" else 138_364_198
        assert card["expected"] == counts
        assert card["relevance_level"] == 2


def test_the_collections_of_ir_datasets_are_those_of_their_years():
    found = {name: settings(name)["id"] for name in FAMILIES["trec_dl_v2"]}
    assert found == {f"trec-dl{year}": f"msmarco-passage-v2/trec-dl-20{year}/judged" for year in (21, 22, 23)}
