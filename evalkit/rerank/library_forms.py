"""How rerankers of beir and mteb score, as they are. Neither package is imported here."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from evalkit.datasets.mteb_metadata import general, metadata_of
from evalkit.errors import ObjectError
from evalkit.formats.python_objects import is_from
from evalkit.models.library_models import library_identity
from evalkit.rerank.own_forms import Form, cross_encoder, predictor
from evalkit.retrieval import mteb_models
from evalkit.system.own_code import defining_package
from evalkit.types import Dataset, Pair


def beir_reranker(thing: Any, name: str) -> Form | None:
    """`Rerank` of beir, or one of its models; its CrossEncoder scores as that of sentence-transformers inside it."""
    inner = thing.cross_encoder if is_from(thing, "beir", "Rerank") else thing
    if is_from(inner, "beir", "CrossEncoder") and defining_package(inner, "predict") == "beir":
        return cross_encoder(inner.model, name)
    if inner is thing and not is_from(inner, "beir", "MonoT5", "CrossEncoder"):
        return None
    return predictor(inner, name)


def mteb_cross_encoder(thing: Any, name: str) -> Form | None:
    """A cross-encoder of mteb, with its prompts for the task that the dataset is and the activation that it applies."""
    if not mteb_models.is_model(thing):
        return None
    if not callable(getattr(thing, "predict", None)):
        raise ObjectError(f"{name} is a model of mteb that scores no pairs. Give it as the retriever.")
    metadata: list[Any] = []

    def begin(dataset: Dataset) -> None:
        metadata[:] = [metadata_of(dataset)]

    def score(pairs: Sequence[Pair]) -> Any:
        return mteb_models.score(thing, pairs, metadata[0] if metadata else general())

    known = is_from(thing, "mteb", "CrossEncoderWrapper") and type(thing).__module__.startswith("mteb.")
    prefixes = {key: getattr(thing, key, None) for key in ("query_prefix", "passage_prefix")} if known else {}
    identity = partial(library_identity, thing.model) if known else None
    return Form(score, by_query=False, identity=identity, facts=prefixes, begin=begin)


KINDS: tuple[Callable[[Any, str], Form | None], ...] = (beir_reranker, mteb_cross_encoder)
"""As `own_forms.KINDS`, and tried before those."""
