"""MaxSim against float64 NumPy over hidden states of single texts from transformers."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from stubs import tiny_bert
from tokenizers import Tokenizer
from transformers import AutoModel
from waiting import forbid_waiting

from evalkit.config import ComputeConfig
from evalkit.errors import DataError, ModelError
from evalkit.inference.forward import States
from evalkit.rerank.late_interaction import LateInteractionConfig, LateInteractionReranker
from evalkit.types import Pair

PAIRS = [
    Pair("why does the sea have tides", "the moon pulls the sea and makes tides."),
    Pair("what makes bread rise", "yeast makes bread rise."),
    Pair("why does the sea have tides", "bees make honey from nectar."),
    Pair("moon", "the moon has no air."),
    Pair("what makes bread rise", "the moon pulls the sea and makes tides."),
    Pair("what makes bread rise", "moon"),
]
SETTINGS = [
    {},
    {"skip_first_token": True},
    {"projection": "linear.pt"},
    {"skip_first_token": True, "projection": "linear.pt"},
    {"query_instruction": "the moon ", "document_instruction": "bees "},
]


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    """A tiny BERT with a linear layer of width 32 to 12 beside it."""
    folder = tiny_bert(tmp_path_factory.mktemp("late") / "bert")
    generator = torch.Generator().manual_seed(4)
    layer = {"weight": torch.randn(12, 32, generator=generator), "bias": torch.randn(12, generator=generator)}
    torch.save(layer, folder / "linear.pt")
    return folder


@pytest.fixture(scope="module")
def encoder(bert):
    return AutoModel.from_pretrained(bert, attn_implementation="eager", dtype=torch.float64).eval()


def reranker(bert: Path, *, batch_tokens: int = 2048, **settings) -> LateInteractionReranker:
    config = LateInteractionConfig(name="late", model=str(bert), **({"max_length": 32} | settings))
    return LateInteractionReranker(config, ComputeConfig(device="cpu", batch_tokens=batch_tokens))


def scored(model: LateInteractionReranker, pairs: list[Pair]) -> np.ndarray:
    return model.score(pairs, advance=lambda _: None).scores


def reference(bert: Path, encoder, pair: Pair, settings: dict) -> float:
    """Mean over query tokens of the largest cosine, by distances between unit vectors: cos = 1 - |u - v|^2 / 2."""
    tokenizer = Tokenizer.from_file(str(bert / "tokenizer.json"))
    sides = []
    for text, instruction in zip(pair[:2], ("query_instruction", "document_instruction"), strict=True):
        ids = tokenizer.encode(settings.get(instruction, "") + text).ids
        with torch.no_grad():
            states = encoder(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
        if settings.get("projection"):
            layer = torch.load(bert / settings["projection"], weights_only=True)
            weight, bias = layer["weight"].numpy().astype(float), layer["bias"].numpy().astype(float)
            states = np.array([weight.dot(state) + bias for state in states])
        states = states[1:] if settings.get("skip_first_token") else states
        sides.append([state / np.sqrt((state**2).sum()) for state in states])
    best = [max(1 - ((u - v) ** 2).sum() / 2 for v in sides[1]) for u in sides[0]]
    return float(sum(best) / len(best))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_scores_are_those_of_numpy_pair_by_pair(bert, encoder, settings):
    expected = [reference(bert, encoder, pair, settings) for pair in PAIRS]
    actual = scored(reranker(bert, **settings), PAIRS)
    assert np.float32 == actual.dtype
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_settings_that_are_compared_above_do_change_scores(bert, encoder):
    table = np.array([[reference(bert, encoder, pair, settings) for pair in PAIRS] for settings in SETTINGS])
    assert all(np.abs(one - other).max() > 1e-3 for i, one in enumerate(table) for other in table[:i])


@pytest.mark.parametrize("batch_tokens", [1, 11, 24, 4096])
def test_scores_do_not_depend_on_the_batch_budget_or_the_order_of_pairs(bert, batch_tokens):
    alone = reranker(bert)
    expected = np.concatenate([scored(alone, [pair]) for pair in PAIRS])
    model, order = reranker(bert, batch_tokens=batch_tokens), [4, 0, 5, 2, 1, 3]
    np.testing.assert_allclose(scored(model, PAIRS), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(scored(model, [PAIRS[i] for i in order]), expected[order], rtol=0, atol=1e-5)


def test_repeated_pairs_get_equal_scores_and_are_all_counted(bert):
    steps = []
    result = reranker(bert, batch_tokens=20).score([*PAIRS, PAIRS[1], PAIRS[0]], advance=steps.append)
    assert [result.scores[1], result.scores[0]] == result.scores[-2:].tolist()
    assert len(PAIRS) + 2 == sum(steps)


def test_text_against_itself_scores_one(bert):
    assert [pytest.approx(1.0, abs=1e-6)] * 2 == scored(reranker(bert), [Pair("moon", "moon"), Pair("", "")]).tolist()


@pytest.mark.parametrize("skip_first_token", [False, True])
@pytest.mark.parametrize("pair", [Pair("moon", ""), Pair("", "the moon has no air."), Pair("", ""), Pair(" \n", "\t")])
def test_empty_texts_get_finite_scores(bert, encoder, pair, skip_first_token):
    settings = {"skip_first_token": skip_first_token}
    (actual,) = scored(reranker(bert, **settings), [pair])
    assert pytest.approx(reference(bert, encoder, pair, settings), abs=1e-5) == actual


def test_a_tokenizer_that_makes_nothing_of_an_empty_text_is_refused(tmp_path):
    folder = tiny_bert(tmp_path / "bare")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    bare = Tokenizer(tokenizer.model)
    bare.normalizer, bare.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    bare.save(str(folder / "tokenizer.json"))
    assert len(scored(reranker(folder), [Pair("the moon", "the sea")])) == 1
    with pytest.raises(ModelError, match="text 1 is empty"):
        scored(reranker(folder), [Pair("the moon", "the sea"), Pair("the moon", "")])


def test_pair_counts_as_cut_when_its_query_or_its_document_was(bert):
    long, short = "moon " * 30, "moon"
    pairs = [Pair(long, short), Pair(short, long), Pair(long, long), Pair(short, short), Pair(short, long)]
    assert reranker(bert, max_length=8).score(pairs, advance=lambda _: None).truncated == 4
    assert reranker(bert, max_length=32).score(pairs, advance=lambda _: None).truncated == 0


def test_text_at_the_limit_is_not_cut_and_one_token_more_is(bert):
    pairs = [Pair("moon", "moon " * 6), Pair("moon", "moon " * 7)]
    assert [reranker(bert, max_length=8).score([pair], advance=lambda _: None).truncated for pair in pairs] == [0, 1]


def test_no_pairs_get_no_scores(bert):
    result = reranker(bert).score([], advance=lambda _: None)
    assert (0, np.float32, 0) == (len(result.scores), result.scores.dtype, result.truncated)


def test_bfloat16_gives_float32_scores_near_the_exact_ones(bert):
    """8 bits of mantissa through two layers: within 0.05 of a cosine."""
    config = LateInteractionConfig(name="late", model=str(bert), max_length=32)
    model = LateInteractionReranker(config, ComputeConfig(device="cpu", dtype="bfloat16"))
    difference = np.abs(scored(model, PAIRS) - scored(reranker(bert), PAIRS)).max()
    assert 0 < difference < 0.05


@pytest.mark.parametrize("content", ["absent", "no tensors", "no weight", "only a tensor", "other width"])
def test_projection_that_does_not_fit_is_refused(tmp_path, content):
    folder = tiny_bert(tmp_path / "bert")
    match content:
        case "no tensors":
            (folder / "linear.pt").write_text("not a checkpoint", encoding="utf-8")
        case "no weight":
            torch.save({"bias": torch.zeros(4)}, folder / "linear.pt")
        case "only a tensor":
            torch.save(torch.zeros(4, 32), folder / "linear.pt")
        case "other width":
            torch.save({"weight": torch.zeros(4, 31), "bias": torch.zeros(4)}, folder / "linear.pt")
    with pytest.raises(ModelError, match=r"linear\.pt"):
        scored(reranker(folder, projection="linear.pt"), PAIRS)


def test_identity_tells_settings_apart(bert):
    identities = [dict(reranker(bert, **settings).identity) for settings in [*SETTINGS, {"max_length": 16}]]
    assert [1] * len(identities) == [identities.count(identity) for identity in identities]


def layer(fill: float) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((12, 32), fill), "bias": torch.ones(12)}


def test_projection_is_part_of_the_identity_whatever_its_suffix_and_may_not_change_under_way(tmp_path):
    folder = tiny_bert(tmp_path / "bert")
    torch.save(layer(1.0), folder / "linear.pth")
    model = reranker(folder, projection="linear.pth")
    before = dict(model.identity)
    torch.save(layer(2.0), folder / "linear.pth")
    assert dict(reranker(folder, projection="linear.pth").identity) != before
    with pytest.raises(ModelError, match=r"linear\.pth: changed while the checkpoint was read"):
        scored(model, PAIRS)


def test_projection_outside_of_the_checkpoint_is_refused(tmp_path):
    folder = tiny_bert(tmp_path / "bert")
    torch.save(layer(1.0), tmp_path / "linear.pt")
    for name in ("../linear.pt", str(tmp_path / "linear.pt")):
        with pytest.raises(ModelError, match="is outside of the checkpoint"):
            reranker(folder, projection=name)


def test_plain_tuples_are_pairs_too(bert):
    reranker = LateInteractionReranker(
        LateInteractionConfig(name="x", model=str(bert), max_length=64), ComputeConfig(device="cpu")
    )
    whole = reranker.score(PAIRS[:2])
    plain = reranker.score([tuple(PAIRS[0])[:3], ("what makes bread rise", "yeast makes bread rise.")])
    assert whole.scores.tolist() == plain.scores.tolist()


@pytest.mark.parametrize("wrong", [("ab", "d"), [("q",)], [("q", None)], ["ab"], [None]])
def test_anything_but_a_pair_is_refused(bert, wrong):
    reranker = LateInteractionReranker(
        LateInteractionConfig(name="x", model=str(bert), max_length=64), ComputeConfig(device="cpu")
    )
    with pytest.raises(DataError, match=r"pair 0 is .*, expected the texts of a query and a document"):
        reranker.score(wrong)


def test_a_document_is_projected_and_compared_where_its_states_are(bert, monkeypatch):
    """Tensors on torch's meta device have no numbers: reading one, or mixing in one of the host, is an error."""
    model = reranker(bert, projection="linear.pt")
    assert [(12, 32), (12,)] == [tuple(part.shape) for part in model._projection]
    model.__dict__["_projection"] = tuple(part.to("meta") for part in model._projection)
    lengths = np.array([3, 4])
    states = torch.empty(7, 32, device="meta", dtype=torch.bfloat16)
    with forbid_waiting(monkeypatch):
        vectors = model.unit(States(np.arange(2), states, lengths))
    assert ("meta", (7, 12), torch.float32) == (vectors.device.type, tuple(vectors.shape), vectors.dtype)


def test_threads_of_the_batches_read_no_tensor(bert, monkeypatch):
    """What they give is read by the caller alone, once a batch."""
    model, reads = reranker(bert, batch_tokens=24, projection="linear.pt"), []
    expected, caller = scored(model, PAIRS), threading.current_thread()

    def guarded(name):
        whole = getattr(torch.Tensor, name)

        def read(tensor, *args, **named):
            assert threading.current_thread() is caller, f"{name} in a batch"
            reads.append(name)
            return whole(tensor, *args, **named)

        return read

    for name in ("item", "tolist", "cpu", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, guarded(name))
    assert expected.tobytes() == scored(model, PAIRS).tobytes()
    assert 1 < len(reads) <= model.usage.batches


def test_a_text_without_a_token_left_is_refused(tmp_path):
    folder = tiny_bert(tmp_path / "bare")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    bare = Tokenizer(tokenizer.model)
    bare.normalizer, bare.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    bare.save(str(folder / "tokenizer.json"))
    assert len(scored(reranker(folder), [Pair("the moon", "sea")])) == 1
    with pytest.raises(ModelError, match=r"text 0 is a single token.*skip_first_token=false"):
        scored(reranker(folder, skip_first_token=True), [Pair("the moon", "sea")])
