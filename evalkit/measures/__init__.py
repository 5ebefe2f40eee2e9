"""Measures of a run against judgments, per query and mean, through pytrec_eval.

Every judged query counts: one that the run lacks scores 0 and is named. Measures are written as in papers:
`nDCG@10`, `R@20`, `P@10`, `MAP@100`, `RR@10`, `Success@5`; without a cutoff `nDCG`, `MAP` and `RR` read the whole run.
nDCG has linear gains (the grade itself), as in trec_eval, BEIR and MTEB. The other measures ask whether a document is
relevant, which is from grade 1 on; `R(rel=2)@20` asks from grade 2 on, as in ir_measures and `trec_eval -l 2`.
Other names of the same measures are read too: `MRR@10` is RR@10, `Recall@10` is R@10, `Hit@10` is Success@10.
`AnswerRecall@20` judges by answers instead of
judgments: it is Success@20 where a document that contains an answer is relevant.
"""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import ConfigError, DataError
from evalkit.run import Run
from evalkit.system.lookalikes import lookalikes, proposal
from evalkit.system.versions import require_version
from evalkit.types import PerQuery, Qrels

_TREC_NAMES = {
    "nDCG": "ndcg_cut",
    "R": "recall",
    "P": "P",
    "MAP": "map_cut",
    "RR": "recip_rank",
    "Success": "success",
    "AnswerRecall": "success",
}
FAMILIES = {
    "nDCG@k": "normalised discounted cumulative gain, linear gains",
    "R@k": "share of the relevant documents that are in the first k; R(rel=2)@k: of those with grade 2 or more",
    "P@k": "share of the first k documents that are relevant; P(rel=2)@k likewise",
    "MAP@k": "mean average precision; MAP(rel=2)@k likewise, as RR and Success",
    "RR@k": "reciprocal rank of the first relevant document, 0 beyond k",
    "Success@k": "1 if a relevant document is in the first k",
    "AnswerRecall@k": "1 if a document that contains an answer is in the first k; the Recall@k of MKQA and DPR",
    "nDCG": "nDCG over the whole run",
    "MAP": "MAP over the whole run",
    "RR": "reciprocal rank over the whole run",
}
_UNCUT_TREC_NAMES = {"nDCG": "ndcg", "MAP": "map", "RR": "recip_rank"}
_ALIASES = {"MRR": "RR", "Recall": "R", "Precision": "P", "AP": "MAP", "Hit": "Success", "Hits": "Success"}
# How others write the families, in lower case: papers, trec_eval, ranx.
_SPELLINGS = {
    **{name.lower(): name for name in _TREC_NAMES},
    **{name.lower(): family for name, family in _ALIASES.items()},
    "recip_rank": "RR",
    "hit_rate": "Success",
    "hitrate": "Success",
    "answersuccess": "AnswerRecall",
}
_SPELT = re.compile(r"(?P<family>[a-z_]*?[a-z])(?:_cut)?[@_.-]?(?P<cutoff>[1-9][0-9]{0,6})?")
_GRADED = ("nDCG", "AnswerRecall")  # these have no level from which a document is relevant
_NAME = re.compile(
    r"(?P<family>[A-Za-z]+)(?:\( *rel *= *(?P<level>[1-9][0-9]{0,8}) *\))?(?:@(?P<cutoff>[1-9][0-9]{0,6}))?"
)
# pytrec_eval wants nested dicts; converting this many queries at a time keeps them from filling memory.
_QUERIES_PER_CALL = 500


class Measure(NamedTuple):
    """A parsed measure. `trec_name` is how pytrec_eval asks for it, `trec_key` how it answers.

    Attributes:
        name: as in tables, such as `R(rel=2)@100`.
        family: such as `R`.
        cutoff: documents that are looked at; None for all.
        level: the grade from which a document is relevant.
    """

    name: str
    family: str
    cutoff: int | None
    level: int = 1

    @property
    def trec_name(self) -> str:
        """Such as `ndcg_cut.10`."""
        if self.cutoff is None or self.family == "RR":
            return _UNCUT_TREC_NAMES[self.family]
        return f"{_TREC_NAMES[self.family]}.{self.cutoff}"

    @property
    def by_answers(self) -> bool:
        """Whether it is judged by answers."""
        return self.family == "AnswerRecall"

    @property
    def trec_key(self) -> str:
        """Such as `ndcg_cut_10`."""
        return self.trec_name.replace(".", "_")


def parse_measure(name: str, *, level: int = 1) -> Measure:
    """A measure from its name as typed.

    Args:
        name: such as `nDCG@10`, `MAP(rel=2)` or `MRR@10`, which is RR@10.
        level: the grade from which a document is relevant where the name does not say.

    Raises:
        ConfigError: the name is unknown, its cutoff is missing or zero, or it has no relevance level.
    """
    match = _NAME.fullmatch(name)
    family = _ALIASES.get(match["family"], match["family"]) if match else ""
    cutoff = int(match["cutoff"]) if match and match["cutoff"] else None
    if family not in _TREC_NAMES or (cutoff is None and family not in _UNCUT_TREC_NAMES):
        raise ConfigError(_unknown(name))
    said = int(match["level"]) if match and match["level"] else None
    end = f"@{cutoff}" if cutoff else ""
    if family in _GRADED:
        if said:
            raise ConfigError(f"{name} has no relevance level: {family} does not ask for one. Write {family}{end}.")
        return Measure(f"{family}{end}", family, cutoff)
    shown = f"(rel={said or level})" if said or level > 1 else ""
    return Measure(f"{family}{shown}{end}", family, cutoff, said or level)


