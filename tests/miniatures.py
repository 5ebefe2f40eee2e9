"""Miniatures of published datasets: a few documents with the quirks that the real ones have, in the published layouts.

A document is empty, one has a query's id, judgments are graded 0 to 2, one points at no document, and one query is not
judged in any split that a card names. Titles, texts and queries name the dataset, so that one is not taken for another.
"""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import OmegaConf
from stubs import write_collection

from evalkit.config.resources import config_names, read_config, shipped
from evalkit.datasets.hub_dataset import HubDatasetConfig

TWIN = "7"  # the query and the document that have the same id
QRELS = {
    "test": {TWIN: {"d3": 2, "d4": 1, "d1": 0}, "q2": {"d3": 1, "absent": 1}},
    "dev": {TWIN: {"d1": 1, "d3": 2}, "q10": {"d4": 0, "d1": 1, "absent": 1}},
    "train": {"q3": {"d1": 1}},
}
QUERIES = (TWIN, "q10", "q2", "q3", "unjudged")


def documents(name: str, *, titled: bool = True) -> dict[str, tuple[str, str]]:
    """Document id -> title and text."""
    found = {
        TWIN: (f"Tides of {name}", "The moon pulls the sea."),
        "d1": ("", f"Bees of {name} make honey."),
        "d2": ("", ""),
        "d3": (f"潮汐 {name}", " 月亮吸引海水。\n"),
        "d4": ("Bread", ""),
    }
    return found if titled else {key: ("", f"{title} {text}".strip()) for key, (title, text) in found.items()}


def texts(name: str) -> list[str]:
    """What retrievers and rerankers are to see of `documents`, with or without titles."""
    tides = f"Tides of {name} The moon pulls the sea."
    return [tides, f"Bees of {name} make honey.", "", f"潮汐 {name}  月亮吸引海水。", "Bread"]


def queries(name: str, split: str | None = None) -> dict[str, str]:
    """Query id -> text, of those judged in a split or all."""
    return {key: f"what does {name} say of {key}" for key in QUERIES if split is None or key in QRELS[split]}


def settings(name: str) -> dict:
    """What the card of a dataset says."""
    return read_config("dataset", name)


def families() -> dict[str, list[str]]:
    """File of a family -> its datasets."""
    files = sorted((shipped("conf") / "family").glob("*.yaml"))
    return {path.stem: list(read_config("family", path.stem)["members"]) for path in files}


def cards() -> dict[str, dict]:
    """The settings of every published dataset on the hub, of families only CQADupStack, by its name."""
    others = {name for family, names in families().items() if family != "cqadupstack" for name in names}
    found = {name: settings(name) for name in config_names("dataset") if name not in others}
    return {name: card for name, card in found.items() if card["defaults"][0] == "/schema/dataset/hub@_here_"}


def configured(name: str, **changed: object) -> HubDatasetConfig:
    """The settings of a published dataset, some of them changed. Without Hydra, which takes a tenth of a second."""
    card = {key: value for key, value in settings(name).items() if key != "defaults"}
    made = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(HubDatasetConfig), card, changed))
    assert isinstance(made, HubDatasetConfig)
    return made


def write_repository(
    folder: Path,
    name: str,
    *,
    splits: Iterable[str],
    titled: bool = True,
    subsets: Iterable[str] = (),
    qrels: str = "default",
    more: Mapping[str, Mapping] | None = None,
) -> Path:
    """A repository of the hub in parquet.

    Args:
        folder: to write to.
        name: that its texts contain.
        splits: judgments to publish.
        titled: whether documents have titles. Those that have none are published with the split's name everywhere.
        subsets: parts, where it has several; the name of each is appended to `name`.
        qrels: name of the configuration of judgments.
        more: further configurations, name -> columns, of each part where it has several.
    """
    splits, more = tuple(splits), more or {}
    configurations = {}
    for subset in subsets:
        part = _tables(f"{name} {subset}", splits, titled=titled, qrels="qrels", plain=splits[0])
        part |= {key: {splits[0]: columns} for key, columns in more.items()}
        configurations |= {f"{subset}-{key}": value for key, value in part.items()}
    if not configurations:
        configurations = _tables(name, splits, titled=titled, qrels=qrels)
        configurations |= {key: {splits[0]: columns} for key, columns in more.items()}
    return write_parquet(folder, configurations)


