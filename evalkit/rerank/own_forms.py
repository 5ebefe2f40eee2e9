"""Kinds of Python objects that can score, and how each is called: one table, `KINDS`.

To add a kind, such as the rerankers of a library, write a function that takes the object and its name and returns a
`Form`, or None for an object of another kind, and add it to `KINDS` before the kinds that would take its objects too.
It does not import the library: an object of a library that is not in `sys.modules` cannot be there.
"""

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from types import MappingProxyType
from typing import Any, NamedTuple

from evalkit.errors import ObjectError
from evalkit.formats.python_objects import is_from
from evalkit.models.library_models import library_identity
from evalkit.system.own_code import defining_package, needed_arguments, parameter, signature
from evalkit.system.reporting import shown
from evalkit.types import Dataset, Identity, Pair

_INSTRUCTION = "instruction"


class Form(NamedTuple):
    """How an object scores.

    Attributes:
        score: pairs in, one number for each out, in any form that `checked_scores` reads. It may raise anything.
        by_query: whether the pairs of a call are all candidates of one query, in the order of the first stage.
        identity: for an object without an attribute `identity`: what decides its scores; None where that is not known.
        facts: what else the manifest should say, such as an activation that is left out.
        begin: called with the dataset before its pairs, where scores depend on which it is.
        takes_instruction: whether it is given the instruction of its pairs, where there is one.
    """

    score: Callable[[Sequence[Pair]], Any]
    by_query: bool
    identity: Callable[[], Identity | None] | None = None
    facts: Mapping[str, Any] = MappingProxyType({})
    begin: Callable[[Dataset], None] | None = None
    takes_instruction: bool = False


def cross_encoder(thing: Any, name: str) -> Form | None:
    """A `CrossEncoder` of sentence-transformers: its logits, without the activation that `predict` applies."""
    if not is_from(thing, package := "sentence_transformers", "CrossEncoder"):
        return None
    if defining_package(thing, "predict") != package:  # a subclass with a method of its own
        return None
    if thing.num_labels != 1:
        raise ObjectError(f"{name} has {thing.num_labels} labels, and a ranking needs one score a pair.")

    def score(pairs: Sequence[Pair]) -> Any:
        import torch

        return thing.predict(_texts(pairs), activation_fn=torch.nn.Identity(), show_progress_bar=False)

    return Form(score, by_query=False, identity=lambda: library_identity(thing), facts={"activation": "none"})


def ranker(thing: Any, name: str) -> Form | None:
    """An object with `transform(frame)`, as PyTerrier's: columns qid, query, docno and text in, score or rank out."""
    is_table = is_from(thing, "pandas", "DataFrame", "Series")  # which have a method of this name
    if is_table or not callable(getattr(thing, "transform", None)):
        return None

    def score(pairs: Sequence[Pair]) -> Any:
        import pandas as pd

        columns = {
            "qid": [pair.query_id for pair in pairs],
            "query": [pair.query for pair in pairs],
            "docno": [pair.doc_id for pair in pairs],
            "text": [pair.document for pair in pairs],
            "rank": range(len(pairs)),
            "score": [-float(rank) for rank in range(len(pairs))],
        }
        return _by_docno(thing.transform(pd.DataFrame(columns)), pairs, name)

    return Form(score, by_query=True)


def _by_docno(frame: Any, pairs: Sequence[Pair], name: str) -> list[Any]:
    """The scores of a frame in the order of the pairs; minus the rank where there are no scores."""
    columns = list(getattr(frame, "columns", ()))
    if not ("docno" in columns and {"score", "rank"}.intersection(columns)):
        said = f"the columns {', '.join(map(str, columns))}" if columns else f"{shown(frame)}"
        raise ObjectError(f"{name} returned {said}, expected a DataFrame with docno and score or rank.")
    values = frame["score"] if "score" in columns else -frame["rank"]
    found = dict(zip(map(str, frame["docno"]), values, strict=True))
    if len(found) != len(frame) or found.keys() != {pair.doc_id for pair in pairs}:
        raise ObjectError(
            f"{name} returned {len(frame)} rows of {len(found)} documents for the {len(pairs)} candidates of query "
            f"{pairs[0].query_id!r}. Return each candidate once."
        )
    return [found[pair.doc_id] for pair in pairs]


def scorer(thing: Any, name: str) -> Form | None:
    """An object with a method `score`, which takes what a function would."""
    method = getattr(thing, "score", None)
    return _called(method, f"{name}.score") if callable(method) else None


def predictor(thing: Any, name: str) -> Form | None:
    """An object with `predict(pairs)`, as most cross-encoders have; its scores are taken as they are."""
    del name
    method = getattr(thing, "predict", None)
    if not callable(method):
        return None
    return Form(lambda pairs: method(_texts(pairs)), by_query=False)


def flag_reranker(thing: Any, name: str) -> Form | None:
    """An object with `compute_score(pairs)`, as FlagEmbedding's, which may return a bare number for a single pair."""
    del name
    method = getattr(thing, "compute_score", None)
    if not callable(method):
        return None

    def score(pairs: Sequence[Pair]) -> Any:
        returned = method(_texts(pairs))
        return [returned] if isinstance(returned, Real) else returned

    return Form(score, by_query=False)


def function(thing: Any, name: str) -> Form | None:
    """A function, or another object that can be called."""
    return _called(thing, name) if callable(thing) else None


def _called(function: Callable[..., Any], name: str) -> Form:
    """f(query, documents) or f(pairs), by the number of its parameters without defaults.

    The former may have a parameter `instruction`, which is given by its name.
    """
    needed, place = needed_arguments(function, named=_INSTRUCTION), parameter(function, _INSTRUCTION)
    must_say = place is not None and place.default is place.empty
    if needed == 1 and not must_say:
        return Form(lambda pairs: function(_texts(pairs)), by_query=False)
    if needed != 2:  # noqa: PLR2004
        raise ObjectError(
            f"{name}: cannot tell how to call it from {signature(function)}. Expected f(query, documents), with two "
            "parameters without a default and perhaps one called instruction, or f(pairs), with one."
        )

    def score(pairs: Sequence[Pair]) -> Any:
        said = (place is not None and pairs[0].instruction) or ""
        given = {_INSTRUCTION: said} if said or must_say else {}
        return function(pairs[0].query, [pair.document for pair in pairs], **given)

    return Form(score, by_query=True, takes_instruction=place is not None)


def _texts(pairs: Sequence[Pair]) -> list[tuple[str, str]]:
    return [(pair.query, pair.document) for pair in pairs]


KINDS: tuple[Callable[[Any, str], Form | None], ...] = (
    cross_encoder,
    ranker,
    scorer,
    predictor,
    flag_reranker,
    function,
)
"""The kinds of objects that can score, the first that takes an object first."""
