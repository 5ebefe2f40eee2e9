"""Hydra's reading of `conf/`, done once in a process for each choice of files: it takes a tenth of a second.

Most commands of tests differ in values alone, such as a folder of results, and those are applied each time. A folder of
the test's own (`--config-dir`) is read each time as well, and what it is composed with is read once.
"""

import copy
import sys
from collections.abc import Collection
from typing import Any

import pytest
from hydra._internal import config_loader_impl as hydra_loader
from hydra._internal import defaults_list as hydra_defaults
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.defaults_list import DefaultsList
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override

from evalkit.config.resources import shipped

BY_HYDRA = hydra_loader.create_defaults_list, hydra_loader.ConfigLoaderImpl._compose_config_from_defaults_list
FILES_BY_HYDRA = ConfigRepository.load_config, hydra_loader.ConfigLoaderImpl._embed_result_config
CHOICES_BY_HYDRA = hydra_defaults._create_interpolation_map
_VALUES = {"depth", "measures", "results_dir", "cache_dir"}


class _Chosen(list[Any]):
    """The files of a composition, in order, and what they were chosen by."""

    key: object = None


def compose_once(patch: pytest.MonkeyPatch) -> None:
    """Have Hydra keep what it composed of the files under `conf/`."""
    lists: dict[object, DefaultsList] = {}
    composed: dict[object, Any] = {}
    stores: list[object] = []  # referred to, so that no other object has their id
    fixed = {"pkg://hydra.conf", f"file://{shipped('conf')}", "structured://"}
    choose, join = BY_HYDRA

    def chosen(
        repo: Any, config_name: str | None, overrides_list: list[Override], *, prepend_hydra: bool, skip_missing: bool
    ) -> DefaultsList:
        options = {"prepend_hydra": prepend_hydra, "skip_missing": skip_missing}
        places = tuple(f"{source.scheme()}://{source.path}" for source in repo.get_sources())
        if not fixed.issuperset(places):
            return choose(repo, config_name, overrides_list, **options)
        stores.append(ConfigStore.instance().repo)
        others = tuple(one.input_line for one in overrides_list if not _is_value(one))
        key = (config_name, others, prepend_hydra, skip_missing, places, tuple(sys.path), id(stores[-1]))
        if key in lists:
            stores.pop()
        else:
            lists[key] = choose(repo, config_name, overrides_list, **options)
        kept = lists[key]
        no_files = {one.input_line for one in kept.config_overrides}
        chosen_files = _Chosen(kept.defaults)
        chosen_files.key = key
        applied = [one for one in overrides_list if not one.is_sweep_override()]
        values = [one for one in applied if _is_value(one) or one.input_line in no_files]
        return DefaultsList(chosen_files, kept.defaults_tree, values, kept.overrides)

    def joined(self: Any, defaults: list[Any], repo: Any) -> Any:
        key = getattr(defaults, "key", None)
        if key is None:
            return join(self, defaults, repo)
        if key not in composed:
            composed[key] = join(self, defaults, repo)
        return copy.deepcopy(composed[key])

    _read_once(patch, fixed)
    patch.setattr(hydra_loader, "create_defaults_list", chosen)
    patch.setattr(hydra_loader.ConfigLoaderImpl, "_compose_config_from_defaults_list", joined)


def _read_once(patch: pytest.MonkeyPatch, fixed: Collection[str]) -> None:
    """Have Hydra keep the files of `fixed` that it read, whichever others it composes them with."""
    files: dict[object, Any] = {}
    stores: list[object] = []  # referred to, so that no other object has their id

    def read(repo: Any, config_path: str) -> Any:
        source = repo._find_object_source(config_path, ObjectType.CONFIG)
        place = source and f"{source.scheme()}://{source.path}"
        if place not in fixed:
            return FILES_BY_HYDRA[0](repo, config_path)
        key = (place, config_path, id(ConfigStore.instance().repo))
        if key not in files:
            stores.append(ConfigStore.instance().repo)
            files[key] = FILES_BY_HYDRA[0](repo, config_path)
        return copy.copy(files[key])

    def embedded(found: Any, package_override: str | None) -> Any:
        """A file without a place of its own is merged as it is, so it is copied first; Hydra copies the others."""
        if not (found.header["package"] if package_override is None else package_override):
            found = copy.copy(found)
            found.config = copy.deepcopy(found.config)
        return FILES_BY_HYDRA[1](found, package_override)

    def choices(overrides: Any, defaults: list[Any], self_added: bool) -> Any:
        """The choices that a name may refer to. Hardly any file has such a name, and collecting them takes long."""
        named = [one for one in defaults if not one.is_self() and one.is_interpolation()]
        return CHOICES_BY_HYDRA(overrides, defaults, self_added) if named else None

    patch.setattr(ConfigRepository, "load_config", read)
    patch.setattr(hydra_loader.ConfigLoaderImpl, "_embed_result_config", staticmethod(embedded))
    patch.setattr(hydra_defaults, "_create_interpolation_map", choices)


def _is_value(override: Override) -> bool:
    """Whether it sets a value and chooses no file."""
    line, key = str(override.input_line), override.key_or_group
    return line[0] not in "+~" and (key in _VALUES or ("." in key and not key.startswith("hydra")))
