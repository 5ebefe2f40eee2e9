"""Published scores: the shipped cards are sound, and tiny checkpoints with "published" scores of their own are told."""

import math

import pytest
from cards import published_cards
from tiny_checkpoints import write_gemma2_lightweight, write_minicpm_reranker

from evalkit import Pair, load_reranker
from evalkit.doctor import known
from evalkit.load import config_of
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig

QUERY, OTHER_QUERY = "why does the sea have tides？", "why does the sea have tides?"  # noqa: RUF001
DOCUMENTS = ("The moon pulls the sea.", "Yeast makes bread rise.")
SHAPE = {"hidden_size": 32, "num_hidden_layers": 3}
CPU = {"device": "cpu"}
CARDS = published_cards()


@pytest.fixture(scope="module")
def minicpm(tmp_path_factory):
    return write_minicpm_reranker(tmp_path_factory.mktemp("minicpm") / "model", seed=3)


def minicpm_with(folder, pooling):
    return load_reranker("minicpm_reranker", model=folder, compute=CPU, pooling=pooling)


def scores_of(reranker, query=QUERY):
    return reranker.score([Pair(query, document, "") for document in DOCUMENTS]).scores.tolist()


def publish(monkeypatch, name, *sets, shape=SHAPE):
    """Let the doctor know these scores of a checkpoint."""
    card = {"config": shape, "scores": [{"source": "card", **one} for one in sets]}
    monkeypatch.setattr(known, "card_of", lambda reranker: card if reranker.name == name else {})


def logits(scores, query=QUERY):
    pairs = [[query, document, score] for document, score in zip(DOCUMENTS, scores, strict=True)]
    return {"dtype": "float16", "values": "logit", "pairs": pairs}


@pytest.mark.parametrize("name", CARDS)
def test_every_entry_has_sources_shapes_and_pairs(name):
    entry = CARDS[name]
    built = {"architecture", "template", "score", "parameters"}
    if name == "ctxl_rerank_v2_6b":  # no source gives its sizes; its vocabulary tells it from the smaller ones
        assert {"config", "scores"} == set(entry) - built
        assert set(entry["config"]) == {"vocab_size"}
    else:
        assert {"shape", "config", "scores"} == set(entry) - built
        assert {"hidden_size", "num_hidden_layers"} <= set(entry["config"])
        assert {key: entry["shape"].get(key, value) for key, value in entry["config"].items()} == entry["config"]
    assert entry["scores"]
    for one in entry["scores"]:
        assert set(one) <= {"source", "dtype", "values", "settings", "pairs", "tolerances", "or_query"}
        assert one["source"].strip()
        assert one["dtype"] in {"float16", "bfloat16", "float32"}
        assert one["values"] in {"logit", "sigmoid"}
        assert one["pairs"]
        for query, document, value in one["pairs"]:
            assert query.strip()
            assert document.strip()
            assert math.isfinite(value)
            assert one["values"] == "logit" or 0 <= value <= 1
        if "tolerances" in one:
            assert len(one["tolerances"]) == len(one["pairs"])
            assert min(one["tolerances"]) > 0


@pytest.mark.parametrize("name", CARDS)
def test_the_settings_of_every_entry_are_legal(name):
    for one in CARDS[name]["scores"]:
        config = config_of("reranker", name, one.get("settings", {}))
        assert all(getattr(config, key) == value for key, value in one.get("settings", {}).items())


def test_a_checkpoint_of_another_size_is_not_held_to_the_published_scores(minicpm):
    check = known.published_scores(minicpm_with(minicpm, "last"))
    assert ("published scores", "skipped") == check[:2]
    assert check.detail == "not a checkpoint of the size that the card of minicpm_reranker says"
    assert known.pooling(minicpm_with(minicpm, "last")).outcome == "skipped"


def test_published_scores_that_come_out_pass(minicpm, monkeypatch):
    reranker = minicpm_with(minicpm, "last")
    first, second = scores_of(reranker)
    publish(monkeypatch, "minicpm_reranker", logits([first + 0.09, second - 0.09]))
    check = known.published_scores(reranker)
    assert check.outcome == "passed"
    assert check.detail.startswith("2 pairs; least agreement: ")


def test_published_scores_that_do_not_come_out_fail_and_the_worst_pair_is_shown(minicpm, monkeypatch):
    reranker = minicpm_with(minicpm, "last")
    first, second = scores_of(reranker)
    publish(monkeypatch, "minicpm_reranker", logits([first, second]), logits([first, second + 1]))
    check = known.published_scores(reranker)
    assert check.outcome == "FAILED"
    assert check.detail == (
        f"4 pairs; least agreement: {QUERY!r} with {DOCUMENTS[1]!r}: {second:.4f}, published {second + 1:.4f}"
    )


def test_tolerance_of_a_logit_grows_with_it():
    assert pytest.approx(0.1 + 0.02 * 8) == known._tolerance("logit", -8.0)
    assert known._tolerance("sigmoid", 0.9) == 0.03


def test_an_entry_may_have_tolerances_of_its_own(minicpm, monkeypatch):
    reranker = minicpm_with(minicpm, "last")
    first, second = scores_of(reranker)
    published = logits([first, second + 0.05])
    publish(monkeypatch, "minicpm_reranker", published)
    assert known.published_scores(reranker).outcome == "passed"
    publish(monkeypatch, "minicpm_reranker", {**published, "tolerances": [0.01, 0.01]})
    assert known.published_scores(reranker).outcome == "FAILED"


