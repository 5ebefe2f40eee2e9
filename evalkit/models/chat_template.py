"""The chat template of a checkpoint: Jinja, run in a sandbox, as it may come from anywhere."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import TOKENIZER, token_text
from evalkit.system.reporting import reason

_FILE = "chat_template.jinja"
_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# What a template that reads each text as a list of parts has in it, by which sentence-transformers tells it.
_OF_PARTS = ("content[0]", ".type", "'type'", '"type"', "message.content[")

# What transformers gives to a template where nobody asks for more.
_ABSENT = {"add_generation_prompt": False, "tools": None, "documents": None}

Message = Mapping[str, Any]


def chat_template(checkpoint: Checkpoint) -> str | None:
    """The text of the template, or None where there is none. A file of its own comes before `tokenizer_config.json`.

    Raises:
        ModelError: it is not readable, or not a text.
    """
    file = checkpoint.file(_FILE)
    if file.is_file():
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{file}: not readable as UTF-8 text ({error}).") from error
    stored: Any = (checkpoint.read_json(TOKENIZER) or {}).get("chat_template")
    if isinstance(stored, list):  # several by name, as transformers 4 writes them
        stored = {str(entry.get("name")): entry.get("template") for entry in stored if isinstance(entry, dict)}
    if isinstance(stored, dict):
        stored = stored.get("default")
    if stored is not None and not isinstance(stored, str):
        raise ModelError(f"{checkpoint.path}/{TOKENIZER}: chat_template is a {type(stored).__name__}, expected a text.")
    return stored


def writes_pairs(checkpoint: Checkpoint) -> bool | None:
    """Whether there is a template that writes both a query and a document; None where there is none at all.

    One that leaves messages of these roles out, or fails on them, is for conversations.

    Raises:
        ModelError: the template is not Jinja.
    """
    template = chat_template(checkpoint)
    if template is None:
        return None
    _require_syntax(checkpoint, template)
    roles = {"query": "\ue001", "document": "\ue002"}
    try:
        found = rendered(checkpoint, messages(roles, structured=reads_parts(template)))
    except ModelError:
        return False
    return all(text in found for text in roles.values())


def _require_syntax(checkpoint: Checkpoint, template: str) -> None:
    """Refuse a damaged template. One with a tag of some extension, such as `generation`, is for conversations."""
    from jinja2 import TemplateSyntaxError

    try:
        _compiled(template)
    except TemplateSyntaxError as error:
        if "unknown tag" in str(error.message) and "end" not in str(error.message).split("'")[1]:
            return
        own = checkpoint.file(_FILE)
        where = own if own.is_file() else f"{checkpoint.path}/{TOKENIZER}: chat_template"
        raise ModelError(
            f"{where}: not valid Jinja (line {error.lineno}: {reason(error)}). Download it again."
        ) from error


def reads_parts(template: str) -> bool:
    """Whether a template reads each text as a list of parts with a type, where no file says so."""
    return any(pattern in template for pattern in _OF_PARTS)


def messages(texts: Mapping[str, str], *, structured: bool) -> list[Message]:
    """A message for each role and its text; `structured` has the text in a list of one part."""
    return [
        {"role": role, "content": [{"type": "text", "text": text}] if structured else text}
        for role, text in texts.items()
    ]


def special_tokens(checkpoint: Checkpoint) -> dict[str, str]:
    """The special tokens that a template may name, as `bos_token`."""
    stored = checkpoint.read_json(TOKENIZER) or {}
    texts = {name: token_text(stored.get(name)) for name in _SPECIAL_TOKENS}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def rendered(checkpoint: Checkpoint, chat: Sequence[Message]) -> str:
    """Render messages, each with a `role` and a `content`, by the checkpoint's own template.

    Raises:
        ModelError: it fails.
    """
    return render(chat_template(checkpoint) or "", chat, special_tokens(checkpoint), source=str(checkpoint.path))


def render(template: str, chat: Sequence[Message], variables: Mapping[str, Any], *, source: str) -> str:
    """The text that a template makes of messages.

    Args:
        template: Jinja.
        chat: the messages.
        variables: what else it is given.
        source: whose template it is, for errors.

    Raises:
        ModelError: it fails.
    """
    from jinja2.exceptions import TemplateError

    given = {**_ABSENT, **variables}
    try:
        return str(_compiled(template).render(messages=[dict(message) for message in chat], **given))
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise ModelError(f"{source}: its chat template fails ({reason(error)}).") from error


@cache
def _compiled(template: str) -> Any:
    """As transformers compiles it: one newline at the end of the file goes, and loops may break."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _fail
    environment.filters["tojson"] = _to_json
    return environment.from_string(template)


def _fail(message: str) -> None:
    """Refuse messages; templates call this."""
    raise ValueError(message)


def _to_json(value: Any, indent: int | None = None) -> str:
    """JSON as it is, where Jinja would escape characters for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)
