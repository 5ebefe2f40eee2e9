"""Shares of the relevant documents, and of the documents at the top."""

from collections.abc import Mapping

from evalkit.measures.family import MeasureFamily, graded
from evalkit.run import Run
from evalkit.types import Qrels


class Recall(MeasureFamily):
    """Relevant documents in the first k, as a share of all relevant ones."""

    about = "share of the relevant documents that are in the first k; R(rel=2)@k: of those with grade 2 or more"
    aliases = ("Recall",)
    trec = "recall"


class Precision(MeasureFamily):
    """Relevant documents in the first k, as a share of k."""

    about = "share of the first k documents that are relevant; P(rel=2)@k likewise"
    aliases = ("Precision",)
    trec = "P"


class CappedRecall(MeasureFamily):
    """Relevant documents in the first k, as a share of those that could be there.

    hits / min(k, relevant documents): Thakur et al., BEIR, NeurIPS 2021, and `recall_cap` of its software.
    """

    about = "capped recall of BEIR: relevant documents in the first k, over the smaller of k and all relevant ones"
    aliases = ("RCap", "CappedRecall", "Recall_cap")
    spellings = ("recall_cap", "r_capped", "rcapped", "capped_recall", "recallcap")

    @classmethod
    def values(cls, judged: Qrels, run: Run, *, cutoff: int | None, level: int) -> Mapping[str, float]:
        """See `MeasureFamily`."""
        found = {}
        for query in graded(judged, run, cutoff):
            all_relevant = sum(grade >= level for grade in query.judged.values())
            reachable = min(cutoff or all_relevant, all_relevant)
            found[query.query_id] = sum(query.relevant(level)) / reachable if reachable else 0.0
        return found


class RPrecision(MeasureFamily):
    """Precision among as many documents as are relevant: Buckley and Voorhees, in TREC, 2005; trec_eval's `Rprec`."""

    about = ""
    about_uncut = "precision in the first R documents, for a query with R relevant ones; Rprec(rel=2) likewise"
    aliases = ("RPrec", "RPrecision")
    spellings = ("r_prec", "r-prec", "r_precision", "r-precision")
    trec_uncut = "Rprec"
