"""A `Dataset` from its parts, however they were read: digests, counts worth telling, and whether its card is right."""

import json
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from evalkit.config import DatasetConfig
from evalkit.datasets.documents import read_through
from evalkit.datasets.records import NO_TEXT, RELEVANT_EXCLUDED
from evalkit.datasets.unknown_ids import of_absent_documents, of_unknown_queries
from evalkit.errors import ConfigError, DataError
from evalkit.formats.notes import counted
from evalkit.measures.answers import tokens
from evalkit.run import Run
from evalkit.store import Store
from evalkit.store.artefact import COUNTS, digest
from evalkit.types import Dataset, Documents, Qrels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """The queries of a split and what their documents are judged by: judgments, answers, or both.

    Attributes:
        queries: judged query id -> text, in ascending order of id.
        qrels: judgments.
        answers: query id -> texts of which one must occur in a relevant document; for every query, or empty.
        instructions: query id -> what it asks for; of the queries that say so.
        candidates: documents of each query that come with them, by score; with equal scores where they have no order.
        excluded: query id -> documents that are no answer to it, although they may look like one.
        unjudged_queries: how many other queries the source has.
        notes: counts of what was unusual in the files.
        other_queries: ids of all other queries of the source; None where the source may have more than is known.
    """

    queries: Mapping[str, str]
    qrels: Qrels
    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    instructions: Mapping[str, str] = field(default_factory=dict)
    candidates: Run | None = None
    excluded: Mapping[str, Collection[str]] = field(default_factory=dict)
    unjudged_queries: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)
    other_queries: Collection[str] | None = None


def assemble(
    config: DatasetConfig, store: Store, *, documents: Documents, judged: Judged, corpus_digest: str
) -> Dataset:
    """The dataset of a configuration, with its digest over corpus, queries, judgments and policies.

    Raises:
        ConfigError: passages are of documents, and answers are judged; or no query has an instruction to append.
        DataError: exclusions or instructions are of other queries or documents alone.
    """
    unknown = of_unknown_queries(judged, config)
    if config.maxp and judged.answers:
        raise ConfigError(f"dataset.maxp is for judgments of documents, and {config.name} has answers. Remove it.")
    if config.append_instructions:
        judged = _with_instructions_appended(judged, config.name)
    dataset = Dataset(
        name=config.name,
        split=config.split,
        language=config.language,
        query_language=config.query_language or config.language,
        documents=documents,
        queries=judged.queries,
        qrels=judged.qrels,
        answers=judged.answers,
        instructions={query_id: text for query_id, text in judged.instructions.items() if query_id in judged.queries},
        candidates=judged.candidates and judged.candidates.only_queries(judged.queries),
        excluded={query_id: kept for query_id, kept in judged.excluded.items() if kept and query_id in judged.queries},
        drop_identical_ids=bool(config.drop_identical_ids),
        corpus_digest=corpus_digest,
        digest="",
        title_separator=config.title_separator,
        maxp=config.maxp or "",
    )
    unknown |= of_absent_documents(dataset, config)
    notes = {**_notes(dataset, store), **unknown, "unjudged_queries": judged.unjudged_queries, **judged.notes}
    if config.empty == "error":
        _require_texts(dataset, notes)
    differences = compare(config, notes)
    if config.queries_without_relevant == "drop":
        without = set(dataset.without_relevant)
        dataset = _only(dataset, [query_id for query_id in dataset.queries if query_id not in without])
        notes["queries_dropped"] = len(judged.queries) - len(dataset.queries)
    if config.sample is not None:
        notes["queries_not_sampled"] = max(len(dataset.queries) - config.sample, 0)
        dataset = _only(dataset, _sampled(dataset.queries, config.sample))
    return replace(dataset, digest=_digest(dataset), notes=notes, differences=differences)


def _with_instructions_appended(judged: Judged, name: str) -> Judged:
    if not judged.instructions:
        raise ConfigError(f"dataset.append_instructions is set, and no query of {name} has an instruction. Remove it.")
    queries = {
        query_id: f"{text} {judged.instructions[query_id]}" if query_id in judged.instructions else text
        for query_id, text in judged.queries.items()
    }
    return replace(judged, queries=queries, instructions={})


def _digest(dataset: Dataset) -> str:
    facts = {
        "corpus": dataset.corpus_digest,
        "queries": dict(dataset.queries),
        "qrels": {query_id: dict(judged) for query_id, judged in dataset.qrels.items()},
        "language": dataset.language,
        "title_separator": dataset.title_separator,
        "drop_identical_ids": dataset.drop_identical_ids,
        **({"maxp": dataset.maxp} if dataset.maxp else {}),
    }
    more: dict[str, object] = {}
    if dataset.answers:
        more["answers"] = {query_id: list(texts) for query_id, texts in dataset.answers.items()}
    if dataset.candidates is not None and not _are_judged(dataset.candidates, dataset):
        more["candidates"] = dataset.candidates.digest()
    if dataset.excluded:
        more["excluded"] = {query_id: sorted(doc_ids) for query_id, doc_ids in dataset.excluded.items()}
    return digest({**facts, **more})


def _are_judged(candidates: Run, dataset: Dataset) -> bool:
    """Whether candidates are the judged documents of each query in no order, so that the judgments say all of them."""
    if candidates.scores.any():
        return False
    found = {query_id: set(doc_ids) for query_id, doc_ids, _ in candidates}
    return found == {query_id: set(grades) for query_id, grades in dataset.qrels.items() if grades}


