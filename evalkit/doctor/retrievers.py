"""Checks of a dense or sparse retriever: its vectors, and what its checkpoint declares of prompts and pooling."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit import retrieval
from evalkit.config import ComputeConfig, DenseConfig, RetrieverConfig
from evalkit.doctor import checks
from evalkit.doctor.checks import FAILED, PASSED, SKIPPED, Check, Scores, guarded, outcome
from evalkit.errors import AbsentModel, ConfigError, ModelError
from evalkit.models.sentence_transformer import stored_pooling
from evalkit.retrieval.encoder import DenseEncoder, RetrievalEncoder
from evalkit.retrieval.encoding_retriever import EncodingRetriever
from evalkit.retrieval.sparse_encoder import SparseEncoder
from evalkit.retrieval.splade import SpladeConfig
from evalkit.store import open_store

_SAME = 0.9999  # a cosine above it is of vectors that half precision does not tell apart
_LENGTH_TOLERANCE = 1e-4  # of a vector that is scaled to length 1, in float32


class Role(NamedTuple):
    """How texts become vectors that are searched by their dot product: queries or documents.

    Attributes:
        encoder: of the texts.
        before: what is put before each.
    """

    encoder: Any
    before: str

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (texts, width)."""
        if isinstance(self.encoder, DenseEncoder):
            return self.encoder.encode(texts, instruction=self.before, ranked=True)
        found: NDArray[np.float32] = self.encoder.encode(texts, instruction=self.before).toarray()
        return found


class Roles(NamedTuple):
    """Both roles, or the vectors that each made of some texts."""

    queries: Any
    documents: Any


def examine(config: RetrieverConfig, compute: ComputeConfig, *, float32: bool = True) -> Iterator[Check]:
    """The checks of a dense or sparse retriever, each as soon as it is done.

    With `float32`, weights in another dtype are loaded once more in float32, to compare both.

    Raises:
        ConfigError: the settings name no retriever with a checkpoint.
        AbsentModel: there is no such checkpoint.
        MissingExtra: a package is absent.
    """
    if not isinstance(config, DenseConfig | SpladeConfig):
        raise ConfigError(f"retriever={config.name} has no checkpoint of evalkit's own: nothing to check.")
    languages = checks.codes("retriever", config.languages)
    try:
        retriever = retrieval.build(config, compute, open_store())
        assert isinstance(retriever, EncodingRetriever)
        encoder = retriever.encoder
        encoder.load()
        yield weights(encoder)
    except AbsentModel:
        raise
    except ModelError as error:
        yield Check("checkpoint", FAILED, str(error))
        return
    roles = _roles(encoder, retriever.before_query(None))
    yield guarded("prompts", partial(prompts, roles, languages))
    yield pooling(encoder)
    yield guarded("alone = in a batch", partial(batches, roles, encoder.compute.dtype))
    try:
        vectors = probe_vectors(roles, languages)
    except ModelError as error:
        yield Check("relevant first", FAILED, str(error))
        return
    yield distinct(roles, vectors, languages)
    yield norms(encoder, vectors) if isinstance(encoder, DenseEncoder) else filled(encoder.width, vectors)
    scores = similarities(vectors)
    for language in scores:
        yield checks.relevance(language, scores[language])
    yield from checks.not_probed(languages)
    asked = "float32" if _is_table(encoder) and encoder.queries is encoder else encoder.compute.dtype
    exact = partial(_exact, encoder, roles, compute, languages)
    yield guarded("dtype", partial(checks.dtype, asked, scores, exact, wanted=float32))


def weights(encoder: RetrievalEncoder) -> Check:
    """The tensors of its models; a table of vectors is float32 whatever is asked for."""
    found, other = encoder.contents, encoder.queries
    if other is not encoder and isinstance(other, RetrievalEncoder) and other.shares is None:
        own = other.contents
        found = found._replace(tensors=found.tensors + own.tensors, parameters=found.parameters + own.parameters)
    return checks.checkpoint(found, encoder.compute, dtype="float32" if _is_table(encoder) else None)


def prompts(roles: Roles, languages: Sequence[str]) -> Check:
    """What a plain query and document read as, special tokens and prompts included, and that nothing of them is cut."""
    asked = [probe for probes in checks.probes(languages).values() for probe in probes]
    stored, shown, cut = roles.documents.encoder.said.prompts, [], 0
    for name, role, texts in zip(("query", "document"), roles, zip(*asked, strict=True), strict=True):
        tokenized = role.encoder.tokenize(texts, instruction=role.before)
        cut += int(tokenized.truncated.sum())
        own = stored.get(name, role.before)
        other = f" (the checkpoint's own prompt: {own!r})" if own != role.before else ""
        shown.append(f"a {name} is {role.encoder.tokenizer.text(tokenized.ids[0].tolist())!r}{other}")
    detail = ", ".join(shown)
    if cut:
        detail = f"{cut} of {2 * len(asked)} short texts are cut, raise retriever.max_length; {detail}"
    return Check("prompts", outcome(not cut), detail)


def pooling(encoder: RetrievalEncoder) -> Check:
    """How states of tokens become a vector, and whether the checkpoint says so itself."""
    detail, declared = _pooled(encoder)
    if encoder.queries is not encoder and isinstance(encoder.queries, RetrievalEncoder):
        of_queries, also = _pooled(encoder.queries)
        detail, declared = f"queries: {of_queries}; documents: {detail}", declared and also
    return Check(
        "pooling", PASSED if declared else SKIPPED, detail + ("" if declared else "; the checkpoint does not say")
    )


