"""`evalkit evaluate --help`: every setting that the arguments make, each with its value and a line about it.

The lines are the texts below the fields of the schemas, so a setting is explained where it is declared.
"""

import ast
import inspect
import json
import textwrap
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterator
from dataclasses import is_dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from evalkit.commands.options import Parser

if TYPE_CHECKING:
    from omegaconf import DictConfig

_DESCRIPTION = """Retrieve candidates, rerank them, measure, and save everything under results/.

Choices, each with its names:

  dataset=NAME      what is searched                 evalkit list datasets
  retriever=NAME    the first stage                  evalkit list retrievers
  reranker=NAME     what orders the candidates       evalkit list rerankers
  compute=NAME      device, dtype and workers        evalkit list compute
  suite=NAME        several datasets, averaged       evalkit list suites
  ablation=NAME     one setting varied               evalkit list ablations

-m runs every combination of comma-separated choices:

  evalkit evaluate
  evalkit evaluate -m dataset=mini reranker=none,late_interaction
  evalkit evaluate suite=beir reranker=minicpm_reranker --format markdown
  evalkit evaluate dataset=folder dataset.path=DIR dataset.language=zh retriever=bm25
  evalkit evaluate retriever=saved retriever.path=run.trec reranker=cross_encoder reranker.model=DIR
  evalkit evaluate reranker=replay --help        # explains the settings of another choice

In texts that models read (instructions, prompts, separators ...) \\n is a newline, \\t a tab, \\\\ a backslash."""
_LONGEST = 60  # characters of a value


def help_text(settings: "DictConfig") -> str:
    """The whole help, with the settings as Hydra composed them."""
    parser = Parser(
        prog="evalkit evaluate",
        usage="evalkit evaluate [--format FORMAT] [-m] [SETTING=VALUE ...]",
        description=_DESCRIPTION,
        formatter_class=lambda prog: RawDescriptionHelpFormatter(prog, max_help_position=32),
    )
    parser.add_format()
    explained = list(_explained(settings, ""))
    for group in ("", *(str(key) for key in settings if hasattr(settings[key], "keys"))):
        name = settings[group].get("name") if group else None
        title = f"{group}={name}" if name else group or "settings"
        section = parser.add_argument_group(title)
        for key, value, line in explained:
            if (key.partition(".")[0] if "." in key else "") == group:
                section.add_argument(f"{key}={value}", nargs="?", help=line.replace("%", "%%"))
    return parser.format_help()


def _explained(settings: "DictConfig", prefix: str) -> Iterator[tuple[str, str, str]]:
    """Name, value and explanation of every setting."""
    from omegaconf import OmegaConf

    lines = explanations(OmegaConf.get_type(settings))
    plain: Any = OmegaConf.to_container(settings)
    for key, value in plain.items():
        if isinstance(value, dict) and is_dataclass(OmegaConf.get_type(settings, key)):
            yield from _explained(settings[key], f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _typed(value), lines.get(key, "")


def explanations(schema: type[Any] | None) -> dict[str, str]:
    """The first sentence below each field in the source of a dataclass and its bases."""
    found = {}
    for one in reversed(inspect.getmro(schema)) if schema else ():
        if is_dataclass(one):
            (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
            assert isinstance(parsed, ast.ClassDef)
            for field, text in pairwise(parsed.body):
                match field, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                        found[name] = " ".join(words.split()).partition(". ")[0].rstrip(".")
    return found


def _typed(value: Any) -> str:
    """A value as it would be typed; a long text is cut."""
    if isinstance(value, list):
        return f"[{','.join(map(_typed, value))}]"
    if value is None or isinstance(value, bool | dict):
        return json.dumps(value)
    text = " ".join(str(value).split()) or "''"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
