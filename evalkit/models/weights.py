"""Tensors of a checkpoint into a model: every one accounted for, none made up.

The model says for each of its parameters which stored tensor it is, or which rows of one. What is missing, left over or
of another shape is an error that names it. Tensors are read one at a time, so that no second copy of the model is ever
in memory.
"""

import math
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 - only the error with which torch refuses other objects than tensors
from typing import Any, NamedTuple

from evalkit.errors import EvalkitError, ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.refusals import other_format
from evalkit.system.reporting import reason

# Stored by older versions of transformers, and computed by every model.
BUFFERS = r"(.*\.)?(rotary_emb\.inv_freq|position_ids)"

_OF_MODEL = (("model", "safetensors"), ("pytorch_model", "bin"))
_OF_ADAPTER = (("adapter_model", "safetensors"), ("adapter_model", "bin"))

Shape = tuple[int, ...]


class Stored(NamedTuple):
    """Where a parameter is stored.

    Attributes:
        name: the stored tensor.
        rows: which of its rows; all when None.
        shape: shape of the whole stored tensor; that of the parameter when None.
    """

    name: str
    rows: slice | Sequence[int] | None = None
    shape: Shape | None = None


def third(name: str, index: int, width: int) -> Stored:
    """Query, key or value (`index` 0 to 2) of a matrix or bias that packs all three, each of `width` rows."""
    shape = (3 * width, width) if name.endswith(".weight") else (3 * width,)
    return Stored(name, slice(index * width, (index + 1) * width), shape)


class Tensors:
    """The stored tensors of a checkpoint, opened but not read.

    Safetensors, whole or in shards; else `pytorch_model*.bin` through torch's weights-only reader. Of an adapter those
    of its base, unless `of_adapter`.
    """

    def __init__(self, checkpoint: Checkpoint, *, of_adapter: bool = False) -> None:
        self.path = checkpoint.path
        self.shapes: dict[str, Shape] = {}
        self._readers: dict[str, Callable[[str], Any]] = {}
        self._open = ExitStack()
        stems = _OF_ADAPTER if of_adapter else _OF_MODEL
        for file in _weight_files(checkpoint if of_adapter else checkpoint.whole, stems):
            try:
                if file.suffix == ".bin":
                    self._add_pickled(file)
                else:
                    self._add_safetensors(file)
            except EvalkitError:
                raise
            except UnpicklingError as error:
                raise ModelError(f"{file}: cannot be read: it holds something other than tensors.") from error
            # safetensors, zipfile and the file system each raise their own classes for a damaged file.
            except Exception as error:
                raise ModelError(f"{file}: cannot be read ({reason(error)}). Download it again.") from error

    def _add_safetensors(self, file: Path) -> None:
        from safetensors import safe_open

        reader = self._open.enter_context(safe_open(file, framework="pt"))
        for name in reader.keys():  # noqa: SIM118 - not a dict
            self._add(name, tuple(reader.get_slice(name).get_shape()), reader.get_slice)

    def _add_pickled(self, file: Path) -> None:
        import torch

        # Files of torch before 1.6 are not zip archives and cannot be memory-mapped.
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
        if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
            raise ModelError(f"{file}: is not a mapping of names to tensors. Is it a whole training checkpoint?")
        for name, tensor in state.items():
            self._add(name, tuple(tensor.shape), state.__getitem__)

    def _add(self, name: str, shape: Shape, reader: Callable[[str], Any]) -> None:
        if name in self.shapes:
            raise ModelError(f"{self.path}: holds the tensor {name} twice. Remove one of them.")
        self.shapes[name], self._readers[name] = shape, reader

    def read(self, source: Stored) -> Any:
        """The tensor, or the rows asked for, in the stored dtype."""
        import torch

        stored = self._readers[source.name](source.name)
        if source.rows is None:
            return stored[...]
        if isinstance(source.rows, slice):
            return stored[source.rows]
        return torch.cat([stored[row : row + 1] for row in source.rows])


def _weight_files(checkpoint: Checkpoint, stems: Sequence[tuple[str, str]]) -> list[Path]:
    """The files with the weights; of several sets the one that transformers takes."""
    for stem, suffix in stems:
        whole = checkpoint.path / f"{stem}.{suffix}"
        if whole.is_file():
            return [whole]
        index = checkpoint.read_json(f"{stem}.{suffix}.index.json")
        if index is not None:
            listed = index.get("weight_map")
            shards = sorted({str(shard) for shard in listed.values()}) if isinstance(listed, dict) else []
            absent = [shard for shard in shards if not (checkpoint.path / shard).is_file()]
            if absent or not shards:
                fault = f"names {', '.join(absent)}, which is not there" if absent else "has no weight_map with files"
                raise ModelError(
                    f"{checkpoint.path}/{stem}.{suffix}.index.json: {fault}. Download the checkpoint again."
                )
            # Elsewhere, or of another kind, a file would be no part of the checkpoint's identity.
            if odd := [shard for shard in shards if "/" in shard or not shard.endswith(f".{suffix}")]:
                raise ModelError(
                    f"{checkpoint.path}/{stem}.{suffix}.index.json: names {', '.join(odd)}, expected .{suffix} files "
                    "beside it."
                )
            return [checkpoint.path / shard for shard in shards]
    raise ModelError(
        f"{checkpoint.path}: has no {' and no '.join('.'.join(stem) for stem in stems)}, whole or in shards; "
        f"{other_format(checkpoint.path) or 'download the checkpoint again.'}"
    )


