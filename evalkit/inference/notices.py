"""What is said once about a processor, by the process that people look at."""

import logging
from functools import cache

from evalkit.inference import emulation

logger = logging.getLogger(__name__)


def say(emulated: str, notice: str) -> None:
    """Say, once, which dtype is emulated, and what a GPU does slowly; nothing where these are empty."""
    if emulated:
        emulation.warn(emulated)
    if notice:
        _say(notice)


@cache
def _say(notice: str) -> None:
    logger.warning("%s", notice)
