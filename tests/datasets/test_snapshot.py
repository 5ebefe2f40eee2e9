"""Published datasets on disk: what `hf download` left, and what `save_to_disk` wrote."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from miniatures import configured
from published import CORPUS, QRELS, QUERIES, Columns, write_parquet

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load, snapshot
from evalkit.datasets.hub_dataset import HubDatasetConfig
from evalkit.errors import DataError
from evalkit.store import Store
from evalkit.types import Dataset

TEXTS = [
    "Microstructural development of human newborn white matter.",
    "Induction of myelodysplasia.",
    "BC1 RNA",
    "The DNA Methylome  of human cells.",
]
PARTS: dict[str, Columns] = {"corpus": CORPUS, "queries": QUERIES, "qrels": QRELS}


def show(dataset: Dataset) -> dict[str, Any]:
    documents = dataset.documents
    return {
        "ids": documents.ids.to_pylist(),
        "texts": documents.texts(range(len(documents))),
        "queries": dict(dataset.queries),
        "qrels": {query_id: dict(judged) for query_id, judged in dataset.qrels.items()},
        "unjudged": dataset.notes["unjudged_queries"],
    }


SHOWN = {
    "ids": CORPUS["_id"],
    "texts": TEXTS,
    "queries": {"0": "0-dimensional biomaterials", "3": "1,000 genomes"},
    "qrels": {"3": {"4983": 1, "31715818": 0}, "0": {"18670": 1}},
    "unjudged": 1,
}


def parquet(path: Path, columns: Columns) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path)


def halves(columns: Columns) -> list[dict[str, Any]]:
    return [{name: column[start : start + 2] for name, column in columns.items()} for start in (0, 2)]


def table(columns: Columns) -> datasets.Dataset:
    return datasets.Dataset.from_dict(dict(columns))


def by_the_card(folder: Path) -> None:
    """Names that say nothing; only README.md knows."""
    for name, columns in (("a/1.parquet", CORPUS), ("b/2.parquet", QUERIES), ("c/3.parquet", QRELS)):
        parquet(folder / name, columns)
    (folder / "README.md").write_text(
        "---\nconfigs:\n"
        "- {config_name: corpus, data_files: a/*.parquet}\n"
        "- {config_name: queries, data_files: [b/2.parquet]}\n"
        "- {config_name: qrels, data_files: [{split: test, path: [c/3.parquet]}]}\n---\n",
        encoding="utf-8",
    )


def in_two_files(folder: Path) -> None:
    write_parquet(folder)
    (folder / "corpus/corpus-00000-of-00001.parquet").unlink()
    for number, half in enumerate(halves(CORPUS)):
        parquet(folder / f"corpus/corpus-{number:05}-of-00002.parquet", half)


def named_parquet(names: Mapping[str, str]):
    def write(folder: Path) -> None:
        for part, name in names.items():
            parquet(folder / name, PARTS[part])

    return write


def saved_one_by_one(folder: Path) -> None:
    for part, columns in PARTS.items():
        table(columns).save_to_disk(folder / part)


def saved_as_loaded(folder: Path) -> None:
    """`load_dataset(REPO, CONFIGURATION).save_to_disk(FOLDER / CONFIGURATION)`."""
    for part, split in (("corpus", "corpus"), ("queries", "queries"), ("default", "test")):
        columns = PARTS["qrels" if part == "default" else part]
        datasets.DatasetDict({split: table(columns)}).save_to_disk(folder / part)


def saved_together(folder: Path) -> None:
    splits = {"corpus": table(CORPUS), "queries": table(QUERIES), "test": table(QRELS)}
    datasets.DatasetDict(splits).save_to_disk(folder)


def saved_selection(folder: Path) -> None:
    """A selection is an index over the table that it is of."""
    twice = {name: [*column, *column] for name, column in CORPUS.items()}
    table(twice).select(range(4)).save_to_disk(folder / "corpus")
    table(QUERIES).save_to_disk(folder / "queries")
    table(QRELS).save_to_disk(folder / "qrels")


LAYOUTS = {
    "as hf download leaves it": write_parquet,
    "without its card": lambda folder: (write_parquet(folder) / "README.md").unlink(),
    "in two files": in_two_files,
    "by its card alone": by_the_card,
    "qrels in a folder of their own": named_parquet(
        {
            "corpus": "corpus/test-00000-of-00001.parquet",
            "queries": "queries/test.parquet",
            "qrels": "qrels/test.parquet",
        }
    ),
    "with hashes in the names": named_parquet(
        {
            "corpus": "data/corpus-00000-of-00001-0123456789abcdef.parquet",
            "queries": "data/queries-00000-of-00001-0123456789abcdef.parquet",
            "qrels": "data/test-00000-of-00001-0123456789abcdef.parquet",
        }
    ),
    "three files": named_parquet({part: f"{part}.parquet" for part in PARTS}),
    "saved one by one": saved_one_by_one,
    "saved as loaded": saved_as_loaded,
    "saved together": saved_together,
    "saved selection": saved_selection,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_dataset(tmp_path: Path, store: Store, layout: str):
    LAYOUTS[layout](tmp_path / "it")
    mine = load(FolderDatasetConfig(path=str(tmp_path / "it")), store)
    named = load(configured("scifact", path=str(tmp_path / "it"), check="off"), store)
    assert SHOWN == show(mine) == show(named)
    assert mine.corpus_digest == named.corpus_digest


def test_the_content_is_the_key_and_not_the_place(tmp_path: Path, store: Store):
    digests = []
    for place, columns in (("a", CORPUS), ("b", CORPUS), ("c", {**CORPUS, "text": ["x", "y", "z", "."]})):
        folder = write_parquet(tmp_path / place, corpus=columns)
        digests.append(load(FolderDatasetConfig(path=str(folder)), store).corpus_digest)
        saved = tmp_path / f"{place}-saved"
        for part, plain in PARTS.items():
            table(columns if part == "corpus" else plain).save_to_disk(saved / part)
        digests.append(load(FolderDatasetConfig(path=str(saved)), store).corpus_digest)
    assert digests[0:2] == digests[2:4]
    assert len(set(digests)) == 4
    assert len(list((store.root / "corpora").iterdir())) == 2  # what was saved stays where it is


def test_nulls_and_other_types_are_read_as_from_the_hub(tmp_path: Path, store: Store):
    corpus = {
        "_id": [int(text) for text in CORPUS["_id"]],
        "title": pa.array([None, "a", None, ""], pa.large_string()),
        "text": pa.array([None, "b", "c", "d"], pa.large_string()),
    }
    judged = {"query-id": [3, 0], "corpus-id": [4983, 18670], "score": [1.0, 2.0]}
    folder = write_parquet(tmp_path / "it", corpus=corpus, queries={**QUERIES, "_id": [0, 1, 3]}, qrels=judged)
    dataset = load(FolderDatasetConfig(path=str(folder)), store)
    assert dataset.documents.ids.to_pylist() == CORPUS["_id"]
    assert dataset.documents.texts(range(4)) == ["", "a b", "c", "d"]
    assert dataset.qrels == {"3": {"4983": 1}, "0": {"18670": 2}}


def test_judgments_of_the_wanted_split_are_read(tmp_path: Path, store: Store):
    folder = write_parquet(tmp_path / "it")
    parquet(folder / "data/dev-00000-of-00001.parquet", {"query-id": ["0"], "corpus-id": ["7912"], "score": [2]})
    (folder / "README.md").unlink()
    assert load(FolderDatasetConfig(path=str(folder), split="dev"), store).qrels == {"0": {"7912": 2}}
    with pytest.raises(DataError) as caught:
        load(FolderDatasetConfig(path=str(folder), split="train"), store)
    assert str(caught.value) == f"{folder}: no split 'train' of qrels. It has dev, test: set dataset.split."


def test_subsets_are_chosen_by_name(tmp_path: Path, store: Store):
    for subset in ("rus", "zho"):
        for part, columns in PARTS.items():
            split = "test" if part == "qrels" else part
            marked = {**columns, "text": [subset] * len(columns["_id"])} if "text" in columns else columns
            parquet(tmp_path / f"{subset}-{part}" / f"{split}-00000-of-00001.parquet", marked)
    card = {"name": "x", "hub_id": "a/b", "revision": "0" * 40, "path": str(tmp_path)}
    for config in (HubDatasetConfig(**card, subset="zho"), FolderDatasetConfig(path=str(tmp_path), folder="zho")):
        assert set(load(config, store).queries.values()) == {"zho"}
    with pytest.raises(DataError, match=r"holds the subsets rus, zho\. .* Set dataset\.subset or dataset\.folder to"):
        load(FolderDatasetConfig(path=str(tmp_path)), store)


def test_the_cache_of_the_hub_can_be_the_path(tmp_path: Path, store: Store):
    repository = tmp_path / "datasets--mteb--scifact"
    write_parquet(repository / "snapshots" / ("1" * 40))
    (repository / "refs").mkdir()
    assert SHOWN == show(load(FolderDatasetConfig(path=str(repository)), store))
    write_parquet(repository / "snapshots" / ("2" * 40))
    with pytest.raises(DataError, match=r"holds 2 commits\. Set dataset\.path to one of those in its snapshots\."):
        load(FolderDatasetConfig(path=str(repository)), store)


def test_a_snapshot_is_compared_with_its_card_as_the_copy_of_the_hub(tmp_path, store, caplog):
    """Of judgments of grade 0 the hub's copy may hold others than BEIR's zip."""
    folder = write_parquet(tmp_path / "it")
    with caplog.at_level(logging.WARNING, "evalkit"):
        dataset = load(configured("trec-covid", path=str(folder)), store)
    assert dataset.differences == {
        "documents": "4, expected 171,332",
        "queries": "2, expected 50",
        "relevant": "2, expected 24,673",
    }
    assert "trec-covid is not what its card says" in caplog.text


def test_a_folder_in_beir_layout_is_read_as_such(collection: Path, store: Store):
    parquet(collection / "corpus/corpus-00000-of-00001.parquet", CORPUS)
    assert snapshot.find(collection) is None
    assert len(load(FolderDatasetConfig(path=str(collection)), store).documents) == 5


def test_passages_of_mkqa_may_be_a_snapshot(tmp_path: Path, store: Store):
    write_parquet(tmp_path / "nq")
    (tmp_path / "zh_cn.jsonl").write_text('{"id": "1", "question": "?", "answers": ["DNA"]}\n', encoding="utf-8")
    from miniatures import settings
    from omegaconf import OmegaConf

    from evalkit.datasets.mkqa import MkqaDatasetConfig

    card = {key: value for key, value in settings("mkqa_en_zh_cn").items() if key != "defaults"}
    places = {"path": str(tmp_path), "corpus_path": str(tmp_path / "nq"), "check": "off"}
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(MkqaDatasetConfig), card, places))
    assert load(config, store).documents.texts([3]) == ["the dna methylome\n of human cells."]


def refusal(folder: Path, store: Store) -> str:
    with pytest.raises(DataError) as caught:
        load(FolderDatasetConfig(path=str(folder)), store)
    assert "\n" not in str(caught.value)
    assert [] == list(store.root.glob("corpora/*"))
    return str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path, store: Store):
    in_two_files(tmp_path)
    (tmp_path / "corpus/corpus-00001-of-00002.parquet").unlink()
    assert refusal(tmp_path, store).startswith(
        f"{tmp_path}/corpus: holds 1 of the 2 files of corpus. Download the rest"
    )


@pytest.mark.parametrize("part", ["corpus", "queries", "data"])
def test_a_missing_part_is_named_with_what_is_expected(tmp_path: Path, store: Store, part: str):
    folder = write_parquet(tmp_path / "it")
    next((folder / part).iterdir()).unlink()
    missing = "qrels" if part == "data" else part
    assert refusal(folder, store).startswith(f"{folder}: holds no {missing}. Expected corpus/*.parquet, queries/")


def test_a_folder_that_was_saved_alone_lacks_the_rest(tmp_path: Path, store: Store):
    table(CORPUS).save_to_disk(tmp_path / "it")
    assert refusal(tmp_path / "it", store).startswith(f"{tmp_path}/it: holds no qrels. Expected")


@pytest.mark.parametrize("part", ["corpus/corpus", "queries/queries", "data/test"])
@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"])
def test_a_damaged_file_is_one_line(tmp_path: Path, store: Store, part: str, content: bytes):
    path = write_parquet(tmp_path / "it") / f"{part}-00000-of-00001.parquet"
    path.write_bytes(content)
    assert refusal(path.parents[1], store).startswith(f"{path}: is not parquet, or is damaged (")


def test_a_damaged_folder_of_save_to_disk_is_one_line(tmp_path: Path, store: Store):
    saved_one_by_one(tmp_path)
    (tmp_path / "corpus/dataset_info.json").write_text("{", encoding="utf-8")
    assert refusal(tmp_path, store).startswith(f"{tmp_path}/corpus: cannot be read as what save_to_disk wrote (")


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        (
            {"corpus": {**CORPUS, "_id": ["1", "1", "2", "3"]}},
            "the id of row 2 is that of row 1, with another title or text",
        ),
        ({"corpus": {**CORPUS, "_id": ["1", None, "2", "3"]}}, "1 documents have no _id"),
        ({"corpus": {name: column[:0] for name, column in CORPUS.items()}}, "holds no documents"),
        ({"corpus": {"docid": ["1"], "words": ["a"]}}, "columns docid, words, expected _id, text and perhaps title"),
        ({"corpus": {"_id": ["1"], "text": [["a"]]}}, "column text is of type list<element: string>, expected text"),
        (
            {"qrels": {"qid": ["3"], "passage": ["1"], "found": [1]}},
            "columns qid, passage, found, expected query-id, corpus-id",
        ),
        ({"qrels": {**QRELS, "score": [1.0, 0.5, 0.0]}}, "the relevance is '0.5', expected an integer"),
        ({"queries": {**QUERIES, "_id": ["0", "0", "3"]}}, "query id '0' occurs twice, with different texts"),
    ],
)
def test_malformed_content_is_one_line(tmp_path: Path, store: Store, changed: dict[str, Columns], part: str):
    folder = write_parquet(tmp_path / "it", **changed)
    with pytest.raises(DataError) as caught:
        load(FolderDatasetConfig(path=str(folder)), store)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pattern", ["../other/*.parquet", "{top}/other/*.parquet"])
def test_a_card_reads_nothing_outside_of_its_folder(tmp_path: Path, store: Store, pattern: str):
    parquet(tmp_path / "other/other.parquet", {"_id": ["1"], "title": [""], "text": ["other"]})
    folder = write_parquet(tmp_path / "it")
    card = f"---\nconfigs:\n- {{config_name: corpus, data_files: '{pattern.format(top=tmp_path)}'}}\n---\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    assert SHOWN == show(load(FolderDatasetConfig(path=str(folder)), store))


@pytest.mark.shared
@pytest.mark.parametrize("name", ["folder", "scifact"])
def test_the_case_that_people_bring_is_read(shared: Path, store: Store, name: str):
    path = str(shared / "cases/hf-parquet-snapshot")
    config = FolderDatasetConfig(path=path) if name == "folder" else configured(name, path=path, check="off")
    dataset = load(config, store)
    assert dict(dataset.queries) == {"q1": "bees", "q2": "milk"}
    assert dataset.documents.texts([0, 1]) == ["Bees Bees make honey", "Cows Cows give milk"]