def _pooled(encoder: Any) -> tuple[str, bool]:
    if isinstance(encoder, DenseEncoder):
        head = encoder.head
        modules = [kind for kind, _ in head.layers] + ["scaled to length 1"] * head.ranked_normalized
        detail = ", ".join([f"{head.pooling} over tokens", *modules, f"{encoder.width} numbers"])
        return detail, _is_table(encoder) or stored_pooling(encoder.checkpoint) is not None
    if isinstance(encoder, SparseEncoder):
        logarithms = "log(1 + x)" if encoder.pooling.logarithms == 1 else "log(1 + log(1 + x))"
        detail = f"{encoder.pooling.strategy} over tokens of {logarithms} of the positive logits"
        return detail, "SpladePooling" in encoder.checkpoint.kinds
    return f"the largest weight of each token, by {encoder.config.projection}", True


def batches(roles: Roles, dtype: str) -> Check:
    """A text has the same vector alone, in a batch, and in another order."""
    plain = [probe for probes in checks.probes([]).values() for probe in probes][:8]
    found = [
        checks.moved(role.vectors, [text * repeats for repeats, text in enumerate(texts, start=1)])
        for role, texts in zip(roles, zip(*plain, strict=True), strict=True)
    ]
    least = checks.Moved(max(one.difference for one in found), min(one.largest for one in found))
    return checks.batches(dtype, least, f"{len(plain)} queries and {len(plain)} documents")


def probe_vectors(roles: Roles, languages: Sequence[str]) -> dict[str, Roles]:
    """Language -> vectors of the probe queries and of their documents."""
    return {
        language: Roles(*(role.vectors(texts) for role, texts in zip(roles, zip(*probes, strict=True), strict=True)))
        for language, probes in checks.probes(languages).items()
    }


def similarities(vectors: Mapping[str, Roles]) -> Scores:
    """Dot products of the probes, summed in float64 as in a search."""
    return {
        language: (found.queries.astype(np.float64) @ found.documents.astype(np.float64).T).astype(np.float32)
        for language, found in vectors.items()
    }


def distinct(roles: Roles, vectors: Mapping[str, Roles], languages: Sequence[str]) -> Check:
    """Different queries have different vectors, and so have different documents."""
    asked = [probe for probes in checks.probes(languages).values() for probe in probes]
    nearest: list[tuple[float, Role, list[str]]] = []
    for role, texts, found in zip(roles, zip(*asked, strict=True), zip(*vectors.values(), strict=True), strict=True):
        rows = np.concatenate(found).astype(np.float64)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        cosines = rows @ rows.T - 3 * np.eye(len(rows))
        pair = np.unravel_index(cosines.argmax(), cosines.shape)
        nearest.append((float(cosines[pair]), role, [texts[place] for place in pair]))
    cosine, role, pair_of_texts = max(nearest, key=lambda one: one[0])
    first, second = role.encoder.tokenize(pair_of_texts, instruction=role.before).ids
    detail = f"the two nearest have a cosine of {cosine:.4f}: {' and '.join(map(repr, pair_of_texts))}"
    if np.array_equal(first, second):
        detail += ", read as the same tokens. If the model is not made for their language, set retriever.languages=[en]"
    return Check("distinct vectors", outcome(cosine < _SAME), detail)


def norms(encoder: DenseEncoder, vectors: Mapping[str, Roles]) -> Check:
    """Vectors are of length 1 where they are compared by their cosine, and none is 0."""
    lengths = np.linalg.norm(np.concatenate([rows for found in vectors.values() for rows in found]), axis=1)
    detail = f"lengths of {len(lengths)} vectors from {lengths.min():.6g} to {lengths.max():.6g}"
    if not encoder.head.ranked_normalized:
        return Check("norms", outcome(bool(lengths.min() > 0)), f"{detail}; they are not scaled")
    return Check("norms", outcome(bool(np.abs(lengths - 1).max() <= _LENGTH_TOLERANCE)), f"{detail}; expected 1")


def filled(width: int, vectors: Mapping[str, Roles]) -> Check:
    """Every text has a weight, without which no search would find it, and most entries have none."""
    counts = np.count_nonzero(np.concatenate([rows for found in vectors.values() for rows in found]), axis=1)
    detail = f"{counts.min()} to {counts.max()} of {width} weights above 0 in each of {len(counts)} texts"
    return Check("weights", outcome(bool(counts.min() > 0 and counts.max() <= width / 2)), detail)


def _roles(encoder: RetrievalEncoder, before_query: str) -> Roles:
    return Roles(Role(encoder.queries, before_query), Role(encoder, encoder.reading.document_instruction))


def _exact(encoder: Any, roles: Roles, compute: ComputeConfig, languages: Sequence[str]) -> Scores:
    """Similarities of the probes in float32."""
    encoder.unload()  # two copies may not fit
    exact = type(encoder)(encoder.config, checks.in_float32(compute))
    return similarities(probe_vectors(_roles(exact, roles.queries.before), languages))


def _is_table(encoder: RetrievalEncoder) -> bool:
    return encoder.checkpoint.static is not None
