"""`evalkit fetch` as a user types it: sizes first, then downloads, checks, and what is left to do."""

import json
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml
from huggingface_hub import constants
from in_process import evalkit
from local_hub import LocalHub, hub_clients
from published import write_parquet

from evalkit.cli import main
from evalkit.config.resources import shipped
from evalkit.config.suites import load_suite
from evalkit.datasets.loader import RemoteFile
from evalkit.store import Store

SCIFACT = yaml.safe_load((shipped("conf") / "dataset" / "scifact.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """A hub with a miniature SciFact, and no NFCorpus."""
    folder = write_parquet(tmp_path_factory.mktemp("hub") / "scifact")
    with LocalHub({f"datasets/mteb/scifact@{SCIFACT['revision']}": folder}) as served:
        yield served


def run(*arguments: str, cwd: Path, endpoint: str = "", offline: bool = False) -> CompletedProcess[str]:
    with hub_clients(endpoint, cwd / "home", offline=offline):
        return evalkit(*arguments, f"cache_dir={cwd / 'cache'}", cwd=cwd)


def errors(done: CompletedProcess[str]) -> list[str]:
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("evalkit: error:")]


def test_what_is_fetched_once_is_evaluated_without_a_network(hub, tmp_path):
    sizes = run("fetch", "dataset=scifact", "--sizes", cwd=tmp_path, endpoint=hub.endpoint)
    assert sizes.returncode == 0, sizes.stderr
    row = next(line for line in sizes.stdout.splitlines() if "scifact" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")][1::2] == ["3", "0"]
    assert not [line for line in hub.requests if line.startswith("GET") and ".parquet" in line]

    done = run("fetch", "dataset=scifact", "--check", cwd=tmp_path, endpoint=hub.endpoint)
    assert done.returncode == 0, done.stderr
    assert "scifact: 4 documents, 2 queries, 3 judgments, not as its card says" in done.stdout
    assert "judged documents that the corpus lacks" in done.stdout
    assert "documents 4, expected 5,183" in done.stderr

    again = run("fetch", "dataset=scifact", "--sizes", cwd=tmp_path, endpoint=hub.endpoint)
    row = next(line for line in again.stdout.splitlines() if "scifact" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")][3:] == ["3", "0.0 MB"]

    bm25 = ["evaluate", "dataset=scifact", "retriever=bm25", "reranker=none", f"results_dir={tmp_path / 'results'}"]
    offline = run(*bm25, cwd=tmp_path, endpoint="http://127.0.0.1:9", offline=True)
    assert offline.returncode == 0, offline.stderr
    assert "not the published dataset: documents 4, expected 5,183" in offline.stdout
    manifest = json.loads((tmp_path / "results/scifact/bm25-100/none/manifest.json").read_text())
    assert manifest["dataset"]["corpus_digest"] == f"hub:mteb/scifact@{SCIFACT['revision']}"
    assert manifest["dataset"]["differences"]["queries"] == "2, expected 300"


def test_a_strict_check_refuses_another_version(hub, tmp_path):
    done = run("fetch", "dataset=scifact", "dataset.check=strict", cwd=tmp_path, endpoint=hub.endpoint)
    assert done.returncode == 2
    (error,) = errors(done)
    assert "scifact is not what its card says: documents 4, expected 5,183; queries 2" in error
    assert "dataset.check=warn" in error


def test_a_dataset_that_the_hub_lacks_does_not_stop_the_others(hub, tmp_path):
    done = run("fetch", "suite=beir_small", cwd=tmp_path, endpoint=hub.endpoint)
    assert done.returncode == 2
    (error,) = errors(done)
    assert "mteb/nfcorpus" in error
    assert "scifact: 4 documents" in done.stdout


def test_offline_only_what_is_here_is_checked(tmp_path):
    done = run("fetch", "dataset=scifact", cwd=tmp_path, offline=True)
    assert done.returncode == 2
    assert "nothing is downloaded" in done.stderr
    (error,) = errors(done)
    assert "mteb/scifact" in error


def test_without_a_network_what_is_here_is_checked_and_the_rest_is_a_line_each(hub, tmp_path):
    assert run("fetch", "dataset=scifact", cwd=tmp_path, endpoint=hub.endpoint).returncode == 0
    done = run("fetch", "suite=beir_small", cwd=tmp_path, endpoint="http://127.0.0.1:9")
    assert done.returncode == 2
    assert "scifact: 4 documents" in done.stdout
    (error,) = errors(done)
    assert "mteb/nfcorpus@ec0fa4fe (qrels) is not on this machine, and http://127.0.0.1:9 does not answer (" in error
    assert [line for line in done.stderr.splitlines() if not line.startswith("evalkit: ")] == []


def test_what_is_fetched_is_one_table_that_pandas_reads(tmp_path):
    import io

    import pandas as pd

    done = run("fetch", "suite=mini", "--format", "csv", cwd=tmp_path, offline=True)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(io.StringIO(done.stdout))
    assert ["mini", "mini_zh", "mini_en_zh"] == table["dataset"].tolist()
    assert [340, 340, 340] == table["documents"].tolist()
    checked = run("fetch", "dataset=mini", "--check", "--format", "json", cwd=tmp_path, offline=True)
    assert ["fetched", "mini: 340 documents, 74 judged queries", "mini: distributions"] == [
        grid["title"] for grid in json.loads(checked.stdout)
    ]


def test_a_dataset_on_disk_needs_no_download(tmp_path):
    done = run("fetch", "dataset=mini", "--check", cwd=tmp_path, endpoint="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert "mini: 340 documents, 74 queries" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "nothing to fetch is chosen"),
        (["suite=mini", "dataset=mini"], "suite=mini chooses the datasets"),
        (["suite=mini", "dataset.path=x"], "several are chosen"),
        (["dataset="], "names no dataset"),
        (["dataset=nope"], "dataset=nope is not a choice"),
        (["suite=nope"], "suite=nope is not a choice"),
        (["dataset=mini", "dataset.nope=1"], "dataset.nope is not a setting"),
        (["dataset=arguana", "dataset.source=ftp"], "dataset.source=ftp is not a choice. Legal are: hub, zip"),
        (["dataset=T2Retrieval", "dataset.source=zip"], "is not published as a zip"),
    ],
)
def test_a_wrong_setting_is_one_line(arguments, part, tmp_path):
    done = run("fetch", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    (error,) = errors(done)
    assert part in error


def test_a_size_that_no_server_states_is_not_called_nothing(tmp_path):
    from evalkit.commands.fetch import _sizes_grid

    unknown, known, here = (
        RemoteFile(name, size, here=is_here)
        for name, size, is_here in (("a", None, False), ("b", 2_000_000, False), ("c", 5, True))
    )
    grid = _sizes_grid({"silent": [unknown, here], "mixed": [unknown, known], "there": [here]}, Store(tmp_path))
    assert [row[-1] for row in grid.rows] == [None, 2_000_000, 0]
    alone = _sizes_grid({"silent": [unknown]}, Store(tmp_path))
    assert alone.notes[0].startswith("to download: unknown. Free: ")
    assert alone.notes[1] == "1 of 1 file has no stated size and is not counted"
    assert grid.notes[1] == "1 of 3 files has no stated size and is not counted"


def test_each_set_of_a_suite_that_is_in_one_repository_is_named(monkeypatch, tmp_path, capsys):
    """The sets of this suite share a repository, so the error of its files is the same for all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    cache = f"cache_dir={tmp_path}"
    assert main(["evaluate", "suite=nanobeir_bm25", "retriever=own", "reranker=none", cache]) == 2
    evaluated = [line for line in capsys.readouterr().err.splitlines() if "is not on this machine" in line]
    assert main(["fetch", "suite=nanobeir_bm25", cache]) == 2
    fetched = [line for line in capsys.readouterr().err.splitlines() if "is not on this machine" in line]
    names = load_suite("nanobeir_bm25").datasets
    for lines in (evaluated, fetched):
        assert [line.split(": ")[2] for line in lines] == list(names)
        assert all("'dataset.path=DIR/${dataset.name}'" in line for line in lines)
