"""Repositories whose queries list their relevant documents: which files are read, and what is refused."""

from collections.abc import Iterator
from pathlib import Path

import miniatures
import pytest
from local_hub import LocalHub, hub_clients
from miniatures import settings

from evalkit.datasets import load, loader
from evalkit.errors import ConfigError, DataError
from evalkit.load import config_of
from evalkit.store import Store

NAME = "bright-v1.1-pony"
CARD = settings(NAME)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    folder = miniatures.write_examples(
        tmp_path / "repository", CARD, ["pony", "aops"], {"7": ["d1", "d2"], "q2": ["N/A"]}
    )
    served = {f"datasets/{CARD['hub_id']}@{CARD['revision']}": folder}
    with LocalHub(served) as running, hub_clients(running.endpoint, tmp_path / "home"):
        yield running


def refused(store: Store, **changed: object) -> str:
    with pytest.raises(DataError) as caught:
        load(config_of("dataset", NAME, changed), store)
    return str(caught.value)


@pytest.mark.usefixtures("hub")
def test_queries_and_documents_alone_are_downloaded_once(store: Store):
    """Of all collections of the repository, as `datasets` does."""
    found = loader(config_of("dataset", NAME, {}), store)
    files = [
        f"{part}/{split}-00000-of-00001.parquet" for part in ("documents", "examples") for split in ("aops", "pony")
    ]
    assert sorted(file.name for file in found.remote_files()) == [f"{CARD['hub_id']}/{name}" for name in files]
    assert not any(file.here for file in found.remote_files())
    assert not found.is_here()
    found.load()
    assert found.is_here()
    assert all(file.here for file in found.remote_files())


@pytest.mark.usefixtures("hub")
def test_a_query_without_relevant_documents_is_not_judged_and_none_excludes_nothing(store: Store):
    dataset = load(config_of("dataset", NAME, {}), store)
    assert set(dataset.queries) == {"7", "q2"}
    assert dataset.notes["unjudged_queries"] == 3
    assert dataset.excluded == {"7": ["d1", "d2"]}


@pytest.mark.usefixtures("hub")
def test_what_the_repository_does_not_have_is_named(store: Store):
    assert "no split 'horse' of queries. It has pony, aops" in refused(store, part="horse")
    assert "examples): columns id, query" in (text := refused(store, relevant="gold"))
    assert text.endswith("expected also gold.")
    assert "documents_of_old" in refused(store, documents="documents_of_old")


def test_a_folder_is_refused_since_it_would_not_be_read(store: Store):
    with pytest.raises(ConfigError, match=r"is read from the hub. For a collection on disk set dataset=folder"):
        load(config_of("dataset", NAME, {"path": "somewhere"}), store)
    with pytest.raises(ConfigError, match=r"dataset\.revision=main is not a full commit"):
        config_of("dataset", NAME, {"revision": "main"})
