"""Checks of single settings, and the mark of a mandatory one. Every error names the setting and what is legal."""

import re
from typing import Any

from evalkit.errors import ConfigError
from evalkit.system.lookalikes import instead

MISSING: Any = "???"  # OmegaConf's mark of a mandatory value; spelt out so that this module imports nothing heavy

_MOST = 2**31 - 1  # of what C keeps in an int
# A name becomes a folder of results, so it may not climb out of it, hide in it, or surprise a shell.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]*(/[A-Za-z0-9][A-Za-z0-9._+@-]*)?")


def one_of(key: str, value: str, legal: tuple[str, ...]) -> None:
    """Refuse a value that is not a choice."""
    if value not in legal:
        raise ConfigError(f"{key}={value} is not a choice. {instead(value, legal)}")


def at_least(key: str, value: float | None, least: float) -> None:
    """Refuse a number that is not finite, too small, or larger than any of its kind is. None passes."""
    if value is not None and not least <= value <= _MOST:
        raise ConfigError(f"{key}={value} is out of range. Legal are numbers from {least} to {_MOST:,}.")


def nameable(key: str, value: str) -> None:
    """Refuse what cannot name a folder of results."""
    if not _NAME.fullmatch(value) or len(value) > 100:  # noqa: PLR2004
        raise ConfigError(
            f"{key}={value!r} cannot name a folder of results. Legal are up to 100 letters, digits and . _ + @ -, "
            "starting with a letter or digit."
        )


def given(key: str, value: str | None, example: str) -> None:
    """Refuse a mandatory setting that is not set."""
    if not value:
        raise ConfigError(f"{key} is not set. Add {key}={example} to the command.")


def require_folder(folder: str | None) -> None:
    """Refuse what is not the name of one folder."""
    if folder is not None and (not re.fullmatch(r"[^/\\*?\[]+", folder) or folder in {".", ".."}):
        raise ConfigError(f"dataset.folder={folder} is not the name of one folder in dataset.path.")


def require_commit(key: str, revision: str) -> None:
    """Refuse a branch or a shortened commit: what it names may change."""
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ConfigError(f"{key}={revision} is not a full commit of 40 hexadecimal digits.")


def require_md5(key: str, md5: str | None) -> None:
    """Refuse what is not an MD5. None passes."""
    if md5 is not None and not re.fullmatch(r"[0-9a-f]{32}", md5):
        raise ConfigError(f"{key}={md5} is not an MD5: 32 hexadecimal digits, in lower case.")
