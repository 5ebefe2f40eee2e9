"""A reranker that reads whole lists: what decides a score, how a list is found again, and what is refused for it."""

import json
from pathlib import Path

import numpy as np
import pytest
from few import write_few
from references import qwen3
from references.weights import read_weights
from safetensors.torch import load_file, save_file
from stubs import DOCUMENTS, write_collection
from tiny_checkpoints import write_jina_listwise

import evalkit
from evalkit import rerank
from evalkit.cli import main
from evalkit.config import ComputeConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import ModelError
from evalkit.rerank.families.jina_listwise import JinaListwiseConfig
from evalkit.rerank.listwise import ListwiseReranker
from evalkit.results import Evaluation
from evalkit.run import Run
from evalkit.store.journal import Journal
from evalkit.types import Pair

TEXTS = (
    "The moon pulls the sea, and the sea answers with tides twice a day.",
    "Yeast eats the sugar in the dough. " * 4,
    "酵母吃掉面团里的糖，面包就发起来了。",  # noqa: RUF001
    "",
    "b",
    "Bees make honey.",
)
QUERY = "Why does the sea have tides?"
LIST = [Pair(QUERY, text) for text in TEXTS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    sizes = {"hidden_size": 48, "head_dim": 8, "num_attention_heads": 6, "num_key_value_heads": 3, "width": 20}
    return write_jina_listwise(tmp_path_factory.mktemp("listwise"), seed=3, num_hidden_layers=3, **sizes)


@pytest.fixture(scope="module")
def model(folder) -> ListwiseReranker:
    return built(folder)


def built(folder, compute=None, **settings) -> ListwiseReranker:
    return rerank.build(
        JinaListwiseConfig(name="lists", model=str(folder), **settings), compute or ComputeConfig(device="cpu")
    )


def reference(folder, model, pairs) -> np.ndarray:
    """The scores of one list in float64, from the tokens of its prompts."""
    weights = read_weights(folder)
    document, query = (model.tokenizer.token_id(mark) for mark in ("<|embed_token|>", "<|rerank_token|>"))
    queries, documents, best = [], [], []
    for ids in model.prepare(pairs).tokenized.ids:
        inner = np.maximum(qwen3.states_of(folder, ids.tolist()) @ weights["projector.0.weight"].T, 0)
        vectors = inner @ weights["projector.2.weight"].T
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        asked = int(np.flatnonzero(ids == query)[0])
        documents.append(unit[ids == document])
        queries.append(vectors[asked])
        best.append((1 + (documents[-1] @ unit[asked]).max()) / 2)
    mean = sum(weight * one for weight, one in zip(best, queries, strict=True))
    return np.concatenate(documents) @ (mean / np.linalg.norm(mean))


@pytest.mark.parametrize("settings", [{}, {"max_length": 12, "query_length": 8}, {"max_length": 30, "window": 80}])
def test_scores_are_those_of_the_reference_in_float64(folder, settings):
    model = built(folder, **settings)
    assert len(model.prepare(LIST).tokenized.ids) == (2 if "window" in settings else 1)
    scored = model.score(LIST)
    np.testing.assert_allclose(scored.scores, reference(folder, model, LIST), rtol=0, atol=2e-5)
    long = [len(ids) > model.config.max_length for ids in model.tokenizer.token_ids(TEXTS)]
    assert (scored.cut | (settings.get("query_length") == 8)).tolist() == [
        one or "query_length" in settings for one in long
    ]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_padded_models_and_packed_ones_score_alike(folder, model, attention):
    padded = built(folder, ComputeConfig(device="cpu", attention=attention))
    np.testing.assert_allclose(padded.score(LIST).scores, model.score(LIST).scores, rtol=0, atol=1e-5)


def test_order_and_company_change_scores_and_other_lists_do_not(model):
    alone = model.score(LIST).scores
    assert np.abs(alone - model.score(LIST[::-1]).scores[::-1]).max() > 0.01
    assert np.abs(alone[1] - model.score(LIST[1:]).scores[0]) > 0.01
    others = [Pair("How do bees make honey?", text) for text in TEXTS[:4]]
    mixed = [pair for both in zip(LIST, [*others, Pair("a", "b"), Pair("a", "c")], strict=True) for pair in both]
    assert alone.tolist() == model.score(mixed).scores[::2].tolist()
    assert model.score(others).scores.tolist() == model.score(mixed).scores[1:8:2].tolist()


def test_queries_of_the_same_text_are_lists_of_their_own_by_id_and_by_instruction(model):
    for other in ({"query_id": "q2"}, {"instruction": "Find causes."}):
        second = [pair._replace(**other) for pair in LIST[:2]]
        expected = [*model.score(LIST).scores, *model.score(second).scores]
        assert expected == model.score([*LIST, *second]).scores.tolist()


def test_an_instruction_decides_scores_and_that_of_a_pair_comes_first(folder, model):
    config = JinaListwiseConfig(name="lists", model=str(folder), instructions="Find causes.")
    instructed = rerank.build(config, ComputeConfig(device="cpu"))
    own = [pair._replace(instruction="Find causes.") for pair in LIST]
    assert instructed.score(LIST).scores.tolist() == model.score(own).scores.tolist()
    assert instructed.score([pair._replace(instruction="") for pair in LIST]).scores.tolist() == (
        model.score(LIST).scores.tolist()
    )
    assert np.abs(instructed.score(LIST).scores - model.score(LIST).scores).max() > 1e-3


def test_a_list_of_which_a_part_is_known_is_scored_whole_and_a_known_one_is_not(model):
    pairs = [*LIST, Pair("a", "b")]
    prepared = model.prepare(pairs)
    known = np.zeros(len(pairs), dtype=bool)
    known[1] = known[-1] = True
    (part,) = model.stream(prepared, known)
    assert list(range(len(LIST))) == part.rows.tolist()
    assert model.score(LIST).scores.tolist() == part.scores.tolist()
    assert not list(model.stream(prepared, np.ones(len(pairs), dtype=bool)))


def test_the_identity_names_window_order_and_everything_that_changes_a_prompt(folder, model):
    assert {"kind": "jina_listwise", "window": 131072, "block": 125, "order": "first_stage"}.items() <= (
        model.identity.items()
    )
    for setting in ({"window": 100}, {"max_length": 100}, {"query_length": 100}, {"instructions": "Find it"}):
        assert model.identity != built(folder, **setting).identity


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("projector.2.weight", "lacks 1 of the model's tensors"),
        ("projector.0.bias", "has 1 tensor that the model has"),
    ],
)
def test_a_projector_that_is_not_the_known_one_is_refused(tmp_path, name, fault):
    folder = write_jina_listwise(tmp_path)
    stored = load_file(folder / "model.safetensors")
    if name in stored:
        del stored[name]
    else:
        stored[name] = stored["projector.0.weight"][:, 0].contiguous()
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=fault):
        built(folder).score(LIST)


