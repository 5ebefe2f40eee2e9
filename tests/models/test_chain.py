"""Rerankers of which modules behind a pooling are the head, against sentence-transformers."""

import numpy as np
import pytest
import torch
from stubs import tiny_bert

from evalkit import load_reranker
from evalkit.types import Pair


@pytest.mark.parametrize("mode", ["cls", "mean", "max", "lasttoken", ("mean", "cls")], ids=str)
def test_a_chain_leaves_a_prompt_out_of_the_pooling_as_sentence_transformers_does(tmp_path, mode):
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import CrossEncoder
    from sentence_transformers.sentence_transformer import modules

    bert = tiny_bert(tmp_path / "bert")
    width = 64 if isinstance(mode, tuple) else 32
    chain = [
        modules.Transformer(str(bert), max_seq_length=12),
        modules.Pooling(32, mode, include_prompt=False),
        modules.Dense(width, 1, activation_function=torch.nn.Identity(), module_output_name="scores"),
    ]
    prompts = {"prompts": {"query": "which moon: "}, "default_prompt_name": "query"}
    theirs = CrossEncoder(modules=chain, **prompts, activation_fn=torch.nn.Identity(), device="cpu")
    theirs.save(str(tmp_path / "chain"))
    pairs = [Pair("the sea", "The moon pulls the sea."), Pair("bees", "Honey"), Pair("moon " * 20, "sea " * 20)]
    expected = theirs.predict([(pair.query, pair.document) for pair in pairs])
    for attention in ("auto", "sdpa"):
        model = load_reranker(
            "cross_encoder", model=tmp_path / "chain", compute={"device": "cpu", "attention": attention}
        )
        np.testing.assert_allclose(model.score(pairs).scores, expected, rtol=0, atol=1e-5)
        alone = np.concatenate([model.score([pair]).scores for pair in pairs])
        np.testing.assert_allclose(alone, expected, rtol=0, atol=1e-5)
    without = load_reranker("cross_encoder", model=tmp_path / "chain", query_instruction="", compute={"device": "cpu"})
    assert not np.allclose(without.score(pairs).scores, expected, rtol=0, atol=1e-3)
