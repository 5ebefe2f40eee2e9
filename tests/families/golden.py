"""The golden files of rerankers: their cases by setting and length, and the model that each is of."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.rerank.families.flag_llm import FlagLLMConfig, LayerwiseConfig, LightweightConfig
from evalkit.rerank.families.minicpm import MiniCPMRerankerConfig
from evalkit.rerank.pair_reranker import PairReranker
from evalkit.types import Pair

MAX_LENGTHS = (64, 65, 512)
KINDS: Mapping[str, Any] = {
    "minicpm_reranker": MiniCPMRerankerConfig,
    "bge_reranker_v2_gemma": FlagLLMConfig,
    "bge_reranker_v2_minicpm_layerwise": LayerwiseConfig,
    "bge_reranker_v2_5_gemma2_lightweight": LightweightConfig,
    "bge_reranker_v2_m3": CrossEncoderConfig,
    "jina_reranker_v2": CrossEncoderConfig,
    "gte_multilingual_reranker": CrossEncoderConfig,
}
# Every other setting is in the golden file itself.
OWN_SETTINGS = {"bge_reranker_v2_m3": {"truncation": "flag_embedding"}}
# Named here so that tests can be listed where the golden files are absent; a test compares both lists.
NAMED_SETTINGS = {
    "bge_reranker_v2_minicpm_layerwise": ("cutoff_3", "cutoff_5_last", "cutoff_2_first", "cutoff_2_4_5"),
    "bge_reranker_v2_5_gemma2_lightweight": (
        "full",
        "cutoff4_ratio2_layers3_5",
        "cutoff5_ratio2_layers1_3",
        "full_ratio4_layer2",
        "cutoff4_ratio8_layer4_not_reached",
        "cutoffs_3_6_ratio2_layer3",
    ),
    "bge_reranker_v2_gemma": ("default",),
    "bge_reranker_v2_m3": ("default",),
}
FAMILIES_AND_SETTINGS = [(family, name) for family in KINDS for name in NAMED_SETTINGS.get(family, (None,))]


class Cases(NamedTuple):
    """The cases of one setting at one length, in the order of the file."""

    max_length: int
    pairs: list[Pair]
    cases: list[dict[str, Any]]

    def expected(self, key: str = "score") -> np.ndarray:
        """Shape (pairs,) or (pairs, cut-offs)."""
        return np.array([case[key] for case in self.cases], dtype=np.float32)


@cache
def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "expected.json").read_text(encoding="utf-8"))


def cases_of(folder: Path, setting: str | None, *, lengths: Sequence[int] = MAX_LENGTHS) -> Iterator[Cases]:
    golden = read(folder)
    texts = {
        pair["id"]: Pair(pair["query"], pair["document"], pair.get("instruction") or "") for pair in golden["pairs"]
    }
    for max_length in lengths:
        own = [c for c in golden["cases"] if c["max_length"] == max_length and c.get("setting") == setting]
        assert len(texts) == len(own)
        yield Cases(max_length, [texts[case["id"]] for case in own], own)


@cache
def model_of(
    folder: Path, setting: str | None, dtype: str = "float32", attention: str = "auto", **settings: Any
) -> PairReranker:
    """Loaded once, for every length and batch size."""
    named = read(folder).get("settings", {}).get(setting, {})
    own = OWN_SETTINGS.get(folder.name, {}) | {key: _listed(value) for key, value in (named | settings).items()}
    config = KINDS[folder.name](name="golden", model=str(folder / "model"), max_length=64, **own)
    return rerank.build(config, ComputeConfig(device="cpu", dtype=dtype, attention=attention))


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def limited(model: PairReranker, max_length: int, batch_tokens: int = 1200) -> PairReranker:
    """The same loaded model with another length and batch size."""
    config = replace(model.config, max_length=max_length)
    again = rerank.build(config, replace(model.compute, batch_tokens=batch_tokens))
    vars(again)["model"], vars(again)["tokenizer"] = model.model, model.tokenizer
    return again