def evaluate(folder, place: Path, **settings) -> Evaluation:
    chosen = {"dataset": str(write_few(place / "few")), "dataset.sample": 8, "retriever": "bm25", "depth": 6}
    own = {"results_dir": place / "results", "cache_dir": place / "cache", "compute": {"device": "cpu"}}
    return evalkit.evaluate(**{**chosen, **own, **settings}, reranker=str(folder))


def bytes_of(found: Evaluation) -> list[bytes]:
    return [(found.result.folder / name).read_bytes() for name in ("run.trec.gz", "per_query.parquet")]


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory) -> Evaluation:
    return evaluate(folder, tmp_path_factory.mktemp("whole"))


class Killed(BaseException):
    pass


def test_a_killed_evaluation_ends_in_the_bytes_of_a_whole_one_and_scores_no_list_twice(
    folder, whole, tmp_path, monkeypatch
):
    append, left = Journal.append, 3

    def dying(journal, payload):
        nonlocal left
        found = append(journal, payload)
        left -= journal.path.name == "scores.log"
        if not left:
            raise Killed
        return found

    monkeypatch.setattr(Journal, "append", dying)
    with pytest.raises(Killed):
        evaluate(folder, tmp_path / "killed")
    monkeypatch.undo()
    resumed = evaluate(folder, tmp_path / "killed")
    facts = resumed.result.manifest
    assert bytes_of(whole) == bytes_of(resumed)
    assert [1, 6, 6, 6, 6, 6, 6, 6] == sorted(np.diff(whole.run.offsets).tolist())
    assert facts["kept_pairs"] in {3 * 6, 2 * 6 + 1}
    assert facts["engine"]["batches"] == 5
    assert not evaluate(folder, tmp_path / "killed").result.fresh


def test_another_depth_scores_every_list_again_that_it_makes_another(folder, tmp_path):
    deep = evaluate(folder, tmp_path)
    shallow = evaluate(folder, tmp_path, depth=3)
    lengths = np.diff(deep.run.offsets)
    assert shallow.result.manifest["kept_pairs"] == lengths[lengths <= 3].sum() < len(shallow.run)
    scores = [
        {(query, doc): score for query, docs, own in found.run for doc, score in zip(docs, own.tolist(), strict=True)}
        for found in (deep, shallow)
    ]
    assert any(scores[0][pair] != score for pair, score in scores[1].items())


def test_queries_of_the_same_text_keep_their_own_candidates(model, tmp_path, store):
    collection = write_collection(
        tmp_path / "c", queries={"q1": QUERY, "q2": QUERY}, qrels={"q1": {"d1": 1}, "q2": {"d1": 1}}
    )
    dataset = load(FolderDatasetConfig(path=str(collection)), store)
    ranked = {"q1": {"d1": 3.0, "d2": 2.0, "d3": 1.0}, "q2": {"d3": 2.0, "d1": 1.0}}
    found = rerank.apply(model, Run.from_dict(ranked), dataset).run
    for query_id, doc_ids, scores in found:
        order = list(ranked[query_id])
        pairs = [Pair(QUERY, " ".join(part for part in DOCUMENTS[doc_id] if part)) for doc_id in order]
        expected = dict(zip(order, model.score(pairs).scores.tolist(), strict=True))
        assert expected == dict(zip(doc_ids, scores.tolist(), strict=True))


