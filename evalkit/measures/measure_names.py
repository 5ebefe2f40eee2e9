"""Measures by the names that people type: `nDCG@10`, `R(rel=2)@100`, `MRR@10`."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from evalkit.config.registry import Registry
from evalkit.errors import ConfigError
from evalkit.measures.family import MeasureFamily
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
    },
    base="evalkit.measures.family:MeasureFamily",
)
"""Name of a family -> its class; then the entry points `evalkit.measures` of installed packages."""

_NAME = re.compile(
    r"(?P<family>[A-Za-z]+)(?:\( *rel *= *(?P<level>[1-9][0-9]{0,8}) *\))?(?:@(?P<cutoff>[1-9][0-9]{0,6}))?"
)
# How others write measures, in lower case: papers, trec_eval, ranx.
_SPELT = re.compile(r"(?P<family>[a-z_]*?[a-z])(?:_cut)?[@_.-]?(?P<cutoff>[1-9][0-9]{0,6})?")


class Measure(NamedTuple):
    """A parsed measure.

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
    def kind(self) -> type[MeasureFamily]:
        """The class of its family."""
        return family_of(self.family)

    @property
    def trec_name(self) -> str:
        """How pytrec_eval asks for it, such as `ndcg_cut.10`; empty where the family computes its own values."""
        return self.kind.trec_name(self.cutoff)

    @property
    def trec_key(self) -> str:
        """How pytrec_eval answers, such as `ndcg_cut_10`."""
        return self.trec_name.replace(".", "_")

    @property
    def by_answers(self) -> bool:
        """Whether it is judged by answers."""
        return self.kind.by_answers


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
    cut = {f"{name}@k": kind.about for name, kind in known.items()}
    return cut | {name: kind.about_uncut for name, kind in known.items() if kind.about_uncut}


def parse_measure(name: str, *, level: int = 1) -> Measure:
    """A measure from its name as typed.

    Args:
        name: such as `nDCG@10`, `MAP(rel=2)` or `MRR@10`, which is RR@10.
        level: the grade from which a document is relevant where the name does not say.

    Raises:
        ConfigError: the name is unknown, its cutoff is missing or zero, or it has no relevance level.
    """
    match = _NAME.fullmatch(name)
    family = _family_called(match["family"]) if match else None
    if match is None or family is None or not (match["cutoff"] or family_of(family).about_uncut):
        raise ConfigError(_unknown(name))
    cutoff = int(match["cutoff"]) if match["cutoff"] else None
    said = int(match["level"]) if match["level"] else None
    end = f"@{cutoff}" if cutoff else ""
    if not family_of(family).has_level:
        if said:
            raise ConfigError(f"{name} has no relevance level: {family} does not ask for one. Write {family}{end}.")
        return Measure(f"{family}{end}", family, cutoff)
    shown = f"(rel={said or level})" if said or level > 1 else ""
    return Measure(f"{family}{shown}{end}", family, cutoff, said or level)


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
    return (
        f"unknown measure {name!r}. {_proposal(name)}Legal are {', '.join(families())}, with k from 1, and binary ones "
        "with a relevance level, such as R(rel=2)@k."
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
    return proposal([f"{family}{end}"])
