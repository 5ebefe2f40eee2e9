"""Whether a server answers at all: asked once, for some seconds, before clients that would try for half a minute.

The answer holds for a minute, so a sweep asks once, and a run of days notices that the network is back.
"""

import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import NamedTuple
from urllib.parse import urlsplit

from evalkit.system.reporting import reason

logger = logging.getLogger(__name__)

_PATIENCE = 5.0  # seconds
_REMEMBERED = 60.0  # seconds


class _Probe(NamedTuple):
    """When a server was asked, and why it did not answer; None where it did."""

    when: float
    fault: str | None


_probes: dict[str, _Probe] = {}
_warned: list[str] = []


def forbidden() -> bool:
    """Whether the user forbade the network with HF_HUB_OFFLINE."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def hub_fault() -> str | None:
    """Why the Hugging Face hub cannot be asked, as half a sentence; None where it can."""
    from huggingface_hub import constants, get_session

    # The client reports every attempt to reach a hub that is not there; an error of ours says it once.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if forbidden():
        return "HF_HUB_OFFLINE forbids the network (unset it once to download)"
    endpoint = constants.ENDPOINT
    fault = _fault(endpoint, lambda: get_session().head(endpoint, timeout=_PATIENCE))
    return f"{endpoint} {fault}" if fault else None


def server_fault(url: str) -> str | None:
    """Why the server of an address on the web cannot be asked, as half a sentence; None where it can."""
    parts = urlsplit(url)
    root = f"{parts.scheme}://{parts.netloc}"
    request = urllib.request.Request(root, method="HEAD")  # noqa: S310 - callers check the scheme

    def ask() -> None:
        try:
            urllib.request.urlopen(request, timeout=_PATIENCE).close()  # noqa: S310
        except urllib.error.HTTPError as error:
            error.close()  # an answer, too

    fault = _fault(root, ask)
    return f"the server {fault}" if fault else None


@contextmanager
def off_if_silent() -> Iterator[str | None]:
    """Keep the clients of the hub from trying, for the time of a `with` block, if it cannot be asked.

    For libraries that call these clients themselves. Gives what `hub_fault` gives.
    """
    import datasets
    from huggingface_hub import constants

    fault = hub_fault()
    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    if fault:
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield fault
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def warn_once(consequence: str) -> None:
    """Say that the hub does not answer, and what that means: once a process, and not where the user forbade it."""
    if not forbidden() and (fault := hub_fault()) and not _warned:
        _warned.append(fault)
        logger.warning("%s. %s", fault, consequence)


def _fault(server: str, ask: Callable[[], object]) -> str | None:
    known = _probes.get(server)
    if known is None or time.monotonic() - known.when > _REMEMBERED:
        known = _probes[server] = _Probe(time.monotonic(), _probe(ask))
    return known.fault


def _probe(ask: Callable[[], object]) -> str | None:
    """Ask in a thread of its own: to look up a name may take longer than any timeout of a connection."""
    found = [f"no answer in {_PATIENCE:.0f} s"]

    def attempt() -> None:
        try:
            ask()
            found[0] = ""
        except Exception as error:  # noqa: BLE001 - transports raise many unrelated classes
            inner = getattr(error, "reason", None)  # where urllib keeps what happened
            found[0] = reason(inner if isinstance(inner, Exception) else error)

    thread = Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(_PATIENCE + 1)
    return f"does not answer ({found[0]})" if found[0] else None
