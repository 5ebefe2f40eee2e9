"""jina-reranker-v3: prompts, blocks and scores of its authors' `rerank`, and what its files may not say."""

import json
import shutil
from functools import cache

import numpy as np
import pytest
import tiny_tokenizers
from tiny_checkpoints import write_jina_listwise
from tokenizers import Tokenizer

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError, ModelError
from evalkit.inference.tokens import FastTokenizer
from evalkit.rerank.families.jina_listwise import JinaListwiseConfig, blocks, read, scores_of, written
from evalkit.rerank.listwise import ListwiseReranker
from evalkit.rerank.recognition import AutoConfig
from evalkit.types import Pair

OFFICIAL = 1e-5  # float32 on both sides; scores are cosines
MARKS = ("<|embed_token|>", "<|rerank_token|>")


@cache
def golden(folder):
    return json.loads((folder / "expected.json").read_text(encoding="utf-8"))


def built(model, **settings) -> ListwiseReranker:
    return rerank.build(JinaListwiseConfig(name="x", model=str(model), **settings), ComputeConfig(device="cpu"))


def cases_of(folder):
    """(case, its list as pairs, the settings of the reference by our names)."""
    found = golden(folder)
    lists = {one["id"]: [Pair(one["query"], document) for document in one["documents"]] for one in found["lists"]}
    for case in found["cases"]:
        own = found["settings"][case["setting"]]
        names = {"max_length": "max_doc_length", "query_length": "max_query_length", "window": "model_max_length"}
        yield case, lists[case["id"]], {ours: own[theirs] for ours, theirs in names.items()}


@pytest.mark.shared
def test_prompts_and_scores_of_every_list_are_those_of_the_reference(shared):
    folder, models, several = shared / "golden/jina_reranker_v3", {}, 0
    for case, pairs, settings in cases_of(folder):
        model = models.setdefault(case["setting"], built(folder / "model", **settings))
        prepared = model.prepare(pairs)
        prompts = case.get("blocks", [case])
        assert [prompt["input_ids"] for prompt in prompts] == [ids.tolist() for ids in prepared.tokenized.ids]
        scores = model.score(pairs).scores
        np.testing.assert_allclose(scores, case["scores"], rtol=0, atol=OFFICIAL)
        assert np.argsort(-scores, kind="stable").tolist() == np.argsort(-np.array(case["scores"])).tolist()
        several += len(prompts) > 1
    assert several == 2


@pytest.mark.shared
def test_limits_of_the_reference_are_the_defaults_and_its_window_is_the_tokenizer_s(shared):
    folder = shared / "golden/jina_reranker_v3"
    usual = golden(folder)["settings"]["default"]
    config = JinaListwiseConfig(name="x", model=str(folder / "model"))
    assert (config.max_length, config.query_length) == (usual["max_doc_length"], usual["max_query_length"])
    model = rerank.build(AutoConfig(name="auto", model=str(folder / "model")), ComputeConfig(device="cpu"))
    assert model.window == usual["model_max_length"]
    for case, pairs, _ in cases_of(folder):
        if case["setting"] == "default" and case["id"] in {"one", "special_tokens"}:
            np.testing.assert_allclose(model.score(pairs).scores, case["scores"], rtol=0, atol=OFFICIAL)


@pytest.mark.shared
def test_the_prompt_is_that_of_the_golden_file(shared):
    prompt = golden(shared / "golden/jina_reranker_v3")["notes"]["prompt"]
    assert prompt == written("{query}", ["{document 0}", "{document 1}"], "")


def test_an_instruction_stands_between_the_query_and_the_passages():
    plain, instructed = (written("tides", ["moon"], task) for task in ("", "Find causes"))
    assert "query: tides\n<instruct>\nFind causes\n</instruct>\n<passage id" in instructed
    assert plain == instructed.replace("<instruct>\nFind causes\n</instruct>\n", "")


def test_marks_are_deleted_from_all_texts_also_where_one_holds_another():
    document, query = MARKS
    nested = f"<|embed_{query}token|>moon"
    assert written("tides", ["moon"], "") == written(f"ti{document}des{query}", [nested], "")
    assert written("tides", ["moon"], "").count(document) == written("tides", ["moon"], "").count(query) == 1


