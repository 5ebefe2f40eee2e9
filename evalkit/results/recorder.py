"""From a run to a result on disk: measures, ceiling, and the manifest that says how it came about.

A result is found by its key, or made by one process while others with the same settings wait.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from evalkit import results
from evalkit.config import EvaluateConfig
from evalkit.config.cards import without_cards
from evalkit.formats.doubts import TIES, with_bounds
from evalkit.formats.notes import Note
from evalkit.measures import canonical, ceilings, measure, parse_measure, require_judged
from evalkit.measures.answers import AnswerJudge
from evalkit.measures.ties import tie_bounds
from evalkit.results import CANDIDATES, Result
from evalkit.results.outcome import Reranked, Retrieved, engine_facts
from evalkit.results.provenance import environment
from evalkit.results.without_identity import replacing, same_candidates
from evalkit.run import Run
from evalkit.store import Store
from evalkit.store.artefact import digest
from evalkit.system.files import require_writable
from evalkit.system.stages import Stages, rate
from evalkit.types import Dataset, Identity, PerQuery

logger = logging.getLogger(__name__)

FORMAT = 1  # of results; a higher number has old ones computed again
STANDARD_MEASURES = ("nDCG@10", "nDCG@20", "R@20", "R@100", "MAP@100", "RR@10", "P@10")
STANDARD_ANSWER_MEASURES = ("AnswerRecall@1", "AnswerRecall@5", "AnswerRecall@20", "AnswerRecall@100")
_TIES_CUTOFF = 10


def candidates_key(dataset: Dataset, first_stage: Identity, depth: int) -> str:
    """The key that candidates are found by."""
    return digest({"format": FORMAT, "dataset": dataset.digest, "depth": depth, "first_stage": first_stage})


def result_key(dataset: Dataset, run_digest: str, reranker: Identity) -> str:
    """The key that a reranked result is found by; `run_digest` is that of its candidates."""
    facts = {"format": FORMAT, "dataset": dataset.digest, "candidates": run_digest, "reranker": reranker}
    own = {"instructions": dict(dataset.instructions)} if dataset.instructions else {}
    return digest({**facts, **own})


@dataclass(frozen=True)
class Recorder:
    """Measures runs over one dataset and saves them with all that they were made from.

    Attributes:
        config: all settings of the evaluation.
        dataset: what is measured on.
        command: what the user typed.
        store: whose artefacts are used.

    Raises:
        ConfigError: a measure is unknown.
        DataError: the dataset has no judgments or answers for one.
    """

    config: EvaluateConfig
    dataset: Dataset
    command: str
    store: Store

    def __post_init__(self) -> None:
        """Refuse measures that the dataset cannot have, before anything is computed."""
        asked = [parse_measure(name) for name in canonical(self.config.measures, level=self._level)]
        require_judged(asked, by_judgments=bool(self.dataset.qrels), by_answers=bool(self.dataset.answers))

    @property
    def measures(self) -> list[str]:
        """The measures asked for, then the standard set."""
        by_judgments = STANDARD_MEASURES if self.dataset.qrels else ()
        by_answers = STANDARD_ANSWER_MEASURES if self.dataset.answers else ()
        return canonical([*self.config.measures, *by_judgments, *by_answers], level=self._level)

    @property
    def _level(self) -> int:
        """The grade from which a document of the dataset is relevant."""
        return self.config.dataset.relevance_level

    @cached_property
    def _answers(self) -> AnswerJudge | None:
        return AnswerJudge(self.dataset) if self.dataset.answers else None

    def _measure(self, run: Run, names: list[str]) -> tuple[PerQuery, dict[str, float]]:
        """Values of a run, and the means of its ceiling."""
        qrels = self.dataset.qrels
        answers = self._answers.judge(run) if self._answers else None
        by_judgments = [name for name in names if not parse_measure(name).by_answers]
        by_answers = [name for name in names if parse_measure(name).by_answers]
        best: dict[str, float] = {}
        if by_judgments:
            best.update(ceilings(qrels, run, by_judgments))
        if answers and by_answers:
            best.update(ceilings(answers, run, by_answers, by_answers=True))
        return measure(qrels, run, names, answers=answers), {name: best[name] for name in names}

    def candidates(self, first_stage: Identity, retrieve: Callable[[], Retrieved], stages: Stages) -> Result:
        """The candidates of a first stage, found or made.

        Args:
            first_stage: everything that decides them, apart from dataset and depth.
            retrieve: makes them.
            stages: what came before, for the manifest.
        """
        config = self.config
        key = candidates_key(self.dataset, first_stage, config.depth)

        def make(folder: Path) -> Result:
            made = retrieve()
            stages.join(made.stages)
            stage = {"name": config.retriever.name, "depth": config.depth, **first_stage}
            settings, of, run_digest = without_cards(config)["retriever"], self.dataset.digest, made.run.digest()
            if same := same_candidates(folder.parent, stage, settings, dataset=of, run_digest=run_digest):
                return self.complete(same)
            return self.keep(
                folder,
                made.run,
                stages=stages,
                inner=CANDIDATES,
                key=key,
                tag=config.retriever.name,
                run_digest=run_digest,
                notes=made.notes,
                retriever=stage,
                seconds=made.seconds,
                **engine_facts(made.usage, made.workers),
            )

        found = self._found_or_made(key, lambda: results.locate_candidates(config, self.dataset.name, key), make)
        self.store.used.update(found.manifest["artefacts"])
        return found

    def reranked(self, reranker: Identity, candidates: Result, rerank: Callable[[Run], Reranked]) -> Result:
        """The candidates in a reranker's order, found or made.

        Args:
            reranker: everything that decides the order.
            candidates: as `candidates` gave them.
            rerank: makes the order.
        """
        config, given = self.config, candidates.manifest
        key = result_key(self.dataset, given["run_digest"], reranker)

        def make(folder: Path) -> Result:
            stages = Stages()
            with stages.timed("read candidates"):
                run = candidates.read_pairs()
            made = rerank(run)
            stages.join(made.stages)
            speed = rate(stages["rerank"])
            stage = {"name": config.reranker.name, **reranker}
            place, earlier = replacing(folder, stage, without_cards(config)["reranker"])
            return self.keep(
                place,
                made.run,
                replaces=earlier,
                stages=stages,
                key=key,
                tag=f"{config.retriever.name}+{config.reranker.name}",
                truncated=made.cut,
                notes=made.notes,
                candidates={name: given[name] for name in ("run_digest", "key", "measures")},
                retriever=given["retriever"],
                reranker=stage,
                truncated_pairs=made.truncated,
                unscored_pairs=made.unscored,
                kept_pairs=made.kept,
                by_query=made.by_query,
                seconds=stages["rerank"]["seconds"],
                pairs_per_second=speed.value if speed else None,
                **engine_facts(made.usage, made.workers),
            )

        parent = candidates.folder.parent
        return self._found_or_made(key, lambda: results.locate_reranked(config, parent, key), make)

    def _found_or_made(
        self, key: str, locate: Callable[[], tuple[Path, Result | None]], make: Callable[[Path], Result]
    ) -> Result:
        _, found = locate()
        if found is None:
            with self.store.lock(key):
                folder, found = locate()
                if found is None:
                    require_writable(folder)
                    return _warned(make(folder))
        return _warned(self.complete(found))

    def keep(
        self,
        folder: Path,
        run: Run,
        *,
        key: str,
        tag: str,
        stages: Stages,
        inner: str = "",
        truncated: pa.Table | None = None,
        notes: Sequence[Note] = (),
        replaces: Sequence[Path] = (),
        **facts: Any,
    ) -> Result:
        """Measure a run and save it in `folder/inner`; `stages`, `notes` and `facts` of it go into the manifest.

        Raises:
            ResultError: it cannot be written; nothing is left behind.
        """
        with stages.timed("measure"):
            ranked = self.dataset.ranked(run)
            per_query, best = self._measure(ranked, self.measures)
        bounded = [self._with_bounds(note, ranked, per_query).as_json() for note in notes]
        facts = {
            "key": key,
            "measures": per_query.means,
            "ceiling": best,
            **({"notes": bounded} if bounded else {}),
            **facts,
        }
        saved = results.save(
            folder,
            run=run,
            per_query=per_query,
            manifest=self._describe(ranked, per_query, facts),
            tag=tag,
            inner=inner,
            truncated=truncated,
            stages=stages,
            replaces=replaces,
        )
        self.store.tidy()
        return saved

    def _with_bounds(self, note: Note, run: Run, per_query: PerQuery) -> Note:
        """A note on ties with the least and greatest values of the measures asked for."""
        asked = [parse_measure(name) for name in canonical(self.config.measures, level=self._level)]
        names = [parsed.name for parsed in asked if not parsed.by_answers]
        if note.kind != TIES or not names:
            return note
        some = replace(per_query, values={name: per_query.values[name] for name in names})
        return with_bounds(note, tie_bounds(self.dataset.qrels, run, some))

    def _describe(self, run: Run, per_query: PerQuery, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The manifest: what every run has, and `facts` of this one."""
        return {
            "format": FORMAT,
            "queries": len(per_query.query_ids),
            "queries_without_candidates": list(per_query.missing),
            f"queries_with_ties_in_top_{_TIES_CUTOFF}": len(run.queries_with_ties(_TIES_CUTOFF)),
            **facts,
            "artefacts": sorted(self.store.used),
            "dataset": self._describe_dataset(),
            "config": without_cards(self.config),
            "command": self.command,
            "environment": environment(self.config.compute.device),
        }

    def complete(self, found: Result) -> Result:
        """A result that was found, with those measures added that it lacks; its own stay, whoever can compute them now.

        Raises:
            ResultError: it cannot be written.
        """
        if set(self.measures) <= set(found.manifest["measures"]):
            return found
        with results.alone(found) as present:
            held = present.manifest["ceiling"]
            added, best = self._measure(present.read_run(), [name for name in self.measures if name not in held])
            values, best = {**present.read_per_query().values, **added.values}, {**held, **best}
            names = list(dict.fromkeys([*self.measures, *held]))
            per_query = replace(added, values={name: values[name] for name in names})
            changes = {"measures": per_query.means, "ceiling": {name: best[name] for name in names}}
            return results.update(present, per_query=per_query, changes=changes)

    def _describe_dataset(self) -> dict[str, Any]:
        names = ("name", "split", "digest", "corpus_digest")
        described = {**{name: getattr(self.dataset, name) for name in names}, **self.dataset.notes}
        return {**described, "differences": dict(self.dataset.differences)}


def _warned(result: Result) -> Result:
    """The result, after a warning of anything odd about the file that it comes from."""
    settings = result.manifest["config"]["reranker" if "reranker" in result.manifest else "retriever"]
    for note in result.manifest.get("notes", ()):
        logger.warning("%s: %s", settings.get("path") or settings["name"], note["text"])
    return result
