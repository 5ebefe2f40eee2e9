"""Mean average precision."""

from evalkit.measures.family import MeasureFamily


class AveragePrecision(MeasureFamily):
    """Precision at each relevant document, averaged over all relevant documents."""

    about = "mean average precision; MAP(rel=2)@k likewise, as RR and Success"
    about_uncut = "MAP over the whole run"
    aliases = ("AP",)
    trec, trec_uncut = "map_cut", "map"