@pytest.mark.parametrize("window", [1, 7])
def test_no_list_is_split_between_windows(folder, whole, tmp_path, monkeypatch, window):
    monkeypatch.setattr("evalkit.rerank.texts.PAIRS_PER_WINDOW", window)
    assert bytes_of(whole) == bytes_of(evaluate(folder, tmp_path))


def test_replay_compare_and_analyse_take_it_and_there_is_no_depth_curve(folder, tmp_path, capsys):
    found = evaluate(folder, tmp_path)
    run = found.result.folder / "run.trec.gz"
    again = evalkit.evaluate(
        dataset=str(tmp_path / "few"),
        retriever="bm25",
        depth=6,
        reranker=str(run),
        results_dir=tmp_path / "results",
        cache_dir=tmp_path / "cache",
        **{"dataset.sample": 8},
    )
    assert again.result.manifest["measures"] == found.result.manifest["measures"]
    assert found.result.manifest["by_query"]
    assert main(["compare", str(tmp_path / "results")]) == 0
    capsys.readouterr()
    assert main(["analyse", str(found.result.folder)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "no depth curve: the reranker is given all candidates of a query at once" in printed


def test_score_takes_all_lines_of_a_query_as_its_list(folder, model, tmp_path, capsys):
    lines = [{"query": pair.query, "document": pair.document} for pair in LIST[:3]]
    lines[1:1] = [{"query": "a", "document": "b"}, {**lines[0], "query_id": "again"}]
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    chosen = ["reranker=auto", f"reranker.model={folder}", "compute.device=cpu"]
    assert main(["score", *chosen, "--ids", str(pairs)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = model.score(LIST[:3]).scores
    assert [np.float32(rows[place]["score"]) for place in (0, 3, 4)] == expected.tolist()
    assert np.float32(rows[2]["score"]) == model.score(LIST[:1]).scores[0]
    assert rows[2]["query_id"] == "again"
    assert rows[0]["input_ids"] == rows[3]["input_ids"] == model.prepare(LIST[:3]).tokenized.ids[0].tolist()
    assert rows[1]["input_ids"] == model.prepare([Pair("a", "b")]).tokenized.ids[0].tolist()
    pairs.write_text("", encoding="utf-8")
    assert main(["score", *chosen, str(pairs)]) == 0


def test_each_line_has_the_tokens_of_its_own_prompt(folder):
    model = built(folder, max_length=30, window=80)
    prepared = model.prepare(LIST)
    document = model.tokenizer.token_id("<|embed_token|>")
    expected = [ids.tolist() for ids in prepared.tokenized.ids for _ in range(int((ids == document).sum()))]
    assert expected == prepared.ids
    shuffled = [pair for both in zip(LIST, [Pair("a", "b")] * 6, strict=True) for pair in both]
    assert expected == model.prepare(shuffled).ids[::2]


def test_prompt_shows_a_list_of_one_document_and_doctor_checks_what_it_can(folder, capsys):
    chosen = ["reranker=auto", f"reranker.model={folder}", "compute.device=cpu"]
    assert main(["prompt", *chosen[:2], "dataset=mini", "--samples", "1"]) == 0
    assert "a list of document" in capsys.readouterr().out
    assert main(["prompt", *chosen[:2], "dataset=mini", "--samples", "1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["text"].startswith("<|im_start|>system\n")
    assert (shown["tokens"].count("<|embed_token|>"), shown["tokens"].count("<|rerank_token|>")) == (1, 1)
    assert main(["doctor", *chosen, "--json"]) in (0, 1)
    checks = {row["name"]: row["outcome"] for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert checks["checkpoint"] == checks["alone = in a batch"] == checks["distinct scores"] == "passed"
    assert "answer tokens" not in checks


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-3), ("bfloat16", 0.04)])  # on a CPU up to 0.016
def test_scores_on_a_gpu_are_those_on_the_cpu(folder, dtype, bound):
    settings = {"max_length": 30, "window": 80}
    expected = built(folder, **settings).score([*LIST, *(Pair("a", text) for text in TEXTS)]).scores
    found = built(folder, ComputeConfig(device="cuda", dtype=dtype), **settings)
    scores = found.score([*LIST, *(Pair("a", text) for text in TEXTS)]).scores
    np.testing.assert_allclose(scores, expected, rtol=0, atol=bound)
    assert found.usage.batches == len(found.prepare(LIST).counts) + len(
        found.prepare([Pair("a", t) for t in TEXTS]).counts
    )
