"""Measures by the names that people type, as ir_measures writes them: `nDCG@10`, `R(rel=2)@100`, `RBP(p=0.9)`."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from evalkit.config.registry import Registry
from evalkit.errors import ConfigError
from evalkit.measures.family import MeasureFamily, Parameter
from evalkit.system.lookalikes import lookalikes, proposal

MEASURES = Registry(
    "measure",
    {
        "nDCG": "evalkit.measures.ndcg:NDCG",
        "R": "evalkit.measures.precision_recall:Recall",
        "P": "evalkit.measures.precision_recall:Precision",
        "MAP": "evalkit.measures.average_precision:AveragePrecision",
        "RR": "evalkit.measures.reciprocal_rank:ReciprocalRank",
        "Success": "evalkit.measures.success:Success",
        "AnswerRecall": "evalkit.measures.success:AnswerRecall",
        "R_cap": "evalkit.measures.precision_recall:CappedRecall",
        "Rprec": "evalkit.measures.precision_recall:RPrecision",
        "Bpref": "evalkit.measures.bpref:BinaryPreference",
        "ERR": "evalkit.measures.expected_reciprocal_rank:ExpectedReciprocalRank",
        "RBP": "evalkit.measures.rank_biased_precision:RankBiasedPrecision",
        "Judged": "evalkit.measures.share_judged:ShareJudged",
        "alpha_nDCG": "evalkit.measures.alpha_ndcg:AlphaNDCG",
        "p-MRR": "evalkit.measures.pairwise_mrr:PairwiseMRR",
    },
    base="evalkit.measures.family:MeasureFamily",
)
"""Name of a family -> its class; then the entry points `evalkit.measures` of installed packages."""

_NAME = re.compile(
    r"(?P<family>[^\W\d][\w-]*)(?P<prime>['\u2032]?)(?:\((?P<parameters>[^()]+)\))?(?:@(?P<cutoff>[1-9][0-9]{0,6}))?"
)
_PARAMETER = re.compile(r" *(?P<key>\w+) *= *(?P<quote>['\"]?)(?P<value>[\w.+-]+)(?P=quote) *")
_LEVEL = re.compile(r"[1-9][0-9]{0,8}")
# How others write measures, in lower case: papers, trec_eval, ranx.
_SPELT = re.compile(r"(?P<family>[a-z_-]*?[a-z])(?:_cut)?[@_.-]?(?P<cutoff>[1-9][0-9]{0,6})?")


def _grade(text: str) -> int:
    if not _LEVEL.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _truth(text: str) -> bool:
    if text not in {"True", "False"}:
        raise ValueError(text)
    return text == "True"


_REL = Parameter(1, _grade, "the grade from which a document is relevant, from 1")
_JUDGED_ONLY = Parameter(False, _truth, "True or False")  # noqa: FBT003 - the default


class Measure(NamedTuple):
    """A parsed measure.

    Attributes:
        name: as in tables, such as `R(rel=2)@100`.
        family: such as `R`.
        cutoff: documents that are looked at; None for all.
        level: the grade from which a document is relevant.
        parameters: names and values of those that differ from the family's defaults.
        judged_only: whether unjudged documents are left out of the run first.
    """

    name: str
    family: str
    cutoff: int | None
    level: int = 1
    parameters: tuple[tuple[str, str | float], ...] = ()
    judged_only: bool = False

    @property
    def kind(self) -> type[MeasureFamily]:
        """The class of its family."""
        return family_of(self.family)

    @property
    def trec_name(self) -> str:
        """How pytrec_eval asks for it, such as `ndcg_cut.10`; empty where the family computes its own values."""
        return "" if self.parameters else self.kind.trec_name(self.cutoff)

    @property
    def trec_key(self) -> str:
        """How pytrec_eval answers, such as `ndcg_cut_10`."""
        return self.trec_name.replace(".", "_")

    @property
    def by_answers(self) -> bool:
        """Whether it is judged by answers."""
        return self.kind.by_answers

    @property
    def by_subtopics(self) -> bool:
        """Whether it is judged by judgments of subtopics."""
        return self.kind.by_subtopics


def family_of(name: str) -> type[MeasureFamily]:
    """The family of this name.

    Raises:
        ConfigError: the package that adds it cannot be imported, or its entry point names something else.
    """
    found: type[MeasureFamily] = MEASURES[name]
    return found


def families() -> dict[str, str]:
    """Every form of a measure, such as `nDCG@k` -> a line about it; those without a cutoff last."""
    known = MEASURES.usable()
    cut = {f"{name}@k": kind.about for name, kind in known.items() if kind.about}
    return cut | {name: kind.about_uncut for name, kind in known.items() if kind.about_uncut}


def parse_measure(name: str, *, level: int = 1) -> Measure:
    """A measure from its name as typed.

    Args:
        name: such as `nDCG@10`, `MAP(rel=2)`, `MRR@10` for RR@10, or `nDCG'@10` for judged documents only.
        level: the grade from which a document is relevant where the name does not say.

    Raises:
        ConfigError: the name is unknown, its cutoff is missing, zero or one too many, or a parameter is not legal.
    """
    match = _NAME.fullmatch(name := name.strip())
    family = _family_called(match["family"]) if match else None
    if match is None or family is None or not (match["cutoff"] or family_of(family).about_uncut):
        raise ConfigError(_unknown(name))
    kind = family_of(family)
    if match["cutoff"] and not kind.about:
        raise ConfigError(f"{name} has a cutoff, and {family} always reads the whole run. Write {family}.")
    cutoff, end = (int(match["cutoff"]), f"@{match['cutoff']}") if match["cutoff"] else (None, "")
    given = _parameters(name, match["parameters"] or "", family, end)
    if match["prime"]:
        given["judged_only"] = _read(name, "judged_only", "True", family, end)
    judged_only = bool(given.pop("judged_only", False))
    said = given.pop("rel", None)
    parameters = tuple(
        (key, given[key]) for key, own in kind.parameters.items() if given.get(key, own.default) != own.default
    )
    level = int(said or level) if kind.has_level else 1
    shown = {"rel": level} if said or level > 1 else {}
    texts = [f"{key}={value!r}" for key, value in {**shown, **dict(parameters)}.items()]
    inside = ",".join([*texts, *(["judged_only=True"] if judged_only else [])])
    return Measure(f"{family}{f'({inside})' if inside else ''}{end}", family, cutoff, level, parameters, judged_only)


def _parameters(name: str, text: str, family: str, end: str) -> dict[str, str | float]:
    """The parameters between the brackets of a name."""
    given: dict[str, str | float] = {}
    for part in text.split(",") if text else ():
        match = _PARAMETER.fullmatch(part)
        if match is None or match["key"] in given:
            raise ConfigError(
                f"{name}: cannot read {part.strip()!r}. Write parameters as in R(rel=2,judged_only=True)@10."
            )
        given[match["key"]] = _read(name, match["key"], match["value"], family, end)
    return given


def _read(name: str, key: str, text: str, family: str, end: str) -> str | float:
    """The value of a parameter.

    Raises:
        ConfigError: the family has no such parameter, or the value is not legal.
    """
    kind = family_of(family)
    known = dict(kind.parameters)
    known |= {"rel": _REL} if kind.has_level else {}
    known |= {"judged_only": _JUDGED_ONLY} if kind.has_judged_only and not kind.by_answers else {}
    if key not in known:
        what = {"rel": "relevance level", "judged_only": "form for judged documents only"}.get(key, f"parameter {key}")
        legal = f"Legal are {', '.join(known)}." if known else f"Write {family}{end}."
        raise ConfigError(f"{name} has no {what}: {family} does not ask for one. {legal}")
    try:
        return known[key].read(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {key} is {text}, expected {known[key].legal}.") from error


def canonical(names: Sequence[str], *, level: int = 1) -> list[str]:
    """The names as in tables and results, none twice; `level` is for binary measures that name none.

    Raises:
        ConfigError: an unknown measure.
    """
    return list(dict.fromkeys(parse_measure(name, level=level).name for name in names))


def _family_called(name: str) -> str | None:
    if name in MEASURES:
        return name
    return next((family for family, kind in MEASURES.usable().items() if name in kind.aliases), None)


def _unknown(name: str) -> str:
    parts = re.split(r"[,;\s]+(?![^()]*\))", name)
    if len(parts) > 1 and all(part and _NAME.fullmatch(part) for part in parts):
        return f"{name!r} is not one measure. Separate measures by spaces: {' '.join(parts)}."
    if re.search(r"@[1-9][0-9]{7,}$", name):
        return f"{name}: the cutoff is too large. Legal are whole numbers from 1 to 9,999,999."
    return (
        f"unknown measure {name!r}. {_proposal(name)}Legal are {', '.join(families())}, with k from 1, and with "
        "parameters, such as R(rel=2)@k or nDCG(dcg='exp-log2')@k; `evalkit list measures` explains them."
    )


def _proposal(name: str) -> str:
    """A question that suggests the measure meant by another spelling; empty if no measure is similar."""
    found = _SPELT.fullmatch(name.lower())
    if found is None:
        return ""
    known = MEASURES.usable()
    spellings = {family.lower(): family for family in known}
    for family, kind in known.items():
        spellings |= dict.fromkeys([*map(str.lower, kind.aliases), *kind.spellings], family)
    near = lookalikes(found["family"], spellings)
    family = spellings.get(found["family"]) or (spellings[near[0]] if near else "")
    if not family:
        return ""
    end = f"@{found['cutoff']}" if found["cutoff"] else "" if known[family].about_uncut else "@k"
    return proposal([f"{family}{end if known[family].about else ''}"])
