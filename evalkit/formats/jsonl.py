"""JSON lines that `evalkit score` and `evalkit embed` read: pairs and texts. Errors name file and line."""

import io
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from evalkit.errors import DataError
from evalkit.formats import strict_json
from evalkit.formats.compressed import plain
from evalkit.formats.textfile import lines, read_lines
from evalkit.system.files import expanded
from evalkit.system.lookalikes import instead
from evalkit.types import Pair

STDIN = "-"
ROLES = ("query", "document")


def read_pairs(file: str) -> list[tuple[Pair, dict[str, Any]]]:
    """Pairs, each with the other fields of its line, such as ids.

    Args:
        file: a path, or `-` for standard input; plain or compressed.

    Raises:
        DataError: a line is not an object with the texts `query` and `document`, and perhaps `instruction`.
    """
    pairs = []
    for where, fields in _objects(file, "query, document and perhaps instruction"):
        instruction = _take_instruction(where, fields)
        query, document = (_take_text(where, fields, key) for key in ("query", "document"))
        pairs.append((Pair(query, document, instruction), _without(fields, "score", "input_ids")))
    return pairs


class Text(NamedTuple):
    """A text to embed.

    Attributes:
        role: `query` or `document`.
        text: the text itself.
        instruction: the instruction of a query; None for the retriever's own.
        rest: the other fields of its line.
    """

    role: str
    text: str
    instruction: str | None
    rest: dict[str, Any]


def read_texts(file: str) -> list[Text]:
    """The texts of a file.

    Args:
        file: a path, or `-` for standard input; plain or compressed.

    Raises:
        DataError: a line is not an object with a `role` (query or document) and a `text`.
    """
    texts = []
    for where, fields in _objects(file, "role and text"):
        if "role" not in fields:
            found = f" but {', '.join(fields)}" if fields else ""
            raise DataError(f'{where}: has no role{found}. Say "role": "query" or "role": "document" in every line.')
        role, text = (_take_text(where, fields, key) for key in ("role", "text"))
        if role not in ROLES:
            raise DataError(f"{where}: role is {role!r}. {instead(role, ROLES)}")
        instruction = _take_instruction(where, fields)
        if instruction and role != "query":
            raise DataError(f"{where}: a {role} with an instruction. Instructions belong to queries.")
        texts.append(Text(role, text, instruction, _without(fields, "embedding", "input_ids")))
    return texts


def _objects(file: str, keys: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file and line number, object) of every line."""
    name = "standard input" if file == STDIN else file
    numbered = lines(_standard_input(), name) if file == STDIN else read_lines(expanded(file))
    for number, text in numbered:
        where = f"{name}:{number}"
        try:
            fields = strict_json.loads(text)
        except ValueError as error:
            raise DataError(f"{where}: not JSON ({error}). Expected an object with {keys}.") from error
        if not isinstance(fields, dict):
            raise DataError(f"{where}: {_kind(fields)}, expected an object with {keys}.")
        yield where, fields


def _kind(value: Any) -> str:
    """The kind of a value, in JSON's words."""
    names = {dict: "an object", list: "an array", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise DataError("standard input is closed. Name a file of JSON lines.")
    stream: Any = sys.stdin.buffer
    return plain(stream if hasattr(stream, "peek") else io.BufferedReader(stream))


def _without(fields: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The fields to pass on, without those that the output sets itself."""
    return {key: value for key, value in fields.items() if key not in keys}


def _take_text(where: str, fields: dict[str, Any], key: str) -> str:
    if key not in fields:
        found = f" but {', '.join(fields)}" if fields else ""
        raise DataError(f"{where}: has no {key}{found}.")
    return _require_text(where, key, fields.pop(key))


def _take_instruction(where: str, fields: dict[str, Any]) -> str | None:
    instruction = fields.pop("instruction", None)
    return None if instruction is None else _require_text(where, "instruction", instruction)


def _require_text(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: {key} is {_kind(value)}, expected a text.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: {key} holds half of a surrogate pair, which is not a character.") from error
    return value
