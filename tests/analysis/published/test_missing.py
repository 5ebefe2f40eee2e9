"""What of a published table was not run, cheapest first."""

from made import made

from evalkit.analysis.published.missing import missing, unconfigured
from evalkit.analysis.published.tables import load_published
from evalkit.results.gather import gather

CARD = load_published("minicpm-reranker")


def test_everything_is_missing_from_nothing_and_cheap_runs_come_first():
    runs = missing(CARD, [], table="cn-en")
    texts = [(run.documents or 0) + (run.pairs or 0) for run in runs]
    # 8 sets with four rerankers and the first stage; 15 sets, one of them 12 forums, with five and the first stage.
    assert len(runs) == 8 * 5 + 26 * 6
    first = [run for run in runs if run.dataset == "nfcorpus"]
    assert first[0].documents == 3633
    assert all(run.documents == 0 for run in first[1:])
    assert {run.pairs for run in first} == {0, 32_300}
    assert texts.index(max(texts)) > len(texts) // 2
    assert runs[-1].dataset == "msmarco"
    assert len({tuple(run.overrides) for run in runs}) == len(runs)


def test_overrides_hold_the_published_conditions():
    runs = missing(CARD, [], table="cn-en")
    layers = next(run for run in runs if run.reranker == "bge_reranker_v2_minicpm_layerwise")
    assert layers.overrides[3:] == ["reranker.cutoff_layers=[28]", "reranker.max_length=1024", "depth=100"]
    stage = next(run for run in runs if run.reranker == "none")
    assert stage.overrides[3:] == ["depth=100"]


def test_finished_run_is_not_missing_and_its_first_stage_not_encoded_again(tmp_path):
    root = made(tmp_path, {"minicpm_reranker": 3.0}, dataset="nfcorpus", stage="bge_large_en_v1_5", queries=4)
    runs = [run for run in missing(CARD, gather([root]), table="cn-en") if run.dataset == "nfcorpus"]
    assert {run.reranker for run in runs} == {
        "bge_reranker_v2_m3",
        "bge_reranker_v2_minicpm_layerwise",
        "bge_reranker_v2_gemma",
        "bge_reranker_v2_5_gemma2_lightweight",
    }
    assert {run.documents for run in runs} == {0}


def test_a_limit_leaves_large_runs_out():
    small = missing(CARD, [], table="cn-en", limit=50_000)
    assert 0 < len(small) < 60
    assert all(run.texts <= 50_000 for run in small)


def test_first_stages_that_only_a_user_has_are_left_out():
    assert missing(load_published("bge-rerankers-e5-mistral"), [], table=None) == []


def test_numbers_of_those_first_stages_and_rerankers_are_counted():
    card = load_published("bge-rerankers-e5-mistral")
    found = unconfigured(card, [], table=None)
    assert found.numbers == sum(len(list(table.cells())) for table in card.tables)
    assert (found.retrievers, found.rerankers) == (("e5_mistral_7b_instruct",), ())
    assert unconfigured(load_published("bge-rerankers"), [], table=None).numbers == 0
