"""What a mistyped name may have meant."""

import pytest

from evalkit.config.resources import config_names
from evalkit.system.lookalikes import did_you_mean, instead, lookalikes


@pytest.mark.parametrize(
    ("group", "typed", "meant"),
    [
        ("dataset", "scifcat", ["scifact"]),
        ("dataset", "SCIFACT", ["scifact"]),
        ("dataset", "fqia", ["fiqa"]),
        ("dataset", "trec_covid", ["trec-covid"]),
        ("dataset", "mteb/scifact", ["scifact"]),
        ("retriever", "bm52", ["bm25"]),
        ("retriever", "BAAI/bge-m3", ["bge_m3_dense", "bge_m3_sparse"]),
        ("reranker", "BAAI/bge-reranker-v2-m3", ["bge_reranker_v2_m3"]),
        ("reranker", "late-interacton", ["late_interaction"]),
        ("suite", "bier", ["beir"]),
        ("published", "bge-reranker", ["bge-rerankers"]),
        ("suite", "zzz", []),
        ("suite", "", []),
    ],
)
def test_the_nearest_name_is_found_whatever_its_case_hyphens_and_owner(group, typed, meant):
    assert meant == lookalikes(typed, config_names(group))


def test_names_that_are_as_near_are_all_proposed():
    assert ["neuclir23_zh", "neuclir22_zh"] == lookalikes("neuclir_zh", ["neuclir22_zh", "neuclir23_zh", "neuron"])
    assert "Did you mean bbc or bbb? " == did_you_mean("bb", ["bbb", "bbc", "d"])


def test_an_error_ends_with_a_question_only_where_there_is_something_to_ask():
    assert "Did you mean depth? Legal are: depth, measures." == instead("dept", ["depth", "measures"])
    assert "Legal are: depth, measures." == instead("x", ["depth", "measures"])


def test_of_very_many_names_an_error_lists_the_first_and_counts_the_others():
    names = [f"setting_{number:02}" for number in range(60)]
    assert instead("zzz", names, most=20) == f"Legal are: {', '.join(names[:20])} and 40 more."
    assert instead("zzz", names[:20], most=20).endswith("setting_19.")
    assert instead("seting_59", names, most=20).startswith("Did you mean setting_59? Legal are: setting_00, ")