def _only(dataset: Dataset, query_ids: Collection[str]) -> Dataset:
    """The dataset with these queries alone."""
    chosen = set(query_ids)
    return replace(
        dataset,
        queries={query_id: text for query_id, text in dataset.queries.items() if query_id in chosen},
        qrels={query_id: judged for query_id, judged in dataset.qrels.items() if query_id in chosen},
        answers={query_id: texts for query_id, texts in dataset.answers.items() if query_id in chosen},
        instructions={query_id: text for query_id, text in dataset.instructions.items() if query_id in chosen},
        candidates=dataset.candidates and dataset.candidates.only_queries(chosen),
        excluded={query_id: doc_ids for query_id, doc_ids in dataset.excluded.items() if query_id in chosen},
    )


def _sampled(query_ids: Iterable[str], count: int) -> list[str]:
    """A deterministic pseudo-random sample; a smaller sample is a prefix of a larger one."""
    return sorted(query_ids, key=lambda query_id: digest({"query": query_id}))[:count]


def _require_texts(dataset: Dataset, notes: Mapping[str, int]) -> None:
    """Refuse documents and queries without a text."""
    advice = "Correct them, or set dataset.empty=note to read them as empty."
    without = [query_id for query_id, text in dataset.queries.items() if not text.strip()]
    if without:
        count = counted(len(without), "query has", "queries have")
        raise DataError(f"{dataset.name}: {count} no text, such as {without[0]!r}. {advice}")
    empty = max(notes["empty_documents"], notes.get(NO_TEXT, 0))
    if not empty:
        return
    rows = chain.from_iterable(read_through(dataset.documents, "looking for empty documents"))
    first = next((row for row, text in enumerate(rows) if not text), None)
    such = "" if first is None else f", such as {dataset.documents.ids[first].as_py()!r}"
    raise DataError(f"{dataset.name}: {counted(empty, 'document')} without a text{such}. {advice}")


def compare(config: DatasetConfig, notes: Mapping[str, int]) -> dict[str, str]:
    """How a dataset differs from its card, such as `{"documents": "5,182, expected 5,183"}`."""
    found = {
        "documents": notes["documents"],
        "queries": notes["queries"],
        "judgments": notes["judgments"],
        "relevant": notes["relevant_judgments"],
        "candidates": notes.get("candidates", 0),
    }
    expected = {name: getattr(config.expected, name) for name in found}
    if config.is_hub_copy and not config.expected.judgments_on_hub and expected["judgments"] != expected["relevant"]:
        # These are counts of BEIR's zips; how many judgments of grade 0 most of the hub's copies have is not published.
        del expected["judgments"]
    differences = {
        name: f"{found[name]:,}, expected {count:,}"
        for name, count in expected.items()
        if count is not None and count != found[name]
    }
    if not differences or config.check == "off":
        return differences  # recorded with the result anyway
    message = f"{config.name} is not what its card says: " + "; ".join(f"{k} {v}" for k, v in differences.items())
    if config.check == "strict":
        raise DataError(f"{message}. Get the published version, or set dataset.check=warn to go on with this one.")
    logger.warning("%s. Its numbers are not comparable with published ones.", message)
    return differences


def _notes(dataset: Dataset, store: Store) -> dict[str, int]:
    """The counts that the manifest reports."""
    absent = set(dataset.lacking(sorted({doc_id for grades in dataset.qrels.values() for doc_id in grades})))
    pairs = [(doc_id, grade) for grades in dataset.qrels.values() for doc_id, grade in grades.items()]
    return {
        "documents": len(dataset.documents),
        "empty_documents": _empty_documents(dataset, store),
        "queries": len(dataset.queries),
        "judgments": len(pairs),
        "relevant_judgments": sum(grade > 0 for _, grade in pairs),
        "queries_without_relevant": len(dataset.without_relevant),
        "judged_documents_absent": len(absent),
        "relevant_documents_absent": len({doc_id for doc_id, grade in pairs if grade > 0 and doc_id in absent}),
        **({"questions_without_answers": _unanswered(dataset)} if dataset.answers else {}),
        **({"candidates": len(dataset.candidates)} if dataset.candidates is not None else {}),
        **(_of_excluded(dataset) if dataset.excluded else {}),
    }


def _of_excluded(dataset: Dataset) -> dict[str, int]:
    relevant = sum(
        dataset.qrels.get(query_id, {}).get(doc_id, 0) > 0
        for query_id, doc_ids in dataset.excluded.items()
        for doc_id in doc_ids
    )
    found = {"excluded": sum(map(len, dataset.excluded.values()))}
    return {**found, RELEVANT_EXCLUDED: relevant} if relevant else found


def _unanswered(dataset: Dataset) -> int:
    return sum(not any(map(tokens, answers)) for answers in dataset.answers.values())


def _empty_documents(dataset: Dataset, store: Store) -> int:
    """Documents without any text, counted once a corpus: a large one takes seconds to read through."""

    def count(folder: Path) -> None:
        empty = sum(texts.count("") for texts in read_through(dataset.documents, "counting empty documents"))
        (folder / "empty.json").write_text(json.dumps(empty), encoding="utf-8")

    facts = {"corpus": dataset.corpus_digest, "title_separator": dataset.title_separator, "count": "empty documents"}
    counted = store.folder(COUNTS, facts, count, label=f"empty documents: {dataset.name}")
    return int(json.loads((counted / "empty.json").read_text(encoding="utf-8")))
