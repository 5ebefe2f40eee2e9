"""What every checkpoint is checked for: that it is whole, and that its scores of a few plain texts make sense."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig
from evalkit.config.compute import FLASH, PACKED
from evalkit.config.languages import language_code
from evalkit.config.resources import shipped
from evalkit.errors import ModelError

if TYPE_CHECKING:
    from evalkit.models.packing import Contents

PASSED, FAILED, SKIPPED = "passed", "FAILED", "skipped"

# How far a score or a vector may move with its batch, relative to the largest. Sums are rounded differently in other
# shapes; a wrong token read moves it by far more.
_BATCH_TOLERANCE = {"float32": 1e-4, "float16": 0.02, "bfloat16": 0.1}
_NO_FLOAT32 = {*FLASH, *PACKED} - {"packed"}
_LEAST_FIRST = 5 / 6  # share of probes whose relevant document must come first
_LEAST_AGREEMENT = 0.9  # Kendall's tau with float32, averaged over queries

Scores = Mapping[str, NDArray[np.float32]]
"""Language -> scores of every probe query with every probe document, of shape (queries, documents)."""


class Check(NamedTuple):
    """One row of the table.

    Attributes:
        name: what was looked at.
        outcome: `passed`, `FAILED` or `skipped`.
        detail: the figures, or what to do.
    """

    name: str
    outcome: str
    detail: str


def outcome(passed: bool) -> str:
    """The outcome of a check that was made."""
    return PASSED if passed else FAILED


def guarded(name: str, check: Callable[[], Check]) -> Check:
    """The check, failed where the checkpoint does not even let it be made."""
    try:
        return check()
    except ModelError as error:
        return Check(name, FAILED, str(error))


def checkpoint(found: "Contents", compute: ComputeConfig, *, dtype: str | None = None) -> Check:
    """Every tensor accounted for; loading raises otherwise. `dtype` is the one to find, where it is not that asked."""
    wanted = dtype or compute.dtype
    tensors = "1 tensor" if found.tensors == 1 else f"{found.tensors} tensors"
    detail = f"{tensors}, {found.parameters:,} parameters, all from the checkpoint; {found.dtype} on {found.device}"
    detail += "" if dtype else f", attention {compute.attention}"
    passed = found.dtype == wanted
    return Check("checkpoint", outcome(passed), detail if passed else f"{detail}; asked was {wanted}")


class Moved(NamedTuple):
    """How far values move with their batch: the largest difference, and the length of the largest value."""

    difference: float
    largest: float


def moved(values: Callable[[Sequence[Any]], NDArray[np.float32]], inputs: Sequence[Any]) -> Moved:
    """Values of inputs alone against those in one batch, in order and backwards: a number or a vector each."""
    alone = np.concatenate([values([one]) for one in inputs]).reshape(len(inputs), -1)
    others = [values(inputs), values(inputs[::-1])[::-1]]
    apart = [np.linalg.norm(alone - other.reshape(alone.shape), axis=1).max() for other in others]
    return Moved(float(max(apart)), float(np.linalg.norm(alone, axis=1).max()))


def batches(dtype: str, found: Moved, counted: str) -> Check:
    """It is the same alone, in a batch, and in another order."""
    tolerance = _BATCH_TOLERANCE[dtype] * found.largest
    return Check(
        "alone = in a batch",
        outcome(found.difference <= tolerance),
        f"largest difference {found.difference:.2g} over {counted}, tolerance {tolerance:.2g}",
    )


def relevance(language: str, scores: NDArray[np.float32]) -> Check:
    """The obviously relevant document of each query beats those of the others."""
    relevant = np.diag(scores)
    others = np.where(np.eye(len(scores), dtype=bool), -np.inf, scores).max(axis=1)
    first = int((relevant > others).sum())
    margin = float(np.median(relevant - others))
    return Check(
        f"relevant first ({language})",
        outcome(first >= _LEAST_FIRST * len(scores)),
        f"{first} of {len(scores)} queries; median margin {margin:+.3g}",
    )


def dtype(asked: str, scores: Scores, exact: Callable[[], Scores], *, wanted: bool) -> Check:
    """The ranking of the probes in the dtype that was asked for is that in float32, which `exact` computes."""
    name = f"{asked} = float32"
    if asked == "float32" or not wanted:
        return Check(name, SKIPPED, "asked not to" if not wanted else "it is float32")
    from scipy.stats import kendalltau

    reference = exact()

    def agreement_of(row: NDArray[np.float32], other: NDArray[np.float32]) -> float:
        equal = [bool((one == one[0]).all()) for one in (row, other)]
        return float(equal[0] == equal[1]) if any(equal) else float(kendalltau(row, other).statistic)

    taus = [
        agreement_of(row, reference_row)
        for language, matrix in scores.items()
        for row, reference_row in zip(matrix, reference[language], strict=True)
    ]
    difference = max(float(np.abs(matrix - reference[language]).max()) for language, matrix in scores.items())
    agreement = float(np.mean(taus))
    return Check(
        name,
        outcome(agreement >= _LEAST_AGREEMENT),
        f"Kendall's tau {agreement:.3f} over {len(taus)} queries, largest difference {difference:.3g}",
    )


def in_float32(compute: ComputeConfig) -> ComputeConfig:
    """The same in float32, with another attention where the one that was asked for has no float32."""
    return replace(
        compute, dtype="float32", attention="auto" if compute.attention in _NO_FLOAT32 else compute.attention
    )


def probes(languages: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Language -> (query, the document that answers it), so plain that any model of the language tells them apart.

    All there are for a model of none or of other languages: nothing better is known than that it tells these apart.
    """
    known = _known_probes()
    return {language: known[language] for language in known if language in languages} or known


def codes(stage: str, languages: Sequence[str]) -> list[str]:
    """The languages of a model as evalkit writes them.

    Raises:
        ConfigError: one is not a language.
    """
    return [language_code(f"{stage}.languages", language) for language in languages]


def not_probed(languages: Sequence[str]) -> Iterator[Check]:
    """A row for each language of the model in which there are no probes."""
    known = _known_probes()
    for language in languages:
        if language not in known:
            detail = f"there are no texts in it; languages with texts are {', '.join(known)}"
            yield Check(f"relevant first ({language})", SKIPPED, detail)


@cache
def _known_probes() -> dict[str, list[tuple[str, str]]]:
    stored = json.loads(shipped("doctor/probes.json").read_text(encoding="utf-8"))
    return {language: [(query, document) for query, document in pairs] for language, pairs in stored.items()}
