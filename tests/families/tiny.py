"""Every family on a tiny checkpoint: how it is written, how it is configured, and its reference in NumPy."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from references import bert, gemma, gemma2_lightweight, gte, minicpm, qwen3, xlm_roberta
from tiny_checkpoints import (
    write_bert_reranker,
    write_gemma2_lightweight,
    write_gemma_reranker,
    write_gte_reranker,
    write_jina_reranker,
    write_minicpm_layerwise,
    write_minicpm_reranker,
    write_minicpm_reranker_light,
    write_qwen3_reranker,
    write_xlm_roberta_reranker,
)
from tokenizers import Tokenizer

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.inference.tokens import TokenizedPairs
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.rerank.families.flag_llm import FlagLLMConfig, LayerwiseConfig, LightweightConfig
from evalkit.rerank.families.minicpm import MiniCPMRerankerConfig
from evalkit.rerank.families.qwen3 import Qwen3RerankerConfig
from evalkit.rerank.pair_reranker import PairReranker
from evalkit.types import Pair

PAIRS = (
    Pair("Why does the sea have tides?", "The moon pulls the sea, and the sea answers with tides twice a day."),
    Pair("没有酵母，怎样做面包？", "酵母吃掉面团里的糖，面包就发起来了。"),  # noqa: RUF001
    Pair("How do bees make honey?", ""),
    Pair("", "Copper is a good conductor of heat."),
    Pair("What makes bread rise?", "Yeast eats the sugar in the dough. " * 8),
    Pair("How long does the fastest train take? " * 8, "Two hours."),
    Pair("a", "b"),
)


class Kind(NamedTuple):
    """One family.

    Attributes:
        write: (folder, **sizes) -> the folder of a checkpoint.
        config: class of its settings.
        reference: (folder, tokenized pairs, index of a pair, settings) -> its scores in float64.
        max_length: that cuts the longest of `PAIRS`.
        settings: beside it.
    """

    write: Callable[..., Path]
    config: Any
    reference: Callable[[Path, TokenizedPairs, int, Mapping[str, Any]], float | list[float]]
    max_length: int = 48
    settings: Mapping[str, Any] = {}


def _answer_ids(folder: Path, *answers: str) -> list[int]:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return [tokenizer.token_to_id(answer) for answer in answers]


def _minicpm(folder, tokenized, row, settings):
    return minicpm.score(folder, tokenized.ids[row].tolist(), settings.get("pooling", "last"))


def _layerwise(folder, tokenized, row, settings):
    found = minicpm.layerwise_scores(folder, tokenized.ids[row].tolist(), settings["cutoff_layers"])
    return found if len(found) > 1 else found[0]


def _lightweight(folder, tokenized, row, settings):
    own = {key: value for key, value in settings.items() if key != "attention_softcap"}
    start, stop = tokenized.documents[row].tolist()
    cap = settings.get("attention_softcap", True)
    found = gemma2_lightweight.scores(folder, tokenized.ids[row].tolist(), start, stop, softcap=cap, **own)
    return found if len(found) > 1 else found[0]


def _gemma(folder, tokenized, row, _):
    return gemma.score(folder, tokenized.ids[row].tolist(), *_answer_ids(folder, "Yes"))


def _qwen3(folder, tokenized, row, _):
    return qwen3.score(folder, tokenized.ids[row].tolist(), *_answer_ids(folder, "yes", "no"))


def _bert(folder, tokenized, row, _):
    return bert.score(folder, tokenized.ids[row].tolist(), tokenized.segments[row].tolist())


def _xlm_roberta(folder, tokenized, row, _):
    return xlm_roberta.score(folder, tokenized.ids[row].tolist())


def _gte(folder, tokenized, row, _):
    return gte.score(folder, tokenized.ids[row].tolist())


KINDS: Mapping[str, Kind] = {
    "minicpm": Kind(write_minicpm_reranker, MiniCPMRerankerConfig, _minicpm),
    "minicpm_light": Kind(write_minicpm_reranker_light, MiniCPMRerankerConfig, _minicpm),
    "layerwise": Kind(write_minicpm_layerwise, LayerwiseConfig, _layerwise, settings={"cutoff_layers": [1, 3]}),
    "gemma": Kind(write_gemma_reranker, FlagLLMConfig, _gemma),
    "lightweight": Kind(
        write_gemma2_lightweight,
        LightweightConfig,
        _lightweight,
        settings={"cutoff_layers": [4], "compress_ratio": 2, "compress_layers": [1, 3]},
    ),
    "qwen3": Kind(write_qwen3_reranker, Qwen3RerankerConfig, _qwen3, max_length=180),
    "bert": Kind(write_bert_reranker, CrossEncoderConfig, _bert),
    "xlm_roberta": Kind(write_xlm_roberta_reranker, CrossEncoderConfig, _xlm_roberta),
    "jina": Kind(write_jina_reranker, CrossEncoderConfig, _xlm_roberta),
    "gte": Kind(write_gte_reranker, CrossEncoderConfig, _gte),
}

# (bfloat16, float16) against float32, in logits: some 2.5 times the largest error on a CPU.
TINY_BOUNDS = {
    "minicpm": (0.14, 0.015),  # largest of five seeds 0.055 and 0.0057
    "minicpm_light": (0.20, 0.037),  # 0.081 and 0.0149
    "layerwise": (0.15, 0.029),  # 0.058 and 0.0114
    "gemma": (0.18, 0.023),  # 0.073 and 0.0093
    "lightweight": (0.12, 0.018),  # 0.049 and 0.0072
    "qwen3": (0.20, 0.035),  # 0.079 and 0.0139
    "bert": (0.10, 0.024),  # 0.040 and 0.0094
    "xlm_roberta": (0.16, 0.023),  # 0.063 and 0.0090
    "jina": (0.06, 0.007),  # 0.024 and 0.0028
    "gte": (0.25, 0.031),  # 0.102 and 0.0123
}


def built(
    kind: Kind,
    folder: Path,
    *,
    dtype: str = "float32",
    batch_tokens: int = 2048,
    attention: str = "auto",
    fused: str = "auto",
    device: str = "cpu",
    **settings: Any,
) -> PairReranker:
    own = {"max_length": kind.max_length, **kind.settings, **settings}
    return rerank.build(
        kind.config(name="tiny", model=str(folder), **own),
        ComputeConfig(device=device, dtype=dtype, batch_tokens=batch_tokens, attention=attention, fused=fused),
    )


def reference_scores(kind: Kind, folder: Path, model: PairReranker, **settings: Any) -> np.ndarray:
    """Of every pair in `PAIRS`, from the ids that the model reads, each pair on its own."""
    tokenized = model.tokenize(PAIRS)
    assert tokenized.truncated.any()
    rows = range(len(PAIRS))
    return np.array([kind.reference(folder, tokenized, row, {**kind.settings, **settings}) for row in rows])
