"""Published weights give published scores. Skipped, with the command to run, where the local hub cache lacks them.

python -m pytest -m weights -rs
"""

import numpy as np
import pytest
from cards import published_cards

from evalkit import load_reranker, load_retriever
from evalkit.doctor import known
from evalkit.load import config_of

KNOWN = published_cards()
# Card of openbmb/MiniCPM-Embedding. Its query is printed with either question mark.
CAPITAL = ("中国的首都是哪里？", "中国的首都是哪里?")  # noqa: RUF001
SIMILARITIES = (0.35359, 0.18597)

pytestmark = pytest.mark.weights


def require_weights(group, name):
    """Skip where the pinned revision is not in the local hub cache."""
    from huggingface_hub import try_to_load_from_cache

    config = config_of(group, name, {})
    if not isinstance(try_to_load_from_cache(config.model, "config.json", revision=config.revision), str):
        pytest.skip(
            f"run: hf download {config.model} --revision {config.revision}; python -m pytest -m weights -k {name} -rs"
        )


def compute(dtype):
    """The published dtype on a GPU; float32 where there is none."""
    import torch

    if torch.cuda.is_available():
        return {"device": "cuda", "dtype": dtype}
    return {"device": "cpu", "dtype": "float32"}


@pytest.mark.parametrize("name", KNOWN)
def test_reranker_gives_the_published_scores(name):
    require_weights("reranker", name)
    first = KNOWN[name]["scores"][0]
    reranker = load_reranker(name, compute=compute(first["dtype"]), **first.get("settings", {}))
    found = [known.published_scores(reranker)]
    if reranker.family.poolings:
        found.append(known.pooling(reranker))
    assert [] == [check for check in found if check.outcome != "passed"]


def test_minicpm_embedding_gives_the_published_similarities():
    require_weights("retriever", "minicpm_embedding")
    retriever = load_retriever("minicpm_embedding", compute=compute("float16"))
    queries = retriever.encode_queries(list(CAPITAL))
    similarities = queries @ retriever.encode_documents(["beijing", "shanghai"]).T
    assert np.abs(similarities - SIMILARITIES).max(axis=1).min() < 0.02
