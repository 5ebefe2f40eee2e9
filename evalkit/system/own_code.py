"""Code of the user's own: found by `module:name`, named, and called so that its mistakes are one line with its place.

Knows nothing of rerankers, retrievers or datasets.
"""

import inspect
import json
import re
import sys
import sysconfig
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from traceback import FrameSummary, extract_tb
from typing import Any

from evalkit.errors import EvalkitError, ObjectError
from evalkit.system.lookalikes import did_you_mean
from evalkit.system.reporting import reason, shown

_PACKAGE = str(Path(__file__).resolve().parents[1])
_INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_LONGEST_NAME = 60
_OTHER_IDENTITIES = ("pyterrier",)  # packages by whose `identity` something else is meant: there a transformer


def is_address(text: str) -> bool:
    """Whether a text is written as `module:name`, dots allowed in both."""
    module, _, path = text.partition(":")
    return all(part.isidentifier() for part in (*module.split("."), *path.split(".")))


def find(address: str, key: str) -> Any:
    """Import the object at `module:name`, from installed packages or the current folder.

    Args:
        address: such as `my_module:MyReranker`, or `my_module:make.it`.
        key: the setting, for errors.

    Raises:
        ObjectError: there is no such module or name, or importing it raised an error.
    """
    if not is_address(address):
        raise ObjectError(f"{key}={address} is not of the form module:name, such as my_module:MyReranker.")
    module_name, _, path = address.partition(":")
    # Behind all others: a folder `datasets` of the user's may not take the place of the package.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        found = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise raised(address, error) from error
        raise ObjectError(
            f"{key}={address}: there is no module {error.name} in {here} or among the installed packages. Run in the "
            "folder that has it, or install its package."
        ) from error
    except (Exception, SystemExit) as error:
        raise raised(address, error) from error
    for name in path.split("."):
        if not hasattr(found, name):
            file = getattr(found, "__file__", None) or found
            names = [name for name in dir(found) if not name.startswith("_")]
            raise ObjectError(f"{key}={address}: {file} has no {name}. {did_you_mean(name, names)}".rstrip())
        found = getattr(found, name)
    return found


def made(thing: Any, settings: Mapping[str, Any], name: str) -> Any:
    """The object itself, or what a class or a factory makes with these settings.

    A factory is a function that has settings, or that takes no argument.

    Raises:
        ObjectError: there are settings for another object, or making it raised an error.
    """
    if inspect.isclass(thing):
        return call(name, thing, **settings)
    if inspect.isfunction(thing) and (settings or not inspect.signature(thing).parameters):
        try:
            inspect.signature(thing).bind(**settings)
        except TypeError as error:
            raise ObjectError(
                f"{name} is a function and cannot be called with the settings {dict(settings)} alone: {reason(error)}. "
                "Give a class, or a function that returns the object; a function that is the object takes no settings."
            ) from error
        return call(name, thing, **settings)
    if settings:
        raise ObjectError(f"{name} is {shown(thing)}, which takes no settings. Give its class, or leave them out.")
    return thing


def call(name: str, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call the user's function.

    Raises:
        ObjectError: it raised an error or `SystemExit`, which is the cause, or it is asynchronous.
    """
    try:
        returned = function(*arguments, **keywords)
    except EvalkitError:
        raise
    except (Exception, SystemExit) as error:
        raise raised(name, error, function) from error
    if inspect.iscoroutine(returned) or inspect.isasyncgen(returned):
        if inspect.iscoroutine(returned):
            returned.close()  # else Python warns that nobody awaited it
        raise ObjectError(
            f"{name}: async functions are not supported. Give a function that runs it, as with asyncio.run(...), in a "
            "notebook in a thread of its own."
        )
    return returned


def raised(name: str, error: BaseException, function: Any = None) -> ObjectError:
    """One line for an error that the user's code raised, with its place there."""
    kind, text = type(error).__name__, reason(error)
    return ObjectError(f"{name} raised {kind}{'' if text == kind else f': {text}'} ({_place(error, function)}).")


def _place(error: BaseException, function: Any) -> str:
    """File and line of the user's code that an error comes from: the innermost that is not of an installed package."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in extract_tb(error.__traceback__) if not _is_internal(frame)]
    own = [frame for frame in frames if not frame.filename.startswith(_INSTALLED)]
    if chosen := (own or frames)[-1:]:
        return f"{chosen[0].filename}:{chosen[0].lineno}"
    function = function.__init__ if inspect.isclass(function) else function
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return f"{code.co_filename}:{code.co_firstlineno}" if code else "in compiled code"


def _is_internal(frame: FrameSummary) -> bool:
    return frame.filename.startswith((_PACKAGE, "<frozen "))


def needed_arguments(function: Callable[..., Any], *, named: str = "") -> int | None:
    """How many arguments without names a function needs, but one of this name; None where that cannot be told."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # in C, without a signature
        return None
    needed = [each.kind for each in parameters if each.default is each.empty and each.name != named]
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_POSITIONAL)
    return None if set(needed) & set(by_name) else len(needed) - needed.count(inspect.Parameter.VAR_KEYWORD)


