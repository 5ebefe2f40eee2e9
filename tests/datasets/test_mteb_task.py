"""Tasks of mteb: what mteb itself loads from a hub on 127.0.0.1 is what the card of the same dataset loads."""

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import miniatures
import pytest
from datasets import Dataset, Value, concatenate_datasets
from local_hub import LocalHub, ask
from miniatures import TWIN, settings

from evalkit.datasets import load, mteb_task
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.mteb_task import MtebDatasetConfig
from evalkit.errors import ConfigError, DataError, MissingExtra
from evalkit.store import Store

# One process for all: importing mteb takes seconds.
PROGRAM = """
import json, logging, sys
from pathlib import Path
from evalkit.commands.settings.compose import compose
from evalkit.datasets import load
from evalkit.errors import EvalkitError
from evalkit.store import Store

class Told(logging.Handler):
    def emit(self, record):
        told.append(record.getMessage())

logging.getLogger("evalkit.datasets").addHandler(Told())
folder, *commands = sys.argv[1:]
answers = {}
for command in commands:
    told = []
    try:
        dataset = load(compose("evaluate", command.split()).dataset, Store(Path(folder)))
    except EvalkitError as error:
        answers[command] = {"refused": f"{type(error).__name__}: {error}"}
        continue
    documents = dataset.documents
    answers[command] = {
        "ids": documents.ids.to_pylist(),
        "texts": documents.texts(range(len(documents))),
        "queries": dict(dataset.queries),
        "qrels": {query_id: dict(judged) for query_id, judged in dataset.qrels.items()},
        "name": dataset.name,
        "split": dataset.split,
        "language": dataset.language,
        "drop_identical_ids": dataset.drop_identical_ids,
        "corpus_digest": dataset.corpus_digest,
        "digest": dataset.digest,
        "excluded": {query_id: list(ids) for query_id, ids in dataset.excluded.items()},
        "instructions": dict(dataset.instructions),
        "candidates": dataset.candidates
        and {query_id: dict(zip(ids, scores.tolist())) for query_id, ids, scores in dataset.candidates},
        "told": told,
    }
print(json.dumps(answers))
"""
NEUCLIR = "dataset=mteb dataset.task=NeuCLIR2022RetrievalHardNegatives"
FORUM = "dataset=mteb dataset.task=CQADupstack{}-NL"
SAME = {  # what mteb loads, and the card that is the same
    "dataset=mteb dataset.task=SciFact": "dataset=scifact",
    "dataset=mteb dataset.task=FiQA2018": "dataset=fiqa",
    "dataset=mteb dataset.task=T2Retrieval": "dataset=T2Retrieval",
    f"{NEUCLIR} dataset.subset=zho": "dataset=neuclir22_zh_mteb_hard_negatives",
}
ASKED = [
    *SAME,
    *SAME.values(),
    "dataset=mteb dataset.task=FiQA2018 dataset.drop_identical_ids=false",
    "dataset=mteb dataset.task=FiQA2018 dataset.split=train",
    "dataset=mteb dataset.task=SciFact dataset.language=zh dataset.name=mine",
    "dataset=mteb dataset.task=SciFact dataset.subset=zho",
    "dataset=mteb dataset.task=SciFactt",
    "dataset=mteb dataset.task=Banking77Classification",
    "dataset=mteb dataset.task=VisRAGRetArxivQA",
    "dataset=mteb dataset.task=CQADupstackRetrieval",
    "dataset=mteb dataset.task=NFCorpus",
    NEUCLIR,
    f"{NEUCLIR} dataset.subset=deu",
    FORUM.format("Unix"),
    FORUM.format("Gaming"),
    "dataset=mteb dataset.task=BrightAopsRetrieval",
    "dataset=mteb dataset.task=T2Reranking",
    "dataset=mteb dataset.task=Core17InstructionRetrieval",
]
LOADED = ["dataset=mteb dataset.task=SciFact", FORUM.format("Unix")]
OFFLINE = [*LOADED, "dataset=mteb dataset.task=NFCorpus"]


def write_forums(folder: Path) -> Path:
    """A repository with a split for each forum, and one that mteb reads by code of its own, as a sixth of its tasks."""
    columns = {
        "corpus": lambda forum: {"_id": ["1", "2"], "title": [forum, ""], "text": ["spel", f"twee {forum}"]},
        "queries": lambda forum: {"_id": ["9", "8"], "text": [f"vraag {forum}", "niet beoordeeld"]},
        "test": lambda _: {"query-id": ["9"], "corpus-id": ["2"], "score": [1]},
    }
    return miniatures.write_parquet(
        folder, {name: {forum: made(forum) for forum in ("gaming", "unix")} for name, made in columns.items()}
    )


