"""Whether any document at the top is relevant, or holds an answer."""

from evalkit.measures.family import MeasureFamily


class Success(MeasureFamily):
    """1 if any of the first k documents is relevant."""

    about = "1 if a relevant document is in the first k"
    aliases = ("Hit", "Hits")
    spellings = ("hit_rate", "hitrate")
    trec = "success"


class AnswerRecall(MeasureFamily):
    """Success over judgments by answers: what MKQA, DPR and BGE-M3 call Recall@k."""

    about = "1 if a document that contains an answer is in the first k; the Recall@k of MKQA and DPR"
    spellings = ("answersuccess",)
    has_level = False
    by_answers = True
    trec = "success"
