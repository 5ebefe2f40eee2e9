"""Reciprocal rank."""

from evalkit.measures.family import MeasureFamily


class ReciprocalRank(MeasureFamily):
    """One over the rank of the first relevant document. trec_eval has no cutoff for it, but 1/rank shows the rank."""

    about = "reciprocal rank of the first relevant document, 0 beyond k"
    about_uncut = "reciprocal rank over the whole run"
    aliases = ("MRR",)
    spellings = ("recip_rank",)
    trec_uncut = "recip_rank"

    @classmethod
    def trec_name(cls, cutoff: int | None) -> str:
        """The same at every cutoff."""
        del cutoff
        return cls.trec_uncut

    @classmethod
    def at_cutoff(cls, value: float, cutoff: int | None) -> float:
        """0 where the first relevant document is beyond the cutoff."""
        return 0.0 if cutoff is not None and value < 1 / cutoff else value
