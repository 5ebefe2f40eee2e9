"""Runs in the JSON layouts that other tools write, told apart by their keys.

{"q1": {"d1": 0.5, ...}, ...}                                            BEIR
{"search_results": {"q1": {"d1": 0.5}}, "model_name": ..., ...}          FlagEmbedding search results
{"mteb_model_meta": ..., "default": {"test": {"q1": {"d1": 0.5}}}}       mteb predictions, one subset and split
[{"query": ..., "hits": [{"qid": 1, "docid": "d1", "score": 0.5}]}]      rank_llm
[{"query": {"qid": "q1"}, "candidates": [{"docid": "d1", "score": .5}]}] rank_llm, also as one object a line
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import DataError
from evalkit.run import Run
from evalkit.textfile import open_binary, read_lines

_LAYOUTS = "BEIR {query: {document: score}}, FlagEmbedding search results, mteb predictions, or rank_llm results"


def read(path: Path) -> Run:
    """The run in a JSON file of any of the layouts above.

    Raises:
        DataError: not JSON, another layout, a score that is no finite number, a document twice for a query.
    """
    parsed = _parse(path)
    scores = _from_rank_llm(parsed, path) if isinstance(parsed, list) else _from_mapping(parsed, path)
    return Run.from_dict(scores, source=str(path))


def _parse(path: Path) -> Any:
    with open_binary(path) as stream:
        content = stream.read()
    try:
        return json.loads(content)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start + 1}).") from error
    except RecursionError as error:
        raise DataError(f"{path}: JSON nested too deeply.") from error
    except json.JSONDecodeError as error:
        whole = error
    rows = []
    for number, line in read_lines(path):
        try:
            rows.append(json.loads(line))
        except (json.JSONDecodeError, RecursionError) as error:
            if number == 1:  # a single document spread over lines, not one object a line
                raise DataError(f"{path}:{whole.lineno}: not JSON: {whole.msg}.") from error
            raise DataError(f"{path}:{number}: not JSON: {error}.") from error
    return rows


def _from_mapping(parsed: Any, path: Path) -> Mapping[str, Mapping[str, float]]:
    if isinstance(parsed, dict) and "search_results" in parsed:
        parsed = parsed["search_results"]
    elif isinstance(parsed, dict) and "mteb_model_meta" in parsed:
        parsed = _mteb_split({key: value for key, value in parsed.items() if key != "mteb_model_meta"}, path)
    if not isinstance(parsed, dict) or not all(isinstance(docs, dict) for docs in parsed.values()):
        raise DataError(f"{path}: not a run. Expected one of: {_LAYOUTS}.")
    return {
        query: {doc: _number(score, path, query, doc) for doc, score in docs.items()} for query, docs in parsed.items()
    }


def _mteb_split(subsets: Mapping[str, Any], path: Path) -> Any:
    splits = [
        (f"{subset}/{split}", run) for subset, by_split in subsets.items() for split, run in dict(by_split).items()
    ]
    if len(splits) != 1:
        names = ", ".join(name for name, _ in splits) or "none"
        raise DataError(f"{path}: mteb predictions of several subsets or splits ({names}). Keep one a file.")
    return splits[0][1]


def _from_rank_llm(rows: list[Any], path: Path) -> Mapping[str, Mapping[str, float]]:
    run: dict[str, dict[str, float]] = {}
    for index, row in enumerate(rows):
        hits = (row.get("hits") or row.get("candidates")) if isinstance(row, dict) else None
        if not isinstance(hits, list) or not all(isinstance(hit, dict) and "docid" in hit for hit in hits):
            raise DataError(
                f"{path}: entry {index + 1} has no list of hits or candidates. Expected one of: {_LAYOUTS}."
            )
        query = row.get("query")
        query_id = query.get("qid") if isinstance(query, dict) else hits[0].get("qid")
        if query_id is None:
            raise DataError(f"{path}: entry {index + 1} names no query id (qid).")
        _add_hits(run.setdefault(str(query_id), {}), hits, str(query_id), path)
    return run


def _add_hits(docs: dict[str, float], hits: list[Any], query_id: str, path: Path) -> None:
    """Add hits to a query, refusing repeats and an order that the scores contradict."""
    previous = float("inf")
    for hit in hits:
        doc_id = str(hit["docid"])
        if doc_id in docs:
            raise DataError(f"{path}: document {doc_id!r} occurs twice for query {query_id!r}.")
        docs[doc_id] = _number(hit.get("score"), path, query_id, doc_id)
        if docs[doc_id] > previous:
            # A listwise reranker may leave the first stage's scores on reordered hits; either reading could be wrong.
            raise DataError(
                f"{path}: the hits of query {query_id!r} are not in descending order of score, so rank and score "
                "disagree. Write the ranking you mean as a TREC run."
            )
        previous = docs[doc_id]


def _number(value: object, path: Path, query_id: str, doc_id: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{path}: the score of {doc_id!r} for query {query_id!r} is {value!r}, expected a number.")
    return float(value)
