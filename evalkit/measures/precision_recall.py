"""Shares of the relevant documents, and of the documents at the top."""

from evalkit.measures.family import MeasureFamily


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
