"""`evalkit score`: pairs in, logits out, nothing else on stdout; every mistake is one line."""

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from stubs import tiny_bert
from tiny_checkpoints import (
    write_gemma2_lightweight,
    write_gemma_reranker,
    write_minicpm_layerwise,
    write_minicpm_reranker,
    write_qwen3_reranker,
)

from evalkit import Pair, load_reranker
from evalkit.cli import main
from evalkit.commands import score

PAIRS = [
    {"id": "a", "query": "why does the sea have tides", "document": "The moon pulls the sea and makes tides."},
    {"query": "what makes bread rise", "document": "Yeast makes bread rise.", "more": {"x": [1, "é"]}},
    {"query": "what makes bread rise", "document": ""},
    {"document": "The moon has no air.", "query": "what makes bread rise", "id": 3},
    {"query": "what makes bread rise", "document": "Yeast makes bread rise.", "id": 4},
]
LAYERWISE, LIGHTWEIGHT = "bge_reranker_v2_minicpm_layerwise", "bge_reranker_v2_5_gemma2_lightweight"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("classifier") / "model", classifier=True)


@pytest.fixture(scope="module")
def minicpm(tmp_path_factory) -> Path:
    return write_minicpm_reranker(tmp_path_factory.mktemp("minicpm") / "model")


def write_pairs(path, pairs=PAIRS):
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    return str(path)


@pytest.fixture
def file(tmp_path):
    return write_pairs(tmp_path / "pairs.jsonl")


@pytest.fixture
def typed(model):
    return ["score", "reranker=cross_encoder", f"reranker.model={model}", "reranker.max_length=64", "compute=cpu"]


@pytest.fixture
def printed(capsys):
    """The objects that a command prints; it must succeed."""

    def run(*arguments):
        capsys.readouterr()
        assert main(list(arguments)) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def scores_of(name, folder, pairs=PAIRS, **settings):
    """What the Python interface gives."""
    reranker = load_reranker(name, model=folder, compute={"device": "cpu"}, **settings)
    asked = [Pair(pair["query"], pair["document"], pair.get("instruction")) for pair in pairs]
    return reranker.score(asked).scores


def as_float32(lines):
    return np.array([line["score"] for line in lines], dtype=np.float32)


def assert_one_line(capsys, code, *parts):
    found = capsys.readouterr()
    assert code == 2
    assert found.out == ""
    assert len(found.err.splitlines()) == 1
    assert found.err.startswith("evalkit: error: ")
    for part in parts:
        assert part in found.err


def test_scores_are_the_float32_logits_of_the_python_interface_in_the_order_of_the_lines(typed, model, file, printed):
    lines = printed(*typed, file)
    np.testing.assert_array_equal(as_float32(lines), scores_of("cross_encoder", model, max_length=64))
    assert lines[1]["score"] == lines[4]["score"]
    assert 4 == len({line["score"] for line in lines})


def test_other_keys_of_a_line_are_passed_on_and_the_texts_are_not(typed, file, printed):
    lines = printed(*typed, file)
    assert [{"id": "a"}, {"more": {"x": [1, "é"]}}, {}, {"id": 3}, {"id": 4}] == [
        {key: value for key, value in line.items() if key != "score"} for line in lines
    ]


def test_ids_are_the_tokens_that_the_model_reads(typed, model, file, printed):
    vocabulary = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    lines = printed(*typed, "--ids", file)
    query = ["[CLS]", "what", "makes", "bread", "rise", "[SEP]"]
    document = ["yeast", "makes", "bread", "rise", ".", "[SEP]"]
    assert [vocabulary[word] for word in query + document] == lines[1]["input_ids"]
    assert [vocabulary[word] for word in [*query, "[SEP]"]] == lines[2]["input_ids"]
    assert as_float32(printed(*typed, file)).tolist() == as_float32(lines).tolist()


def test_max_length_cuts_the_pair(typed, model, file, printed):
    lines = printed(*typed, "reranker.max_length=9", "--ids", file)
    assert 9 == max(len(line["input_ids"]) for line in lines)
    np.testing.assert_array_equal(as_float32(lines), scores_of("cross_encoder", model, max_length=9))
    assert as_float32(lines)[0] != scores_of("cross_encoder", model, max_length=64)[0]