def write_bright(folder: Path) -> Path:
    """A repository whose queries each exclude documents."""
    queries = {"id": ["q", "r"], "query": ["why", "how"], "gold_ids": [["b"], ["a"]]}
    examples = {**queries, "excluded_ids": [["a"], ["N/A"]]}
    documents = {"id": ["a", "b", "c"], "content": ["Why not.", "Because.", "So."]}
    return miniatures.write_parquet(folder, {"documents": {"aops": documents}, "examples": {"aops": examples}})


def write_instructed(folder: Path) -> Path:
    """A repository of FollowIR: each query with its original and its changed instruction."""
    names = ["q1-og", "q1-changed"]
    return miniatures.write_parquet(
        folder,
        {
            "corpus": {"corpus": {"_id": ["d1", "d2"], "title": ["", ""], "text": ["bees", "wild bees"]}},
            "queries": {"queries": {"_id": names, "text": ["bees", "bees"]}},
            "default": {"test": {"query-id": [*names, "q1-og"], "corpus-id": ["d1", "d1", "d2"], "score": [1, 1, 1]}},
            "top_ranked": {"top_ranked": {"query-id": names, "corpus-ids": [["d1", "d2"]] * 2}},
            "instruction": {"instruction": {"query-id": names, "instruction": ["any bees", "no wild bees"]}},
            "qrel_diff": {"qrel_diff": {"query-id": ["q1"], "corpus-ids": [["d2"]]}},
        },
    )


def served(folder: Path) -> dict[str, Path]:
    """What is published, at the revisions of the cards; those of mteb are the same, or it would not be found."""
    names = [card.partition("=")[2] for card in SAME.values()]
    found = {}
    for name in names:
        card = settings(name)
        found[f"datasets/{card['hub_id']}@{card['revision']}"] = miniatures.write_repository(
            folder / name,
            card["hub_id"],
            splits=[card["split"]] if card["language"] == "zh" else [card["split"], "train"],
            titled=name != "T2Retrieval",
            subsets=("fas", "rus", "zho") if "subset" in card else (),
        )
    forums = "datasets/clips/beir-nl-cqadupstack@1de13232f452f0b4f5525d8c6c41cd6a9ae1d084"
    bright = "datasets/mteb/BRIGHT@c26703e6600d97c579ee2985f16cf307db13ed85"
    reranking = "datasets/mteb/T2Reranking@a34fe6bc0dff185af1228e49a0f6fb1de1565627"
    instructed = "datasets/mteb/Core17InstructionRetrieval@67d8733dd0691f08f34ed9dda5941578cba8d91c"
    return {
        **found,
        forums: write_forums(folder / "forums"),
        bright: write_bright(folder / "bright"),
        reranking: miniatures.write_reranking(folder / "reranking"),
        instructed: write_instructed(folder / "instructed"),
    }


