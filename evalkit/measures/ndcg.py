"""Normalised discounted cumulative gain."""

from evalkit.measures.family import MeasureFamily


class NDCG(MeasureFamily):
    """The gain is the grade itself, as in trec_eval, BEIR and MTEB."""

    about = "normalised discounted cumulative gain, linear gains"
    about_uncut = "nDCG over the whole run"
    has_level = False
    trec, trec_uncut = "ndcg_cut", "ndcg"
