"""`instructions.json`: the task instruction of each dataset, with where it is from. Knows nothing of templates."""

import json
from pathlib import Path
from typing import NamedTuple

from evalkit.errors import DataError
from evalkit.resources import shipped


class Instruction(NamedTuple):
    """A dataset's instruction.

    Attributes:
        instruction: the text.
        source: where it was published.
        assumed: true where the published file has no entry and the text is our choice.
    """

    instruction: str
    source: str
    assumed: bool


def load_instructions(path: Path | None = None) -> dict[str, Instruction]:
    """Dataset name (BEIR folder name or C-MTEB task name) -> its instruction.

    Raises:
        DataError: the file is absent or malformed.
    """
    path = path or shipped("instructions.json")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): Instruction(**entry) for name, entry in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a file of instructions ({error}). Expected {{dataset: {{instruction, source, assumed}}}}."
        ) from error
