"""`evalkit embed`: texts in, vectors out, nothing else on stdout; every mistake is one line."""

import gzip
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from stubs import tiny_bert
from tiny_checkpoints import write_bert_embedder, write_minicpm_embedding

from evalkit import load_retriever
from evalkit.cli import main
from evalkit.commands import embed

ASK = "what makes "
TEXTS = [
    {"id": "a", "role": "document", "text": "The moon pulls the sea and makes tides."},
    {"role": "query", "text": "bread rise", "more": {"x": [1, "é"]}},
    {"role": "document", "text": ""},
    {"text": "bread rise", "role": "document", "id": 3},
    {"role": "query", "text": "tides"},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("encoder") / "model")


def write_texts(path, texts=TEXTS):
    path.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    return str(path)


@pytest.fixture
def file(tmp_path):
    return write_texts(tmp_path / "texts.jsonl")


@pytest.fixture
def typed(model):
    limits = ["retriever.max_length=64", "retriever.pooling=mean", f"retriever.query_instruction='{ASK}'"]
    return ["embed", "retriever=dense", f"retriever.model={model}", *limits, "compute=cpu"]


@pytest.fixture
def retriever(model):
    settings = {"max_length": 64, "pooling": "mean", "query_instruction": ASK}
    return load_retriever("dense", model=model, compute={"device": "cpu"}, **settings)


@pytest.fixture
def printed(capsys):
    """The objects that a command prints; it must succeed."""

    def run(*arguments):
        capsys.readouterr()
        assert main(list(arguments)) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def as_float32(lines):
    return np.array([line["embedding"] for line in lines], dtype=np.float32)


def assert_one_line(capsys, code, *parts):
    found = capsys.readouterr()
    assert code == 2
    assert found.out == ""
    assert len(found.err.splitlines()) == 1
    assert found.err.startswith("evalkit: error: ")
    for part in parts:
        assert part in found.err


def test_vectors_are_those_of_the_python_interface_in_the_order_of_the_lines(typed, file, printed, retriever):
    vectors = as_float32(printed(*typed, file))
    assert (5, 32) == vectors.shape
    queries = retriever.encode_queries(["bread rise", "tides"])
    documents = retriever.encode_documents([TEXTS[row]["text"] for row in (0, 2, 3)])
    np.testing.assert_array_equal(vectors[[1, 4]], queries)
    np.testing.assert_array_equal(vectors[[0, 2, 3]], documents)


def test_the_role_decides_what_is_before_a_text(typed, file, printed):
    lines = printed(*typed, file)
    assert TEXTS[1]["text"] == TEXTS[3]["text"]
    assert lines[1]["embedding"] != lines[3]["embedding"]


def test_other_keys_of_a_line_are_passed_on_and_the_text_is_not(typed, file, printed):
    rest = [{key: value for key, value in line.items() if key != "embedding"} for line in printed(*typed, file)]
    assert [{"id": "a"}, {"more": {"x": [1, "é"]}}, {}, {"id": 3}, {}] == rest


def test_ids_are_the_tokens_that_the_model_reads(typed, model, file, printed):
    vocabulary = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    lines = printed(*typed, "--ids", file)
    query, document = ["[CLS]", "what", "makes", "bread", "rise", "[SEP]"], ["[CLS]", "bread", "rise", "[SEP]"]
    assert [vocabulary[word] for word in query] == lines[1]["input_ids"]
    assert [vocabulary[word] for word in document] == lines[3]["input_ids"]
    assert [vocabulary["[CLS]"], vocabulary["[SEP]"]] == lines[2]["input_ids"]
    assert as_float32(printed(*typed, file)).tolist() == as_float32(lines).tolist()


def test_settings_reach_the_retriever(typed, file, printed):
    plain = as_float32(printed(*typed, file))
    cut = printed(*typed, "retriever.max_length=8", "--ids", file)
    assert 8 == max(len(line["input_ids"]) for line in cut)
    assert plain[0].tolist() != as_float32(cut)[0].tolist()
    scaled = as_float32(printed(*typed, "retriever.normalize=true", file))
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 1, rtol=1e-6)
    assert np.abs(np.linalg.norm(plain, axis=1) - 1).min() > 0.1
    half = as_float32(printed(*typed, "compute.dtype=bfloat16", file))
    assert plain.tolist() != half.tolist()
    np.testing.assert_allclose(half, plain, atol=0.1)


def test_pooling_is_that_of_the_checkpoint(tmp_path, file, printed, capsys):
    folder = write_bert_embedder(tmp_path / "model")
    typed = ["embed", "retriever=dense", f"retriever.model={folder}", "compute=cpu", file]
    assert printed(*typed) == printed(*typed, "retriever.pooling=cls")
    assert_one_line(capsys, main([*typed, "retriever.pooling=mean"]), "retriever.pooling=mean", "says cls")


def test_standard_input_is_read_where_no_file_is_named(typed, file, printed, monkeypatch):
    expected = printed(*typed, file)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(file).read_bytes())))
    assert expected == printed(*typed)


