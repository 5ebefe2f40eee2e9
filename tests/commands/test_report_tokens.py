"""`evalkit report --tokens` as a user types it, on tiny checkpoints."""

import json
import shutil
from contextlib import contextmanager

import pytest
from made import made, write_collection
from report_pages import single_queries

from evalkit.cli import main
from evalkit.rerank.late_interaction import LateInteractionReranker
from evalkit.results.gather import gather
from evalkit.system.stages import LOADING

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def checkpoint(shared, tmp_path_factory):
    return shutil.copytree(shared / "golden/late_colbert_pylate/model", tmp_path_factory.mktemp("colbert") / "model")


@pytest.fixture(scope="module")
def root(checkpoint, tmp_path_factory):
    """Results of BM25, and of a model that was trained for late interaction over it."""
    folder = tmp_path_factory.mktemp("tokens")
    collection = write_collection(folder / "set0", queries=6)
    command = ["evaluate", "dataset=folder", f"dataset.path={collection}", "retriever=bm25", "compute=cpu", "depth=12"]
    command += ["reranker=late_interaction", f"reranker.model={checkpoint}", f"results_dir={folder / 'results'}"]
    assert main([*command, f"cache_dir={folder / 'cache'}"]) == 0
    return folder / "results"


@pytest.fixture(scope="module")
def path(root, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    assert main(["report", str(root), "--html", str(path), "--tokens"]) == 0
    return path


def test_the_shown_products_add_up_to_the_score_of_the_result(root, path):
    """PyLate's MaxSim is a sum; the page has four digits of each product."""
    (late,) = (one for one in gather([root]) if not one.is_first_stage)
    run = {query: dict(zip(docs, scores, strict=True)) for query, docs, scores in late.result.read_run()}
    (found,) = single_queries(path.read_text(encoding="utf-8"))
    checked = spanned = 0
    for listing in found["listings"]:
        (own,) = filter(None, listing["tokens"])
        (place,) = (place for place, some in enumerate(listing["tokens"]) if some)
        assert len(own["documents"]) == listing["shown"][place] > 0
        for at, matches in own["documents"].items():
            document = found["documents"][listing["documents"][int(at)]]
            assert len(matches) == len(own["query"])
            total = sum(match[0] for match in matches)
            assert total == pytest.approx(run[listing["id"]][document["id"]], abs=1e-4 * len(matches))
            spanned += sum(len(match) == 3 and bool(document["text"][match[1] : match[2]].strip()) for match in matches)
            checked += 1
    assert checked > 10
    assert spanned > 10


def test_the_rate_of_matching_leaves_the_loading_of_the_checkpoint_out(root, tmp_path, monkeypatch):
    from evalkit.commands import report_tokens

    meters, loaded = [], []

    @contextmanager
    def noting(*given, of=report_tokens.progress):
        with of(*given) as meter:
            meters.append(meter)
            yield meter

    def slowly(reranker, of=LateInteractionReranker.load):
        loaded.append(meters[-1].done)
        of(reranker)

    monkeypatch.setattr(report_tokens, "progress", noting)
    monkeypatch.setattr(LateInteractionReranker, "load", slowly)
    assert main(["report", str(root), "--html", str(tmp_path / "report.html"), "--tokens"]) == 0
    (meter,) = meters
    assert loaded == [0]
    assert meter.done > 0
    assert meter.apart[LOADING] > 0
    assert meter.seconds == pytest.approx(meter.elapsed - meter.apart[LOADING])


def test_other_pages_have_no_tokens_and_load_no_checkpoint(root, tmp_path, monkeypatch):
    monkeypatch.setattr("evalkit.commands.report.rerankers_of", None)
    path = tmp_path / "report.html"
    assert main(["report", str(root), "--html", str(path)]) == 0
    (found,) = single_queries(path.read_text(encoding="utf-8"))
    assert found["listings"]
    assert not any("tokens" in one for one in found["listings"])


def refused(root, folder, capsys):
    assert main(["report", str(root), "--html", str(folder / "report.html"), "--tokens"]) == 2
    told = capsys.readouterr().err
    assert not (folder / "report.html").exists()
    assert told.count("\n") == 1
    return told


def test_results_without_late_interaction_are_refused(tmp_path, capsys):
    other = made(tmp_path, {"strong": 3.0}, queries=6)
    assert "no result is of it. Found: strong. Remove it." in refused(other, tmp_path, capsys)


def test_a_checkpoint_that_changed_or_went_is_refused(root, checkpoint, tmp_path, capsys):
    config = checkpoint / "config_sentence_transformers.json"
    kept = config.read_text(encoding="utf-8")
    config.write_text(json.dumps({**json.loads(kept), "document_length": 20}), encoding="utf-8")
    assert "checkpoint, document_length differ. Give back" in refused(root, tmp_path, capsys)
    config.write_text(kept, encoding="utf-8")
    away = checkpoint.rename(checkpoint.with_name("away"))
    assert str(checkpoint) in refused(root, tmp_path, capsys)
    away.rename(checkpoint)


def test_other_texts_than_those_of_the_result_are_refused(root, tmp_path, capsys, monkeypatch):
    from evalkit.commands import report_tokens

    monkeypatch.setattr(
        report_tokens, "_pairs", lambda view, place, of=report_tokens._pairs: [
            one._replace(document=f"{one.document} moon") for one in of(view, place)
        ]
    )  # fmt: skip
    assert main(["report", str(root), "--html", str(tmp_path / "report.html"), "--tokens"]) == 2
    assert "its texts were others" in capsys.readouterr().err