pytestmark = pytest.mark.slow  # importing mteb takes seconds


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What every command gives, what was requested for it, and what is left without a network."""
    if importlib.util.find_spec("mteb") is None:
        pytest.skip("mteb is not installed (the extra `mteb`)")
    folder = tmp_path_factory.mktemp("mteb")
    with LocalHub(served(folder / "served")) as hub:
        found = ask(hub.endpoint, PROGRAM, folder / "store", *ASKED, home=folder / "home")
        requests = list(hub.requests)
    offline = ask(hub.endpoint, PROGRAM, folder / "store", *OFFLINE, home=folder / "home", offline=True)
    return {**found, "requests": requests, "offline": offline}


@pytest.mark.parametrize("command", SAME)
def test_a_task_of_mteb_is_the_dataset_of_its_card(answers: dict[str, Any], command: str):
    task, card = answers[command], answers[SAME[command]]
    assert len(task["ids"]) == 5, task
    for key in ("ids", "texts", "queries", "qrels", "split", "language", "drop_identical_ids"):
        assert task[key] == card[key], key


@pytest.mark.parametrize("command", SAME)
def test_a_task_has_its_own_name_and_a_corpus_key_of_its_content(answers: dict[str, Any], command: str):
    task, card = answers[command], answers[SAME[command]]
    assert task["name"] == command.partition("task=")[2].replace(" dataset.subset=", "-")
    assert re.fullmatch("[0-9a-f]{64}", task["corpus_digest"])
    assert task["corpus_digest"] != card["corpus_digest"]


def test_the_policy_of_a_task_can_be_set_and_makes_another_task(answers: dict[str, Any]):
    own = answers["dataset=mteb dataset.task=FiQA2018"]
    kept = answers["dataset=mteb dataset.task=FiQA2018 dataset.drop_identical_ids=false"]
    assert (own["drop_identical_ids"], kept["drop_identical_ids"]) == (True, False)
    assert TWIN in own["ids"]
    assert kept["corpus_digest"] == own["corpus_digest"]
    assert kept["digest"] != own["digest"]


def test_a_name_and_a_language_that_are_set_are_used(answers: dict[str, Any]):
    """The program says `Set dataset.language=zh` where the documents look Chinese and mteb does not say so."""
    dataset = answers["dataset=mteb dataset.task=SciFact dataset.language=zh dataset.name=mine"]
    assert (dataset["name"], dataset["language"]) == ("mine", "zh")


def test_only_the_part_that_is_asked_for_is_downloaded(answers: dict[str, Any]):
    asked = [line for line in answers["requests"] if "/NeuCLIR2022" in line and ".parquet" in line]
    assert {part for line in asked for part in re.findall(r"/(\w+)-(?:corpus|queries|qrels)/", line)} == {"zho"}


def test_tasks_that_share_a_repository_do_not_share_a_corpus(answers: dict[str, Any]):
    """mteb loads these by code of its own, in the format of its first version."""
    unix, gaming = (answers[FORUM.format(forum)] for forum in ("Unix", "Gaming"))
    assert (unix["ids"], unix["texts"]) == (["1", "2"], ["unix spel", "twee unix"])
    assert (gaming["ids"], gaming["texts"]) == (["1", "2"], ["gaming spel", "twee gaming"])
    assert (unix["queries"], unix["qrels"]) == ({"9": "vraag unix"}, {"9": {"2": 1}})
    assert unix["corpus_digest"] != gaming["corpus_digest"]


def test_documents_that_queries_of_a_task_exclude_are_excluded(answers: dict[str, Any]):
    """mteb has lists of all other documents; `N/A` is BRIGHT's word for none."""
    bright = answers["dataset=mteb dataset.task=BrightAopsRetrieval"]
    assert (bright["texts"], bright["told"]) == (["Why not.", "Because.", "So."], [])
    assert (bright["excluded"], bright["candidates"]) == ({"q": ["a"]}, None)
    scifact = answers["dataset=mteb dataset.task=SciFact"]
    assert (scifact["excluded"], scifact["candidates"], scifact["instructions"]) == ({}, None, {})


def test_candidates_of_a_reranking_task_are_those_of_the_dataset(answers: dict[str, Any]):
    """They come without an order: in the files relevant documents are first."""
    task = answers["dataset=mteb dataset.task=T2Reranking"]
    assert task["candidates"] == {"q1": {"d1": 0.0, "d2": 0.0, "d3": 0.0}, "q2": {"d3": 0.0, "d1": 0.0}}
    assert (task["qrels"], task["language"], task["split"]) == ({"q1": {"d2": 1}, "q2": {"d1": 1}}, "zh", "dev")


def test_instructions_of_a_task_are_those_of_its_queries(answers: dict[str, Any]):
    task = answers["dataset=mteb dataset.task=Core17InstructionRetrieval"]
    assert task["instructions"] == {"q1-og": "any bees", "q1-changed": "no wild bees"}
    assert task["candidates"] == {name: {"d1": 0.0, "d2": 0.0} for name in ("q1-changed", "q1-og")}


def test_a_task_that_was_loaded_once_is_the_same_offline(answers: dict[str, Any]):
    assert [answers["offline"][command] for command in LOADED] == [answers[command] for command in LOADED]
    refusal = answers["offline"]["dataset=mteb dataset.task=NFCorpus"]["refused"]
    assert refusal == (
        "DataError: mteb cannot load NFCorpus (HF_HUB_OFFLINE forbids the network (unset it once to download): it was "
        "not loaded before)."
    )