@contextmanager
def uninitialised(dtype: Any, device: str) -> Iterator[None]:
    """Parameters that are made in here are allocated and not initialised; buffers are computed."""
    import torch
    from transformers.initialization import no_init_weights

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with no_init_weights(), torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def require_stored(make: Callable[[], Any], tensors: Tensors) -> None:
    """Refuse a model that is far larger than its weights, before memory is taken for it.

    What only lacks a tensor, or has a shape that is not stored, is for `require_complete`, which names it.

    Raises:
        ModelError: it has ten times the numbers that are stored.
    """
    import torch

    with uninitialised(torch.float32, "meta"):
        needed = sum(parameter.numel() for parameter in make().parameters())
    stored = sum(map(math.prod, tensors.shapes.values()))
    if needed > 10 * stored:  # without a table of embeddings that is most of it, there are some times fewer
        raise ModelError(
            f"{tensors.path}: config.json describes a model of {needed:,} numbers, and {stored:,} are stored. It is "
            "another model's, or damaged. Download it again."
        )


def fill(
    model: Any,
    tensors: Tensors,
    source: Callable[[str], Stored],
    *,
    beside: Mapping[str, Shape] | None = None,
    unused: str = "(?!)",
) -> None:
    """Read every parameter of a model.

    Args:
        model: made in `uninitialised`.
        tensors: the checkpoint's.
        source: parameter name -> where it is stored.
        beside: stored tensors that the architecture has and this model does not compute, such as layers above a
            cut-off; they must be there with these shapes, and are not read.
        unused: stored names that may be there and are not read, as a regular expression for the whole name.

    Raises:
        ModelError: a tensor is missing, left over, or of another shape.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    sources = {name: source(name) for name in parameters}
    expected = {found.name: found.shape or tuple(parameters[name].shape) for name, found in sources.items()} | dict(
        beside or {}
    )
    may_be_there = re.compile(f"{unused}|{BUFFERS}")
    require_complete(
        tensors.path,
        missing=[name for name in expected if name not in tensors.shapes],
        misshapen={
            name: (tensors.shapes[name], shape)
            for name, shape in expected.items()
            if tensors.shapes.get(name, shape) != shape
        },
        surplus=[name for name in tensors.shapes if name not in expected and not may_be_there.fullmatch(name)],
    )
    _copy(parameters, sources, tensors)


def _copy(parameters: Mapping[str, Any], sources: Mapping[str, Stored], tensors: Tensors) -> None:
    import torch

    with torch.no_grad():
        for name, parameter in parameters.items():
            stored = tensors.read(sources[name])
            if not stored.is_floating_point():
                raise ModelError(
                    f"{tensors.path}: {sources[name].name} is {stored.dtype}, so the checkpoint is quantised, which "
                    "evalkit does not run. Take it in bfloat16 or float32."
                )
            parameter.copy_(stored)


def require_complete(
    path: Path, *, missing: Sequence[str], misshapen: Mapping[str, tuple[Shape, Shape]], surplus: Sequence[str]
) -> None:
    """Refuse a model with a tensor that is missing, misshapen or left over.

    Args:
        path: the checkpoint's folder.
        missing: names of tensors.
        misshapen: names, each with its shape as it is stored and as the model has it.
        surplus: names of tensors.

    Raises:
        ModelError: one is; the message names the first three.
    """
    for names, fault in (
        (missing, "lacks {} of the model's tensors, which would be newly initialised"),
        (misshapen, "has {} {} of another shape than its config says"),
        (surplus, "has {} {} that the model has no place for, so it is another model than its config says"),
    ):
        if names:
            listed = sorted(names)
            shown = ", ".join(listed[:3]) + (", ..." if listed[3:] else "")
            shapes = misshapen.get(listed[0]) if names is misshapen else None
            both = f" ({listed[0]} is stored as {list(shapes[0])}, expected {list(shapes[1])})" if shapes else ""
            tensors = "tensor" if len(listed) == 1 else "tensors"
            raise ModelError(f"{path}: {fault.format(len(listed), tensors)}: {shown}{both}.")


def layers_above(model: Any, *, first: int, stop: int, pattern: str = "model.layers.{}.") -> dict[str, Shape]:
    """Names and shapes of the blocks from `first` to before `stop`, which have those of block 0."""
    block = pattern.format(0)
    shapes = {
        name.removeprefix(block): tuple(p.shape) for name, p in model.named_parameters() if name.startswith(block)
    }
    return {pattern.format(index) + name: shape for index in range(first, stop) for name, shape in shapes.items()}
