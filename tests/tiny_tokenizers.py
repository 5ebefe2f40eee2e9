"""Tokenizers of every published kind, trained on the sentences below in a fraction of a second.

Each function returns the id of every token and the files by name. Special tokens have the ids and the
templates of the published tokenizers; training is repeatable.
"""

import io
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = (
    "The moon pulls the sea, and the sea answers with tides twice a day.",
    "Why does the sea have tides, and why are some tides higher than others?",
    "Yeast eats the sugar in the dough and makes bread rise.",
    "What makes bread rise when it is baked without yeast?",
    "Bees carry pollen from flower to flower while they look for nectar.",
    "How do bees make honey, and how much of it do they need in winter?",
    "A violin has four strings; a guitar usually has six.",
    "Which instrument has more strings: a violin, a guitar or a harp?",
    "The train from Lyon to Paris takes two hours and leaves every hour.",
    "How long does the fastest train take, and when does it leave?",
    "Copper is a good conductor of heat, so pans are often made of it.",
    "Glass is made of sand that is melted at about 1700 degrees.",
    "The library lends 25 books at a time for four weeks.",
    "Volcanoes form where plates of the crust meet or drift apart.",
    "Is the whale a fish? No, it breathes air and feeds its young with milk.",
    "Given a query, find the passages that answer it; judge each document alone.",
    "Instruction: Given a question, retrieve the answer. Query: who was it?",
    "Predict whether passage B contains an answer to query A, either 'Yes' or 'No'.",
    "The answer can only be yes or no, and nothing else.",
    "An empty page, a very long page, and a page of numbers: 3, 14, 159, 2653.",
    "月亮的引力使海水每天涨落两次。",
    "为什么海水会有潮汐？",  # noqa: RUF001
    "酵母吃掉面团里的糖，面包就发起来了。",  # noqa: RUF001
    "没有酵母，怎样做面包？",  # noqa: RUF001
    "蜜蜂采花蜜，也传播花粉。",  # noqa: RUF001
    "小提琴有四根弦，吉他有六根弦。",  # noqa: RUF001
    "从北京到上海的火车要开几个小时？",  # noqa: RUF001
    "铜的导热性很好，所以常用来做锅。",  # noqa: RUF001
    "玻璃是用沙子在高温下做成的。",
    "鲸鱼不是鱼，它用肺呼吸。",  # noqa: RUF001
    "为这个问题检索相关的段落。",
)
# Often enough, alone on a line, to become one token each.
ANSWERS = ("Yes", "No", "yes", "no") * 12


class TinyTokenizer(NamedTuple):
    ids: Mapping[str, int]
    files: Mapping[str, bytes]