def _unknown(name: str) -> str:
    return (
        f"unknown measure {name!r}. {_proposal(name)}Legal are {', '.join(FAMILIES)}, with k from 1, and binary ones "
        "with a relevance level, such as R(rel=2)@k."
    )


def _proposal(name: str) -> str:
    """What a name in another spelling means here, as a question; nothing where it is like none."""
    found = _SPELT.fullmatch(name.lower())
    if found is None:
        return ""
    near = lookalikes(found["family"], _SPELLINGS)
    family = _SPELLINGS.get(found["family"]) or (_SPELLINGS[near[0]] if near else None)
    if family is None:
        return ""
    end = f"@{found['cutoff']}" if found["cutoff"] else "" if family in _UNCUT_TREC_NAMES else "@k"
    return proposal([f"{family}{end}"])


def canonical(names: Sequence[str], *, level: int = 1) -> list[str]:
    """The names as in tables and results, none twice; `level` is for binary measures that name none.

    Raises:
        ConfigError: an unknown measure.
    """
    return list(dict.fromkeys(parse_measure(name, level=level).name for name in names))


def measure(qrels: Qrels, run: Run, measures: Sequence[str], *, answers: Qrels | None = None) -> PerQuery:
    """Values of every measure for every judged query; 0 where the run has no document for the query.

    Queries of the run without judgments are ignored, as trec_eval does.

    Args:
        qrels: judgments.
        run: what is measured.
        measures: names.
        answers: judgments by answers of at least the documents of the run, for measures that ask for them; they have
            every query that is to count.

    Raises:
        ConfigError: an unknown measure.
        DataError: there is no judged query, or a measure that there are no judgments or answers for.
        WrongVersion: pytrec_eval-terrier is too old to give the right values.
    """
    parsed = [parse_measure(name) for name in measures]
    if not qrels and not answers:
        raise DataError("there are no judged queries to average over.")
    require_judged(parsed, by_judgments=bool(qrels), by_answers=bool(answers))
    query_ids = tuple(sorted({*qrels, *(answers or {})}))
    values = {one.name: np.zeros(len(query_ids)) for one in parsed}
    row_of = {query_id: row for row, query_id in enumerate(query_ids)}
    for by_answers, level in dict.fromkeys((one.by_answers, one.level) for one in parsed):
        wanted = [one for one in parsed if (one.by_answers, one.level) == (by_answers, level)]
        _evaluate((answers or {}) if by_answers else qrels, run, wanted, row_of, values)
    present = set(run.query_ids)
    return PerQuery(query_ids, values, missing=tuple(query_id for query_id in query_ids if query_id not in present))


def require_judged(measures: Sequence[Measure], *, by_judgments: bool, by_answers: bool) -> None:
    """Refuse measures that a dataset has no judgments, or no answers, for.

    Raises:
        DataError: the message names the first.
    """
    for one in measures:
        if one.by_answers and not by_answers:
            raise DataError(f"{one.name} needs answers, and this dataset has only judgments. Take R@k or Success@k.")
        if not one.by_answers and not by_judgments:
            raise DataError(
                f"{one.name} needs judgments, and this dataset has only answers. Set measures=[AnswerRecall@20]."
            )


def _evaluate(
    judged: Qrels,
    run: Run,
    wanted: Sequence[Measure],
    row_of: Mapping[str, int],
    values: dict[str, NDArray[np.float64]],
) -> None:
    """Fill in the values of measures that are judged alike and have one relevance level."""
    import pytrec_eval

    require_version("pytrec_eval-terrier")
    evaluator = pytrec_eval.RelevanceEvaluator(
        # No measure here tells -1 from 0, and pytrec_eval may not return from a query with negative judgments alone.
        {query_id: {doc_id: max(grade, 0) for doc_id, grade in grades.items()} for query_id, grades in judged.items()},
        {one.trec_name for one in wanted},
        relevance_level=wanted[0].level,
    )
    for chunk in _chunks(run, judged):
        for query_id, found_values in evaluator.evaluate(chunk).items():
            for one in wanted:
                values[one.name][row_of[query_id]] = _at_cutoff(one, found_values[one.trec_key])


def _chunks(run: Run, judged: Container[str]) -> Iterator[dict[str, dict[str, float]]]:
    """The judged queries of a run as pytrec_eval wants them, some at a time."""
    chunk: dict[str, dict[str, float]] = {}
    for query_id, doc_ids, scores in run:
        if query_id in judged:
            chunk[query_id] = dict(zip(doc_ids, scores.tolist(), strict=True))
        if len(chunk) == _QUERIES_PER_CALL:
            yield chunk
            chunk = {}
    if chunk:
        yield chunk


def _at_cutoff(one: Measure, value: float) -> float:
    # trec_eval has no cut reciprocal rank, but 1/rank tells the rank.
    if one.family == "RR" and one.cutoff is not None and value < 1 / one.cutoff:
        return 0.0
    return float(value)


def ceiling(qrels: Qrels, candidates: Run) -> Run:
    """The candidates in a perfect order: the best that any reranker could do with them.

    Measure it to get the candidate ceiling. Candidates without a judgment count as not relevant.
    """
    grades: list[NDArray[np.float32]] = []
    for query_id, doc_ids, _ in candidates:
        judged = qrels.get(query_id, {})
        grades.append(np.array([max(judged.get(doc_id, 0), 0) for doc_id in doc_ids], dtype=np.float32))
    return candidates.rescored(np.concatenate(grades)) if grades else candidates
