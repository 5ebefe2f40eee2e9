"""One result on disk, as it is read: its files are checked against its manifest."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from evalkit.errors import ResultError
from evalkit.results.manifest import MANIFEST, read_manifest
from evalkit.results.saved_runs import read_saved_run
from evalkit.run import Run
from evalkit.system.files import build_folder, expanded, file_digest
from evalkit.system.stages import Rate, rate
from evalkit.types import PerQuery

if TYPE_CHECKING:
    import pandas as pd

CANDIDATES = "candidates"  # the folder that rerankers over the same candidates share
RUN = "run.trec.gz"
PER_QUERY = "per_query.parquet"
TRUNCATED = "truncated.parquet"


@dataclass(frozen=True)
class Result:
    """A complete result.

    Attributes:
        folder: where it is.
        manifest: what it is, as in `manifest.json`.
        fresh: whether it was computed just now rather than found.
    """

    folder: Path
    manifest: dict[str, Any]
    fresh: bool = False

    def read_run(self) -> Run:
        """The run that was measured: of documents, where passages were ranked (`dataset.maxp`)."""
        delimiter = self.manifest["config"]["dataset"].get("maxp")
        return self.read_pairs().by_document(delimiter) if delimiter else self.read_pairs()

    def read_pairs(self) -> Run:
        """The run as it was retrieved or reranked, of passages where these were ranked."""
        return read_saved_run(self.folder / RUN)

    def read_per_query(self) -> PerQuery:
        """The values of every judged query.

        Raises:
            ResultError: they are not those of the measures that the manifest names.
        """
        table = _read_table(self.folder / PER_QUERY, ["query_id", *self.manifest["measures"]])
        values = {name: table[name].to_numpy() for name in table.column_names if name != "query_id"}
        missing = tuple(self.manifest["queries_without_candidates"])
        return PerQuery(tuple(table["query_id"].to_pylist()), values, missing)

    def read_truncated(self) -> pa.Table | None:
        """Columns `query_id` and `doc_id`, a row for every pair that was cut; None where that is not known.

        Raises:
            ResultError: the file holds something else.
        """
        if "truncated_sha256" not in self.manifest:
            return None
        return _read_table(self.folder / TRUNCATED, ["query_id", "doc_id"])


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The results of one evaluation: the reranked result, and the candidates that it started from.

    A notebook shows it as a table of the measures that were asked for.
    """

    result: Result
    candidates: Result

    @property
    def dataset(self) -> str:
        """Its name."""
        return str(self.result.manifest["dataset"]["name"])

    @property
    def first_stage(self) -> str:
        """Name and depth of the first stage, such as `bm25-100`; of a run alone its name."""
        stage = self.candidates.manifest["retriever"]
        return f"{stage['name']}-{stage['depth']}" if stage["depth"] is not None else str(stage["name"])

    @property
    def is_first_stage(self) -> bool:
        """Whether the result is the candidates' own order."""
        return bool(self.result.manifest.get("reranker", {"kind": "none"})["kind"] == "none")

    @property
    def rate(self) -> Rate | None:
        """Pairs a second that the reranker scored; None where it scored none, as for a first stage.

        Also for results of versions that counted loading the model.
        """
        return rate(self.result.manifest.get("stages", {}).get("rerank", {}))

    @property
    def reranker(self) -> str:
        """Name of the reranker; of the first stage where there is none."""
        return self.first_stage if self.is_first_stage else str(self.result.manifest["reranker"]["name"])

    @property
    def measures(self) -> dict[str, float]:
        """The mean of each measure over the judged queries: those asked for first, then the standard set."""
        return dict(self.result.manifest["measures"])

    @property
    def run(self) -> Run:
        """The ranked documents of each query."""
        return self.result.read_run()

    @property
    def per_query(self) -> "pd.DataFrame":
        """One row per judged query: columns `dataset`, `system` and `query_id`, then one column per measure."""
        return self._named(self.result.read_per_query().to_frame())

    def to_dataframe(self) -> "pd.DataFrame":
        """One row: columns `dataset` and `system`, then the mean of each measure. `pandas.concat` joins several."""
        import pandas as pd

        return self._named(pd.DataFrame([self.measures]))

    def save(self, folder: str | Path) -> Path:
        """Copy the result, with the candidates that it started from, into a new folder; `compare` and `report` read it.

        Raises:
            ResultError: the folder is there already or cannot be written, or the result is of a run in memory.
        """
        target, sources = expanded(folder), {self.result.folder, self.candidates.folder}
        if target.exists() or not all((source / MANIFEST).is_file() for source in sources):
            fault = (
                "is there already. Give a new folder" if target.exists() else "has nothing to copy: the run is a file"
            )
            raise ResultError(f"{target}: {fault}.")

        def write(staging: Path) -> None:
            for source in sources:
                copytree(source, staging / source.name, ignore=ignore_patterns(".*"))

        build_folder(target, write)
        return target

    def _named(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        frame.insert(0, "dataset", self.dataset)
        frame.insert(1, "system", self.reranker)
        return frame

    @property
    def _asked(self) -> dict[str, float]:
        """The measures that were asked for, or all."""
        asked = self.result.manifest["config"]["measures"]
        return {name: value for name, value in self.measures.items() if name in asked} or self.measures

    def __repr__(self) -> str:
        """Dataset, stages, measures, and where it is."""
        stages = self.reranker if self.is_first_stage else f"{self.first_stage} + {self.reranker}"
        values = ", ".join(f"{name} {value:.4f}" for name, value in self._asked.items())
        return f"<Evaluation of {stages} on {self.dataset}: {values}; {self.result.folder}>"

    def _repr_html_(self) -> str:
        frame = self.to_dataframe()[["dataset", "system", *self._asked]]
        return str(frame.to_html(index=False, float_format="{:.4f}".format))


def read(folder: Path) -> Result:
    """The result in a folder, its files checked against the manifest.

    Raises:
        ResultError: a file is absent, damaged, or not the one that the manifest describes.
    """
    manifest = read_manifest(folder)
    while wrong := _wrong_file(folder, manifest):
        earlier, manifest = manifest, read_manifest(folder)
        if manifest == earlier:
            raise ResultError(f"{wrong}: is not the file that {MANIFEST} describes. Remove {folder} and run again.")
        # Else another process added measures between our looks.
    for found in folder.iterdir():
        if found.name not in {MANIFEST, *_checksums(manifest)} and not found.name.startswith("."):
            raise ResultError(
                f"{found}: does not belong to this result. Move it elsewhere, so that nobody takes it for a part of it."
            )
    return Result(folder, manifest)


def _checksums(manifest: dict[str, Any]) -> dict[str, str]:
    """The files next to a manifest, and their checksums."""
    places = {RUN: "run_sha256", PER_QUERY: "per_query_sha256", TRUNCATED: "truncated_sha256"}
    return {name: manifest[place] for name, place in places.items() if place in manifest}


def _wrong_file(folder: Path, manifest: dict[str, Any]) -> Path | None:
    for name, recorded in _checksums(manifest).items():
        if not _is(folder / name, recorded) and not _finish_update(folder / name, recorded):
            return folder / name
    return None


def _read_table(path: Path, columns: list[str]) -> pa.Table:
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ResultError(f"{path}: cannot be read ({error}). Remove {path.parent} and run again.") from error
    if sorted(table.column_names) != sorted(columns):
        raise ResultError(
            f"{path}: does not have the columns that {MANIFEST} lists. Remove {path.parent} and run again."
        )
    return table


def _is(path: Path, recorded: str) -> bool:
    return path.is_file() and file_digest(path) == recorded


def _finish_update(path: Path, recorded: str) -> bool:
    """Whether a killed `update` left the file under its other name; then it gets its own."""
    staging = staging_of(path)
    if _is(staging, recorded):
        with suppress(OSError):  # two readers may be here at once
            staging.replace(path)
    return _is(path, recorded)


def staging_of(path: Path) -> Path:
    """Where a file of a result is written before it gets its name."""
    return path.with_name(f".{path.name}")
