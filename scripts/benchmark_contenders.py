"""Every way to score pairs that the reranking benchmark knows, each over the same checkpoint folder."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from benchmark_inputs import Groups, flat
from benchmark_setup import Setup, lengths_read, require_dtype
from benchmarking import OURS, Contender, EngineMeter, Field, ForwardMeter, Meter, Score, Scores

from evalkit.errors import ConfigError
from evalkit.rerank.families.flag_llm import FlagLLMConfig
from evalkit.types import Pair

PEERS = ("sentence-transformers", "FlagEmbedding", "mteb", "card")
_BATCHES = {"cpu": (32, 8, 16, 64), "cuda": (32, 64, 128, 256)}
_FLAG_BATCHES = (128, 32)


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


def _bound(load: Callable[[Setup, str], list[Contender]], setup: Setup, dtype: str) -> Callable[[], list[Contender]]:
    return lambda: load(setup, dtype)


def _evalkit(setup: Setup, dtype: str) -> Contender:
    reranker = setup.reranker(dtype)

    def prepare(groups: Groups) -> Callable[[], Scores]:
        pairs = flat(groups)
        return lambda: reranker.score(pairs).scores

    return Contender(OURS, "", dtype, prepare, EngineMeter(reranker, lambda groups: lengths_read(reranker, groups)))


def _require(setup: Setup, *, reads: bool) -> None:
    if not reads:
        raise ConfigError(f"reads no checkpoint of the kind {type(setup.config).__name__.removesuffix('Config')}")


def _texts(groups: Groups) -> list[tuple[str, str]]:
    return [(pair.query, pair.document) for pair in flat(groups)]


def _sentence_transformers(setup: Setup, dtype: str) -> list[Contender]:
    meter, score = (_multi_vector if setup.is_late else _cross_encoder)(setup, dtype)
    return _at_each("sentence-transformers", _BATCHES[setup.device], dtype, meter, score)


def _at_each(package: str, batches: Sequence[int], dtype: str, meter: Meter, score: Score) -> list[Contender]:
    """A contender for each batch size; the first is the default."""

    def at(batch: int) -> Callable[[Groups], Callable[[], Scores]]:
        return lambda groups: lambda: score(groups, batch)

    named = {size: f"batch {size}" + (" (default)" if size == batches[0] else "") for size in batches}
    return [Contender(package, name, dtype, at(size), meter) for size, name in named.items()]


def _cross_encoder(setup: Setup, dtype: str) -> tuple[Meter, Score]:
    from sentence_transformers import CrossEncoder

    _require(setup, reads=setup.is_cross_encoder)
    model: Any = CrossEncoder(
        str(setup.model),
        device=setup.device,
        max_length=setup.max_length,
        model_kwargs={"dtype": getattr(torch, dtype)},
        activation_fn=torch.nn.Identity(),
    )
    require_dtype(model, dtype)
    # The module around transformers' model, which sentence-transformers calls without its hooks.
    meter = ForwardMeter(model[0])
    model.preprocess = meter.timed(model.preprocess)

    def score(groups: Groups, batch: int) -> Scores:
        return np.asarray(model.predict(_texts(groups), batch_size=batch, show_progress_bar=False))

    return meter, score


def _multi_vector(setup: Setup, dtype: str) -> tuple[Meter, Score]:
    """Encodes each distinct query and document of a round once, then compares its pairs, as evalkit does.

    It reads PyLate's folders too. PyLate itself needs an older transformers than evalkit.
    """
    from sentence_transformers import MultiVectorEncoder

    model: Any = MultiVectorEncoder(
        str(setup.model), device=setup.device, model_kwargs={"dtype": getattr(torch, dtype)}
    )
    require_dtype(model, dtype)
    meter = ForwardMeter(model[0])
    model.preprocess = meter.timed(model.preprocess)

    def score(groups: Groups, batch: int) -> Scores:
        settings = {"batch_size": batch, "show_progress_bar": False}
        queries = list(dict.fromkeys(group[0].query for group in groups))
        documents = list(dict.fromkeys(pair.document for pair in flat(groups)))
        asked = dict(zip(queries, model.encode_query(queries, **settings), strict=True))
        read = dict(zip(documents, model.encode_document(documents, **settings), strict=True))
        found = [
            model.similarity([asked[group[0].query]], [read[pair.document] for pair in group])[0] for group in groups
        ]
        scores: Scores = torch.cat(found).float().cpu().numpy()
        return scores

    return meter, score


def _flag_embedding(setup: Setup, dtype: str) -> list[Contender]:
    flag_embedding = importlib.import_module("FlagEmbedding")  # has no types
    is_language_model = type(setup.config) is FlagLLMConfig
    _require(setup, reads=is_language_model or setup.is_classifier)
    if dtype == "float16" and setup.device == "cpu":
        raise ConfigError("has no float16 on a CPU")
    named = {"devices": setup.device, "max_length": setup.max_length}
    if is_language_model:
        peer: Any = flag_embedding.FlagLLMReranker(
            str(setup.model), use_fp16=dtype == "float16", use_bf16=dtype == "bfloat16", **named
        )
    else:
        peer = flag_embedding.FlagReranker(str(setup.model), use_fp16=dtype == "float16", **named)
        if dtype == "bfloat16":  # FlagEmbedding itself has no switch for it
            peer.model.to(torch.bfloat16)
    # All its tokenising is before the first forward pass.
    meter = ForwardMeter(peer.model)

    def score(groups: Groups, batch: int) -> Scores:
        return np.asarray(peer.compute_score(_texts(groups), batch_size=batch), dtype=np.float32)

    return _at_each("FlagEmbedding", _FLAG_BATCHES, dtype, meter, score)


def _mteb(setup: Setup, dtype: str) -> list[Contender]:
    import mteb
    from mteb.models import CrossEncoderWrapper, SearchCrossEncoderWrapper

    _require(setup, reads=setup.is_cross_encoder)
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
    if not setup.is_classifier:
        return [_padded(setup, dtype)]
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(setup.model)
    model = AutoModelForSequenceClassification.from_pretrained(setup.model, dtype=getattr(torch, dtype))
    model = model.eval().to(setup.device)
    require_dtype(model, dtype)
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
    meter = EngineMeter(reranker, lambda groups: lengths_read(reranker, groups))

    def prepare(groups: Groups) -> Callable[[], Scores]:
        return lambda: np.concatenate([reranker.score(group).scores for group in groups])

    return Contender("model card", "one query a batch, padded model of evalkit", dtype, prepare, meter)


_LOADERS: dict[str, tuple[str, Callable[[Setup, str], list[Contender]]]] = {
    "sentence-transformers": ("sentence_transformers", _sentence_transformers),
    "FlagEmbedding": ("FlagEmbedding", _flag_embedding),
    "mteb": ("mteb", _mteb),
    "card": ("transformers", _card),
}
