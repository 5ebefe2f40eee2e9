"""`instructions.json`: the task instruction of each dataset, with where it is from. Knows nothing of templates."""

from pathlib import Path
from typing import NamedTuple

from evalkit.config.dataset import DatasetConfig
from evalkit.config.resources import shipped
from evalkit.config.retriever import DenseConfig
from evalkit.errors import ConfigError, DataError
from evalkit.formats import strict_json
from evalkit.system.files import expanded
from evalkit.system.lookalikes import did_you_mean
from evalkit.system.reporting import reason

GENERIC = "Given a query, retrieve relevant documents that answer the query."
"""The instruction that `generic` stands for: one text for every dataset, written for none of them."""


PER_QUERY = "query"
"""The value of `reranker.instructions` when every query brings its own."""

_LOOKED_UP = ("dataset", "card")
_WORDS = ("none", "generic", *_LOOKED_UP)


class Instruction(NamedTuple):
    """A dataset's instruction.

    Attributes:
        instruction: the text; empty where the dataset is known to be evaluated without one.
        source: where it was published.
        assumed: true where the published file has no entry and the text is our choice.
    """

    instruction: str
    source: str = ""
    assumed: bool = False


def load_instructions(path: Path | None = None) -> dict[str, Instruction]:
    """Dataset name (BEIR folder name or C-MTEB task name) -> its instruction."""
    path = path or shipped("instructions.json")
    if not path.is_file():
        raise DataError(f"{path}: no such file. A file of instructions is {{dataset: instruction}} in JSON.")
    try:
        entries = strict_json.loads(path.read_text(encoding="utf-8"))
        return {
            name: Instruction(entry) if isinstance(entry, str) else _checked(Instruction(**entry))
            for name, entry in entries.items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a file of instructions ({reason(error)}). Expected {{dataset: instruction}} in JSON, or "
            "{dataset: {instruction, source, assumed}}."
        ) from error


def _checked(entry: Instruction) -> Instruction:
    wanted = {"instruction": str, "source": str, "assumed": bool}
    if wrong := [name for name, kind in wanted.items() if not isinstance(getattr(entry, name), kind)]:
        raise ValueError(f"{wrong[0]} is {getattr(entry, wrong[0])!r}")
    return entry


def choose_instruction(setting: str, *, key: str | None, name: str) -> str:
    """The instruction that a setting means for a dataset; empty for none.

    Args:
        setting: `none`; `generic` for `GENERIC`; `dataset` for its entry in `instructions.json`; `card` for that entry
            where the card's authors published it, else none; `query` where queries bring their own, so that there is
            none for all; a path that ends in `.json`; or the instruction itself.
        key: the dataset's entry; of a name such as `cqadupstack/android` also that before the slash is looked for.
            None where there is no dataset, as in `evalkit score`: its pairs bring their own instructions.
        name: of the setting, for errors, such as `reranker.instructions`.
    """
    if setting in {"none", PER_QUERY} or (setting in _LOOKED_UP and key is None):
        return ""
    if setting == "generic":
        return GENERIC
    if setting not in _LOOKED_UP and not setting.endswith(".json"):
        _refuse_mistyped(setting, name)
        return setting
    if key is None:
        raise ConfigError(f"{name}={setting} is looked up by dataset, and there is none here. Give the text itself.")
    path = None if setting in _LOOKED_UP else expanded(setting)
    entries = load_instructions(path)
    for candidate in (key, key.partition("/")[0]):
        if candidate in entries:
            entry = entries[candidate]
            return "" if setting == "card" and entry.assumed else entry.instruction
    if setting == "card":
        return ""
    raise ConfigError(
        f"{name}={setting}, but {path or 'instructions.json'} has no entry {key!r}. {did_you_mean(key, entries)}"
        f"Set {name}=none, the instruction "
        'itself, a .json file with {"' + key + '": "..."}, or dataset.instruction_key to an entry of '
        "`evalkit list instructions`."
    )


def query_instruction(config: DenseConfig, dataset: DatasetConfig | None) -> str | None:
    """Text before the queries of a dataset; None for the checkpoint's own."""
    key = dataset.key if dataset else None
    task = choose_instruction(config.instructions, key=key, name="retriever.instructions")
    if task:
        return str(config.instructed_query).replace("{instruction}", task)
    return "" if key in config.instruction_except else config.query_instruction


def _refuse_mistyped(setting: str, name: str) -> None:
    """No instruction is a single word that looks like one of `_WORDS`; as a text it would be used without a notice."""
    words = (*_WORDS, PER_QUERY) if name.startswith("reranker.") else _WORDS
    if setting.isalpha() and (meant := did_you_mean(setting, words)):
        raise ConfigError(
            f"{name}={setting} is a single word, not an instruction. {meant}Legal are: {', '.join(words)}, "
            "a .json file, or a text of several words."
        )
