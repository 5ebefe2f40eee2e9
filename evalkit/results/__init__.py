"""Results on disk: a run, its per-query values, and a manifest that is written last.

    results/<dataset>/<retriever>-<depth>/candidates/   run.trec.gz  per_query.parquet  manifest.json
    results/<dataset>/<retriever>-<depth>/<reranker>/   the same three, for every reranker over these candidates, and
                                                        truncated.parquet where it is known which pairs were cut

A name is taken by the first settings that use it. Other settings under the same names go to `<name>.<key>` next to it,
so nothing is overwritten and nothing old is taken for new: a result is found by its key, never by its name alone.
"""

from evalkit.results.result import CANDIDATES, PER_QUERY, RUN, Evaluation, Result, read
from evalkit.results.saving import alone, locate, locate_candidates, locate_reranked, save, update

__all__ = [
    "CANDIDATES",
    "PER_QUERY",
    "RUN",
    "Evaluation",
    "Result",
    "alone",
    "locate",
    "locate_candidates",
    "locate_reranked",
    "read",
    "save",
    "update",
]
