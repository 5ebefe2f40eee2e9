"""Places where a tokenizer splits every text, so that its parts can be tokenised apart and joined."""

import json
from typing import Any

# No match has a colon with a blank after it, and both patterns look ahead by only one character. So a match ends at the
# colon, whatever is before it, and the rest is matched as if the text began with the blank.
_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA_3 = _QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")


def splits_after_colon(tokenizer: Any) -> bool:
    """Whether the tokens of `x:` and of ` y`, joined, are those of `x: y`, for any texts x and y.

    True only where the settings of a `tokenizers.Tokenizer` prove it: words of a byte-level BPE by a known pattern, at
    most NFC before it (which never joins a blank to the character before), and no added token that spans the place.
    """
    stored = json.loads(tokenizer.to_str())
    model, normaliser = stored["model"], stored["normalizer"]
    return (
        model["type"] == "BPE"
        and not model.get("dropout")
        and (normaliser is None or normaliser == {"type": "NFC"})
        and _by_known_pattern(stored["pre_tokenizer"])
        and not any(": " in token["content"] or token["content"].endswith(":") for token in stored["added_tokens"])
    )


def _by_known_pattern(pre_tokenizer: dict[str, Any] | None) -> bool:
    match pre_tokenizer:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:  # GPT-2's, which is built in
            return True
        case {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
            ],
        }:
            return pattern in (_QWEN, _LLAMA_3)
    return False
