"""Binary preference."""

from evalkit.measures.family import MeasureFamily


class BinaryPreference(MeasureFamily):
    """How often judged relevant documents are above judged others; unjudged ones do not count.

    Source: Buckley and Voorhees, SIGIR 2004, in the form that trec_eval has. A negative grade counts as unjudged.
    """

    about = ""
    about_uncut = "how often relevant documents are above documents judged not relevant; unjudged ones do not count"
    aliases = ("BPref", "bpref")
    has_judged_only = False
    trec_uncut = "bpref"