def test_dtype_is_float32_unless_another_is_asked_for(typed, file, printed):
    default, exact, half = (
        as_float32(printed(*typed, *dtype, file))
        for dtype in ([], ["compute.dtype=float32"], ["compute.dtype=bfloat16"])
    )
    assert default.tolist() == exact.tolist()
    assert exact.tolist() != half.tolist()
    np.testing.assert_allclose(half, exact, atol=0.2)


def test_standard_input_is_read_where_no_file_is_named(typed, file, printed, monkeypatch):
    expected = printed(*typed, file)
    for dash in ([], ["-"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(file).read_bytes())))
        assert expected == printed(*typed, *dash)


def test_gzip_is_read(typed, file, tmp_path, printed):
    (tmp_path / "pairs.jsonl.gz").write_bytes(gzip.compress(Path(file).read_bytes()))
    assert printed(*typed, file) == printed(*typed, str(tmp_path / "pairs.jsonl.gz"))


@pytest.mark.parametrize("options", [[], ["--ids"]])
def test_an_empty_file_gives_no_line_and_a_note(typed, tmp_path, capsys, options):
    assert main([*typed, *options, write_pairs(tmp_path / "empty.jsonl", [])]) == 0
    assert capsys.readouterr() == ("", "evalkit: no pairs were read\n")


def test_windows_do_not_change_the_output(typed, file, printed, monkeypatch):
    expected = printed(*typed, "--ids", file)
    monkeypatch.setattr(score, "_PAIRS_PER_WINDOW", 2)
    windowed = printed(*typed, "--ids", file)
    np.testing.assert_allclose(as_float32(windowed), as_float32(expected), rtol=1e-4, atol=1e-5)
    assert [{**line, "score": 0} for line in expected] == [{**line, "score": 0} for line in windowed]


def test_several_cutoff_layers_give_a_list_and_one_gives_a_number(tmp_path, file, printed):
    folder = write_minicpm_layerwise(tmp_path / "model")
    typed = ["score", f"reranker={LAYERWISE}", f"reranker.model={folder}", "compute=cpu", file]
    several = printed(*typed, "reranker.cutoff_layers=[1,2,3]")
    np.testing.assert_array_equal(as_float32(several), scores_of(LAYERWISE, folder, cutoff_layers=[1, 2, 3]))
    one = printed(*typed, "reranker.cutoff_layers=[2]")
    assert all(isinstance(line["score"], float) for line in one)
    np.testing.assert_allclose(as_float32(one), as_float32(several)[:, 1], rtol=1e-4, atol=1e-5)


def test_compression_settings_reach_the_model(tmp_path, file, printed):
    folder = write_gemma2_lightweight(tmp_path / "model")
    typed = ["score", f"reranker={LIGHTWEIGHT}", f"reranker.model={folder}", "compute=cpu", file]
    plain = printed(*typed, "reranker.cutoff_layers=[4]")
    merged = printed(
        *typed, "reranker.cutoff_layers=[4]", "reranker.compress_ratio=2", "reranker.compress_layers=[2,3]"
    )
    settings = {"cutoff_layers": [4], "compress_ratio": 2, "compress_layers": [2, 3]}
    np.testing.assert_array_equal(as_float32(merged), scores_of(LIGHTWEIGHT, folder, **settings))
    assert as_float32(plain).tolist() != as_float32(merged).tolist()


def test_pooling_reaches_the_model(minicpm, file, printed):
    typed = ["score", "reranker=minicpm_reranker", f"reranker.model={minicpm}", "compute=cpu", file]
    found = {pooling: as_float32(printed(*typed, f"reranker.pooling={pooling}")) for pooling in ("last", "first")}
    for pooling, scores in found.items():
        np.testing.assert_array_equal(scores, scores_of("minicpm_reranker", minicpm, pooling=pooling))
    assert found["last"].tolist() != found["first"].tolist()


@pytest.mark.parametrize(
    ("name", "write"), [("bge_reranker_v2_gemma", write_gemma_reranker), ("qwen3_reranker_0_6b", write_qwen3_reranker)]
)
def test_language_models_are_scored_too(tmp_path, file, printed, name, write):
    folder = write(tmp_path / "model")
    lines = printed("score", f"reranker={name}", f"reranker.model={folder}", "compute=cpu", file)
    np.testing.assert_array_equal(as_float32(lines), scores_of(name, folder))


