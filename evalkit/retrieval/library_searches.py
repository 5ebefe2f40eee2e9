"""How retrievers of beir, mteb and PyTerrier search, as they are. None of these packages is imported here."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from evalkit.datasets.mteb_metadata import metadata_of
from evalkit.errors import MissingExtra, ObjectError
from evalkit.formats.python_objects import is_from, run_of
from evalkit.models.library_models import library_identity
from evalkit.retrieval import mteb_models
from evalkit.retrieval.own_searches import CorpusTexts, OwnSearch, encoding
from evalkit.retrieval.own_vectors import Encoders, similarity_of
from evalkit.run import Run
from evalkit.system import own_code
from evalkit.system.own_code import call
from evalkit.types import Dataset

if TYPE_CHECKING:
    import pandas as pd

_WRAPPERS = {  # of mteb, by the class of sentence-transformers that they wrap
    "SentenceTransformer": "SentenceTransformerEncoderWrapper",
    "SparseEncoder": "SparseEncoderWrapper",
    "MultiVectorEncoder": "MultiVectorWrapper",
}
_BATCH = 128  # of beir's exact search, for models that ask for one
_OF_TEXTS = "FlagEmbedding"  # whose `encode_corpus` takes texts, and beir's titles and texts
_COSINE = "cos_sim"  # of beir: the default of `EvaluateRetrieval`


def beir_retriever(thing: Any, name: str, similarity: str | None) -> OwnSearch | None:
    """A retriever of beir, or `EvaluateRetrieval`, which also says how vectors are compared; its default is cosine."""
    del similarity
    if is_from(thing, "beir", "EvaluateRetrieval"):
        retriever, chosen = thing.retriever, thing.score_function
    elif is_from(thing, "beir", "BaseSearch"):
        retriever, chosen = thing, _COSINE
    else:
        return None
    if retriever is None:
        raise ObjectError(f"{name} has no retriever. Give it one: EvaluateRetrieval(retriever).")

    def run(dataset: Dataset, depth: int) -> Run:
        texts = CorpusTexts(dataset.documents).items()
        corpus = {doc_id: {"title": "", "text": text} for doc_id, text in texts}
        found = call(name, retriever.search, corpus, dict(dataset.queries), depth, chosen)
        # One that searched before returns what it found then, too.
        return _run({query_id: found[query_id] for query_id in dataset.queries if query_id in found}, name)

    return OwnSearch(run, facts={"score_function": chosen})


def beir_model(thing: Any, name: str, similarity: str | None) -> OwnSearch | None:
    """A model as beir asks for, with `encode_queries(texts)` and `encode_corpus(documents)`."""
    methods = [getattr(thing, method, None) for method in ("encode_queries", "encode_corpus")]
    if not all(map(callable, methods)) or hasattr(thing, "encode_documents"):
        return None
    takes_texts = type(thing).__module__.partition(".")[0] == _OF_TEXTS

    def encode(method: Callable[..., Any], rows: Sequence[Any]) -> Any:
        size = own_code.parameter(method, "batch_size")
        sized = {"batch_size": _BATCH} if size and size.default is size.empty else {}
        return call(f"{name}.{method.__name__}", method, rows, **sized)

    def documents(texts: list[str]) -> Any:
        return encode(thing.encode_corpus, texts if takes_texts else [{"title": "", "text": text} for text in texts])

    encoders = Encoders(partial(encode, thing.encode_queries), documents)
    return encoding(encoders, similarity_of(similarity or "cosine", name), name)


def mteb_model(thing: Any, name: str, similarity: str | None) -> OwnSearch | None:
    """An encoder or a searcher of mteb, with its own similarity and its prompts for the task that the dataset is."""
    del similarity
    if is_from(thing, "mteb", "ModelMeta"):
        raise ObjectError(f"{name} says which model of mteb it is. Load it: mteb.get_model({thing.name!r}).")
    if not mteb_models.is_model(thing):
        return None
    searcher = mteb_models.searcher_of(thing)
    if searcher is None:
        raise ObjectError(f"{name} is a model of mteb that scores pairs. Give it as the reranker.")

    def run(dataset: Dataset, depth: int) -> Run:
        return _run(call(name, mteb_models.search, searcher, dataset, depth, metadata_of(dataset)), name)

    known = type(thing).__module__.startswith("mteb.") and type(thing).__name__ in _WRAPPERS.values()
    identity = partial(library_identity, thing.model) if known else None
    return OwnSearch(run, identity, {"prompts": getattr(thing, "model_prompts", None)})


def other_encoder(thing: Any, name: str, similarity: str | None) -> OwnSearch | None:
    """A sparse or multi-vector encoder of sentence-transformers, searched by mteb's wrapper of it.

    Raises:
        MissingExtra: mteb is not installed.
    """
    wrappers = [wrapper for kind, wrapper in _WRAPPERS.items() if is_from(thing, "sentence_transformers", kind)]
    if not wrappers or wrappers[0] == _WRAPPERS["SentenceTransformer"]:
        return None
    try:
        from mteb.models import sentence_transformer_wrapper
    except ImportError as error:
        raise MissingExtra("mteb", extra="mteb", purpose=f"searching with {name}") from error
    return mteb_model(getattr(sentence_transformer_wrapper, wrappers[0])(thing), name, similarity)


def pyterrier_transformer(thing: Any, name: str, similarity: str | None) -> OwnSearch | None:
    """A transformer of PyTerrier from queries to results; ranks decide where a frame has no scores."""
    del similarity
    if not is_from(thing, "pyterrier", "Transformer"):
        return None

    def run(dataset: Dataset, depth: int) -> Run:
        import pandas as pd

        del depth  # how many a transformer returns was decided when it was made
        queries = pd.DataFrame({"qid": list(dataset.queries), "query": list(dataset.queries.values())})
        return _run(call(name, thing, queries), name)

    return OwnSearch(run)


def _run(found: "Mapping[str, Mapping[str, float]] | pd.DataFrame", name: str) -> Run:
    return run_of(found, f"what {name} returned", order="score")


KINDS: tuple[Callable[[Any, str, str | None], OwnSearch | None], ...] = (
    beir_retriever,
    mteb_model,
    other_encoder,
    beir_model,
    pyterrier_transformer,
)
"""As `own_searches.KINDS`, and tried before those."""
