"""How pages of HTML are made: from a template whose values are escaped, with a policy that names files by digest."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.system.terminal import unturned

if TYPE_CHECKING:
    from jinja2 import Environment

_ASSETS = Path(__file__).resolve().parent / "assets"


def filled(template: str, **values: object) -> str:
    """A template with values, which are escaped unless they are `Markup`; one that it lacks is an error."""
    return _templates().get_template(template).render(**values)


@cache
def _templates() -> "Environment":
    """Where templates are found; it compiles each once a process."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(_ASSETS)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, finalize=_finalized)


def _finalized(value: object) -> str:
    """What a template writes of a value: a text that keeps the direction of writing, or our own markup as it is."""
    from markupsafe import Markup

    return value if isinstance(value, Markup) else unturned(str(value))


def asset(name: str) -> str:
    """The text of a style or script."""
    return (_ASSETS / name).read_text(encoding="utf-8")


def digest_of(text: str) -> str:
    """A style or script as a policy of its page names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
