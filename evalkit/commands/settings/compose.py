"""Settings from what was typed: Hydra composes the files under `conf/`, the schemas check what comes out."""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, is_dataclass
from functools import cache
from traceback import walk_tb
from typing import Any, Self

from evalkit.commands.settings.arguments import normalise, refuse_two_stages, unescape
from evalkit.commands.settings.legal import GROUPS, one_line, top_settings, unknown_setting
from evalkit.config import ROOTS
from evalkit.config.registry import installed_settings
from evalkit.config.resources import members, shipped
from evalkit.errors import ConfigError, EvalkitError
from evalkit.load import usable_schemas
from evalkit.system.reporting import explained, reason
from evalkit.system.terminal import printable, writable

_STORED: dict[tuple[str, str], type] = {}  # schemas that Hydra has, by group and name
_OF_HYDRA = re.compile(r"-|[+~]*hydra[./=]")  # its flags and its own settings

_OF_A_SWEEP = (
    "A setting typed in a sweep is one of every choice: put it into a file of settings below --config-dir for the "
    "choice that has it, or give two commands."
)


def compose(name: str, overrides: list[str], *, elsewhere: str = "") -> Any:
    """The checked settings of a verb; see `normalise` for `elsewhere`."""
    import hydra

    prepare()
    with composing(to_config, top_settings(name)), _conf():
        given = normalise(overrides, settings=top_settings(name), elsewhere=elsewhere)
        return to_config(hydra.compose(name, overrides=given), given)


def compose_one_stage(verb: str, overrides: list[str]) -> Any:
    """The checked settings of a verb that looks at either a reranker or a retriever; the other one is None.

    Raises:
        ConfigError: both are given, or neither.
    """
    refuse_two_stages(verb, overrides)
    config = compose(verb, overrides)
    if config.reranker is None and config.retriever is None:
        raise ConfigError(
            "neither reranker nor retriever is set. Choose one with reranker=NAME or retriever=NAME; `evalkit list "
            "rerankers` and `evalkit list retrievers` have the names."
        )
    return config


def _conf() -> AbstractContextManager[None]:
    """Hydra reads `conf/` within, and whatever it read before thereafter."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    return hydra.initialize_config_dir(version_base="1.3", config_dir=str(shipped("conf")))


def run_jobs(job: Callable[..., Any], arguments: Sequence[str], *, prog: str) -> None:
    """Have Hydra compose `conf/evaluate.yaml` and call `job` with it, once or for every combination of a sweep.

    Args:
        job: gets the composed settings.
        arguments: as `normalise` and `expand` leave them.
        prog: the command, as typed.
    """
    import hydra

    if not any(_OF_HYDRA.match(argument) for argument in arguments):
        _run_one(job, arguments)
        return
    given = _below_swept(arguments)
    before, sys.argv = sys.argv, [prog, *given]
    try:
        with composing(job, remedy=_OF_A_SWEEP if given != [*arguments] else ""):
            hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="evaluate")(job)()
    finally:
        sys.argv = before


def _below_swept(arguments: Sequence[str]) -> list[str]:
    """The arguments with settings of swept choices, as in `reranker=a,b reranker.object=c`, made sweeps of one value.

    Hydra first composes without what is swept; the choice that it has then may lack them.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser, swept, below = OverridesParser.create(), set[str](), set[int]()
    if not {"-m", "--multirun", "hydra.mode=MULTIRUN"} & {*arguments}:
        return [*arguments]
    for place, argument in enumerate(arguments):
        with suppress(HydraException):  # a flag, or what Hydra will refuse itself
            if parser.parse_override(argument).is_sweep_override():
                swept.add(argument.partition("=")[0])
            elif re.match(r"(\+\+)?\w+\.[\w.]+=.", argument):
                below.add(place)
    found = []
    for place, argument in enumerate(arguments):
        key, _, value = argument.partition("=")
        is_of_swept = place in below and key.lstrip("+").partition(".")[0] in swept
        found.append(f"{key}=choice({value})" if is_of_swept else argument)
    return found