@pytest.mark.parametrize(
    ("lengths", "query", "window", "max_length", "expected"),
    [
        ([], 5, 100, 10, []),
        ([10, 10, 10], 5, None, 10, [3]),
        ([10, 10, 10], 5, 1000, 10, [3]),
        ([10, 10, 10], 5, 40, 10, [2, 1]),  # 40 - 10 - 20 = 10 is no more than a longest document
        ([10, 10, 10, 10], 5, 40, 10, [2, 2]),
        ([10, 9, 9, 10], 5, 40, 10, [3, 1]),
        ([10, 10], 5, 20, 10, [1, 1]),  # each closes its block
        ([1] * 250, 5, None, 10, [125, 125]),
        ([1] * 251, 5, None, 10, [125, 125, 1]),
    ],
)
def test_a_prompt_is_closed_where_a_longest_document_might_not_fit(lengths, query, window, max_length, expected):
    found = blocks(lengths, query, window=window, max_length=max_length)
    assert expected == [len(lengths[block]) for block in found]
    assert lengths == [length for block in found for length in lengths[block]]


def test_a_text_with_as_many_tokens_as_are_read_is_decoded_from_them():
    tokenizer = FastTokenizer(Tokenizer.from_str(tiny_tokenizers.qwen().files["tokenizer.json"].decode()))
    composed, decomposed = "caf\u00e9", "cafe\u0301"  # the tokenizer composes, so only decoding changes the text
    count = len(tokenizer.token_ids([decomposed])[0])
    for limit, text, tokens, cut in (
        (count + 1, decomposed, count, False),
        (count, composed, count, False),
        (2, tokenizer.text(tokenizer.token_ids([decomposed])[0][:2].tolist()), 2, True),
    ):
        assert read(tokenizer, [decomposed], limit)[decomposed] == (text, tokens, cut)


def test_blocks_are_scored_against_the_mean_of_their_queries_by_their_best_document():
    first, second = np.array([[1, 0], [0, 1], [1, 1]], np.float32), np.array([[-1, 0], [0, -2]], np.float32)
    # Best cosines: 1 / sqrt(2) with the first block's query (1, 1), and 0 with the second's (0, -2).
    weights = np.array([(1 + 2**-0.5) / 2, 0.5])
    x, y = weights @ np.array([[1.0, 1.0], [0.0, -2.0]]) / weights.sum()
    length = np.hypot(x, y)
    expected = [x / length, y / length, -x / length]
    np.testing.assert_allclose(scores_of([first, second]), expected, rtol=1e-6)
    np.testing.assert_allclose(scores_of([first]), [2**-0.5, 2**-0.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"sliding_window": 1024}, "see a sliding window, as in jina-reranker-v3.5"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "see a sliding window"),
        ({"auto_map": {"AutoModel": "other.JinaForRanking"}}, "is not that of jina-reranker-v3"),
        ({"architectures": ["Qwen3ForCausalLM"]}, "expected JinaForRanking over qwen3"),
        ({"model_type": "qwen2"}, "expected JinaForRanking over qwen3"),
        ({"rms_norm_eps": None}, "no rms_norm_eps"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_configuration_of_another_model_is_refused(tmp_path, changes, part):
    with pytest.raises(ModelError) as error:
        built(write_jina_listwise(tmp_path, **changes))
    assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_modules_and_a_tokenizer_without_the_marks_are_refused(tmp_path):
    folder = write_jina_listwise(tmp_path / "model")
    other = shutil.copytree(folder, tmp_path / "other")
    for name, content in tiny_tokenizers.qwen().files.items():
        (other / name).write_bytes(content)
    with pytest.raises(ModelError, match=r"its tokenizer lacks <\|embed_token\|>"):
        built(other).prepare([Pair("a", "b")])
    modules = [{"type": "sentence_transformers.models.Transformer", "path": ""}]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    with pytest.raises(ModelError, match=r"has modules\.json, and jina-reranker-v3 has none"):
        built(folder)


@pytest.mark.parametrize("setting", ["max_length", "query_length", "window"])
def test_a_limit_below_eight_tokens_is_refused(setting):
    with pytest.raises(ConfigError, match=f"reranker.{setting}"):
        JinaListwiseConfig(name="x", model="x", **{setting: 7})
