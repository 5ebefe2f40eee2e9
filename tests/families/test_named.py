"""Named rerankers on golden checkpoints of their layout: the settings that are shipped give the reference's scores."""

from dataclasses import replace

import numpy as np
import pytest
from families.golden import cases_of, limited, read
from tiny_checkpoints import write_qwen3_reranker

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.load import config_of
from evalkit.rerank.families.prompt_string import Prompt
from evalkit.types import Pair

OFFICIAL = 1e-4  # float32 on both sides
QUERY, DOCUMENT, TASK = "What are bees?", "Bees make honey.\nThey dance.", "Prefer recent medical research"


def model_of(name, folder, **settings):
    config = replace(config_of("reranker", name, {}), model=str(folder), revision=None, **settings)
    return rerank.require_pairs(rerank.build(config, ComputeConfig(device="cpu")))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "folder", "setting"),
    [
        ("qwen3_reranker_0_6b_seq_cls", "qwen3_seq_cls", None),
        ("zerank_2", "logit_score_zerank", None),
        ("mxbai_rerank_base_v2", "logit_score_qwen2", None),
        ("monot5_base", "monot5", None),
    ],
)
def test_shipped_settings_give_the_reference_s_ids_and_scores(shared, name, folder, setting):
    golden = read(shared / "golden" / folder)
    model = model_of(name, shared / "golden" / folder / "model")
    parts = list(cases_of(shared / "golden" / folder, setting, lengths=golden["max_lengths"]))
    assert sum(len(part.pairs) for part in parts) > 20
    for part in parts:
        limits = limited(model, part.max_length)
        ids = [row.tolist() for row in limits.tokenize(part.pairs).ids]
        assert ids == [case.get("input_ids", own) for case, own in zip(part.cases, ids, strict=True)]
        np.testing.assert_allclose(limits.score(part.pairs).scores, part.expected(), rtol=0, atol=OFFICIAL)


@pytest.mark.parametrize(("size", "begin"), [("1b", ""), ("2b", ""), ("6b", "<s>")])
@pytest.mark.parametrize(("instruction", "behind"), [("", ""), (TASK, f" {TASK}")])
def test_the_prompt_of_ctxl_has_document_query_and_instruction_and_ends_in_question_marks(
    size, begin, instruction, behind
):
    """As https://github.com/cohere-ai/rcp-ndcg serves it, packages/rcp-ndcg-vllm/recipes."""
    config = config_of("reranker", f"ctxl_rerank_v2_{size}", {})
    prompt = Prompt(config.template, {}, structured=False, source=size)
    assert prompt.written(Pair(QUERY, DOCUMENT, instruction)) == (
        f"{begin}Check whether a given document contains information helpful to answer the query.\n"
        f"<Document> {DOCUMENT}\n<Query> {QUERY}{behind} ??"
    )


def test_ctxl_scores_by_the_logit_of_one_token(tmp_path):
    folder = write_qwen3_reranker(tmp_path / "model")
    model = model_of("ctxl_rerank_v2_1b", folder, positive="yes", max_length=512)
    alone, of_two = (
        rerank.require_pairs(rerank.build(replace(model.config, negative=word), ComputeConfig(device="cpu")))
        for word in (None, "no")
    )
    pairs = [Pair(QUERY, DOCUMENT), Pair(QUERY, "Ants.")]
    assert not np.allclose(alone.score(pairs).scores, of_two.score(pairs).scores)
    np.testing.assert_array_equal(model.score(pairs).scores, alone.score(pairs).scores)
