"""The tokenizer of a checkpoint, read from its own files."""

from collections.abc import Iterable
from typing import Any

from evalkit.errors import ModelError
from evalkit.inference.sentencepiece import SentencePieceTokenizer
from evalkit.inference.tokens import Ids, Tokenizer
from evalkit.models.arithmetic import require_torch
from evalkit.models.checkpoint import VOCABULARIES, Checkpoint
from evalkit.models.layout import is_minicpm
from evalkit.models.spm_tokenizer import SPM, spm_tokenizer
from evalkit.system.reporting import reason


def load_tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    """The tokenizer, as published: transformers 5 rebuilds parts of some from class defaults.

    Raises:
        ModelError: there is none, or it is malformed.
    """
    require_torch()
    if not any(checkpoint.file(name).is_file() for name in VOCABULARIES):
        # transformers would make up an empty vocabulary, in which every word is unknown.
        raise ModelError(f"{checkpoint.path}: has no tokenizer ({', '.join(VOCABULARIES)}). Download it again.")
    sentencepiece = checkpoint.file("tokenizer.model")
    if not checkpoint.file("tokenizer.json").is_file() and sentencepiece.is_file() and is_minicpm(checkpoint):
        return SentencePieceTokenizer(sentencepiece, _added_tokens(checkpoint))
    from evalkit.models.tokenizer_settings import configured

    return configured(checkpoint, _load_fast(checkpoint))


def _load_fast(checkpoint: Checkpoint) -> Any:
    import tokenizers
    import transformers

    file = checkpoint.file("tokenizer.json")
    whole = file.is_file()
    if not whole and not any(checkpoint.file(name).is_file() for name in VOCABULARIES if name != SPM):
        return spm_tokenizer(checkpoint)
    try:
        if whole:
            return tokenizers.Tokenizer.from_file(str(file))
        return transformers.AutoTokenizer.from_pretrained(file.parent, trust_remote_code=False).backend_tokenizer
    # tokenizers raises bare Exception for a malformed file; AutoTokenizer half a dozen classes.
    except Exception as error:
        if whole:
            raise ModelError(f"{file}: no usable tokenizer ({reason(error)}). Download it again.") from error
        raise ModelError(
            f"{checkpoint.path}: no usable tokenizer: tokenizer.json is absent, and what is there could not be "
            f"converted ({reason(error)}). Download the checkpoint again."
        ) from error


def _added_tokens(checkpoint: Checkpoint) -> dict[str, int]:
    """Special-token strings that `tokenizer_config.json` adds to a sentencepiece vocabulary, with their ids."""
    listed = (checkpoint.read_json("tokenizer_config.json") or {}).get("added_tokens_decoder") or {}
    try:
        added = {str(token["content"]): int(index) for index, token in listed.items()}
        stripping = [token["content"] for token in listed.values() if token.get("lstrip") or token.get("rstrip")]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ModelError(f"{checkpoint.path}/tokenizer_config.json: malformed added_tokens_decoder.") from error
    if stripping:
        raise ModelError(
            f"{checkpoint.path}/tokenizer_config.json: {', '.join(stripping)} take blanks away, which is not supported."
        )
    return added


def require_vocabulary(checkpoint: Checkpoint, ids: Iterable[Ids]) -> None:
    """Refuse tokens that the model has no embedding for.

    Raises:
        ModelError: there is one; the tokenizer is another model's.
    """
    size = checkpoint.config.get("vocab_size")
    largest = max((int(row.max()) for row in ids if len(row)), default=-1)
    if size is not None and largest >= size:
        raise ModelError(
            f"{checkpoint.path}: the tokenizer gives token {largest}, and the model has {size}. Is it another model's?"
        )
