"""Settings of a stage that is an object of the user's own: `reranker=python`, `retriever=python`, `dataset=python`."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from evalkit.errors import ConfigError
from evalkit.system import own_code


@dataclass
class PythonObject:
    """Which object, by its address on the command line; in Python it is attached itself.

    `group` is `reranker`, `retriever` or `dataset`.
    """

    group: ClassVar[str] = ""

    object: str = ""
    """Where it is: `module:name`, in the current folder or an installed package."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What its class, or the function that makes it, is called with."""
    identity: str | None = None
    """A text that stands for all that decides what it computes; else its attribute `identity`, if it has one."""

    def attach(self, thing: Any) -> None:
        """Use this object. It is no setting, so no record of the settings has it."""
        self.__dict__["attached"] = thing

    @property
    def default_name(self) -> str:
        """The name of the object, where no other is given."""
        thing = self.__dict__.get("attached")
        if thing is not None:
            return own_code.own_name(thing)
        return own_code.nameable(self.object.rpartition(":")[2]) if self.object else "python"

    def get(self) -> Any:
        """The object, imported and made if it has to be.

        Raises:
            ConfigError: the settings name none.
            ObjectError: there is no such object, or making it raised an error.
        """
        thing = self.__dict__.get("attached")
        if thing is None:
            if not self.object:
                raise ConfigError(f"{self.group}.object is not set. Add {self.group}.object=my_module:NAME.")
            thing = own_code.find(self.object, f"{self.group}.object")
        return own_code.made(thing, self.settings, self.object or self.default_name)

    def identity_of(self, thing: Any) -> Any:
        """The identity that was set, or that of the object; None where there is none."""
        return self.identity or own_code.own_identity(thing, self.default_name)