def write_parquet(folder: Path, configurations: Mapping[str, Mapping[str, Mapping]]) -> Path:
    """A repository of the hub: configuration -> split -> columns."""
    listed = ["---", "configs:"]
    for configuration, tables in configurations.items():
        listed += [f"- config_name: {configuration}", "  data_files:"]
        for split, columns in tables.items():
            file = folder / configuration / f"{split}-00000-of-00001.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(columns), file)
            listed += [f"  - split: {split}", f"    path: {configuration}/{split}-*"]
    (folder / "README.md").write_text("\n".join([*listed, "---", ""]), encoding="utf-8")
    return folder


def _tables(name: str, splits: tuple[str, ...], *, titled: bool, qrels: str, plain: str = "") -> dict:
    """Configuration -> split -> columns."""
    found = documents(name, titled=titled)
    corpus: dict[str, list] = {"_id": list(found), "text": [text for _, text in found.values()]}
    if titled:
        corpus["title"] = [title for title, _ in found.values()]
    asked = queries(name)
    # With titles as BEIR was uploaded, without as C-MTEB was.
    plain = plain or ("" if titled else splits[0])
    return {
        "corpus": {plain or "corpus": corpus},
        "queries": {plain or "queries": {"_id": list(asked), "text": list(asked.values())}},
        qrels: {split: _judgments(QRELS[split], pa.float64() if titled else pa.int64()) for split in splits},
    }


def _judgments(judged: Mapping[str, Mapping[str, int]], number: pa.DataType) -> dict:
    rows = [(query, document, grade) for query, grades in judged.items() for document, grade in grades.items()]
    query_ids, doc_ids, grades = zip(*rows, strict=True)
    return {"query-id": query_ids, "corpus-id": doc_ids, "score": pa.array(grades).cast(number)}


CANDIDATES = {TWIN: ["d3", "d1", "d4", "d2"], "q2": ["d1", "d3"], "q10": ["d4", "d1"]}
LISTS = {"query-id": list(CANDIDATES), "corpus-ids": list(CANDIDATES.values())}


def write_nanobeir(folder: Path, hub_id: str, splits: Iterable[str]) -> Path:
    """NanoBEIR as sentence-transformers publishes it: a split for each set, and judgments without grades."""
    configurations: dict[str, dict] = {"corpus": {}, "queries": {}, "qrels": {}, "bm25": {}}
    for split in splits:
        tables = _tables(f"{hub_id} {split}", ("test",), titled=False, qrels="qrels")
        relevant = [(query, key) for query, grades in QRELS["test"].items() for key, grade in grades.items() if grade]
        configurations["corpus"][split] = tables["corpus"]["test"]
        configurations["queries"][split] = tables["queries"]["test"]
        configurations["qrels"][split] = dict(zip(("query-id", "corpus-id"), zip(*relevant, strict=True), strict=True))
        configurations["bm25"][split] = LISTS
    return write_parquet(folder, configurations)


FOLLOWIR = {"301-og": {"d3": 1, "d4": 1, "d1": 0}, "301-changed": {"d3": 0, "d4": 1, "d1": 0}}
INSTRUCTIONS = {"301-og": "Anything of tides is relevant.", "301-changed": "Only bread is relevant."}


def write_followir(folder: Path, hub_id: str) -> Path:
    """A repository of FollowIR: one topic with two instructions, whose text is the same."""
    found = documents(hub_id, titled=False)
    lists = [["d1", "d2", "d3", "d4"]] * 2
    tables = {
        "corpus": {"_id": list(found), "text": [text for _, text in found.values()]},
        "queries": {"_id": list(FOLLOWIR), "text": ["tides and bread"] * 2},
        "default": _judgments(FOLLOWIR, pa.int64()),
        "instruction": {"query-id": list(INSTRUCTIONS), "instruction": list(INSTRUCTIONS.values())},
        "top_ranked": {"query-id": list(FOLLOWIR), "corpus-ids": lists},
    }
    difference = {"qrel_diff": {"qrel_diff": {"query-id": ["301"], "corpus-ids": [["d3"]]}}}
    return write_parquet(folder, {name: {"test": columns} for name, columns in tables.items()} | difference)


