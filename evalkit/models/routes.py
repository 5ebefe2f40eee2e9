"""A Router of sentence-transformers: one chain of modules for queries and another for documents."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Literal

from evalkit.errors import ModelError
from evalkit.models.checkpoint import CONFIG, ROUTER, TRANSFORMERS, Checkpoint
from evalkit.models.declared import require_known
from evalkit.models.module_list import KNOWN_PACKAGES, require_folder

Route = Literal["query", "document"]
_FILE = "router_config.json"
_ROUTES = ("query", "document")
# The default route is for texts that are neither; further mappings choose routes by other things.
_PARAMETERS = {"default_route", "allow_empty_key"}


def of_route(checkpoint: Checkpoint, route: Route) -> Checkpoint:
    """The checkpoint as the texts of a route read it: the folder of their first module, and all of their modules.

    It has the identity of the whole. Without a Router it is the checkpoint itself, seen from its transformer.

    Raises:
        ModelError: a Router's file or a module is absent, or the file is malformed, has other routes, or names code of
            the checkpoint's own.
    """
    if ROUTER not in checkpoint.kinds:
        return checkpoint.from_transformer
    chain = list(_chain(checkpoint, route))
    if not chain:
        raise ModelError(f"{checkpoint.path / _FILE}: the route {route} has no modules.")
    kind, first = chain[0]
    if kind in TRANSFORMERS and not (checkpoint.path / first / CONFIG).is_file():
        raise ModelError(f"{checkpoint.path / first / CONFIG} is absent. Download the checkpoint again.")
    for kind, at in chain:
        require_folder(checkpoint.path, _FILE, kind, at)
    return checkpoint.part(chain)


def _chain(checkpoint: Checkpoint, route: str) -> Iterator[tuple[str, str]]:
    """Class name and folder of each module of a route, with those before and behind the Router."""
    for kind, folder in checkpoint.modules():
        if kind == ROUTER:
            yield from _routes(checkpoint, folder)[route]
        else:
            yield kind, folder


def _routes(checkpoint: Checkpoint, folder: str) -> dict[str, list[tuple[str, str]]]:
    name = _below(folder, _FILE)
    where, stored = checkpoint.path / name, checkpoint.read_json(name)
    if stored is None:
        raise ModelError(f"{where} is absent. Download the checkpoint again.")
    try:
        found = {
            str(route): [(str(stored["types"][at]), str(at)) for at in folders]
            for route, folders in stored["structure"].items()
        }
        parameters: dict[str, Any] = {key: value for key, value in stored.get("parameters", {}).items() if value}
    except (TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{where}: no types and structure of routes ({error!r}).") from error
    if set(found) != set(_ROUTES):
        raise ModelError(f"{where}: has routes {', '.join(found) or 'none'}. Supported are query and document.")
    require_known(str(where), parameters, _PARAMETERS)
    for kind, at in (module for chain in found.values() for module in chain):
        _require_known(checkpoint, name, kind, _below(folder, at))
    return {
        route: [(kind.rsplit(".", 1)[-1], _below(folder, at)) for kind, at in chain] for route, chain in found.items()
    }


def _below(folder: str, at: str) -> str:
    return f"{folder}/{at}".strip("/")


def _require_known(checkpoint: Checkpoint, name: str, kind: str, folder: str) -> None:
    where = checkpoint.path / name
    if not kind.startswith(KNOWN_PACKAGES):
        raise ModelError(f"{where}: {kind} is code of the checkpoint's own, which evalkit never runs.")
    inside, deep = checkpoint.inside(folder), len(PurePosixPath(folder).parts)
    # A link would leave its files out of what identifies the checkpoint.
    if any(at.is_symlink() for at in (inside, *inside.parents)[:deep]):
        raise ModelError(f"{where}: {folder} is a link to a folder. Put a copy of the folder there.")
