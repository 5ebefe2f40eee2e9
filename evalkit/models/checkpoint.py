"""Where a checkpoint is and what identifies it: a hub id at a commit, a folder, or a folder in an installed package.

Resolving downloads at most; it loads no weights. The identity goes into the key of everything the model makes.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from evalkit.errors import AbsentModel, ModelError
from evalkit.models.config_json import checked_settings
from evalkit.models.module_list import listed_modules, require_folder
from evalkit.models.refusals import instead_of_config
from evalkit.models.remote_files import downloaded, package_folder
from evalkit.system.files import Stamp, expanded, file_digest, stamp_of
from evalkit.types import Identity

_PACKAGE_PREFIX = "package:"
_READ_SUFFIXES = {".json", ".txt", ".model", ".jinja", ".safetensors", ".bin", ".pt"}
_POOLING = "1_Pooling"  # read also where `modules.json` does not name it
CONFIG = "config.json"
CHAIN_CONFIG = "config_sentence_transformers.json"  # next to `modules.json`, wherever the transformer is
ROUTER = "Router"  # the module with a chain of modules for queries and another for documents
TRANSFORMERS = {"Transformer", "MLMTransformer"}
ADAPTER = "adapter_config.json"
VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
)
"""Files of which every tokenizer has one."""
# An adapter has a tokenizer of its own, with all of these files, or that of its base.
_OF_TOKENIZER = {
    *VOCABULARIES,
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
}
_SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk.

    Attributes:
        path: the folder with `config.json` and weights; of an adapter, the folder with `adapter_config.json`.
        known: what fixes its content, where that is known without reading it: hub id and commit.
        also: names of further files that are read.
        base: the checkpoint that an adapter changes; None where there is no adapter.
        router: the checkpoint of which this is one route, or whose transformer is in this folder; None of any other.
        chain: of such a part, the class names and folders of its modules, seen from `path`.
    """

    path: Path
    known: Identity | None = None
    also: tuple[str, ...] = ()
    base: "Checkpoint | None" = None
    router: "Checkpoint | None" = None
    chain: tuple[tuple[str, str], ...] = ()

    @cached_property
    def identity(self) -> Identity:
        """Facts that fix the content: hub id and commit, or a digest of every file. Reads the weights in a folder.

        Of an adapter, also those of its base; of a part, those of the whole.
        """
        if self.router is not None:
            return self.router.identity
        own = self.known or {"files": {name: file_digest(self.path / name) for name in self.files}}
        return own if self.base is None else {"adapter": own, "base": self.base.identity}

    @property
    def whole(self) -> "Checkpoint":
        """The checkpoint with the weights that an adapter changes; itself where there is no adapter."""
        return self.base or self

    def file(self, name: str) -> Path:
        """Where a file is read from. `config.json` is that of the base, and so are tokenizers that an adapter lacks.

        A part has `config_sentence_transformers.json` of the whole.
        """
        if self.router is not None and name == CHAIN_CONFIG:
            return self.router.file(name)
        of_base = name == CONFIG or (name in _OF_TOKENIZER and not self._has_tokenizer)
        return self.whole.path / name if of_base else self.path / name

    @cached_property
    def _has_tokenizer(self) -> bool:
        return any((self.path / name).is_file() for name in VOCABULARIES)

    @cached_property
    def files(self) -> dict[str, Stamp]:
        """The files of a folder that models read, by name, as they were when first asked for.

        At any depth; but a link to a folder is followed only where one is read from, as it may lead anywhere.

        Raises:
            ModelError: a file or folder that is read is outside of the checkpoint.
        """
        folders = [self.path / name for name in (_POOLING, *(folder for _, folder in self.modules()))]
        below = [*self.path.rglob("*"), *(file for folder in folders if folder.is_dir() for file in folder.iterdir())]
        read = {file for file in below if file.suffix in _READ_SUFFIXES} | {self.inside(name) for name in self.also}
        return {file.relative_to(self.path).as_posix(): stamp_of(file) for file in sorted(read) if file.is_file()}

    def require_unchanged(self) -> None:
        """Refuse what was read of a folder if it may not be what `identity` says.

        Raises:
            ModelError: a file was written, removed or added since the checkpoint was found.
        """
        if (whole := self.router or self.base) is not None:
            whole.require_unchanged()
        if self.known is not None or self.router is not None:
            return
        before, now = self.files, Checkpoint(self.path, also=self.also).files
        if changed := sorted(name for name in {*before, *now} if before.get(name) != now.get(name)):
            raise ModelError(f"{self.path / changed[0]}: changed while the checkpoint was read. Run again.")

    def inside(self, name: str) -> Path:
        """Where a file or folder is that a setting or another file names.

        Raises:
            ModelError: the name leads out of the checkpoint, where it would be no part of its identity.
        """
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ModelError(f"{self.path}: {name!r} is outside of the checkpoint. Move it into the folder.")
        return self.path / name

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of `config.json` without null keys, widths and counts also under their usual names.

        Raises:
            ModelError: a setting that every model has is of another type, or no size that a model can have.
        """
        return checked_settings(self.path, self.read_json(CONFIG) or {})

    def require_sizes(self, *others: str) -> None:
        """Refuse a transformer whose configuration lacks a size, or one of the other numbers that it is built with.

        Raises:
            ModelError: one is absent, or not a positive number.
        """
        self.numbers(*_SIZES, *others)

    def numbers(self, *keys: str) -> dict[str, Any]:
        """Settings that a model cannot be built without; a default in their place would be another model.

        Raises:
            ModelError: one is absent, or not a positive number.
        """
        wrong = [
            key
            for key in keys
            if not isinstance(self.config.get(key), int | float)
            or isinstance(self.config[key], bool)
            or not 0 < self.config[key] < math.inf
        ]
        if wrong:
            found = ", ".join(f"{key}={self.config[key]!r}" if key in self.config else f"no {key}" for key in wrong)
            raise ModelError(f"{self.path}/config.json: has {found}, and this kind of model needs a number there.")
        return {key: self.config[key] for key in keys}

    def require_settings(self, only: Mapping[str, Any]) -> None:
        """Refuse settings that change the formula of a layout; what is absent counts as set.

        Raises:
            ModelError: one is there with another value.
        """
        for key, value in only.items():
            found = self.config.get(key, value)
            if found != value:
                raise ModelError(f"{self.path}/config.json: {key}={found!r} is not supported, only {value!r}.")

    @property
    def static(self) -> str | None:
        """The folder of a `StaticEmbedding`, a table of vectors and no transformer; None for any other model.

        Empty where the table is in the checkpoint's own folder.
        """
        kind, folder = next(iter(self.modules()), ("", ""))
        return folder if kind == "StaticEmbedding" else None

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The object in a JSON file of the checkpoint, or None where there is no such file.

        Raises:
            ModelError: the file is not JSON, or no object.
        """
        file = self.file(name)
        if not file.is_file():
            return None
        try:
            parsed = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, OSError, RecursionError) as error:
            raise ModelError(f"{file}: not readable as JSON ({error}).") from error
        if not isinstance(parsed, dict):
            raise ModelError(f"{file}: a JSON {type(parsed).__name__}, expected an object.")
        return parsed

    def modules(self) -> list[tuple[str, str]]:
        """(class name, folder) of every entry in `modules.json`, such as `("Pooling", "1_Pooling")`, in order.

        Of a part its own; none where there is no such file.

        Raises:
            ModelError: the file is not what sentence-transformers writes, or names a folder outside of the checkpoint.
        """
        if self.router is not None:
            return list(self.chain)
        file = self.path / "modules.json"
        if not file.is_file():
            return []
        found = [(kind.rsplit(".", 1)[-1], folder) for kind, folder in listed_modules(file)]
        for _, folder in found:
            self.inside(folder)
        return found

    @property
    def kinds(self) -> list[str]:
        """The class names of `modules`, in order."""
        return [kind for kind, _ in self.modules()]

    def part(self, chain: Sequence[tuple[str, str]]) -> "Checkpoint":
        """This checkpoint seen from the folder of the first of some modules, which come with those behind it."""
        first = chain[0][1]
        seen = [(kind, "" if at == first else os.path.relpath(at or ".", first or ".")) for kind, at in chain]
        return replace(self, path=self.path / first, router=self, chain=tuple(seen))

    @property
    def from_transformer(self) -> "Checkpoint":
        """This checkpoint seen from the folder of its transformer, which early sentence-transformers put in its own."""
        kind, folder = next(iter(self.modules()), ("", ""))
        return self.part(self.modules()) if folder and kind in TRANSFORMERS else self


