"""Settings of a stage that is an object of the user's own: `reranker=python`, `retriever=python`, `dataset=python`."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import uuid4

from evalkit.errors import ConfigError
from evalkit.system import own_code

logger = logging.getLogger(__name__)

UNIQUE = "unique"
"""The key that only the identity of an object without one has."""


@dataclass
class PythonObject:
    """Which object, by its address on the command line; in Python it is attached itself.

    `group` is `reranker`, `retriever` or `dataset`.
    """

    group: ClassVar[str] = ""

    name: str = ""
    """Its name in tables and in the folder of results; that of the object when not set."""
    object: str = ""
    """Where it is: `module:NAME`, in the current folder or an installed package."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Arguments of its class, or of the function that makes it."""

    def __post_init__(self) -> None:
        """Name it after its object where no name is given, then check it as a stage."""
        self.name = self.name or self.default_name
        super().__post_init__()  # type: ignore[misc]

    def attach(self, thing: Any) -> None:
        """Use this object. It is not a setting, so no record of the settings has it."""
        self.__dict__["attached"] = thing

    @property
    def default_name(self) -> str:
        """The name of the object, where no other is given."""
        thing = self.__dict__.get("attached")
        if thing is not None:
            return own_code.own_name(thing)
        return own_code.nameable(self.object.rpartition(":")[2]) if self.object else "python"

    @property
    def is_gone(self) -> bool:
        """Whether the settings, as of a manifest, do not say where the object is."""
        return not self.object and "attached" not in self.__dict__

    def get(self) -> Any:
        """The object, imported and made if it has to be.

        Raises:
            ConfigError: the settings name none.
            ObjectError: there is no such object, or making it raised an error.
        """
        if self.is_gone:
            raise ConfigError(f"{self.group}.object is not set. Add {self.group}.object=my_module:NAME.")
        thing = self.__dict__.get("attached")
        if thing is None:
            thing = own_code.find(self.object, f"{self.group}.object")
        return own_code.made(thing, self.settings, self.object or self.default_name)


@dataclass
class PythonModel(PythonObject):
    """An object whose numbers nothing but an identity tells from those of another."""

    identity: str | None = None
    """A text that changes whenever its numbers may; its attribute `identity` when not set."""

    def identity_of(
        self,
        thing: Any,
        library: Callable[[], Mapping[str, object] | None] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Mapping[str, object]:
        """The identity that was set, or that of the object; else one that no other object has, and a warning.

        Args:
            thing: the object.
            library: what a library that it is from tells of it.
            facts: what else decides its numbers.

        Raises:
            ObjectError: its identity is not made of JSON values, or raised an error.
        """
        name = self.default_name
        given = self.identity or own_code.own_identity(thing, name)
        if not given and library:
            given = own_code.call(name, library)
        if not given:
            logger.warning(
                "%s has no identity, so its result is saved, but neither found again nor resumed. Give the object an "
                "attribute `identity`, a text that changes whenever its numbers may, or set %s.identity.",
                name,
                self.group,
            )
            return {"kind": "python", "identity": "none", UNIQUE: uuid4().hex, **(facts or {})}
        settings = {"settings": self.settings} if self.settings else {}
        kind = getattr(thing, "__qualname__", type(thing).__qualname__)
        return {"kind": "python", "object": kind, "identity": given, **settings, **(facts or {})}
