"""The identity of a model that sentence-transformers holds in memory: all that decides its output."""

import hashlib
import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from evalkit.system.versions import version
from evalkit.types import Identity

_VOLATILE = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")  # of a config: they decide no output
_PACKAGES = ("sentence_transformers", "torch", "transformers", "peft")  # whose code a version tells
_ATTRIBUTES = ("prompts", "default_prompt_name", "similarity_fn_name", "truncate_dim")


def library_identity(model: Any) -> Identity | None:
    """All that decides the output of a model of sentence-transformers; None where that cannot be told.

    That is so where its weights cannot be read, and where code of others takes part: a subclass, a module, a method of
    the instance or a hook.

    Args:
        model: a `CrossEncoder`, `SentenceTransformer` or another stack of modules.
    """
    state = model.state_dict()
    if not state or not all(map(_is_known, model.modules())):  # those of ONNX and OpenVINO have no weights
        return None
    weights = hashlib.sha256()
    for name, tensor in state.items():
        weights.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        weights.update(_bytes(tensor))
    settings = {name: getattr(model, name) for name in _attributes(model) if _is_plain(getattr(model, name, None))}
    return {
        "weights_sha256": weights.hexdigest(),
        "settings": deepcopy(settings),  # the model may change its own later
        "modules": _digest([_facts(module) for module in _modules(model)]),
        "packages": {name: version(name) for name in ("sentence-transformers", "torch", "transformers")},
    }


def _is_known(module: Any) -> bool:
    """Whether a module does what its class does, which is one of these packages."""
    kind, hooks = type(module), [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]  # noqa: SLF001
    replaced = [key for key, value in vars(module).items() if callable(value) and callable(getattr(kind, key, None))]
    return not replaced and all(_is_of_package(each) for each in (kind, *hooks))


def _is_of_package(code: Any) -> bool:
    return str(getattr(code, "__module__", "")).partition(".")[0] in _PACKAGES


def _digest(facts: list[dict[str, str]]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _attributes(model: Any) -> tuple[str, ...]:
    """Which settings to ask a model for; a `CrossEncoder` before version 6 names its longest pair otherwise."""
    return (*_ATTRIBUTES, "max_seq_length" if hasattr(type(model), "max_seq_length") else "max_length")


def _bytes(tensor: Any) -> bytes:
    """The bytes of a tensor, of any type and on any device."""
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    found: bytes = flat.view(torch.uint8).numpy().tobytes()
    return found


def _modules(model: Any) -> Iterator[Any]:
    """The modules of a stack; the model itself where it is none."""
    yield from model.children() if len(list(model.children())) > 0 else [model]


def _facts(module: Any) -> dict[str, str]:
    """The structure of a module, its settings and its tokenizer, as texts."""
    config = getattr(getattr(module, "auto_model", module), "config", None)
    settings = config.to_dict() if config is not None and hasattr(config, "to_dict") else {}
    own = module.get_config_dict() if hasattr(module, "get_config_dict") else {}
    backend = getattr(getattr(module, "tokenizer", None), "backend_tokenizer", None)
    return {
        "structure": str(module),
        "config": str(sorted((key, str(value)) for key, value in settings.items() if key not in _VOLATILE)),
        "settings": str(sorted((key, str(value)) for key, value in own.items())),
        "tokenizer": _tokenizer(backend) if backend is not None else "",
    }


def _tokenizer(backend: Any) -> str:
    """A tokenizer of `tokenizers` without the padding and truncation that its last call left in it."""
    found = json.loads(backend.to_str())
    return json.dumps({key: value for key, value in found.items() if key not in {"padding", "truncation"}})


def _is_plain(value: Any) -> bool:
    """Whether JSON holds a value as it is."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(part) for key, part in value.items())
    return isinstance(value, str | int | float)