def resolve(
    model: str,
    revision: str | None = None,
    *,
    also: Sequence[str] = (),
    weights: bool = True,
    routed: bool = False,
) -> Checkpoint:
    """The checkpoint that a `model` setting names, downloaded if it is a hub id that is not in the local cache.

    Args:
        model: a hub id, a folder, or `package:NAME/PATH`.
        revision: commit of a hub id.
        also: files with weights that are read in addition to those of the model.
        weights: whether to download weights too.
        routed: whether the caller reads a Router, whose models may all be in folders below it.

    Raises:
        ModelError: no such folder, package folder or hub id, no `config.json` or module in it, a file outside is read.
        MissingExtra: the package that holds the weights is not installed.
    """
    if model.startswith(_PACKAGE_PREFIX):
        checkpoint = _from_folder(package_folder(model.removeprefix(_PACKAGE_PREFIX)), model, also)
    elif expanded(model).is_dir():
        checkpoint = _from_folder(expanded(model), model, also)
    elif model.count("/") == 1 and not model.startswith((".", "/", "~")):
        folder = downloaded(model, revision, also, weights=weights)
        checkpoint = Checkpoint(folder, {"hub": model, "commit": folder.name}, tuple(also))
    else:
        raise AbsentModel(
            f"{model}: no such folder. A model is a hub id such as BAAI/bge-m3, a folder, or package:NAME/PATH."
        )
    for kind, at in checkpoint.modules():
        require_folder(checkpoint.path, "modules.json", kind, at)
    checkpoint = checkpoint.from_transformer
    if not (checkpoint.path / CONFIG).is_file():
        if (checkpoint.path / ADAPTER).is_file():
            return _over_base(checkpoint, weights=weights)
        # A table of vectors needs no configuration.
        if checkpoint.static is not None or (routed and ROUTER in checkpoint.kinds):
            return checkpoint
        raise ModelError(f"{checkpoint.path}: has no {CONFIG}; {instead_of_config(checkpoint.path)}")
    return checkpoint