@pytest.mark.parametrize(
    ("task", "refusal"),
    [
        ("SciFactt", "mteb has no such task: 'SciFactt' not found. Did you mean: 'SciFact'? Check dataset.task."),
        ("Banking77Classification", "Banking77Classification is a task of type Classification of text, expected Ret"),
        ("VisRAGRetArxivQA", "VisRAGRetArxivQA is a task of type Retrieval of text, image, expected Retrieval, Rerank"),
        (
            "CQADupstackRetrieval",
            "CQADupstackRetrieval is the mean of several tasks. Set dataset.task to one of: CQADu",
        ),
        ("FiQA2018 dataset.split=train", "dataset.split=train is not a split of FiQA2018. Legal are: test."),
        ("SciFact dataset.subset=zho", "dataset.subset=zho is not a part of SciFact. Legal are: default."),
        (
            "NeuCLIR2022RetrievalHardNegatives",
            "NeuCLIR2022RetrievalHardNegatives has several parts. Set dataset.subset to one of: fas, rus, zho.",
        ),
        (
            "NeuCLIR2022RetrievalHardNegatives dataset.subset=deu",
            "dataset.subset=deu is not a part of NeuCLIR2022RetrievalHardNegatives. Legal are: fas, rus, zho.",
        ),
    ],
)
def test_what_mteb_does_not_have_is_refused_with_what_it_has(answers: dict[str, Any], task: str, refusal: str):
    message = answers[f"dataset=mteb dataset.task={task}"]["refused"]
    assert message.startswith(f"ConfigError: {refusal}")
    assert "\n" not in message


def test_a_task_that_mteb_cannot_download_is_refused_in_one_line(answers: dict[str, Any]):
    message = answers["dataset=mteb dataset.task=NFCorpus"]["refused"]
    assert message.startswith("DataError: mteb cannot load NFCorpus (Dataset 'mteb/nfcorpus' doesn't exist")
    assert "\n" not in message


# Without mteb


def test_mteb_is_asked_for_with_the_command_that_installs_it(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(
        MissingExtra, match=r"dataset=mteb needs the package 'mteb'\. Run: pip install 'evalkit\[mteb\]'"
    ):
        load(MtebDatasetConfig(task="SciFact"), store)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({}, "dataset.task is not set"),
        ({"task": "SciFact", "path": "folder"}, "dataset=mteb is loaded by mteb. For a collection on disk"),
        ({"task": "SciFact", "split": "../test"}, "dataset.split"),
    ],
)
def test_settings_that_name_no_task_are_refused(settings: dict[str, str], part: str):
    with pytest.raises(ConfigError, match=re.escape(part)):
        MtebDatasetConfig(**settings)


COLUMNS = {"id": ["a", "b", "c"], "title": ["A", "", None], "text": ["one", "two", ""]}


def checked(table: Dataset) -> Dataset:
    """A corpus as it is taken from mteb."""
    return mteb_task.checked_corpus("Task", table)


def rows(table: Dataset) -> tuple[list[str], list[str]]:
    documents = ArrowDocuments(table, title_separator=" ", id_column="id")
    return documents.ids.to_pylist(), documents.texts(range(len(documents)))


def test_documents_that_a_task_selects_keep_their_ids():
    """A selection is an index over the whole table."""
    table = Dataset.from_dict(COLUMNS)
    assert rows(checked(table)) == (["a", "b", "c"], ["A one", "two", ""])
    assert rows(checked(table.select([2, 0]))) == (["c", "a"], ["", "A one"])
    assert rows(checked(table.filter(lambda row: row["id"] != "b"))) == (["a", "c"], ["A one", ""])


def test_the_key_of_a_corpus_is_its_content_in_its_order():
    table = Dataset.from_dict(COLUMNS)
    digest = mteb_task.content_digest(table)
    pieces = concatenate_datasets([table.select([0]), table.select([1, 2])])
    large = table.cast_column("text", Value("large_string"))
    numbered = table.add_column("url", ["x", "y", "z"])
    assert [mteb_task.content_digest(checked(other)) for other in (pieces, large, numbered)] == [digest] * 3
    changed = [{**COLUMNS, "text": ["one", "two", "."]}, {**COLUMNS, "id": ["a", "b", "d"]}]
    others = [*(Dataset.from_dict(columns) for columns in changed), table.select([1, 0, 2])]
    assert digest not in {mteb_task.content_digest(checked(other)) for other in others}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["a"], "image": ["x"]}, "Task: columns id, image, expected id, text and perhaps title."),
        ({"id": ["a", "b", "a"], "text": ["", "", ""]}, "Task: 1 document ids occur twice. Ids are unique."),
        ({"id": ["a", "b\t"], "text": ["", ""]}, "Task: 1 document ids, such as 'b\\t', are empty or hold tabs"),
        ({"id": ["a", ""], "text": ["", ""]}, "Task: 1 document ids, such as '', are empty or hold tabs"),
    ],
)
def test_a_corpus_that_no_run_can_name_is_refused(columns: dict[str, list[str]], message: str):
    with pytest.raises(DataError, match=re.escape(message)):
        checked(Dataset.from_dict(columns))