def _run_one(job: Callable[..., Any], arguments: Sequence[str]) -> None:
    """Do what `hydra.main` does without a sweep. It would compose twice, first to learn whether there is one."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import open_dict

    with composing(job):
        with _conf():
            settings = hydra.compose("evaluate", overrides=list(arguments), return_hydra_config=True)
        HydraConfig.instance().set_config(settings)
        with open_dict(settings):
            del settings["hydra"]
        job(settings)


@contextmanager
def composing(job: Callable[..., Any], groups: Sequence[str] = GROUPS, *, remedy: str = "") -> Iterator[None]:
    """Turn an error of Hydra's about settings into a `ConfigError` of one line; errors of the job pass through.

    `remedy` is said where a choice lacks a setting.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except EvalkitError:
        raise
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(one_line(error, groups, remedy=remedy)) from error
    except Exception as error:  # of a group that is null, of YAML that is none: of any class
        if _is_past_composing(error, job) or explained(error):
            raise
        raise ConfigError(f"the settings cannot be read: {reason(error)}.") from error


def _is_past_composing(error: Exception, job: Callable[..., Any]) -> bool:
    """Whether it was raised by the job, or by a launcher that had jobs done elsewhere."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return any(
        frame.f_code is job.__code__ or frame.f_globals.get("__name__", "").startswith("hydra_plugins.")
        for frame in frames
    )


class _Printable(logging.Formatter):
    """Escapes control characters: messages hold ids and names of files, where any character is legal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class _Stderr(logging.Handler):
    """Writes to whatever stderr is when a message comes: a notebook and a test put others in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError):  # nobody reads it
            sys.stderr.write(f"{self.format(record)}\n")


def prepare() -> None:
    """Make the dataclasses known to Hydra, and warnings of evalkit one line each on stderr."""
    # Full errors: Hydra raises instead of printing its own report and leaving with exit code 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # Offline it mentions its cache a dozen times a dataset; evalkit checks itself that the commit is right.
    os.environ.setdefault("DATASETS_VERBOSITY", "error")
    handler = _Stderr()
    handler.setFormatter(_Printable("evalkit: %(levelname)s: %(message)s"))
    logger = logging.getLogger("evalkit")
    logger.handlers[:] = [handler]
    logger.propagate = False
    register_schemas(tuple(sys.path))


class _Schemas(dict[str, Any]):
    """What Hydra's store of schemas holds. Hydra copies the store each time it composes, and nothing changes it."""

    def __deepcopy__(self, memo: object) -> Self:
        return self


@cache
def register_schemas(_path: tuple[str, ...]) -> None:
    """Give Hydra the dataclasses under the names that the `defaults` lists use, and what other packages add.

    Once for each search path of Python, as that decides which packages there are.
    """
    import yaml
    from hydra.core.config_store import ConfigStore

    from evalkit.commands.settings.unread import store_member

    store = ConfigStore.instance()
    usable = usable_schemas()
    schemas = {"schema": ROOTS, **{f"schema/{group}": found for group, found in usable.items()}}
    for place, found in schemas.items():
        for name, schema in found.items():
            if _STORED.get((place, name)) is not schema:
                store.store(group=place, name=name, node=schema, provider="evalkit")
                _STORED[place, name] = schema
    for group in usable:
        for name, text in installed_settings(group).items():
            store.store(group=group, name=name, node=yaml.safe_load(text), provider="another package")
        for name, member in members(group).items():
            store_member(group, name, member)
    store.repo = _Schemas(store.repo)


def to_config(settings: Any, overrides: Sequence[str] = ()) -> Any:
    """Checked dataclasses from what Hydra composed."""
    from omegaconf import OmegaConf

    config = OmegaConf.to_object(settings)
    assert is_dataclass(config)
    assert not isinstance(config, type)
    unescape(config, overrides)
    _refuse_added_keys("", OmegaConf.to_container(settings), asdict(config))
    return config


def _refuse_added_keys(prefix: str, given: Any, known: dict[str, Any]) -> None:
    """`+key=value` gets past the schema, but nothing would read it."""
    for key, value in given.items():
        if key not in known:
            raise ConfigError(unknown_setting(f"{prefix}{key}", known))
        if isinstance(value, dict) and isinstance(known[key], dict):
            _refuse_added_keys(f"{prefix}{key}.", value, known[key])
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and ("\0" in text or not writable(text)):
                raise ConfigError(f"{prefix}{key}={text!r} holds a NUL or half a character, which no record can hold.")