@cache
def xlm_roberta(model_max_length: int) -> TinyTokenizer:
    """`<s> A </s></s> B </s>`; ids 0 to 3 are <s>, <pad>, </s>, <unk>, and <mask> is the last."""
    # UnigramTrainer's pieces differ from process to process, sentencepiece's do not.
    model = _sentencepiece(SENTENCES, model_type="unigram", vocab_size=400, hard_vocab_limit=False)
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = [(piece, score) for piece, (_, score) in _pieces(model).items() if piece not in specials]
    vocabulary = [(special, 0.0) for special in specials] + pieces + [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex(r"\s"), " "),
            normalizers.Strip(left=False, right=True),
            normalizers.Replace(Regex(" {2,}"), "▁"),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([*specials, AddedToken("<mask>", lstrip=True, normalized=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    settings = {
        "bos_token": "<s>",
        "clean_up_tokenization_spaces": True,
        "cls_token": "<s>",
        "eos_token": "</s>",
        "mask_token": "<mask>",
        "model_max_length": model_max_length,
        "pad_token": "<pad>",
        "sep_token": "</s>",
        "sp_model_kwargs": {},
        "tokenizer_class": "XLMRobertaTokenizer",
        "unk_token": "<unk>",
    }
    return _from_json(tokenizer, settings)


@cache
def bert() -> TinyTokenizer:
    """Lower-case WordPiece, `[CLS] A [SEP] B [SEP]` with B in segment 1."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    # Pieces from BPE: WordPieceTrainer numbers its own differently in every process.
    tokenizer.train_from_iterator(SENTENCES, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    pieces = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces, *(f"##{piece}" for piece in pieces)]
    tokenizer.model = models.WordPiece({word: index for index, word in enumerate(words)}, unk_token="[UNK]")
    tokenizer.add_special_tokens(words[:5])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    settings = {
        "cls_token": "[CLS]",
        "do_lower_case": True,
        "mask_token": "[MASK]",
        "model_max_length": 512,
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "tokenizer_class": "BertTokenizer",
        "unk_token": "[UNK]",
    }
    files = dict(_from_json(tokenizer, settings).files)
    files["vocab.txt"] = "".join(f"{word}\n" for word in words).encode()
    return TinyTokenizer(tokenizer.get_vocab(), files)


@cache
def qwen(*special: str) -> TinyTokenizer:
    """Byte-level BPE without a template; the chat's markers come after the vocabulary, and others behind them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([*SENTENCES, *ANSWERS], trainer)
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in ("<think>", "</think>")])
    tokenizer.add_special_tokens(list(special))
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    settings = {
        "add_bos_token": False,
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    return _from_json(tokenizer, settings)


@cache
def minicpm() -> TinyTokenizer:
    """A sentencepiece model alone: ids 0 to 2 are <unk>, <s>, </s>, then the bytes."""
    settings = {name: _added(token) for name, token in _LLAMA_NAMES.items()} | _LLAMA_SETTINGS
    return _from_sentencepiece(_llama_model(), settings | {"padding_side": "right"})


@cache
def llama() -> TinyTokenizer:
    """The same model with a tokenizer.json beside it, which begins every text with <s>."""
    model = _llama_model()
    tokenizer = _as_tokenizer(model, list(_LLAMA_NAMES.values()))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.post_processor = _begins_with("<s>", 1)
    settings = _LLAMA_NAMES | _LLAMA_SETTINGS | {"padding_side": "left"}
    return _from_sentencepiece(model, settings, tokenizer)


@cache
def gemma() -> TinyTokenizer:
    """No space is put before a text; <pad>, <eos>, <bos>, <unk>, <mask> and runs of blanks come before the bytes."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    plain = ["\n", "\n\n", "\n\n\n", "▁▁", "▁▁▁", "▁▁▁▁"]
    model = _sentencepiece(
        [*SENTENCES, *ANSWERS],
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        user_defined_symbols=["<mask>", *specials[4:], *plain],
        add_dummy_prefix=False,
        **_BPE,
    )
    tokenizer = _as_tokenizer(model, specials)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in ("<mask>", *plain)])
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.post_processor = _begins_with("<bos>", 2)
    settings = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<bos>",
        "clean_up_tokenization_spaces": False,
        "eos_token": "<eos>",
        "model_max_length": 1000000000000000019884624838656,
        "pad_token": "<pad>",
        "padding_side": "left",
        "tokenizer_class": "GemmaTokenizer",
        "unk_token": "<unk>",
    }
    return _from_sentencepiece(model, settings, tokenizer)


_BPE = {"model_type": "bpe", "vocab_size": 700, "byte_fallback": True, "split_digits": True}
_LLAMA_NAMES = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
_LLAMA_SETTINGS = {
    "add_bos_token": True,
    "add_eos_token": False,
    "clean_up_tokenization_spaces": False,
    "legacy": True,
    "model_max_length": 1000000000000000019884624838656,
    "pad_token": "<unk>",
    "sp_model_kwargs": {},
    "tokenizer_class": "LlamaTokenizer",
}


def _added(token: str) -> dict[str, Any]:
    flags = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    return {"__type": "AddedToken", "content": token} | flags


@cache
def _llama_model() -> bytes:
    return _sentencepiece(SENTENCES, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, **_BPE)


def _sentencepiece(sentences: Sequence[str], **settings: Any) -> bytes:
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=written,
        character_coverage=0.99,  # some characters are left to <unk>, or to the bytes
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        num_threads=1,
        minloglevel=2,
        **settings,
    )
    return written.getvalue()


def _as_tokenizer(model: bytes, specials: Sequence[str]) -> Tokenizer:
    """The BPE of a sentencepiece model: each piece is a merge of every two pieces that spell it, best pieces first."""
    vocabulary = {piece: index for piece, (index, _) in _pieces(model).items()}
    # Pieces are numbered from the best to the worst, but of the blanks the longest run is taken first.
    ranked = sorted(vocabulary, key=lambda piece: 0 if piece.strip("▁") else -len(piece))
    merges = [
        (piece[:cut], piece[cut:])
        for piece in ranked
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in specials])
    return tokenizer


def _begins_with(token: str, index: int) -> processors.TemplateProcessing:
    pair = f"{token} $A {token}:1 $B:1"
    return processors.TemplateProcessing(single=f"{token} $A", pair=pair, special_tokens=[(token, index)])


def _from_sentencepiece(model: bytes, settings: dict[str, Any], tokenizer: Tokenizer | None = None) -> TinyTokenizer:
    files = {"tokenizer.model": model, "tokenizer_config.json": _json(settings)}
    if tokenizer is not None:
        files["tokenizer.json"] = tokenizer.to_str().encode()
    return TinyTokenizer({piece: index for piece, (index, _) in _pieces(model).items()}, files)


def _pieces(model: bytes) -> dict[str, tuple[int, float]]:
    """Id and score of every piece, in the order of their ids."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    ids = range(processor.get_piece_size())
    return {processor.id_to_piece(index): (index, processor.get_score(index)) for index in ids}


def _from_json(tokenizer: Tokenizer, settings: dict[str, Any]) -> TinyTokenizer:
    files = {"tokenizer.json": tokenizer.to_str().encode(), "tokenizer_config.json": _json(settings)}
    return TinyTokenizer(tokenizer.get_vocab(), files)


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode()
