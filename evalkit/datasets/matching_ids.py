"""Whether judgments and corpus name documents alike: where they share none, every number would be 0."""

import pyarrow as pa

from evalkit.errors import DataError
from evalkit.formats.similar_ids import LOOKED_AT, compared, lookalike
from evalkit.run import document_ids
from evalkit.types import Dataset


def require_judged_documents(dataset: Dataset, judgments: str, documents: str, *, loosely: bool = True) -> None:
    """Refuse a dataset whose corpus has none of the judged documents, unless answers judge them too.

    Args:
        dataset: all of it, or a sample of its queries.
        judgments: what to call the judgments in the error.
        documents: what to call the corpus.
        loosely: whether ids that do not look alike are refused, too.
    """
    judged = dict.fromkeys(doc_id for grades in dataset.qrels.values() for doc_id in grades)
    if not judged or dataset.answers or not dataset.notes["judged_documents_absent"]:
        return
    if len(dataset.lacking(list(judged))) < len(judged):  # the notes count the judgments of all queries, sampled or not
        return
    if dataset.maxp and (known := _first_known(dataset, list(judged))):
        raise DataError(
            f"{judgments}: judges passages, such as {known!r}, and dataset.maxp is for judgments of documents. "
            "Leave dataset.maxp out."
        )
    ids = dataset.documents.ids[:LOOKED_AT]
    some = (document_ids(ids, dataset.maxp) if dataset.maxp else ids).to_pylist()
    are_passages = not judged.keys().isdisjoint(document_ids(ids, "#").to_pylist())
    if loosely or are_passages or lookalike(judged, some, loosely=False):
        cut = f"dataset.maxp takes what is before the first {dataset.maxp} of an id: judge documents of these ids."
        given = {"of_passages": cut} if dataset.maxp else {}
        alike = compared(judged, some, place="the judgments", other="the corpus", **given)
        found = f"none of its {len(judged):,} documents" if len(judged) > 1 else "its only document"
        absent = "is" if len(judged) > 1 else "is not"
        raise DataError(f"{judgments}: {found} {absent} in {documents}: {alike}")


def _first_known(dataset: Dataset, doc_ids: list[str]) -> str | None:
    """The first of these ids that the corpus has as it is, whatever `maxp` says; None where it has none."""
    rows = dataset.rows(pa.array(doc_ids, pa.string())).tolist()
    return next((doc_id for doc_id, row in zip(doc_ids, rows, strict=True) if row >= 0), None)