def write_r2med(folder: Path, name: str) -> Path:
    """A repository in the layout of R2MED: splits are called as the configurations, and ids of judgments are short."""
    found, asked = documents(name, titled=False), queries(name)
    rows = [(query, document, grade) for query, grades in QRELS["test"].items() for document, grade in grades.items()]
    tables = {
        "corpus": {"id": list(found), "text": [text for _, text in found.values()]},
        "query": {"id": list(asked), "text": list(asked.values())},
        "qrels": dict(zip(("q_id", "p_id", "score"), zip(*rows, strict=True), strict=True)),
    }
    return write_parquet(folder, {part: {part: columns} for part, columns in tables.items()})


def write_examples(folder: Path, card: Mapping, parts: Iterable[str], excluded: Mapping[str, list[str]]) -> Path:
    """A repository whose queries list their relevant documents, in the layouts of BRIGHT and LitSearch.

    Args:
        folder: to write to.
        card: of one of its datasets.
        parts: collections, each a split; its name is appended to that of the repository.
        excluded: query id -> documents that it excludes, of BRIGHT.
    """
    configurations: dict[str, dict] = {"examples": {}, "documents": {}, "long_documents": {}}
    for part in parts:
        name = f"{card['hub_id']} {part}"
        asked = queries(name)
        lists = [[key for key, grade in QRELS["test"].get(query, {}).items() if grade > 0] for query in asked]
        configurations["examples"][part] = {
            "id": list(asked),
            "query": list(asked.values()),
            "gold_ids": pa.array(lists, pa.list_(pa.string())),
            "gold_ids_long": pa.array([found[:1] for found in lists], pa.list_(pa.string())),
            "excluded_ids": [excluded.get(query, ["N/A"]) for query in asked],
        }
        for key, text in (("documents", name), ("long_documents", f"{name} long")):
            found = documents(text, titled=False)
            configurations[key][part] = {"id": list(found), "content": [text for _, text in found.values()]}
    return write_parquet(folder, configurations)


def write_litsearch(folder: Path, card: Mapping) -> Path:
    """The repository of LitSearch: queries have no ids, and those of papers are numbers."""
    found = documents(card["hub_id"])
    numbers = {key: number for number, key in enumerate(found, start=17)}
    lists = [[numbers["d3"]], [numbers["d1"], numbers["d4"]]]
    queries_table = {"query_set": ["inline", "manual"], "query": ["what of tides", "what of bees"], "corpusids": lists}
    papers = {
        "corpusid": list(numbers.values()),
        "title": [title for title, _ in found.values()],
        "abstract": [text for _, text in found.values()],
        "citations": [[1], [], [2], [], []],
    }
    return write_parquet(folder, {"query": {"full": queries_table}, "corpus_clean": {"full": papers}})


def write_beir(folder: Path, name: str, splits: Iterable[str]) -> Path:
    """The collection in BEIR layout."""
    for split in splits:
        write_collection(folder, documents(name), queries(name), QRELS[split], split)
    return folder


def zipped(folder: Path, *, root: Path) -> Path:
    """A zip of a folder beside it, its members named from `root`."""
    path = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir(f"{folder.relative_to(root).as_posix()}")
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            archive.write(file, file.relative_to(root).as_posix())
    return path


def write_reranking(folder: Path) -> Path:
    """A repository of mteb with the candidates of each query, relevant documents first."""
    return write_parquet(
        folder,
        {
            "corpus": {"dev": {"_id": ["d1", "d2", "d3"], "title": [""] * 3, "text": ["蜜蜂", "蜂蜜", "面包"]}},
            "queries": {"dev": {"_id": ["q1", "q2"], "text": ["蜂", "包"]}},
            "qrels": {"dev": {"query-id": ["q1", "q2"], "corpus-id": ["d2", "d1"], "score": [1, 1]}},
            "top_ranked": {"dev": {"query-id": ["q1", "q2"], "corpus-ids": [["d2", "d1", "d3"], ["d1", "d3"]]}},
        },
    )
