"""Where `tokenizer_config.json` differs from `tokenizer.json`: applied as the tokenizer's class does, or refused.

transformers reads both. Which of them wins depends on the class and on the version, so where they contradict each other
and the versions do not agree, there is no right answer to give in silence.
"""

import json
from collections.abc import Mapping
from typing import Any

from evalkit.errors import ModelError
from evalkit.inference import notices
from evalkit.inference.tokens import FastTokenizer, Frame
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import TOKENIZER, asks_lower_case, token_text

_AGREE = "Make both files agree in a copy of the folder."
# Classes that take `tokenizer.json` as it is.
_GENERIC = {"", "PreTrainedTokenizer", "TokenizersBackend"}
# Classes that in transformers 4 write the tokens at both ends of a text as they are told to, with what they do untold.
_WRITE_ENDS = {"CodeLlamaTokenizer", "CohereTokenizer", "GemmaTokenizer", "LlamaTokenizer"}
_ENDS = {"add_bos_token": ("bos_token", True), "add_eos_token": ("eos_token", False)}
# Settings of a BERT tokenizer -> what its normaliser calls them.
_OF_BERT = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


def configured(checkpoint: Checkpoint, tokenizer: Any) -> FastTokenizer:
    """A `tokenizers.Tokenizer` as the checkpoint's other files want it.

    Raises:
        ModelError: they contradict `tokenizer.json` in a way that no class resolves.
    """
    stored = checkpoint.read_json(TOKENIZER) or {}
    name = str(stored.get("tokenizer_class") or "").removesuffix("Fast")
    # Without modules.json only single texts are put in lower case, before they come here.
    lowercase = asks_lower_case(checkpoint) and bool(checkpoint.modules())
    _apply_case(checkpoint, tokenizer, stored, generic=name in _GENERIC, lowercase=lowercase)
    if lowercase:
        _lowercase_all(tokenizer)
    if stored.get("split_special_tokens"):
        tokenizer.encode_special_tokens = True
    _require_vocabulary_of(checkpoint, tokenizer, stored)
    _require_prefix_space(checkpoint, tokenizer, stored)
    side = stored.get("truncation_side") or (tokenizer.truncation or {}).get("direction", "right")
    if side not in {"left", "right"}:
        raise ModelError(f"{checkpoint.path}/{TOKENIZER}: truncation_side={side!r}. Legal are left and right.")
    if not (segmented := _reads_segments(name, stored)):
        _require_no_segments(checkpoint, tokenizer, stored)
    made = FastTokenizer(tokenizer, cuts_left=side == "left", segmented=segmented)
    if name in _WRITE_ENDS:
        _write_ends(checkpoint, tokenizer, made.frame(1), stored)
    return made


def _normaliser(tokenizer: Any) -> dict[str, Any]:
    return dict(json.loads(tokenizer.normalizer.__getstate__())) if tokenizer.normalizer is not None else {}


def _apply_case(
    checkpoint: Checkpoint, tokenizer: Any, stored: Mapping[str, Any], *, generic: bool, lowercase: bool
) -> None:
    """Classes of BERT set their normaliser as `tokenizer_config.json` says; others have none to set."""
    from tokenizers import normalizers

    state = _normaliser(tokenizer)
    if state.get("type") == "BertNormalizer" and not generic:
        wanted = {own: stored[key] for key, own in _OF_BERT.items() if key in stored}
        if any(state[own] != value for own, value in wanted.items()):
            settings = {key: value for key, value in {**state, **wanted}.items() if key != "type"}
            tokenizer.normalizer = normalizers.BertNormalizer(**settings)
        return
    lowers = tokenizer.normalizer is not None and tokenizer.normalizer.normalize_str("A") == "a"
    asked = stored.get("do_lower_case")
    # sentence-transformers 6 saves the lower case that it was asked for in tokenizer.json.
    if asked is not None and bool(asked) != lowers and not (lowers and lowercase):
        does = "lower-cases texts" if lowers else "does not lower-case texts"
        raise ModelError(
            f"{checkpoint.path}/{TOKENIZER}: do_lower_case={json.dumps(asked)}, but tokenizer.json {does}. {_AGREE}"
        )


def _lowercase_all(tokenizer: Any) -> None:
    """As sentence-transformers 6 does for pairs: before everything else that the tokenizer does to a text."""
    from tokenizers import normalizers

    own = tokenizer.normalizer
    if own is None or own.normalize_str("A") != "a":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *([own] if own is not None else [])])


def _reads_segments(name: str, stored: Mapping[str, Any]) -> bool:
    """Whether the model is given the segment of each token: `model_input_names`, or what the class has there."""
    import transformers

    listed = stored.get("model_input_names")
    if listed is None and name not in _GENERIC:
        listed = getattr(getattr(transformers, name, None), "model_input_names", None)
    if listed is None:  # transformers 4 has segments where nothing is said, and its generic class has this name
        return name != "TokenizersBackend"
    return "token_type_ids" in listed