def test_late_interaction_is_scored_too(tmp_path, file, printed):
    folder = tiny_bert(tmp_path / "model")
    typed = ["score", "reranker=late_interaction", f"reranker.model={folder}", "reranker.max_length=64", "compute=cpu"]
    expected = scores_of("late_interaction", folder, max_length=64)
    np.testing.assert_array_equal(as_float32(printed(*typed, file)), expected)


def test_a_line_brings_its_own_instruction(minicpm, tmp_path, capsys):
    asked = [{**PAIRS[0], "instruction": text} for text in (None, "", "Find the answer.")] + [PAIRS[0]]
    file = write_pairs(tmp_path / "asked.jsonl", asked)
    typed = ["score", "reranker=minicpm_reranker", f"reranker.model={minicpm}", "compute=cpu", "--ids", file]
    assert main(typed) == 0
    found = capsys.readouterr()
    lines = [json.loads(line) for line in found.out.splitlines()]
    assert found.err == ""
    np.testing.assert_array_equal(as_float32(lines), scores_of("minicpm_reranker", minicpm, asked))
    assert lines[0] == lines[1] == lines[3] != lines[2]
    assert len(lines[2]["input_ids"]) > len(lines[0]["input_ids"])
    assert "instruction" not in lines[2]


def test_an_instruction_that_the_reranker_has_no_place_for_is_warned_of_and_the_pair_scored(
    typed, tmp_path, capsys, model
):
    asked = [{**pair, "instruction": "Find the answer."} for pair in PAIRS[:2]] + [{**PAIRS[2], "instruction": ""}]
    assert main([*typed, write_pairs(tmp_path / "asked.jsonl", asked)]) == 0
    found = capsys.readouterr()
    assert found.err == "evalkit: 2 pairs have an instruction, which this reranker has no place for\n"
    scores = as_float32([json.loads(line) for line in found.out.splitlines()])
    np.testing.assert_array_equal(scores, scores_of("cross_encoder", model, PAIRS[:3], max_length=64))


@pytest.mark.slow
def test_a_process_prints_json_lines_on_stdout_and_nothing_else(typed, file, printed, tmp_path):
    expected = printed(*typed, "--ids", file)
    done = subprocess.run(
        [sys.executable, "-m", "evalkit", *typed, "--ids"],
        input=Path(file).read_bytes(),
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert done.returncode == 0, done.stderr.decode()
    assert expected == [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert b"Warning" not in done.stderr
    assert [Path(file)] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("{query", ["not JSON", "Expected an object with query, document"]),
        ("[]", ["an array", "expected an object with query, document"]),
        ('{"query": "q", "doc": "d"}', ["has no document", "doc"]),
        ('{"query": 5, "document": "d"}', ["query is a number, expected a text"]),
        (r'{"query": "\ud800", "document": "d"}', ["query holds half of a surrogate pair"]),
        ('{"query": "q", "document": "d", "instruction": []}', ["instruction is an array, expected a text"]),
    ],
)
def test_a_bad_line_is_one_line_that_names_file_and_line(typed, tmp_path, capsys, line, parts):
    (tmp_path / "bad.jsonl").write_text(json.dumps(PAIRS[0]) + "\n" + line + "\n", encoding="utf-8")
    assert_one_line(capsys, main([*typed, str(tmp_path / "bad.jsonl")]), f"{tmp_path / 'bad.jsonl'}:2: ", *parts)


