"""Warnings about the processor, each logged once."""

import logging
from functools import cache

from evalkit.inference import emulation

logger = logging.getLogger(__name__)


def say(emulated: str, notice: str) -> None:
    """Log, once each, the dtype that is emulated and advice about a GPU; nothing for empty texts."""
    if emulated:
        emulation.warn(emulated)
    if notice:
        _say(notice)


@cache
def _say(notice: str) -> None:
    logger.warning("%s", notice)
