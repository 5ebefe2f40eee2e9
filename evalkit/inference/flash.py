"""The kernel of flash-attn, if its import works. Tried once."""

import importlib.util
from functools import cache
from importlib.metadata import PackageNotFoundError
from typing import Any, NamedTuple

from evalkit.system.reporting import reason
from evalkit.system.versions import version


class Flash(NamedTuple):
    """The result of importing flash-attn.

    Attributes:
        function: `flash_attn_varlen_func`; None if it cannot be imported.
        fault: why an installed flash-attn cannot be imported, as when it was built for another torch; empty if it is
            absent, or if only another package of its name is there (flash-attn-4 has a namespace `flash_attn`).
    """

    function: Any
    fault: str = ""


@cache
def flash() -> Flash:
    """The kernel of flash-attn."""
    try:
        from flash_attn import flash_attn_varlen_func
    except (ImportError, OSError, RuntimeError, AttributeError) as error:  # a build for another torch raises any
        return Flash(None, reason(error) if _is_installed() else "")
    return Flash(flash_attn_varlen_func)


def _is_installed() -> bool:
    try:
        spec = importlib.util.find_spec("flash_attn")
    except ValueError:
        return False
    return spec is not None and spec.origin is not None


def flash_version() -> str:
    """The version of flash-attn; empty if it is not installed."""
    try:
        return version("flash-attn")
    except PackageNotFoundError:
        return ""
