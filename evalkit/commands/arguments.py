"""What people type, as Hydra's grammar wants it, and refusals of what it would quietly misread.

Hydra reads `dataset.path=~/数据 (1)` as a broken expression, and a suite's datasets as replaceable by `dataset=`.
"""

import re

from evalkit.ablation import load_ablation
from evalkit.commands.foreign import require_harmless
from evalkit.errors import ConfigError
from evalkit.resources import config_names

# Values that are paths, of which any character is legal.
_PATHS = re.compile(r"(\w+\.)?((\w+_)?path|model|projection|results_dir|cache_dir)")
_UNQUOTED = re.compile(r"[A-Za-z0-9_/\\.+$%*@?|:-]*")
_MEASURES = {"measures", "dataset.measures"}
_WITH_LEVEL = re.compile(r"(?<!['\"\w])[A-Za-z]+\( *rel *=[^()'\"]*\)(@\w+)?")
_FLAGS = {"-m", "--multirun"}
_WITH_VALUE = {"--config-dir", "-cd", "--cfg", "-c", "--package", "-p"}  # unless it is joined with =


def normalise(arguments: list[str]) -> list[str]:
    """The arguments with paths quoted, single measures listed, and flags first.

    Raises:
        ConfigError: arguments that contradict each other, or one without a name.
    """
    for argument in arguments:
        if argument.startswith("="):
            raise ConfigError(f"cannot read the argument {argument!r}. Arguments are SETTING=VALUE.")
    _refuse_contradictions(arguments)
    require_harmless(arguments)
    sweep = any(argument in _FLAGS for argument in arguments)
    # Hydra's parser wants flags before settings; people append -m to a command that worked.
    flags: list[str] = []
    settings: list[str] = []
    for place, argument in enumerate(arguments):
        is_flag = argument.startswith("-") or (place > 0 and arguments[place - 1] in _WITH_VALUE)
        (flags if is_flag else settings).append(argument)
    return flags + [_normalise_one(argument, sweep=sweep) for argument in settings]


def _normalise_one(argument: str, *, sweep: bool) -> str:
    key, equals, value = argument.partition("=")
    if not equals or not value or value[0] in "'\"":
        return argument
    if key in _MEASURES:  # Hydra would take R(rel=2) for a call of a function
        value = _WITH_LEVEL.sub(lambda found: f"'{found[0]}'", value)
        return f"{key}={value}" if "[" in value else f"{key}=[{value}]"
    # In a sweep a comma separates choices; there a path with odd characters is for the user to quote.
    legal = _UNQUOTED.fullmatch(value.replace(",", "") if sweep else value)
    if _PATHS.fullmatch(key) and not legal and not (sweep and "," in value):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"{key}='{escaped}'"
    return argument


def _refuse_contradictions(arguments: list[str]) -> None:
    given = dict(argument.lstrip("+").partition("=")[::2] for argument in arguments if "=" in argument)
    if given.get("suite") in {"", "null"}:
        del given["suite"]
    if "," in given.get("suite", ""):
        raise ConfigError(f"suite={given['suite']} are several suites. Run them one at a time.")
    if "suite" in given and "dataset" in given:
        raise ConfigError(
            f"suite={given['suite']} chooses the datasets. Remove dataset={given['dataset']}, or the suite."
        )
    if given.get("ablation") in config_names("ablation"):
        setting = load_ablation(given["ablation"]).setting
        if setting in given:
            raise ConfigError(
                f"ablation={given['ablation']} varies {setting}. Remove {setting}={given[setting]}, or the ablation. "
                f"Values of your own: -m {setting}=A,B."
            )
    several = "suite" in given or "," in given.get("dataset", "")
    for key in ("dataset.path", "dataset.name", "dataset.language"):
        if several and key in given and "${" not in given[key]:
            raise ConfigError(
                f"{key} is of one dataset, and several are chosen. Run them one at a time, or write ${{dataset.name}} "
                "for the name of each, such as 'dataset.path=DIR/${dataset.name}'."
            )
