"""Every family against the ids and float32 scores of its official code (../shared/golden), however it is batched."""

import json
import shutil

import numpy as np
import pytest
from families.golden import (
    FAMILIES_AND_SETTINGS,
    KINDS,
    MAX_LENGTHS,
    NAMED_SETTINGS,
    cases_of,
    limited,
    model_of,
    read,
)

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.rerank.families.minicpm import MiniCPMRerankerConfig

pytestmark = pytest.mark.shared

OFFICIAL = 1e-4  # float32 on both sides
ELSEWHERE = 1e-2  # what another pooling or mask moves most scores by, at least
LIGHTWEIGHT = "bge_reranker_v2_5_gemma2_lightweight"


def assert_close(expected: np.ndarray, actual: np.ndarray) -> None:
    assert (expected.shape, np.float32) == (actual.shape, actual.dtype)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=OFFICIAL)


def test_settings_named_here_are_those_of_the_golden_files(shared):
    assert set(KINDS) <= {file.parent.name for file in (shared / "golden").glob("*/expected.json")}
    for family in KINDS:
        golden = read(shared / "golden" / family)
        assert set(NAMED_SETTINGS.get(family, ())) == set(golden.get("settings", ()))
        assert set(MAX_LENGTHS) == set(golden["max_lengths"])


@pytest.mark.parametrize("family", KINDS)
def test_ids_are_those_of_the_official_code(shared, family):
    folder, checked = shared / "golden" / family, 0
    setting = next(iter(read(folder).get("settings", {None: {}})))
    for max_length, pairs, cases in cases_of(folder, setting):
        tokenized = limited(model_of(folder, setting), max_length).tokenize(pairs)
        assert [case["input_ids"] for case in cases] == [ids.tolist() for ids in tokenized.ids]
        assert [case["n"] for case in cases] == tokenized.lengths.tolist()
        checked += len(cases)
    assert checked == 42


def test_lightweight_documents_are_between_the_lengths_that_the_official_code_counts(shared):
    folder = shared / "golden" / LIGHTWEIGHT
    for max_length, pairs, cases in cases_of(folder, "full"):
        documents = limited(model_of(folder, "full"), max_length).tokenize(pairs).documents
        assert [[c["query_length"], c["n"] - c["prompt_length"]] for c in cases] == documents.tolist()


# In `make test` each family's first setting is scored in every way, and all settings in large batches.
FIRST = dict(reversed(FAMILIES_AND_SETTINGS))
FEW = [
    pytest.param(family, setting, marks=[] if FIRST[family] == setting else pytest.mark.slow)
    for family, setting in FAMILIES_AND_SETTINGS
]


@pytest.mark.parametrize(("family", "setting"), FEW)
def test_scores_of_pairs_alone_are_those_of_the_official_code(shared, family, setting):
    folder = shared / "golden" / family
    for part in cases_of(folder, setting):
        model = limited(model_of(folder, setting), part.max_length, batch_tokens=1)
        assert_close(part.expected(), model.score(part.pairs).scores)


@pytest.mark.parametrize(("family", "setting"), FAMILIES_AND_SETTINGS)
def test_scores_of_pairs_in_large_batches_are_those_of_the_official_code(shared, family, setting):
    """All 14 in one batch at 64 and 65 tokens; at 512 the five longest, then the rest."""
    folder = shared / "golden" / family
    for part in cases_of(folder, setting):
        model = limited(model_of(folder, setting), part.max_length, batch_tokens=3000)
        assert_close(part.expected(), model.score(part.pairs).scores)


@pytest.mark.parametrize(("family", "setting"), FEW)
def test_scores_of_shuffled_pairs_are_those_of_the_official_code(shared, family, setting):
    folder = shared / "golden" / family
    for part in cases_of(folder, setting):
        model = limited(model_of(folder, setting), part.max_length, batch_tokens=300)
        order = np.random.default_rng(part.max_length).permutation(len(part.pairs))
        assert_close(part.expected()[order], model.score([part.pairs[row] for row in order]).scores)


@pytest.mark.parametrize(("pooling", "key"), [("first", "score_first_token"), ("mean", "score_mean")])
def test_minicpm_pools_by_setting_and_by_default_from_the_last_token(shared, pooling, key):
    folder = shared / "golden" / "minicpm_reranker"
    for part in cases_of(folder, None):
        model = limited(model_of(folder, None, pooling=pooling), part.max_length)
        assert_close(part.expected(key), model.score(part.pairs).scores)
        default = limited(model_of(folder, None), part.max_length).score(part.pairs).scores
        assert np.median(np.abs(default - part.expected(key))) > ELSEWHERE


def test_minicpm_reads_both_ways_unless_its_config_says_causal(shared, tmp_path):
    folder = shared / "golden" / "minicpm_reranker"
    causal = shutil.copytree(folder / "model", tmp_path / "causal")
    config = json.loads((causal / "config.json").read_text(encoding="utf-8"))
    (causal / "config.json").write_text(json.dumps(config | {"is_causal": True}), encoding="utf-8")
    for part in cases_of(folder, None):
        own = MiniCPMRerankerConfig(name="causal", model=str(causal), max_length=part.max_length)
        assert_close(part.expected("score_if_causal"), rerank.build(own, ComputeConfig()).score(part.pairs).scores)
        default = limited(model_of(folder, None), part.max_length).score(part.pairs).scores
        assert np.median(np.abs(default - part.expected("score_if_causal"))) > ELSEWHERE


CAPPED = [
    pytest.param(name, marks=[] if name in {"full", "cutoff4_ratio2_layers3_5"} else pytest.mark.slow)
    for name in NAMED_SETTINGS[LIGHTWEIGHT]
]


@pytest.mark.parametrize("setting", CAPPED)
def test_lightweight_leaves_the_cap_out_only_by_setting(shared, setting):
    folder, moved = shared / "golden" / LIGHTWEIGHT, 0.0
    for part in cases_of(folder, setting, lengths=(64, 65)):
        model = limited(model_of(folder, setting, attention_softcap=False), part.max_length)
        assert_close(part.expected("score_sdpa"), model.score(part.pairs).scores)
        capped = limited(model_of(folder, setting), part.max_length).score(part.pairs).scores
        moved = max(moved, float(np.abs(capped - part.expected("score_sdpa")).max()))
    assert moved > 10 * OFFICIAL


@pytest.mark.parametrize(("family", "setting"), FEW)
def test_eager_attention_and_sdpa_score_alike(shared, family, setting):
    """Lightweight without its cap, which sdpa cannot apply."""
    folder, own = shared / "golden" / family, {"attention_softcap": False} if family == LIGHTWEIGHT else {}
    eager, sdpa = (model_of(folder, setting, attention=attention, **own) for attention in ("eager", "sdpa"))
    for part in cases_of(folder, setting, lengths=(64, 65)):
        expected, actual = (limited(model, part.max_length).score(part.pairs).scores for model in (eager, sdpa))
        assert_close(expected, actual)
    assert ["eager", "sdpa"] == [_implementation(model.model) for model in (eager, sdpa)]


def _implementation(model) -> str:
    found = {module.config._attn_implementation for module in model.modules() if hasattr(module, "config")}
    assert len(found) == 1
    return found.pop()
