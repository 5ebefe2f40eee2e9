"""`evalkit fetch candidates=NAME`: published run files become candidates of `retriever=saved`."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from local_hub import LocalHub, hub_clients

from evalkit.cli import main
from evalkit.config import published_candidates as module
from evalkit.config.published_candidates import candidate_files
from evalkit.config.resources import config_names
from evalkit.datasets import download
from evalkit.errors import ConfigError

ROWS = [
    {
        "query": {"qid": "mini-01", "text": "?"},
        "candidates": [{"docid": "d1", "score": 2.5}, {"docid": "d2", "score": 1}],
    },
    {"query": {"qid": "mini-02", "text": "?"}, "candidates": [{"docid": "d2", "score": 7.25}]},
]
RANK_LLM = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
TREC = b"mini-01 Q0 d1 1 2.5 bm25\n"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A server of run files; this process may use the network, which conftest forbids."""
    repository = tmp_path / "repository"
    (repository / "runs").mkdir(parents=True)
    (repository / "runs" / "run.trec").write_bytes(TREC)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with LocalHub({"datasets/org/runs": repository}, files={"hits.jsonl": RANK_LLM}) as running:
        monkeypatch.setattr(download, "_MIRROR", f"{running.endpoint}/files/mirror")
        yield running


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts what is published in the place of a file under conf/candidates."""

    def publish(**settings: Any) -> None:
        monkeypatch.setattr(module, "read_config", lambda *_: settings)

    return publish


def by_url(hub: LocalHub, md5: str = "") -> dict[str, Any]:
    file = {"name": "hits.jsonl", "md5": md5 or hashlib.md5(RANK_LLM, usedforsecurity=False).hexdigest()}
    return {"url": f"{hub.endpoint}/files", "files": {"mini": file}}


def fetch(tmp_path: Path, *arguments: str) -> int:
    return main(["fetch", "candidates=org/bm25", *arguments, f"--out={tmp_path}/out", f"cache_dir={tmp_path}/cache"])


def test_a_run_becomes_a_trec_file_with_the_scores_that_were_published(hub, published, tmp_path, capsys):
    published(**by_url(hub))
    assert fetch(tmp_path, "--format", "csv") == 0
    told = capsys.readouterr()
    path = tmp_path / "out" / "mini" / "org-bm25.trec.gz"
    assert told.out.splitlines()[1] == f"mini,2,3,{path}"
    assert "retriever=saved 'retriever.path=" in told.err
    assert main(["convert", str(path), str(tmp_path / "plain.trec"), "--as", "run"]) == 0
    assert (tmp_path / "plain.trec").read_text() == (
        "mini-01 Q0 d1 1 2.5 org-bm25\nmini-01 Q0 d2 2 1.0 org-bm25\nmini-02 Q0 d2 1 7.25 org-bm25\n"
    )


def test_a_file_of_the_hub_is_fetched_at_its_commit(hub, published, tmp_path):
    published(hub_id="org/runs", revision=hub.commit("datasets/org/runs"), files={"mini": {"name": "runs/run.trec"}})
    with hub_clients(hub.endpoint, tmp_path / "home"):
        assert fetch(tmp_path) == 0
    assert (tmp_path / "out" / "mini" / "org-bm25.trec.gz").is_file()


def test_frozen_candidates_are_not_replaced_by_others(hub, published, tmp_path, capsys):
    published(**by_url(hub))
    assert fetch(tmp_path) == 0
    path = tmp_path / "out" / "mini" / "org-bm25.trec.gz"
    before = path.read_bytes()
    assert fetch(tmp_path) == 0
    assert path.read_bytes() == before
    path.write_bytes(b"mine")
    assert fetch(tmp_path) == 2
    assert "is there already, with other content. Remove it, or set --out." in capsys.readouterr().err
    assert path.read_bytes() == b"mine"


def test_another_file_than_was_published_is_refused_and_nothing_written(hub, published, tmp_path, capsys):
    published(**by_url(hub, md5="0" * 32))
    assert fetch(tmp_path) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("evalkit: error: ")
    assert "and 00000000000000000000000000000000 was published" in error
    assert "dataset.path" not in error
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.gz"))


def test_sizes_are_listed_without_a_download(hub, published, tmp_path, capsys):
    published(**by_url(hub))
    assert fetch(tmp_path, "--sizes", "--format", "csv") == 0
    assert capsys.readouterr().out.splitlines()[1] == f"mini,1,{len(RANK_LLM)},0,{len(RANK_LLM)}"
    assert not hub.asked("hits.jsonl")


def test_other_settings_and_unknown_names_are_refused(tmp_path, capsys):
    assert fetch(tmp_path, "depth=10") == 2
    assert "depth is not for candidates=NAME" in capsys.readouterr().err
    assert main(["fetch", "candidates=rank_llm/bm25", "dataset=scifact"]) == 2
    assert "candidates=rank_llm/bm25 has no run for dataset=scifact" in capsys.readouterr().err
    assert main(["fetch", "candidates=rank_llm/bm2"]) == 2
    assert "Did you mean rank_llm/bm25?" in capsys.readouterr().err


@pytest.mark.parametrize("name", config_names("candidates"))
def test_every_published_run_is_pinned_and_of_a_dataset_of_ours(name):
    for file in candidate_files(name):
        assert bool(len(file.md5) == 32) != bool(len(file.revision) == 40)
        assert file.dataset in config_names("dataset")
    with pytest.raises(ConfigError, match="has no run for dataset=mini"):
        candidate_files(name, ("mini",))


@pytest.mark.shared
def test_hits_of_rank_llm_are_the_run_that_trec_eval_reads(hub, published, shared, tmp_path, capsys):
    data = shared / "data" / "msmarco_dl19"
    hub.files["hits.jsonl"] = (data / "candidates" / "BM25.dl19.json").read_bytes()
    published(**by_url(hub, md5=hashlib.md5(hub.files["hits.jsonl"], usedforsecurity=False).hexdigest()))
    assert fetch(tmp_path, "--format", "csv") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("mini,43,4300,")
    values = []
    for path in (tmp_path / "out" / "mini" / "org-bm25.trec.gz", data / "runs" / "BM25.dl19.txt"):
        assert main(["measure", str(data / "qrels" / "test.tsv"), str(path), "nDCG@10", "--format", "csv"]) == 0
        values.append(capsys.readouterr().out.splitlines()[1:])
    assert values[0] == values[1]
