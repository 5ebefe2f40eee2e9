"""While batches run, the host waits for the device nowhere but at the event of each result."""

import pytest
from families.tiny import KINDS, built
from gpu.models import PAIRS, POOLINGS, TEXTS, compute, encoder, late, projected_bert
from stubs import tiny_bert

pytestmark = pytest.mark.gpu


def assert_waits_for_events_alone(card, model, act):
    model.load()
    act()
    card.reset()
    before = model.usage.batches
    act()
    batches = model.usage.batches - before
    assert batches > 4
    assert (dict(card.waits), dict(card.pageable), card.events) == ({}, {}, batches)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("family", KINDS)
def test_packed_pairs(card, tmp_path, family, dtype):
    kind = KINDS[family]
    model = built(kind, kind.write(tmp_path / "model", seed=8), device="cuda", dtype=dtype, batch_tokens=150)
    assert_waits_for_events_alone(card, model, lambda: model.score(PAIRS))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_packed_texts(card, tmp_path, pooling):
    model = encoder(tiny_bert(tmp_path / "bert"), compute("cuda", dtype="bfloat16"), pooling)
    assert_waits_for_events_alone(card, model, lambda: model.encode(TEXTS))


def test_pairs_of_late_interaction(card, tmp_path):
    folder = projected_bert(tmp_path / "bert")
    model = late(folder, compute("cuda", dtype="bfloat16"), projection="linear.pt", skip_first_token=True)
    assert_waits_for_events_alone(card, model, lambda: model.score(PAIRS))
