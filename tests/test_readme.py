"""The lines of Python in README.md and docs/ run as they stand, on tiny checkpoints under the published names."""

import re
from pathlib import Path

import pytest
from made import grade, write_collection
from tiny_checkpoints import write_bert_embedder, write_xlm_roberta_reranker

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = {
    f"{page.name}:{page.read_text(encoding='utf-8')[: found.start()].count(chr(10)) + 1}": found[1]
    for page in PAGES
    for found in re.finditer(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
}
CHECKPOINTS = {"BAAI/bge-reranker-v2-m3": write_xlm_roberta_reranker, "BAAI/bge-m3": write_bert_embedder}
QUERIES = 3


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The hub's client, with tiny checkpoints of the layouts that are published under these names."""

    def download(model, *, revision, **_):
        folder = tmp_path / model / revision
        return str(folder if folder.is_dir() else CHECKPOINTS[model](folder))

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """Every task of mteb has the same few documents, and results go nowhere else."""
    pytest.importorskip("mteb")
    import datasets
    from mteb.abstasks.retrieval import AbsTaskRetrieval

    collection = write_collection(tmp_path / "collection", queries=QUERIES)
    rows = {
        name: datasets.load_dataset(
            "json", data_files=str(collection / f"{name}.jsonl"), cache_dir=str(tmp_path / "datasets")
        )["train"].rename_column("_id", "id")
        for name in ("corpus", "queries")
    }
    judged = {
        f"q{query}": {f"d{query}_{place}": grade(query, place) for place in range(12)} for query in range(QUERIES)
    }

    def load_data(self, **_):
        data = {"corpus": rows["corpus"], "queries": rows["queries"], "relevant_docs": judged, "top_ranked": None}
        self.dataset = {"default": {"test": data}}
        self.data_loaded = True

    monkeypatch.setattr(AbsTaskRetrieval, "load_data", load_data)
    monkeypatch.setenv("MTEB_CACHE", str(tmp_path / "mteb"))


def test_there_are_lines_of_python():
    assert any("load_reranker" in block for block in BLOCKS.values())
    assert any("mteb.evaluate" in block for block in BLOCKS.values())


@pytest.mark.filterwarnings("ignore")  # of mteb's, about what its results could also hold
@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("place", BLOCKS)
def test_the_lines_of_python_run_as_they_stand(place, tmp_path, monkeypatch, request):
    if "mteb" in BLOCKS[place]:
        request.getfixturevalue("tasks")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = {"__name__": "readme"}
    exec(compile(BLOCKS[place], place, "exec"), names)
    if "reranker" in names:
        assert (1,) == names["reranker"].score([("what do bees make?", "Bees make honey.")]).scores.shape