def test_probabilities_are_compared_with_the_sigmoid_of_the_logit(minicpm, monkeypatch):
    reranker = minicpm_with(minicpm, "last")
    probabilities = [1 / (1 + math.exp(-score)) for score in scores_of(reranker)]
    publish(monkeypatch, "minicpm_reranker", {**logits(probabilities), "values": "sigmoid"})
    assert known.published_scores(reranker).outcome == "passed"
    publish(monkeypatch, "minicpm_reranker", {**logits(scores_of(reranker)), "values": "sigmoid"})
    assert known.published_scores(reranker).outcome == "FAILED"


def test_either_spelling_of_the_query_is_accepted(minicpm, monkeypatch):
    reranker = minicpm_with(minicpm, "last")
    one, other = scores_of(reranker), scores_of(reranker, OTHER_QUERY)
    assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 0.5
    tight = {**logits(other), "tolerances": [0.01, 0.01]}
    publish(monkeypatch, "minicpm_reranker", tight)
    assert known.published_scores(reranker).outcome == "FAILED"
    publish(monkeypatch, "minicpm_reranker", {**tight, "or_query": OTHER_QUERY})
    assert known.published_scores(reranker).outcome == "passed"
    assert known.pooling(reranker).outcome == "passed"


def test_the_two_spellings_may_not_each_explain_one_pair(minicpm, monkeypatch):
    reranker = minicpm_with(minicpm, "last")
    mixed = [scores_of(reranker)[0], scores_of(reranker, OTHER_QUERY)[1]]
    publish(monkeypatch, "minicpm_reranker", {**logits(mixed), "tolerances": [0.01, 0.01], "or_query": OTHER_QUERY})
    assert known.published_scores(reranker).outcome == "FAILED"


def test_pairs_are_scored_without_the_instruction_of_the_settings(minicpm, monkeypatch):
    plain = scores_of(minicpm_with(minicpm, "last"))
    instructed = load_reranker("minicpm_reranker", model=minicpm, compute=CPU, instructions="Find the answer.")
    assert plain != instructed.score([Pair(QUERY, document) for document in DOCUMENTS]).scores.tolist()
    publish(monkeypatch, "minicpm_reranker", {**logits(plain), "tolerances": [1e-4, 1e-4]})
    assert known.published_scores(instructed).outcome == "passed"


def test_pooling_that_does_not_give_the_published_scores_is_named_with_the_one_that_does(minicpm, monkeypatch):
    right = minicpm_with(minicpm, "first")
    publish(monkeypatch, "minicpm_reranker", logits(scores_of(right)))
    wrong = minicpm_with(minicpm, "last")

    assert known.published_scores(wrong).outcome == "FAILED"
    check = known.pooling(wrong)
    assert ("pooling", "FAILED") == check[:2]
    assert check.detail.startswith("set reranker.pooling=first (card ")
    for candidate in ("last", "first", "mean"):
        shown = ", ".join(f"{score:.4g}" for score in scores_of(minicpm_with(minicpm, candidate)))
        assert f"{candidate}: {shown}" in check.detail

    assert known.published_scores(right).outcome == "passed"
    check = known.pooling(right)
    assert ("pooling", "passed") == check[:2]
    assert check.detail.startswith("first gives the card's scores")


@pytest.mark.parametrize("pooling", ["last", "first", "mean"])
def test_trying_poolings_leaves_the_reranker_as_it_was(minicpm, monkeypatch, pooling):
    reranker = minicpm_with(minicpm, pooling)
    before = scores_of(reranker)
    publish(monkeypatch, "minicpm_reranker", logits(before))
    assert known.pooling(reranker).outcome == "passed"
    assert before == scores_of(reranker)


def test_published_scores_that_no_pooling_gives_fail(minicpm, monkeypatch):
    publish(monkeypatch, "minicpm_reranker", logits([50.0, -50.0]))
    check = known.pooling(minicpm_with(minicpm, "last"))
    assert check.outcome == "FAILED"
    assert check.detail.startswith("none of the three gives the card's scores (card 50, -50; last: ")


def test_pooling_is_asked_of_minicpm_alone(minicpm, tmp_path):
    assert ("last", "first", "mean") == minicpm_with(minicpm, "last").family.poolings
    lightweight = write_gemma2_lightweight(tmp_path / "model")
    reranker = load_reranker("bge_reranker_v2_5_gemma2_lightweight", model=lightweight, compute=CPU)
    assert () == reranker.family.poolings


def test_scores_published_for_other_settings_are_skipped_and_the_settings_named(tmp_path, monkeypatch):
    name = "bge_reranker_v2_5_gemma2_lightweight"
    folder = write_gemma2_lightweight(tmp_path / "model")
    settings = {"cutoff_layers": [4], "compress_ratio": 2, "compress_layers": [2, 3]}
    right = load_reranker(name, model=folder, compute=CPU, **settings)
    shape = {"hidden_size": 24, "num_hidden_layers": 5}
    publish(monkeypatch, name, {**logits(scores_of(right)), "settings": settings}, shape=shape)

    check = known.published_scores(load_reranker(name, model=folder, compute=CPU))
    assert check.outcome == "skipped"
    typed = "reranker.cutoff_layers=[4] reranker.compress_ratio=2 reranker.compress_layers=[2,3]"
    assert check.detail == f"known for other settings: add {typed}"
    assert known.published_scores(right).outcome == "passed"


def test_a_reranker_without_published_scores_is_skipped(good):
    reranker = load_reranker("cross_encoder", model=good, compute=CPU)
    assert isinstance(reranker.config, CrossEncoderConfig)
    assert ("published scores", "skipped", "none are known for this reranker") == known.published_scores(reranker)
