"""Matched tokens: they add up to the score, and stand where the text has them."""

import json
import shutil

import numpy as np
import pytest
from stubs import tiny_bert

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError, ModelError
from evalkit.rerank.late_interaction import LateInteractionConfig
from evalkit.rerank.matched_tokens import matched_tokens, reranker_of
from evalkit.types import Pair

FOLDERS = ("late_colbert_pylate", "late_colbert_noexpansion", "late_colbert_modernbert", "st6_multivector")
SUMS = 1e-4  # float32


def build(model, **settings):
    return rerank.build(LateInteractionConfig(name="x", model=str(model), **settings), ComputeConfig(device="cpu"))


def found(reranker, pairs):
    return [one for _, one in sorted(matched_tokens(reranker, pairs), key=lambda each: each[0])]


@pytest.mark.shared
@pytest.mark.parametrize("name", FOLDERS)
def test_the_maxima_add_up_to_the_published_score(shared, name):
    folder = shared / "golden" / name
    golden = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    texts = {pair["id"]: Pair(pair["query"], pair["document"]) for pair in golden["pairs"]}
    pairs = [texts[case["id"]] for case in golden["cases"]]
    reranker = build(folder / golden["model"])
    matches = found(reranker, pairs)
    totals = [np.mean(one.values) if reranker.averages else np.sum(one.values) for one in matches]
    assert [one.score for one in matches] == pytest.approx(totals, abs=1e-12)
    assert totals == pytest.approx(reranker.score(pairs, advance=lambda _: None).scores.tolist(), abs=SUMS)
    key = "score" if "score" in golden["cases"][0] else "scores"
    published = [np.ravel(case[key])[0] for case in golden["cases"]]
    assert totals == pytest.approx(published, abs=SUMS)
    spanned = 0
    for pair, one in zip(pairs, matches, strict=True):
        assert len(one.tokens) == len(one.values) == len(one.matches) == len(one.spans) > 0
        for word, (start, stop) in zip(one.matches, one.spans, strict=True):
            assert start == stop == -1 or pair.document[start:stop] == word
            spanned += start >= 0
    assert spanned > 0


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("matched") / "bert")


@pytest.mark.parametrize("settings", [{}, {"skip_first_token": True}, {"document_instruction": "moon moon "}])
def test_tokens_of_a_text_are_found_behind_instructions_and_blanks(bert, settings):
    document = "  the moon pulls the sea and makes tides."
    reranker = build(bert, max_length=32, **settings)
    (one,) = found(reranker, [Pair("the moon pulls the sea and makes tides.", document)])
    places = {word: span for word, span in zip(one.matches, one.spans, strict=True) if span != (-1, -1)}
    assert places
    assert all(document[start:stop] == word for word, (start, stop) in places.items())
    if settings != {"document_instruction": "moon moon "}:  # the same text: each token is its own best match
        assert one.matches == one.tokens
        assert one.values == pytest.approx([1.0] * len(one.values), abs=1e-6)


def test_a_truncated_document_has_the_tokens_that_were_read(bert):
    document = "the moon pulls the sea and makes tides. " * 20 + "yeast"
    reranker = build(bert, max_length=12)
    (one,) = found(reranker, [Pair("yeast makes bread rise", document)])
    assert max(stop for _, stop in one.spans) < 60
    assert one.score == pytest.approx(
        float(reranker.score([Pair("yeast makes bread rise", document)]).scores[0]), abs=1e-6
    )


def manifest(reranker, **identity):
    return {
        "reranker": {"name": "x", **reranker.identity, **identity},
        "config": {
            "reranker": {"name": "x", "model": str(reranker.config.model), "max_length": reranker.config.max_length}
        },
    }


def test_the_reranker_of_a_result_is_built_again_and_another_checkpoint_is_refused(bert, tmp_path):
    reranker = build(bert, max_length=16)
    again = reranker_of(manifest(reranker))
    assert again.identity == reranker.identity
    assert reranker_of(manifest(reranker, attention="eager")).identity == reranker.identity
    with pytest.raises(ModelError, match=r"max_length differ\. Give back"):
        reranker_of(manifest(reranker, max_length=99))
    copy = shutil.copytree(bert, tmp_path / "copy")
    made = manifest(build(copy, max_length=16))
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.5}), encoding="utf-8")
    with pytest.raises(ModelError, match="checkpoint differ"):
        reranker_of(made)
    shutil.rmtree(copy)
    with pytest.raises(ModelError, match="copy"):
        reranker_of(made)


def test_other_rerankers_match_no_tokens(bert):
    with pytest.raises(ConfigError, match="x is not late interaction"):
        reranker_of(manifest(build(bert), kind="cross_encoder"))