def _over_base(adapter: Checkpoint, *, weights: bool) -> Checkpoint:
    """An adapter with the checkpoint that it changes: a folder seen from its own, or a hub id."""
    stored = adapter.read_json(ADAPTER) or {}
    name, revision = stored.get("base_model_name_or_path"), stored.get("revision")
    if not isinstance(name, str) or not name:
        raise ModelError(f"{adapter.path}/{ADAPTER}: base_model_name_or_path={name!r} names no checkpoint.")
    beside = adapter.path / expanded(name)
    try:
        base = resolve(str(beside.resolve()) if beside.is_dir() else name, revision, weights=weights)
    except AbsentModel as error:
        raise AbsentModel(
            f"{adapter.path}/{ADAPTER}: the base {name} of this adapter is neither a folder nor to be had from the "
            f"hub. Put its folder there, or name it in base_model_name_or_path. ({error})"
        ) from error
    if base.base is not None:
        raise ModelError(f"{adapter.path}/{ADAPTER}: its base {base.path} is an adapter too. Merge that one first.")
    return replace(adapter, base=base)


def _from_folder(path: Path, model: str, also: Sequence[str]) -> Checkpoint:
    checkpoint = Checkpoint(path, also=tuple(also))
    if not checkpoint.files:
        raise ModelError(f"{model}: the folder {path} holds no checkpoint files; {instead_of_config(path)}")
    return checkpoint