def test_a_bad_line_of_standard_input_is_named_too(typed, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n{}\n")))
    assert_one_line(capsys, main(typed), "standard input:2: has no query")


def test_an_absent_file_and_two_files_are_one_line(typed, file, capsys, tmp_path):
    assert_one_line(capsys, main([*typed, str(tmp_path / "no.jsonl")]), "no.jsonl: No such file", "Check the path")
    assert_one_line(capsys, main([*typed, file, file]), "2 files were given", "Give one")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["reranker is not set. Choose one with reranker=NAME: ", "minicpm_reranker"]),
        (["reranker=nope"], ["reranker=nope is not a choice", "minicpm_reranker"]),
        (["reranker=none"], ["reranker none reads no texts, so it has no score for them"]),
        (["reranker=replay", f"reranker.path={__file__}"], ["reads no texts, so it has no score"]),
        (["reranker=cross_encoder"], ["reranker.model is not set", "HUB_ID_OR_FOLDER"]),
        (["reranker=cross_encoder", "reranker.model=nowhere"], ["nowhere: no such folder", "hub id"]),
        (["reranker=cross_encoder", "reranker.max_lenght=5"], ["reranker.max_lenght is not a setting", "max_length"]),
        (["reranker=bge_reranker_base", "+reranker.extra=5"], ["reranker.extra is not a setting"]),
        (["reranker=cross_encoder", "reranker.max_length=ten"], ["reranker.max_length", "'ten'", "Integer"]),
        (["reranker=bge_reranker_base", "reranker.max_length=7"], ["reranker.max_length=7 is out of range"]),
        (
            ["retriever=dense", "retriever.model=x"],
            ["retriever is not a setting here. `evalkit score`", "`evalkit embed`"],
        ),
        (["retriever.max_length=3"], ["retriever.max_length is not a setting here. Did you mean reranker.max_length?"]),
        (["reranker=cross_encoder", "depth=5"], ["depth is not a setting"]),
        (["reranker=minicpm_reranker", "reranker.pooling=cls"], ["reranker.pooling=cls", "last, first, mean"]),
        ([f"reranker={LAYERWISE}", "reranker.cutoff_layers=28"], ["reranker.cutoff_layers", "[a,b]"]),
        ([f"reranker={LIGHTWEIGHT}", "reranker.compress_ratio=0"], ["reranker.compress_ratio=0 is out of range"]),
    ],
)
def test_a_wrong_setting_is_one_line_that_lists_what_is_legal(arguments, parts, file, capsys):
    assert_one_line(capsys, main(["score", *arguments, file]), *parts)


def test_a_layer_without_a_head_is_one_line_that_names_those_with_one(tmp_path, file, capsys):
    folder = write_minicpm_layerwise(tmp_path / "model")
    typed = ["score", f"reranker={LAYERWISE}", f"reranker.model={folder}", "reranker.cutoff_layers=[4]", file]
    assert_one_line(capsys, main(typed), "layer 4 has no head", "Legal are 1 to 3")


def test_an_embedder_is_one_line(tmp_path, file, capsys):
    folder = tiny_bert(tmp_path / "model")
    typed = ["score", "reranker=cross_encoder", f"reranker.model={folder}", "reranker.max_length=64", file]
    assert_one_line(capsys, main(typed), "BertModel", "promises no classification head")


def test_ids_of_late_interaction_are_those_of_query_and_document(tmp_path, file, capsys):
    folder = tiny_bert(tmp_path / "model")
    typed = ["score", "reranker=late_interaction", f"reranker.model={folder}", "reranker.max_length=64", "--ids", file]
    assert main(typed) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows
    assert all(row["query_input_ids"] and row["document_input_ids"] and "input_ids" not in row for row in rows)


def test_evaluate_refuses_several_cutoff_layers(tmp_path, capsys, monkeypatch):
    folder = write_minicpm_layerwise(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    typed = ["retriever=bm25", f"reranker={LAYERWISE}", f"reranker.model={folder}", "reranker.cutoff_layers=[1,2]"]
    code = main(["evaluate", f"cache_dir={tmp_path / 'cache'}", *typed])
    parts = ["reranker.cutoff_layers=[1, 2] gives 2 scores a pair, and a ranking needs one", "evalkit evaluate -m"]
    assert_one_line(capsys, code, *parts)
    assert not (tmp_path / "results").exists()


def test_pairs_that_are_cut_are_counted(typed, tmp_path, capsys):
    pairs = [PAIRS[0], {"query": "moon", "document": "the sea " * 200}]
    assert main([*typed, write_pairs(tmp_path / "long.jsonl", pairs)]) == 0
    assert "1 pair of 2 cut to fit the model or reranker.max_length" in capsys.readouterr().err