def test_gzip_is_read(typed, file, tmp_path, printed):
    (tmp_path / "texts.jsonl.gz").write_bytes(gzip.compress(Path(file).read_bytes()))
    assert printed(*typed, file) == printed(*typed, str(tmp_path / "texts.jsonl.gz"))


def test_an_empty_file_gives_no_line_and_a_note(typed, tmp_path, capsys):
    assert main([*typed, write_texts(tmp_path / "empty.jsonl", [])]) == 0
    assert capsys.readouterr() == ("", "evalkit: no texts were read\n")


def test_windows_do_not_change_the_output(typed, file, printed, monkeypatch):
    expected = printed(*typed, "--ids", file)
    monkeypatch.setattr(embed, "_TEXTS_PER_WINDOW", 2)
    windowed = printed(*typed, "--ids", file)
    np.testing.assert_allclose(as_float32(windowed), as_float32(expected), atol=1e-5)
    assert [{**line, "embedding": 0} for line in expected] == [{**line, "embedding": 0} for line in windowed]


def test_a_line_brings_its_own_instruction(tmp_path, printed):
    folder = write_minicpm_embedding(tmp_path / "model")
    asked = [
        {"role": "query", "text": "tides", "instruction": "Find the answer."},
        {"role": "query", "text": "tides"},
        {"role": "document", "text": "Instruction: Find the answer. Query: tides"},
        {"role": "document", "text": "Query: tides"},
    ]
    file = write_texts(tmp_path / "asked.jsonl", asked)
    typed = ["embed", "retriever=minicpm_embedding", f"retriever.model={folder}", "compute=cpu", "--ids", file]
    ids = [line["input_ids"] for line in printed(*typed)]
    assert [ids[2], ids[3]] == [ids[0], ids[1]]
    assert len(ids[1]) < len(ids[0])


def test_an_instruction_that_the_retriever_has_no_place_for_is_one_line(typed, tmp_path, capsys):
    file = write_texts(tmp_path / "asked.jsonl", [{**TEXTS[1], "instruction": "Find the answer."}])
    assert_one_line(capsys, main([*typed, file]), "no place for an instruction", "retriever.instructed_query")


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("{role", ["not JSON", "Expected an object with role and text"]),
        ('"text"', ["a text, expected an object with role and text"]),
        ('{"text": "t"}', ["has no role", "text"]),
        ('{"role": "query", "query": "t"}', ["has no text", "query"]),
        ('{"role": "passage", "text": "t"}', ["role is 'passage'", "Legal are: query, document"]),
        ('{"role": "query", "text": null}', ["text is null, expected a text"]),
        (r'{"role": "query", "text": "\udc00"}', ["text holds half of a surrogate pair"]),
    ],
)
def test_a_bad_line_is_one_line_that_names_file_and_line(typed, tmp_path, capsys, line, parts):
    (tmp_path / "bad.jsonl").write_text(json.dumps(TEXTS[0]) + "\n" + line + "\n", encoding="utf-8")
    assert_one_line(capsys, main([*typed, str(tmp_path / "bad.jsonl")]), f"{tmp_path / 'bad.jsonl'}:2: ", *parts)


def test_an_absent_file_and_two_files_are_one_line(typed, file, capsys, tmp_path):
    assert_one_line(capsys, main([*typed, str(tmp_path / "no.jsonl")]), "no.jsonl: No such file", "Check the path")
    assert_one_line(capsys, main([*typed, file, file]), "2 files were given", "Give one")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["retriever is not set. Choose one with retriever=NAME: ", "minicpm_embedding"]),
        (["retriever=nope"], ["retriever=nope is not a choice", "minicpm_embedding"]),
        (["retriever=bm25"], ["retriever=bm25 has no encoder, so it makes no vectors"]),
        (["reranker=auto"], ["reranker is not a setting here. `evalkit embed`", "`evalkit score`"]),
        (["reranker.max_length=3"], ["reranker.max_length is not a setting here. Did you mean retriever.max_length?"]),
        (["retriever=dense"], ["retriever.model is not set", "HUB_ID_OR_FOLDER"]),
        (["retriever=dense", "retriever.model=nowhere"], ["nowhere: no such folder", "hub id"]),
        (["retriever=bge_m3_dense", "retriever.poling=cls"], ["retriever.poling is not a setting", "pooling"]),
        (["retriever=bge_m3_dense", "retriever.pooling=first"], ["retriever.pooling=first", "cls, mean"]),
        (["retriever=bge_m3_dense", "compute.dtype=int8"], ["compute.dtype=int8", "float32, bfloat16"]),
    ],
)
def test_a_wrong_setting_is_one_line_that_lists_what_is_legal(arguments, parts, file, capsys):
    assert_one_line(capsys, main(["embed", *arguments, file]), *parts)


def test_a_reranker_is_one_line(tmp_path, file, capsys):
    folder = tiny_bert(tmp_path / "model", classifier=True)
    capsys.readouterr()  # of the library that wrote it
    typed = ["retriever=dense", f"retriever.model={folder}", "retriever.pooling=cls", "retriever.max_length=64"]
    assert_one_line(capsys, main(["embed", *typed, file]), "BertForSequenceClassification, a cross-encoder")
