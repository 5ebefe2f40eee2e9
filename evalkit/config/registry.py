"""Choices by name: evalkit's own from a table, others from entry points of installed packages.

A package adds a reranker with an entry point that names its settings, a dataclass derived from `RerankerConfig`:

    [project.entry-points."evalkit.rerankers"]
    theirs = "their_package.reranker:TheirConfig"

`reranker=theirs` then runs with the defaults of that class. If the package has files `conf/reranker/*.yaml` in its
top-level folder, these are the choices instead; they name the class in `defaults` as evalkit's own files do. The groups
`evalkit.retrievers`, `evalkit.datasets` and `evalkit.measures` work alike. A class is imported when it is first needed.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import ConfigError
from evalkit.system.reporting import reason

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

logger = logging.getLogger(__name__)


class Registry(Mapping[str, Any]):
    """Name -> class or other object, imported when it is looked up.

    Args:
        group: one choice, such as `reranker`; its entry points are in the group `evalkit.rerankers`.
        own: evalkit's own, as `module:Class`.
        base: the class that all of them are derived from, likewise.
    """

    def __init__(self, group: str, own: Mapping[str, str], base: str) -> None:
        self.group, self._own, self._base = group, own, base
        self._warned: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from self._installed()

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, name: str) -> Any:
        if name in self._own:
            return imported(self._own[name])
        point = self._installed()[name]
        try:
            found = point.load()
        except Exception as error:  # a module of somebody else may raise anything
            raise ConfigError(
                f"{self.group} {name} of the package {_package(point)} cannot be imported: {reason(error)}. Reinstall "
                "or remove that package."
            ) from error
        if not (isinstance(found, type) and issubclass(found, imported(self._base))):
            raise ConfigError(
                f"{self.group} {name} of the package {_package(point)}: its entry point names {found!r}. Expected a "
                f"class derived from {self._base.replace(':', '.')}. Mend the package or remove it."
            )
        return found

    def usable(self) -> dict[str, Any]:
        """All that can be imported; a package that cannot be is named in a warning, once."""
        found = {}
        for name in self:
            try:
                found[name] = self[name]
            except ConfigError as error:
                if str(error) not in self._warned:
                    logger.warning("%s", error)
                self._warned.add(str(error))
        return found

    def _installed(self) -> "Mapping[str, EntryPoint]":
        """Entry points of other packages."""
        found = installed(self.group)
        if taken := next((name for name in found if name in self._own), None):
            raise taken_by(self.group, taken)
        return found


def imported(address: str) -> Any:
    """Import the object at an address of the form `module:name`.

    Raises:
        ConfigError: there is no such module or name, or the module cannot be imported.
    """
    module, _, name = address.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{address} cannot be imported: {reason(error)}. Install the package that has it.") from error


def implementation(config: Any, *, noun: str, choose: str, maker: str, base: str) -> Any:
    """`imported`, of what settings name as their `implementation`, in the form `module:Class`.

    Args:
        config: the settings.
        noun: what the class is, for the error.
        choose: what to choose instead, likewise.
        maker: the method that the class is used by.
        base: the class to derive it from, for the error.

    Raises:
        ConfigError: they name none, or it cannot be imported, or has no such method.
    """
    address: str = config.implementation
    if not address:
        raise ConfigError(
            f"there is no {noun} for {type(config).__name__}: it has no `implementation`. Choose {choose}."
        )
    kind = imported(address)
    if not callable(getattr(kind, maker, None)):
        raise ConfigError(f"{address} is {kind!r}, which has no {maker}. Derive it from {base}.")
    return kind


def require_defined(kind: type) -> None:
    """Refuse a class that lacks something which its base asks for; Python would do so without a word of advice."""
    if lacking := sorted(getattr(kind, "__abstractmethods__", ())):
        raise ConfigError(
            f"{kind.__module__}:{kind.__qualname__} lacks {' and '.join(lacking)}. Define what it lacks, or remove the "
            "package that has it."
        )


def installed(group: str) -> "Mapping[str, EntryPoint]":
    """Name -> entry point of every package that adds to a group."""
    return _installed(group, tuple(sys.path))


@cache
def _installed(group: str, _path: tuple[str, ...]) -> "Mapping[str, EntryPoint]":
    from importlib.metadata import entry_points

    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"evalkit.{group}s"):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise ConfigError(
                f"the packages {_package(other)} and {_package(point)} both add a {group} named {point.name}. Remove "
                "one of them."
            )
    return found


def taken_by(group: str, name: str) -> ConfigError:
    """That a package adds a name to a group which evalkit has: by its entry point, or by a file of settings."""
    adding = (
        _package(point)
        for own, point in installed(group).items()
        if name == own or name in {file.stem for file in _files(point, group)}
    )
    return ConfigError(
        f"the package {next(adding)} adds a {group} named {name}, which evalkit has already. Remove that package, or "
        "rename what it adds."
    )


def installed_settings(group: str) -> Mapping[str, str]:
    """Name -> YAML text of every choice that other packages add to a group: their files, or a line for defaults."""
    return _installed_settings(group, tuple(sys.path))


@cache
def _installed_settings(group: str, _path: tuple[str, ...]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, point in installed(group).items():
        files = _files(point, group)
        found |= {file.stem: file.read_text(encoding="utf-8") for file in files} or {
            name: f"# From the package {_package(point)}.\n"
            f"defaults: [/schema/{group}/{name}@_here_, _self_]\nname: {name}\n"
        }
    return found


def _files(point: "EntryPoint", group: str) -> list[Path]:
    """The YAML files that a package ships for a group; finding them imports nothing."""
    spec = find_spec(point.module.partition(".")[0])
    folders = (spec and spec.submodule_search_locations) or []
    return sorted(file for folder in folders for file in (Path(folder) / "conf" / group).glob("*.yaml"))


def _package(point: "EntryPoint") -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.module
