"""A Router of sentence-transformers: one chain of modules for queries and another for documents."""

from typing import NamedTuple

from evalkit.errors import ModelError
from evalkit.models.checkpoint import KNOWN_PACKAGES, Checkpoint

ROUTER = "router_config.json"

Chain = list[tuple[str, str]]


class Routes(NamedTuple):
    """The modules that a text goes through, as (class name, folder), by what it is."""

    query: Chain
    document: Chain


def routes(checkpoint: Checkpoint) -> Routes | None:
    """The chains of a Router; None where every text goes through the same modules.

    Raises:
        ModelError: its file is absent or malformed, has other routes, or names code of the checkpoint's own.
    """
    if checkpoint.modules() != [("Router", "")]:
        return None
    file = checkpoint.path / ROUTER
    stored = checkpoint.read_json(ROUTER)
    if stored is None:
        raise ModelError(f"{file} is absent. Download the checkpoint again.")
    try:
        found = {
            str(route): [(str(stored["types"][folder]), str(folder)) for folder in folders]
            for route, folders in stored["structure"].items()
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{file}: no types and structure of routes ({error!r}).") from error
    if set(found) != set(Routes._fields):
        raise ModelError(f"{file}: has routes {', '.join(found) or 'none'}. Supported are query and document.")
    for kind, folder in (module for chain in found.values() for module in chain):
        _require_known(checkpoint, kind, folder)
    return Routes(**{route: [(kind.rsplit(".", 1)[-1], at) for kind, at in chain] for route, chain in found.items()})


def _require_known(checkpoint: Checkpoint, kind: str, folder: str) -> None:
    where = checkpoint.path / ROUTER
    if not kind.startswith(KNOWN_PACKAGES):
        raise ModelError(f"{where}: {kind} is code of the checkpoint's own, which evalkit never runs.")
    # A link would leave its files out of what identifies the checkpoint.
    if folder and checkpoint.inside(folder).is_symlink():
        raise ModelError(f"{where}: {folder} is a link to a folder. Put a copy of the folder there.")