def _require_no_segments(checkpoint: Checkpoint, tokenizer: Any, stored: Mapping[str, Any]) -> None:
    """Refuse a class for another kind of vocabulary that would drop the segments which model and tokenizer have."""
    import transformers

    name = str(stored.get("tokenizer_class") or "")
    expected, own = getattr(getattr(transformers, name, None), "model", None), type(tokenizer.model)
    if stored.get("model_input_names") is not None or not isinstance(expected, type) or expected is own:
        return
    segments = checkpoint.config.get("type_vocab_size")
    if isinstance(segments, int) and segments > 1 and any(tokenizer.encode("a", "a").type_ids):
        raise ModelError(
            f"{checkpoint.path}/{TOKENIZER}: tokenizer_class={name} has {expected.__name__} and no token types, but "
            f"tokenizer.json has {own.__name__} and writes them, and the model reads {segments}. {_AGREE}"
        )


def _write_ends(checkpoint: Checkpoint, tokenizer: Any, frame: Frame, stored: Mapping[str, Any]) -> None:
    """Have tokens at the ends of a text as `tokenizer_config.json` asks, where it contradicts `tokenizer.json`.

    So does transformers 4, with which such models were trained (intfloat/e5-mistral-7b-instruct is pooled at the token
    that only this file adds); transformers 5 takes `tokenizer.json`, as both do for all other classes.

    Raises:
        ModelError: a token is asked for that the vocabulary lacks.
    """
    if all(stored.get(flag) is None for flag in _ENDS):
        return
    asked = {flag: usual if stored.get(flag) is None else bool(stored[flag]) for flag, (_, usual) in _ENDS.items()}
    texts = {flag: token_text(stored.get(key)) or "" for flag, (key, _) in _ENDS.items()}
    ids = {flag: tokenizer.token_to_id(text) for flag, text in texts.items()}
    wrong = [
        flag
        for flag, added in zip(_ENDS, (frame.before, frame.behind), strict=True)
        if asked[flag] != (ids[flag] in added.tolist())
    ]
    if not wrong:
        return
    if lacking := [flag for flag in wrong if asked[flag] and ids[flag] is None]:
        raise ModelError(
            f"{checkpoint.path}/{TOKENIZER}: {lacking[0]} asks for the token {texts[lacking[0]]!r}, which "
            f"tokenizer.json lacks. {_AGREE}"
        )
    _set_ends(tokenizer, [(texts[flag], ids[flag]) if asked[flag] else None for flag in _ENDS])
    said = " and ".join(f"{flag}={json.dumps(asked[flag])}" for flag in wrong)
    notices.say(
        "",
        f"{checkpoint.path}/{TOKENIZER}: {said} counts, as in transformers 4; tokenizer.json says otherwise, and "
        "transformers 5 follows that. To follow it too, remove this setting in a copy of the folder.",
    )


def _set_ends(tokenizer: Any, ends: list[tuple[str, int] | None]) -> None:
    """Put a token, or none, before every text, and likewise behind it."""
    from tokenizers import processors

    before, behind = ([] if end is None else [end[0]] for end in ends)
    first, second = (
        [*(f"{token}:{at}" for token in before), f"${text}:{at}", *(f"{token}:{at}" for token in behind)]
        for at, text in enumerate("AB")
    )
    special = [end for end in ends if end is not None]
    tokenizer.post_processor = processors.TemplateProcessing(first, [*first, *second], special)


def _listed(tokens: Any) -> list[Any]:
    """Special tokens, which some checkpoints list and others name."""
    return list(tokens.values() if isinstance(tokens, dict) else tokens or [])


def _require_vocabulary_of(checkpoint: Checkpoint, tokenizer: Any, stored: Mapping[str, Any]) -> None:
    """Refuse special tokens that `tokenizer.json` lacks or numbers otherwise: a class would add them to it."""
    listed = stored.get("added_tokens_decoder") or {}
    extra = [*(stored.get("additional_special_tokens") or []), *_listed(stored.get("extra_special_tokens"))]
    try:
        wanted = {str(token_text(token)): int(index) for index, token in listed.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"{checkpoint.path}/{TOKENIZER}: malformed added_tokens_decoder.") from error
    absent = [name for name in map(token_text, extra) if isinstance(name, str) and tokenizer.token_to_id(name) is None]
    wrong = [name for name, index in wanted.items() if tokenizer.token_to_id(name) != index]
    if found := [*absent, *wrong]:
        raise ModelError(
            f"{checkpoint.path}/{TOKENIZER}: names the special token {found[0]!r}, which tokenizer.json lacks or has "
            f"under another number. {_AGREE}"
        )


def _require_prefix_space(checkpoint: Checkpoint, tokenizer: Any, stored: Mapping[str, Any]) -> None:
    """Refuse a blank before the first word that one file wants and the other does not."""
    asked = stored.get("add_prefix_space")
    if asked is None or tokenizer.pre_tokenizer is None:
        return
    state = json.loads(tokenizer.pre_tokenizer.__getstate__())
    parts = state.get("pretokenizers", [state])
    found = [bool(part.get("add_prefix_space")) for part in parts if part.get("type") == "ByteLevel"]
    if found and any(found) != bool(asked):
        raise ModelError(
            f"{checkpoint.path}/{TOKENIZER}: add_prefix_space={json.dumps(asked)}, but tokenizer.json says "
            f"{json.dumps(any(found))}. {_AGREE}"
        )
