"""The chat template of a checkpoint: Jinja, run in a sandbox, as it may come from anywhere."""

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import TOKENIZER
from evalkit.system.reporting import reason

_FILE = "chat_template.jinja"


def chat_template(checkpoint: Checkpoint) -> str | None:
    """The text of the template, or None where there is none. A file of its own comes before `tokenizer_config.json`.

    Raises:
        ModelError: it is not readable, or not a text.
    """
    file = checkpoint.path / _FILE
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
    """
    if chat_template(checkpoint) is None:
        return None
    roles = {"query": "\ue001", "document": "\ue002"}
    try:
        found = rendered(checkpoint, [{"role": role, "content": text} for role, text in roles.items()])
    except ModelError:
        return False
    return all(text in found for text in roles.values())


def rendered(checkpoint: Checkpoint, messages: Sequence[Mapping[str, str]]) -> str:
    """Render messages, each with a `role` and a `content`.

    Raises:
        ModelError: it fails.
    """
    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _fail
    try:
        return environment.from_string(chat_template(checkpoint) or "").render(messages=[dict(one) for one in messages])
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise ModelError(f"{checkpoint.path}: its chat template fails ({reason(error)}).") from error


def _fail(message: str) -> None:
    """Refuse messages; templates call this."""
    raise ValueError(message)
