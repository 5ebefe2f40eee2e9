"""The manifest of a result, written and read. Whatever evalkit did not write is refused here, once.

Whoever reads a result trusts what `read_manifest` gave. Knows nothing of the files next to it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.errors import ResultError
from evalkit.formats import strict_json
from evalkit.results.typed_json import Count, Digest, FolderName, MisfitError, PathPart, Seconds, typed
from evalkit.store.artefact import digest

MANIFEST = "manifest.json"
_SEAL = "manifest_sha256"  # over all else in the manifest, so that an altered number is noticed


@dataclass(frozen=True)
class _Note:
    kind: str
    text: str


@dataclass(frozen=True)
class _MeasuredOn:
    name: FolderName
    split: str
    digest: str
    empty_documents: Count
    queries_without_relevant: Count
    queries_dropped: Count = 0
    queries_not_sampled: Count = 0
    differences: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _DatasetSettings:
    title_separator: str
    revision: PathPart | None = None


@dataclass(frozen=True)
class _ModelSettings:
    name: FolderName
    model: str | None = None
    revision: PathPart | None = None


@dataclass(frozen=True)
class _Settings:
    measures: tuple[str, ...]
    cache_dir: str | None
    compute: Mapping[str, Any]
    dataset: _DatasetSettings
    retriever: _ModelSettings
    reranker: _ModelSettings

    def __post_init__(self) -> None:
        if not self.measures:
            raise MisfitError("measures")


@dataclass(frozen=True)
class _Reranker:
    name: FolderName
    kind: str


@dataclass(frozen=True)
class _Retriever(_Reranker):
    depth: Count


@dataclass(frozen=True)
class _Candidates:
    key: Digest
    run_digest: Digest


@dataclass(frozen=True)
class _Packages:
    evalkit: str


@dataclass(frozen=True)
class _Environment:
    device: str
    git_commit: str | None
    packages: _Packages


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The fields of every manifest. Those with a default may be absent in results of older versions.

    Attributes:
        key: what the result is found by.
        queries_without_candidates: ids of judged queries that the run lacks.
        measures: the mean of each measure.
        ceiling: the mean of each measure for the best order of the same documents.
        stages: what each stage took.
        truncated_pairs: how many pairs were cut to fit the model; None where no text was read.
        artefacts: names of what the result was made from in the store.
    """

    key: Digest
    pairs: Count
    queries: Count
    queries_with_ties_in_top_10: Count
    queries_without_candidates: tuple[str, ...]
    measures: Mapping[str, float]
    ceiling: Mapping[str, float]
    run_sha256: Digest
    per_query_sha256: Digest
    truncated_sha256: Digest = ""
    seconds: Seconds
    stages: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    truncated_pairs: Count | None = None
    notes: tuple[_Note, ...] = ()
    artefacts: tuple[str, ...]
    command: str
    dataset: _MeasuredOn
    config: _Settings
    retriever: _Retriever
    environment: _Environment

    def __post_init__(self) -> None:
        """Refuse a ceiling of other measures."""
        if self.measures.keys() != self.ceiling.keys():
            raise MisfitError("ceiling")


@dataclass(frozen=True, kw_only=True)
class CandidatesManifest(Manifest):
    """The manifest of candidates; `run_digest` is that of their run."""

    run_digest: Digest


@dataclass(frozen=True, kw_only=True)
class RerankedManifest(Manifest):
    """The manifest of a reranked result.

    Attributes:
        unscored_pairs: how many pairs have no score and are ranked below all others.
        by_query: whether a score may depend on the other candidates of its query.
    """

    reranker: _Reranker
    candidates: _Candidates
    pairs_per_second: Seconds | None
    truncated_pairs: Count | None = field()  # never absent here
    unscored_pairs: Count
    by_query: bool = False


def sealed(manifest: Mapping[str, Any]) -> str:
    """The content of `manifest.json`."""
    return json.dumps({**manifest, _SEAL: digest(manifest)}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the result in a folder, as it was written.

    Raises:
        ResultError: it is absent, damaged, altered, or lacks what evalkit writes.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ResultError(f"{path}: cannot be read (there is no such file). Remove {folder} and run again.")
    try:
        manifest = strict_json.loads(path.read_text(encoding="utf-8"))
        is_whole = isinstance(manifest, dict) and manifest.pop(_SEAL, None) == digest(manifest)
    except (OSError, ValueError, RecursionError) as error:
        raise ResultError(f"{path}: cannot be read ({error}). Remove {folder} and run again.") from error
    if not is_whole:
        raise ResultError(f"{path}: is not the manifest that evalkit wrote. Remove {folder} and run again.")
    try:
        typed(RerankedManifest if "reranker" in manifest else CandidatesManifest, manifest)
    except MisfitError as error:
        raise ResultError(f"{path}: {error} is not what evalkit writes. Remove {folder} and run again.") from error
    return dict(manifest)
