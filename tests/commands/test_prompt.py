"""`evalkit prompt`: pairs of a dataset as the model reads them, special tokens and cuts in sight."""

import json

import pytest
from stubs import tiny_bert, write_collection
from tiny_checkpoints import write_minicpm_layerwise, write_minicpm_reranker, write_qwen3_reranker

from evalkit.cli import main
from evalkit.config.instructions import load_instructions

DOCUMENTS = {
    "d1": ("", "The moon pulls the sea and makes tides."),
    "d2": ("", "Yeast makes bread rise."),
    "d3": ("", "Bees make honey from nectar. " * 40),
}
QUERIES = {"q1": "why does the sea have tides", "q2": "what makes bread rise", "q3": "bees"}
QRELS = {"q1": {"d1": 2, "d2": 0}, "q2": {"d2": 1}, "q3": {"d3": 1}}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A classifier without its weights."""
    folder = tiny_bert(tmp_path_factory.mktemp("classifier") / "model", classifier=True)
    (folder / "model.safetensors").unlink()
    return folder


@pytest.fixture
def dataset(tmp_path):
    folder = write_collection(tmp_path / "tiny", DOCUMENTS, QUERIES, QRELS)
    return ["dataset=folder", f"dataset.path={folder}", f"cache_dir={tmp_path / 'cache'}"]


@pytest.fixture
def shown(dataset, capsys):
    """What is printed for a checkpoint; the command must succeed."""

    def run(folder, *arguments, name="cross_encoder"):
        capsys.readouterr()
        assert main(["prompt", f"reranker={name}", f"reranker.model={folder}", *dataset, *arguments]) == 0
        found = capsys.readouterr()
        assert found.err == ""
        return found.out

    return run


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def assert_one_line(capsys, code, *parts):
    found = capsys.readouterr()
    assert code == 2
    assert found.out == ""
    assert len(found.err.splitlines()) == 1
    for part in parts:
        assert part in found.err


def test_json_holds_text_ids_and_tokens_with_special_ones(shown, model):
    vocabulary = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    found = objects(shown(model, "reranker.max_length=64", "--json"))
    assert ["q2", "q1", "q3"] == [one["query_id"] for one in found]
    tokens = ["[CLS]", "what", "makes", "bread", "rise", "[SEP]", "yeast", "makes", "bread", "rise", ".", "[SEP]"]
    assert {
        "query_id": "q2",
        "doc_id": "d2",
        "relevance": 1,
        "text": "[CLS] what makes bread rise [SEP] yeast makes bread rise . [SEP]",
        "input_ids": [vocabulary[token] for token in tokens],
        "tokens": tokens,
        "document_start": 6,
        "document_stop": 11,
        "query_tokens_cut": 0,
        "document_tokens_cut": 0,
    } == found[0]


def test_json_says_how_many_tokens_were_cut_and_where_the_document_ends(shown, model):
    found = objects(shown(model, "reranker.max_length=64", "--json"))[2]
    assert (240 - found["document_tokens_cut"], 0) == (60, found["query_tokens_cut"])
    assert (3, 63, 64) == (found["document_start"], found["document_stop"], len(found["tokens"]))
    assert ["bees", "[SEP]", "bees"] == found["tokens"][1:4]

    both = objects(shown(model, "reranker.max_length=10", "--json"))[1]
    assert (10, 3, 5) == (len(both["tokens"]), both["query_tokens_cut"], both["document_tokens_cut"])


def test_text_shows_the_cut_where_it_is(shown, model):
    lines = shown(model, "reranker.max_length=12", "--samples", "2").splitlines()
    assert lines[0].startswith("query q2, document d2 (relevance 1): 12 tokens, max_length 12; whole")
    assert lines[1] == "[CLS] what makes bread rise [SEP]yeast makes bread rise .[SEP]"
    last = [line for line in lines if line.startswith("query ")][-1]
    assert last.endswith("12 tokens, max_length 12; cut: 0 tokens of the query, 232 of the document")
    rendered = lines[lines.index(last) + 1]
    cut = "[232 tokens of the document were cut off here]"
    assert rendered == f"[CLS] bees [SEP]bees make honey from nectar . bees make{cut}[SEP]"


def test_text_shows_the_cut_of_a_query_too(shown, model):
    lines = shown(model, "reranker.max_length=10").splitlines()
    title = next(line for line in lines if line.startswith("query q1"))
    assert title.endswith("cut: 3 tokens of the query, 5 of the document")
    rendered = lines[lines.index(title) + 1]
    assert "[3 tokens of the query were cut off before the document]" in rendered
    assert rendered.endswith("[5 tokens of the document were cut off here][SEP]")


def test_text_lists_ids_and_tokens(shown, model):
    vocabulary = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    listed = shown(model, "reranker.max_length=64", "--samples", "1").splitlines()[2]
    tokens = ["[CLS]", "what", "makes", "bread", "rise", "[SEP]", "yeast", "makes", "bread", "rise", ".", "[SEP]"]
    assert listed == "  ".join(f"{vocabulary[token]} {token!r}" for token in tokens)


def test_the_middle_of_long_pairs_is_shown_when_asked_for(shown, tmp_path):
    folder = write_minicpm_reranker(tmp_path / "model")
    short = shown(folder, "reranker.instructions=none", name="minicpm_reranker")
    assert " more (--all-tokens) ..." in short
    everything = shown(folder, "--all-tokens", "reranker.instructions=none", name="minicpm_reranker")
    assert "--all-tokens" not in everything
    assert len(everything) > len(short)


def test_a_prompt_of_a_language_model_is_shown_whole(shown, tmp_path):
    folder = write_qwen3_reranker(tmp_path / "model")
    found = objects(shown(folder, "--json", name="qwen3_reranker_0_6b"))[0]
    assert found["text"].startswith("<|im_start|>system\nJudge whether the Document meets the requirements")
    assert found["text"].endswith("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert "<Query>: what makes bread rise\n<Document>: Yeast makes bread rise." in found["text"]
    assert "<|im_start|>" in found["tokens"]


def test_the_instruction_of_the_dataset_is_in_the_text(shown, tmp_path):
    folder = write_minicpm_reranker(tmp_path / "model")
    instruction = load_instructions()["scifact"].instruction
    found = objects(shown(folder, "--json", "dataset.instruction_key=scifact", name="minicpm_reranker"))[0]
    assert f"Instruction: {instruction} Query: what makes bread rise</s>" in found["text"]
    assert "<s>" == found["tokens"][0]
    plain = objects(shown(folder, "--json", "reranker.instructions=none", name="minicpm_reranker"))[0]
    assert "Instruction" not in plain["text"]


@pytest.mark.parametrize(("count", "wanted"), [(1, ["q2"]), (2, ["q2", "q3"]), (9, ["q2", "q1", "q3"])])
def test_samples_go_from_the_shortest_to_the_longest(shown, model, count, wanted):
    found = objects(shown(model, "reranker.max_length=64", "--json", "--samples", str(count)))
    assert wanted == [one["query_id"] for one in found]


def test_without_a_dataset_the_bundled_one_is_shown(model, capsys):
    typed = ["prompt", "reranker=cross_encoder", f"reranker.model={model}", "reranker.max_length=64", "--json"]
    assert main(typed) == 0
    assert 3 == len(objects(capsys.readouterr().out))


def test_document_positions_are_those_of_the_document(shown, tmp_path):
    folder = write_minicpm_layerwise(tmp_path / "model")
    name = "bge_reranker_v2_minicpm_layerwise"
    found = objects(shown(folder, "--json", "reranker.cutoff_layers=[3]", name=name))[0]
    document = found["tokens"][found["document_start"] : found["document_stop"]]
    assert "B: Yeast makes bread rise." == "".join(document).replace("▁", " ").strip()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["neither reranker nor retriever is set", "reranker=NAME or retriever=NAME"]),
        (["reranker.max_length=64"], ["reranker is not set", "reranker=NAME"]),
        (["reranker=none", "retriever=bm25"], ["`evalkit prompt` takes one model at a time"]),
        (["retriever=bm25"], ["retriever=bm25 has no tokenizer of a model, so a text has no tokens"]),
        (["retriever=dense", "retriever.model=nowhere"], ["nowhere: no such folder"]),
        (["reranker=none"], ["does not read query and document as one sequence"]),
        (["reranker=cross_encoder"], ["reranker.model is not set"]),
        (["reranker=cross_encoder", "reranker.model=nowhere"], ["nowhere: no such folder"]),
        (["reranker=bge_reranker_base", "dataset=nope"], ["dataset=nope is not a choice", "mini"]),
        (["reranker=bge_reranker_base", "dataset=folder"], ["dataset.path is not set"]),
        (["reranker=bge_reranker_base", "--samples", "0"], ["--samples 0 is out of range", "numbers from 1"]),
    ],
)
def test_a_wrong_setting_is_one_line(arguments, parts, capsys):
    assert_one_line(capsys, main(["prompt", *arguments]), *parts)


@pytest.fixture
def embedder(tmp_path):
    """One without its weights, and a prompt for queries."""
    folder = tiny_bert(tmp_path / "embedder")
    (folder / "model.safetensors").unlink()
    said = {"prompts": {"query": "what makes ", "document": "bees . "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(said), encoding="utf-8")
    return [
        "prompt",
        "retriever=dense",
        f"retriever.model={folder}",
        "retriever.pooling=mean",
        "retriever.max_length=12",
    ]


def test_a_retriever_reads_queries_and_documents_apart(embedder, dataset, capsys):
    assert main([*embedder, *dataset, "--json"]) == 0
    found = objects(capsys.readouterr().out)
    assert ["q2", "q1", "q3"] == [one["query_id"] for one in found]
    first, last = found[0], found[2]
    assert first["query_tokens"] == ["[CLS]", "what", "makes", "what", "makes", "bread", "rise", "[SEP]"]
    assert first["document_text"] == "[CLS] bees . yeast makes bread rise . [SEP]"
    assert len(first["document_input_ids"]) == len(first["document_tokens"]) == 9
    assert (first["query_truncated"], first["document_truncated"]) == (False, False)
    assert (last["query_truncated"], last["document_truncated"]) == (False, True)
    assert len(last["document_tokens"]) == 12


def test_settings_of_a_retriever_decide_what_is_shown(embedder, dataset, capsys):
    assert main([*embedder, *dataset, "retriever.query_instruction=bees ", "--samples", "1"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "query q2 (relevance 1): 7 tokens; whole"
    assert lines[4] == "document d2 (relevance 1): 9 tokens; whole"
    assert printed.err == ""
    assert main([*embedder, *dataset]) == 0
    assert "document d3 (relevance 1): 12 tokens; cut" in capsys.readouterr().out


@pytest.mark.shared
def test_a_sparse_retriever_shows_the_tokens_that_embed_prints(shared, dataset, tmp_path, capsys):
    chosen = ["retriever=splade", f"retriever.model={shared / 'golden/splade/model'}"]
    assert main(["prompt", *chosen, *dataset, "--samples", "1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    texts = tmp_path / "texts.jsonl"
    lines = [{"role": "query", "text": QUERIES["q2"]}, {"role": "document", "text": DOCUMENTS["d2"][1]}]
    texts.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert main(["embed", *chosen, "compute=cpu", "--ids", str(texts)]) == 0
    embedded = objects(capsys.readouterr().out)
    assert [shown["query_input_ids"], shown["document_input_ids"]] == [one["input_ids"] for one in embedded]


def test_an_instruction_that_is_not_known_is_one_line(dataset, tmp_path, capsys):
    folder = write_minicpm_reranker(tmp_path / "model")
    typed = ["prompt", "reranker=minicpm_reranker", f"reranker.model={folder}", *dataset]
    assert_one_line(capsys, main([*typed, "reranker.instructions=dataset"]), "has no entry 'tiny'", "evalkit list")


def test_a_dataset_without_a_relevant_pair_is_one_line(tmp_path, model, capsys):
    folder = write_collection(tmp_path / "odd", DOCUMENTS, QUERIES, {"q1": {"d1": 0}})
    typed = ["reranker=cross_encoder", f"reranker.model={model}", "reranker.max_length=64", f"dataset.path={folder}"]
    parts = ["dataset odd has no relevant pair to show"]
    assert_one_line(capsys, main(["prompt", *typed, "dataset=folder", f"cache_dir={tmp_path}"]), *parts)