def parameter(function: Callable[..., Any], name: str) -> inspect.Parameter | None:
    """The parameter of a function that can be given by this name; None where it has none."""
    try:
        found = inspect.signature(function).parameters.get(name)
    except (TypeError, ValueError):  # in C, without a signature
        return None
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return found if found is not None and found.kind in by_name else None


def signature(function: Callable[..., Any]) -> str:
    """The parameters of a function, for an error."""
    try:
        return f"its parameters {inspect.signature(function)}"
    except (TypeError, ValueError):
        return "itself, which does not say its parameters"


def own_name(thing: Any) -> str:
    """A name for an object that can name a folder: its `name`, else that of its checkpoint, function or class.

    Raises:
        ObjectError: its `name` cannot be one.
    """
    named = getattr(thing, "name", None)
    if isinstance(named, str | int | float):
        return given_name(named, f"an object of {type(thing).__name__}")
    checkpoint = getattr(getattr(thing, "config", None), "_name_or_path", None)  # of a model of transformers
    if isinstance(checkpoint, str):
        checkpoint = checkpoint.rstrip("/").rpartition("/")[2]
    for given in (checkpoint, getattr(thing, "__name__", None)):
        if isinstance(given, str) and given:
            return nameable(given)
    function = getattr(thing, "func", None)  # of functools.partial
    return own_name(function) if inspect.isroutine(function) else nameable(type(thing).__name__)


def given_name(name: Any, of: str) -> str:
    """The name that an object was given, as the name of a folder.

    Raises:
        ObjectError: it is not a text, has no letter or digit, or climbs out of a folder.
    """
    if not isinstance(name, str):
        raise ObjectError(f"the name of {of} is {shown(name)}, expected a text.")
    if not re.search("[A-Za-z0-9]", name) or ".." in re.split(r"[/\\]", name):
        raise ObjectError(
            f"the name of {of} is {name!r}, which cannot name a folder of results. Give one of letters, digits and "
            ". _ + @ -, starting with a letter or digit."
        )
    return nameable(name)


def nameable(text: str) -> str:
    """A text as the name of a folder: other characters become underscores."""
    return re.sub(r"[^A-Za-z0-9._+@-]+", "_", text).lstrip("._+@-")[:_LONGEST_NAME].rstrip("_") or "object"


def defining_package(thing: Any, attribute: str) -> str:
    """The package of the class that has an attribute of an object; empty where none has, or the object itself has."""
    if attribute in getattr(thing, "__dict__", ()):
        return ""
    return next((kind.__module__.partition(".")[0] for kind in type(thing).__mro__ if attribute in vars(kind)), "")


def own_identity(thing: Any, name: str) -> Any:
    """The `identity` of an object: a text or JSON-able facts; None where it has none.

    Raises:
        ObjectError: it is something else.
    """
    if defining_package(thing, "identity") in _OTHER_IDENTITIES:
        return None
    found = call(f"{name}.identity", getattr, thing, "identity", None)
    if callable(found):
        found = call(f"{name}.identity", found)
    if found is None:
        return None
    try:
        text = json.dumps(found, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ObjectError(f"{name}.identity is not made of JSON values: {reason(error)}.") from error
    if not found or not isinstance(found, str | Mapping):
        raise ObjectError(f"{name}.identity is {shown(found)}, expected a text or a dict that is not empty.")
    return json.loads(text)
