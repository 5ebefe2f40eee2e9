"""Sentences on why the numbers of a result may mislead, from its manifest alone. Prints nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.formats.doubts import ALL_RELEVANT, RELEVANT_FIRST
from evalkit.formats.notes import counted
from evalkit.results import Evaluation
from evalkit.system.terminal import printable


def ties(result: Mapping[str, Any]) -> str:
    """In how many queries scores are tied among the first ten documents."""
    count = result["queries_with_ties_in_top_10"]
    return f"ties in the top 10 of {counted(count, 'query', 'queries')}" if count else "no ties in the top 10"


def of_result(evaluation: Evaluation, measures: Sequence[str]) -> list[str]:
    """Whatever is odd about the candidates and scores of an evaluation, apart from ties."""
    result = evaluation.result.manifest
    notes = []
    if unscored := result.get("unscored_pairs"):
        have = "candidate has" if unscored == 1 else "candidates have"
        below = "ranks" if unscored == 1 else "rank"
        notes.append(f"{unscored:,} {have} no replayed score and {below} below all others")
    depth = evaluation.candidates.manifest["retriever"]["depth"]
    if depth and (deeper := [name for name in measures if "@" in name and int(name.partition("@")[2]) > depth]):
        need = "needs" if len(deeper) == 1 else "need"
        notes.append(
            f"depth={depth} leaves a query at most {counted(depth, 'candidate')}, fewer than {', '.join(deeper)} {need}"
        )
    if names := result["queries_without_candidates"]:
        queries = "query has no candidate and counts" if len(names) == 1 else "queries have no candidate and count"
        notes.append(f"{len(names):,} {queries} as 0, such as {printable(names[0])}")
    return notes


def of_candidates(evaluation: Evaluation) -> list[str]:
    """What the first stage said of candidates that the dataset brings, where these give the answers away."""
    notes = evaluation.candidates.manifest.get("notes", ())
    return [note["text"] for note in notes if note["kind"] in {ALL_RELEVANT, RELEVANT_FIRST}]


def of_dataset(dataset: Mapping[str, Any]) -> list[str]:
    """Whatever is odd about a dataset, from the manifest of a result on it."""
    notes = []
    if empty := dataset.get("empty_documents"):
        documents = "document has no text; it is" if empty == 1 else "documents have no text; they are"
        notes.append(f"{empty:,} {documents} ranked like any other")
    if differences := dataset.get("differences"):
        listed = "; ".join(f"{name} {difference}" for name, difference in differences.items())
        notes.append(f"not the published dataset: {listed}")
    if left_out := dataset.get("queries_not_sampled"):
        notes.append(
            f"a sample: dataset.sample left out {counted(left_out, 'query', 'queries')}, so do not report this number"
        )
    if dropped := dataset.get("queries_dropped"):
        were = "query without a relevant document was" if dropped == 1 else "queries without a relevant document were"
        notes.append(f"{dropped:,} {were} dropped")
    elif unanswerable := dataset.get("queries_without_relevant"):
        have = (
            "query has no relevant document and counts"
            if unanswerable == 1
            else "queries have no relevant document and count"
        )
        notes.append(f"{unanswerable:,} {have} as 0")
    return notes
