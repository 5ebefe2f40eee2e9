"""Every way to score pairs that the reranking benchmark knows, each over the same checkpoint folder."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmark_inputs import Groups
from benchmarking import OURS, Contender, EngineMeter, Field, ForwardMeter
from numpy.typing import NDArray

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.rerank.families.flag_llm import FlagLLMConfig
from evalkit.rerank.families.minicpm import MiniCPMRerankerConfig
from evalkit.rerank.families.qwen3 import Qwen3RerankerConfig
from evalkit.rerank.pair_reranker import PairReranker, PairRerankerConfig
from evalkit.types import Pair

FAMILIES: dict[str, type[PairRerankerConfig]] = {
    "cross_encoder": CrossEncoderConfig,
    "minicpm": MiniCPMRerankerConfig,
    "gemma": FlagLLMConfig,
    "qwen3": Qwen3RerankerConfig,
}
PEERS = ("sentence-transformers", "FlagEmbedding", "mteb", "card")
_BATCHES = {"cpu": (32, 8, 16, 64), "cuda": (32, 64, 128, 256)}  # the first is the default
_FLAG_BATCHES = (128, 32)  # the first is the default

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Setup:
    """What all contenders have in common.

    Attributes:
        model: checkpoint folder.
        family: which kind of reranker it is.
        max_length: tokens of a pair.
        device: `cpu` or `cuda`.
        threads: of a CPU.
        batch_tokens: evalkit's; its own choice when None.
        compute: more of evalkit's settings.
    """

    model: Path
    family: str
    max_length: int
    device: str
    threads: int
    batch_tokens: int | None = None
    compute: Mapping[str, Any] = field(default_factory=dict)

    def reranker(self, dtype: str, *, attention: str = "auto", batch_tokens: int | None = None) -> PairReranker:
        """The reranker of evalkit."""
        config = FAMILIES[self.family](name="benchmark", model=str(self.model), max_length=self.max_length)
        compute = ComputeConfig(
            device=self.device,
            dtype=dtype,
            attention=attention,
            batch_tokens=batch_tokens or self.batch_tokens,
            threads=self.threads,
            **self.compute,
        )
        return rerank.require_pairs(rerank.build(config, compute))


def gather(setup: Setup, dtypes: Sequence[str], peers: Sequence[str], *, ours: bool = True) -> Field:
    """Every contender that can be loaded, evalkit's first, unless it is measured elsewhere.

    Raises:
        EvalkitError: evalkit cannot load the model.
    """
    found = Field()
    for dtype in dtypes if ours else ():
        found.contenders.append(_evalkit(setup, dtype))
    for dtype in dtypes:
        for peer in peers:
            package, load = _LOADERS[peer]
            found.add(f"{peer}, {dtype}", package, _bound(load, setup, dtype))
    return found


def flat(groups: Groups) -> list[Pair]:
    """The pairs of all queries."""
    return [pair for group in groups for pair in group]


def _bound(load: Callable[[Setup, str], list[Contender]], setup: Setup, dtype: str) -> Callable[[], list[Contender]]:
    return lambda: load(setup, dtype)


def _evalkit(setup: Setup, dtype: str) -> Contender:
    reranker = setup.reranker(dtype)

    def prepare(groups: Groups) -> Callable[[], Scores]:
        pairs = flat(groups)
        return lambda: reranker.score(pairs).scores

    return Contender(OURS, "", dtype, prepare, EngineMeter(reranker, lambda groups: reranker.tokenize(flat(groups))))


def _require_classifier(setup: Setup) -> None:
    if setup.family != "cross_encoder":
        raise ConfigError(f"not a sequence-classification checkpoint, but of family {setup.family}")


def _texts(groups: Groups) -> list[tuple[str, str]]:
    return [(pair.query, pair.document) for pair in flat(groups)]


def _sentence_transformers(setup: Setup, dtype: str) -> list[Contender]:
    from sentence_transformers import CrossEncoder

    _require_classifier(setup)
    model: Any = CrossEncoder(
        str(setup.model),
        device=setup.device,
        max_length=setup.max_length,
        model_kwargs={"dtype": getattr(torch, dtype)},
        activation_fn=torch.nn.Identity(),
    )
    _require_dtype(model, dtype)
    # The module around transformers' model, which sentence-transformers calls without its hooks.
    meter = ForwardMeter(model[0])
    model.preprocess = meter.timed(model.preprocess)

    def at(batch: int) -> Callable[[Groups], Callable[[], Scores]]:
        def prepare(groups: Groups) -> Callable[[], Scores]:
            texts = _texts(groups)
            return lambda: np.asarray(model.predict(texts, batch_size=batch, show_progress_bar=False))

        return prepare

    batches = _BATCHES[setup.device]
    return [Contender("sentence-transformers", _batch(size, batches), dtype, at(size), meter) for size in batches]


def _batch(size: int, sizes: Sequence[int]) -> str:
    return f"batch {size} (default)" if size == sizes[0] else f"batch {size}"


def _require_dtype(model: torch.nn.Module, dtype: str) -> None:
    found = {str(parameter.dtype).removeprefix("torch.") for parameter in model.parameters()}
    if found != {dtype}:
        raise ConfigError(f"weights are {', '.join(sorted(found))}, expected {dtype}")


def _flag_embedding(setup: Setup, dtype: str) -> list[Contender]:
    flag_embedding = importlib.import_module("FlagEmbedding")  # has no types
    if setup.family == "minicpm":
        raise ConfigError("has no model for MiniCPM-Reranker")
    if dtype == "float16" and setup.device == "cpu":
        raise ConfigError("has no float16 on a CPU")
    named = {"devices": setup.device, "max_length": setup.max_length}
    if setup.family == "gemma":
        peer: Any = flag_embedding.FlagLLMReranker(
            str(setup.model), use_fp16=dtype == "float16", use_bf16=dtype == "bfloat16", **named
        )
    else:
        peer = flag_embedding.FlagReranker(str(setup.model), use_fp16=dtype == "float16", **named)
        if dtype == "bfloat16":  # FlagEmbedding itself has no switch for it
            peer.model.to(torch.bfloat16)
    # All its tokenising is before the first forward pass.
    meter = ForwardMeter(peer.model)

    def at(batch: int) -> Callable[[Groups], Callable[[], Scores]]:
        def prepare(groups: Groups) -> Callable[[], Scores]:
            texts = _texts(groups)
            return lambda: np.asarray(peer.compute_score(texts, batch_size=batch), dtype=np.float32)

        return prepare

    return [Contender("FlagEmbedding", _batch(size, _FLAG_BATCHES), dtype, at(size), meter) for size in _FLAG_BATCHES]


def _mteb(setup: Setup, dtype: str) -> list[Contender]:
    import mteb
    from mteb.models import CrossEncoderWrapper, SearchCrossEncoderWrapper

    _require_classifier(setup)
    wrapper = CrossEncoderWrapper(
        str(setup.model),
        device=setup.device,
        max_length=setup.max_length,
        model_kwargs={"dtype": getattr(torch, dtype)},
        activation_fn=torch.nn.Identity(),
    )
    metadata = mteb.get_task("SciFact").metadata  # any text task's; decides nothing here
    meter = ForwardMeter(wrapper.model[0])
    wrapper.model.preprocess = meter.timed(wrapper.model.preprocess)

    def prepare(groups: Groups) -> Callable[[], Scores]:
        queries, corpus, ranked = _as_datasets(groups)
        search = SearchCrossEncoderWrapper(wrapper)
        common = {"task_metadata": metadata, "hf_split": "test", "hf_subset": "default"}
        search.index(corpus, encode_kwargs={}, **common)

        def work() -> Scores:
            options = {"show_progress_bar": False}
            found = search.search(queries, top_k=1000, encode_kwargs=options, top_ranked=ranked, **common)
            scores = [found[query][document] for query, documents in ranked.items() for document in documents]
            return np.asarray(scores, dtype=np.float32)

        return work

    return [Contender("mteb", "its reranking loop, batch 32 (default)", dtype, prepare, meter)]


def _as_datasets(groups: Groups) -> tuple[Any, Any, dict[str, list[str]]]:
    """Queries, documents and candidates as mteb has them after loading a task."""
    from datasets import Dataset

    ids: dict[str, str] = {}
    for pair in flat(groups):
        ids.setdefault(pair.document, f"d{len(ids)}")
    names = [f"q{number}" for number in range(len(groups))]
    queries = Dataset.from_dict({"id": names, "text": [group[0].query for group in groups]})
    corpus = Dataset.from_dict({"id": list(ids.values()), "title": [""] * len(ids), "text": list(ids)})
    ranked = {name: [ids[pair.document] for pair in group] for name, group in zip(names, groups, strict=True)}
    return queries, corpus, ranked


def _card(setup: Setup, dtype: str) -> list[Contender]:
    """What model cards show: the candidates of one query, padded to the longest, in one forward pass."""
    if setup.family != "cross_encoder":
        return [_padded(setup, dtype)]
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(setup.model)
    model = AutoModelForSequenceClassification.from_pretrained(setup.model, dtype=getattr(torch, dtype))
    model = model.eval().to(setup.device)
    _require_dtype(model, dtype)
    meter = ForwardMeter(model)
    tokenize = meter.timed(tokenizer)

    def score(group: Sequence[Pair]) -> Scores:
        pairs = [[pair.query, pair.document] for pair in group]
        inputs = tokenize(pairs, padding=True, truncation=True, max_length=setup.max_length, return_tensors="pt")
        with torch.inference_mode():
            logits = model(**inputs.to(setup.device)).logits
        scores: Scores = logits.view(-1).float().cpu().numpy()
        return scores

    def prepare(groups: Groups) -> Callable[[], Scores]:
        return lambda: np.concatenate([score(group) for group in groups])

    return [Contender("model card", "one query a batch", dtype, prepare, meter)]


def _padded(setup: Setup, dtype: str) -> Contender:
    """The same loop with evalkit's plain padded model, for families that transformers has no class for."""
    # A budget that no query's candidates reach, so that they are one batch.
    reranker = setup.reranker(dtype, attention="sdpa", batch_tokens=setup.max_length * 1024)
    meter = EngineMeter(reranker, lambda groups: reranker.tokenize(flat(groups)))

    def prepare(groups: Groups) -> Callable[[], Scores]:
        return lambda: np.concatenate([reranker.score(group).scores for group in groups])

    return Contender("model card", "one query a batch, padded model of evalkit", dtype, prepare, meter)


_LOADERS: dict[str, tuple[str, Callable[[Setup, str], list[Contender]]]] = {
    "sentence-transformers": ("sentence_transformers", _sentence_transformers),
    "FlagEmbedding": ("FlagEmbedding", _flag_embedding),
    "mteb": ("mteb", _mteb),
    "card": ("transformers", _card),
}
