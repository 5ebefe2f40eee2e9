"""Lengths in tokens: the model's own where it is on disk, else assumed."""

import numpy as np
import pytest
from tiny_checkpoints import write_jina_listwise

from evalkit.config import ComputeConfig
from evalkit.config.resources import config_names
from evalkit.load import config_of
from evalkit.plan.reading import AssumedTokenizer, Reader, TokenLengths, compressed, cutoff
from evalkit.rerank import build
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.rerank.families.flag_llm import LightweightConfig
from evalkit.rerank.families.jina_listwise import JinaListwiseConfig
from evalkit.rerank.pair_reranker import PairRerankerConfig
from evalkit.retrieval.encoder import DenseEncoder
from evalkit.types import Pair

TEXTS = ["the moon pulls the sea", "", "bees", "yeast makes bread rise " * 9]


def test_texts_have_the_tokens_that_the_retriever_reads(config):
    lengths = Reader(config.retriever, made_up=False).queries(TEXTS, "the sea ")
    expected = DenseEncoder(config.retriever, config.compute).tokenize(TEXTS, instruction="the sea ").lengths
    assert lengths.sample.tolist() == expected.tolist()
    assert lengths.sample.max() == 16


def test_pairs_have_the_tokens_that_the_reranker_reads(config):
    pairs = [Pair("what makes tides", text) for text in TEXTS]
    reader = Reader(config.reranker, made_up=False)
    expected = build(config.reranker, config.compute).tokenize(pairs).lengths
    assert reader.pairs(pairs, "").sample.tolist() == expected.tolist()
    assert not reader.assumed


def test_lists_have_about_the_tokens_of_their_prompts(tmp_path):
    """The tokens of the parts are added up, and some of the whole prompt go over the bounds of its parts."""
    pairs = [Pair("what makes tides", text) for text in TEXTS]
    for window, several in ((None, False), (50, True)):
        config = JinaListwiseConfig(name="x", model=str(write_jina_listwise(tmp_path)), max_length=32, window=window)
        expected = build(config, ComputeConfig(device="cpu")).prepare(pairs).tokenized.lengths
        found, each = Reader(config, made_up=False).lists(pairs, len(pairs), "")
        assert each == len(expected)
        assert several == (each > 1)
        assert found.sample[: len(expected)] == pytest.approx(expected, abs=4)


WITHOUT_A_MODEL = {"none", "replay", "python", "auto", "cross_encoder", "language_model", "t5"}


@pytest.mark.parametrize("name", sorted(set(config_names("reranker")) - WITHOUT_A_MODEL))
def test_every_template_can_be_filled_without_a_vocabulary(monkeypatch, name):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = config_of("reranker", name, {})
    reader = Reader(config, made_up=True)
    assert reader.assumed
    texts = ["x" * 430, "x" * 43_000]
    if isinstance(config, PairRerankerConfig):
        lengths = reader.pairs([Pair("x" * 43, text) for text in texts], "").sample
        around = lengths[0] - 110
        assert 3 <= around < 120
    elif isinstance(config, JinaListwiseConfig):
        found, prompts = reader.lists([Pair("x" * 43, text) for text in texts], 2, "")
        around = found.sample[0] - 2 * 10 - 100 - config.max_length
        assert 3 <= around < 300
        assert (prompts, len(found.sample)) == (1, 2)
        return
    else:
        lengths = reader.documents(texts).sample
        assert lengths[0] == 102
    assert lengths[1] <= max(config.max_length or 512, 64) + 120  # the prompts of FlagEmbedding come on top


def test_assumed_tokens_follow_the_script():
    tokens = AssumedTokenizer().token_ids(["x" * 43, "\u4e00" * 16, "", "a"])
    assert [len(ids) for ids in tokens] == [10, 10, 0, 1]


def test_a_sample_stands_for_any_number_of_texts():
    lengths = TokenLengths(np.array([2, 4]))
    assert (lengths.tokens(100), lengths.squares(100)) == (300.0, 1000.0)
    nothing = TokenLengths(np.array([], dtype=np.int64))
    assert (nothing.tokens(5), nothing.squares(5)) == (0.0, 0.0)


def test_merged_tokens_cost_less_in_the_layers_above():
    config = LightweightConfig(name="x", model="y", compress_ratio=2, compress_layers=[2])
    assert compressed(config, 100.0, 4) == 75.0
    assert compressed(LightweightConfig(name="x", model="y"), 100.0, 4) == 100.0
    assert compressed(CrossEncoderConfig(name="x", model="y"), 100.0, 4) == 100.0


@pytest.mark.parametrize(("layers", "expected"), [(None, None), ([3], 3), ([2, 5], 5)])
def test_a_model_stops_after_its_last_cutoff(layers, expected):
    assert cutoff(LightweightConfig(name="x", model="y", cutoff_layers=layers)) == expected
    assert cutoff(CrossEncoderConfig(name="x", model="y")) is None
