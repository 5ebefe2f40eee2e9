"""The tokenizer of a DeBERTa-v2 or -v3 checkpoint that holds `spm.model` and no `tokenizer.json`.

Built as transformers 4 converts it, with which these models were trained. transformers 5 makes another one, without the
normaliser of the file, so that full-width punctuation gets other ids.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import MissingExtra, ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import TOKENIZER
from evalkit.system.reporting import reason

SPM = "spm.model"
_ADDED = "added_tokens.json"
_CLASS = "DebertaV2Tokenizer"
# Of the protocol buffer of sentencepiece (sentencepiece_model.proto): ModelProto.normalizer_spec and its rules.
_NORMALIZER_SPEC, _CHARSMAP = 3, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SPECIAL = {
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
    "mask_token": "[MASK]",
}
_KNOWN_KINDS = {"spm"}


def spm_tokenizer(checkpoint: Checkpoint) -> Any:
    """A `tokenizers.Tokenizer`.

    Raises:
        ModelError: the file is damaged, or the checkpoint is of another kind of model.
        MissingExtra: sentencepiece is not installed.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    stored = checkpoint.read_json(TOKENIZER) or {}
    _require_deberta(checkpoint, stored)
    file = checkpoint.file(SPM)
    pieces = _pieces(file)
    known = {piece: index for index, (piece, _) in enumerate(pieces)}
    names = {key: _named(stored, key) for key in _SPECIAL}
    if names["unk_token"] not in known:
        raise ModelError(f"{file}: has no token {names['unk_token']}, which tokenizer_config.json names as unk_token.")
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=known[names["unk_token"]]))
    tokenizer.normalizer = _normaliser(file, lowercase=bool(stored.get("do_lower_case")))
    parts = [pre_tokenizers.Punctuation("isolated")] if stored.get("split_by_punct") else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*parts, pre_tokenizers.Metaspace(prepend_scheme="always")])
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    _add_special(checkpoint, tokenizer, names)
    tokenizer.post_processor = _framing(checkpoint, tokenizer, names)
    return tokenizer


def _require_deberta(checkpoint: Checkpoint, stored: Mapping[str, Any]) -> None:
    name = str(stored.get("tokenizer_class") or _CLASS).removesuffix("Fast")
    if name != _CLASS or stored.get("vocab_type", "spm") not in _KNOWN_KINDS:
        raise ModelError(
            f"{checkpoint.path}: has {SPM} and no tokenizer.json, and its tokenizer is a {name}. evalkit reads this "
            f"file for {_CLASS}. Convert it once: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)."
        )
    if stored.get("sp_model_kwargs"):
        raise ModelError(
            f"{checkpoint.path}/{TOKENIZER}: sp_model_kwargs={stored['sp_model_kwargs']!r}, which tokenizers ignores."
        )


def _named(stored: Mapping[str, Any], key: str) -> str:
    token = stored.get(key, _SPECIAL[key])
    return str(token["content"] if isinstance(token, dict) else token)


def _pieces(file: Path) -> list[tuple[str, float]]:
    try:
        import sentencepiece
    except ImportError as error:
        raise MissingExtra("sentencepiece", extra="models", purpose=str(file)) from error
    try:
        model: Any = sentencepiece.SentencePieceProcessor(model_file=str(file))
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{file}: not a sentencepiece model ({reason(error)}).") from error
    return [(model.id_to_piece(index), model.get_score(index)) for index in range(model.get_piece_size())]


def _normaliser(file: Path, *, lowercase: bool) -> Any:
    """Lower case where asked for, no blanks at either end, the rules of the file, and single blanks."""
    from tokenizers import Regex, normalizers

    rules = _charsmap(file)
    return normalizers.Sequence(
        [
            *([normalizers.Lowercase()] if lowercase else []),
            normalizers.Strip(),
            *([normalizers.Precompiled(rules)] if rules else []),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )


def _charsmap(file: Path) -> bytes:
    """The compiled rules by which sentencepiece normalises characters; empty where there are none."""
    spec = next((value for number, value in _fields(file.read_bytes(), file) if number == _NORMALIZER_SPEC), b"")
    return next((value for number, value in _fields(spec, file) if number == _CHARSMAP), b"")


def _fields(message: bytes, file: Path) -> Iterator[tuple[int, bytes]]:
    """(number, content) of every field of a protocol buffer that is made of bytes."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            _, place = _varint(message, place)
        elif kind in {_FIXED32, _FIXED64}:
            place += 4 if kind == _FIXED32 else 8
        elif kind == _BYTES:
            size, place = _varint(message, place)
            yield number, message[place : place + size]
            place += size
        else:
            raise ModelError(f"{file}: is damaged. Download it again.")


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, least first, and where the next field starts."""
    value = shift = 0
    while place < len(message):
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the eighth bit says that there are more
            break
    return value, place


def _add_special(checkpoint: Checkpoint, tokenizer: Any, names: Mapping[str, str]) -> None:
    """Special tokens, which texts may hold too: those of the vocabulary, then the ones that are added to it."""
    from tokenizers import AddedToken

    added: dict[str, Any] = checkpoint.read_json(_ADDED) or {}
    beyond = sorted((token for token in added if tokenizer.token_to_id(token) is None), key=lambda token: added[token])
    known = [name for name in names.values() if tokenizer.token_to_id(name) is not None]
    # `[MASK]` is behind the vocabulary of every such model, whether or not a file says so.
    absent = [name for name in names.values() if name not in known and name not in beyond]
    for token in [*known, *beyond, *absent]:
        tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True)])
    if wrong := next((token for token, index in added.items() if tokenizer.token_to_id(token) != index), None):
        raise ModelError(
            f"{checkpoint.path}/{_ADDED}: {wrong} has the id {added[wrong]}, and in {SPM} it is "
            f"{tokenizer.token_to_id(wrong)}. They are of two models."
        )


def _framing(checkpoint: Checkpoint, tokenizer: Any, names: Mapping[str, str]) -> Any:
    from tokenizers import processors

    begin, end = names["cls_token"], names["sep_token"]
    ids = [(token, tokenizer.token_to_id(token)) for token in (begin, end)]
    if any(index is None for _, index in ids):
        raise ModelError(f"{checkpoint.path}: its vocabulary lacks {begin} or {end}.")
    return processors.TemplateProcessing(
        single=f"{begin}:0 $A:0 {end}:0", pair=f"{begin}:0 $A:0 {end}:0 $B:1 {end}:1", special_tokens=ids
    )
