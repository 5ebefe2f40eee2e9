"""Tasks and models of mteb, made of a small collection and of word counts, without downloads and weights."""

import zlib

import numpy as np


def task_of(corpus, queries, qrels, *, name="MadeRetrieval", top_ranked=None, instructions=None, **attributes):
    """A task of mteb that nobody loaded yet; documents have title and text, and queries perhaps lists of documents."""
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    metadata = TaskMetadata(
        name=name,
        dataset={"path": "evalkit/made", "revision": "1"},
        description="made",
        type=attributes.pop("type", "Retrieval"),
        category="t2t",
        modalities=["text"],
        eval_splits=attributes.pop("eval_splits", ["test"]),
        eval_langs=attributes.pop("eval_langs", ["eng-Latn"]),
        main_score="ndcg_at_10",
    )

    def load_data(self, **_):
        split = {
            "corpus": Dataset.from_list([{"id": doc_id, **fields} for doc_id, fields in corpus.items()]),
            "queries": Dataset.from_list(
                [
                    {"id": query_id, "text": text, **({"instruction": instructions[query_id]} if instructions else {})}
                    for query_id, text in queries.items()
                ]
            ),
            "relevant_docs": {query_id: dict(grades) for query_id, grades in qrels.items()},
            "top_ranked": top_ranked,
        }
        self.dataset = {subset: {name: dict(split) for name in self.eval_splits} for subset in self.hf_subsets}
        self.data_loaded = True

    made = {"metadata": metadata, "load_data": load_data, "ignore_identical_ids": False, **attributes}
    return type(name, (AbsTaskRetrieval,), made)()


def ndcg(model, task, folder):
    """nDCG@10 from `mteb.evaluate`."""
    return scores(model, task, folder)["ndcg_at_10"]


def scores(model, task, folder):
    """All values from `mteb.evaluate`, by mteb's names."""
    import mteb

    found = mteb.evaluate(model, [task], cache=mteb.ResultCache(folder), co2_tracker=False, show_progress_bar=False)
    (result,) = found.task_results
    return result.scores["test"][0]


def meta(name):
    """A `ModelMeta` of a model of ours."""
    from mteb.models.model_meta import ModelMeta

    return ModelMeta.create_empty(overwrites={"name": f"made/{name}", "revision": "1"})


class WordEncoder:
    """An encoder of mteb: counts of words in 64 places, and of a prompt for each task and type of text.

    `asked` has the tasks and types of prompts that it was asked for.
    """

    def __init__(self, model_name="made", revision=None, *, device=None, **_):
        del model_name, revision, device
        self.mteb_model_meta = meta("words")
        self.asked = []

    def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **_):
        self.asked.append((task_metadata.name, prompt_type.value, hf_split, hf_subset))
        # A word that the name of the task decides: with another prompt other documents come first.
        prompt = (
            ""
            if prompt_type.value == "document"
            else {"MadeRetrieval": "honey", "mini": "bread"}.get(task_metadata.name, "")
        )
        return np.stack([self._counts(f"{prompt} {text}") for batch in inputs for text in batch["text"]])

    def _counts(self, text):
        counts = np.zeros(64, np.float32)
        for word in text.lower().replace(".", "").split():
            counts[zlib.crc32(word.encode()) % 64] += 1
        return counts

    def similarity(self, first, second):
        from mteb.similarity_functions import cos_sim

        return cos_sim(first, second)

    def similarity_pairwise(self, first, second):
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(first, second)


class WordCrossEncoder:
    """A cross-encoder of mteb: the number of shared words, and more for a long document of the task `MadeRetrieval`."""

    def __init__(self, model_name="made", revision=None, device=None, **_):
        del model_name, revision, device
        self.mteb_model_meta = meta("shared")

    def predict(self, inputs1, inputs2, *, task_metadata, hf_split, hf_subset, prompt_type=None, **_):
        del hf_split, hf_subset, prompt_type
        texts = [[text for batch in inputs for text in batch["text"]] for inputs in (inputs1, inputs2)]
        more = 0.01 if task_metadata.name == "MadeRetrieval" else -0.01
        return np.array(
            [len({*query.split()} & {*text.split()}) + more * len(text) for query, text in zip(*texts, strict=True)]
        )
