"""docs/own-models.md: its examples are evaluated, and the first is killed, replayed, compared, reported and gated."""

import json
import shlex
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from documented import block
from dying import DYING
from in_process import evalkit as command
from pages import DOCS, blocks
from stubs import overlap
from tiny_checkpoints import write_bert_reranker

import evalkit
from evalkit import results

PAGE = "docs/own-models.md"
SCRIPT = block(PAGE, "overlap.identity")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with a cache of its own; modules of one test are none of another's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    monkeypatch.delitem(sys.modules, "my_service", raising=False)
    return tmp_path


def test_the_script_has_fifteen_lines():
    assert SCRIPT.count("\n") <= 15


def test_the_script_equals_the_replayed_file_of_its_scores_and_is_compared_reported_and_gated(here):
    exec(SCRIPT, names := {})
    found = names["result"]
    assert found.result.fresh
    assert found.per_query["nDCG@10"].mean() == pytest.approx(found.measures["nDCG@10"])
    saved = (found.result.folder / "run.trec.gz", {"name": "replayed"})
    replayed = evalkit.evaluate(dataset="mini", retriever="bm25", reranker=saved)
    assert replayed.measures["nDCG@10"] == found.measures["nDCG@10"]
    exec(SCRIPT, again := {})
    assert not again["result"].result.fresh

    both = [str(found.result.folder), str(replayed.result.folder)]
    compared = command("compare", *both, "--format", "json", cwd=here)
    assert 0 == compared.returncode
    assert '"replayed"' in compared.stdout
    assert '"overlap"' in compared.stdout
    assert 0 == command("report", *both, "--html", "page.html", cwd=here).returncode
    assert "overlap" in (here / "page.html").read_text(encoding="utf-8")
    gate = ["gate", *both, "--baseline", "baseline.json"]
    assert 0 == command(*gate, "--update", cwd=here).returncode
    assert "fine" in command(*gate, cwd=here).stdout


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_the_script_resumes_after_a_kill():
    killed = subprocess.run([sys.executable, "-c", f"{DYING}{SCRIPT}", "20"], capture_output=True, check=False)
    assert -9 == killed.returncode, killed.stderr
    exec(SCRIPT, names := {})
    found = names["result"]
    assert found.run.offsets[20] == found.result.manifest["kept_pairs"]  # of the first twenty queries
    whole = evalkit.evaluate(dataset="mini", retriever="bm25", reranker=overlap, results_dir="whole")
    assert found.run.digest() == whole.run.digest()


def page_command(part):
    """The one command of the page that holds a text, as words."""
    (line,) = [
        line
        for found in blocks(DOCS / "own-models.md")
        if found.language == "bash"
        for line in found.body.splitlines()
        if part in line
    ]
    return shlex.split(line)[1:]


class _Service(BaseHTTPRequestHandler):
    """What rerankers that are served answer: results in an order of their own."""

    asked = 0

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked += 1
        scores = overlap(asked["query"], asked["documents"])
        found = [{"index": place, "relevance_score": float(score)} for place, score in enumerate(scores)]
        body = json.dumps({"results": found[::-1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_service_is_asked_once_a_query_and_its_fault_is_one_line(here):
    (here / "my_service.py").write_text(block(PAGE, "class Service"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    Thread(target=server.serve_forever, daemon=True).start()
    words = [word.replace("8000", str(server.server_port)) for word in page_command("my_service:Service")]
    try:
        done = command(*words, cwd=here)
        assert 0 == done.returncode, done.stderr
        assert 74 == _Service.asked
    finally:
        server.shutdown()
        server.server_close()
    found = results.read(here / "results/mini/bm25-20/Service")
    own = evalkit.evaluate(dataset="mini", retriever="bm25", reranker=overlap, depth=20)
    assert own.measures == found.manifest["measures"]
    failed = command(*words[:-1], words[-1].replace("mine", "other"), cwd=here)
    assert 2 == failed.returncode
    assert "error: Service raised URLError: " in failed.stderr
    assert "my_service.py:13)" in failed.stderr


@pytest.mark.slow
def test_a_cross_encoder_of_sentence_transformers_gives_the_logits_of_evalkits_own(here):
    pytest.importorskip("sentence_transformers")
    checkpoint = write_bert_reranker(here / "checkpoint")
    (here / "my_models.py").write_text(block(PAGE, "def cross_encoder"))
    words = [word.replace("DIR", str(checkpoint)) for word in page_command("my_models:cross_encoder")]
    words = [*words, "depth=3", "dataset.sample=5", "reranker.settings.max_length=64"]
    assert 0 == command(*words, cwd=here).returncode
    found = results.read(here / "results/mini/bm25-3/cross_encoder")
    assert "none" == found.manifest["reranker"]["activation"]
    own = evalkit.evaluate(
        dataset=("mini", {"sample": 5}),
        retriever="bm25",
        depth=3,
        reranker=("cross_encoder", {"model": checkpoint, "max_length": 64, "name": "own"}),
        compute={"device": "cpu"},
    ).run
    run = found.read_run()
    assert own.query_ids == run.query_ids
    assert own.scores == pytest.approx(run.scores, abs=1e-5)
    assert "nothing to do" in command(*words, cwd=here).stdout
    exec(block(PAGE, "def cross_encoder"), names := {})
    model = names["cross_encoder"](str(checkpoint), max_length=64)
    found = evalkit.evaluate(dataset=("mini", {"sample": 5}), retriever="bm25", depth=3, reranker=model)
    assert "checkpoint" == found.reranker


@pytest.mark.slow
def test_a_cross_encoder_with_a_method_of_its_own_is_asked_by_it_and_has_no_identity(here):
    library = pytest.importorskip("sentence_transformers")
    checkpoint = write_bert_reranker(here / "checkpoint")

    class Shortest(library.CrossEncoder):
        def predict(self, pairs):
            return [-float(len(document)) for _, document in pairs]

    found = [
        evalkit.evaluate(dataset=("mini", {"sample": 5}), retriever="bm25", depth=5, reranker=reranker)
        for reranker in (Shortest(str(checkpoint)), lambda pairs: [-float(len(document)) for _, document in pairs])
    ]
    assert found[0].run.digest() == found[1].run.digest()
    assert "none" == found[0].result.manifest["reranker"]["identity"]
