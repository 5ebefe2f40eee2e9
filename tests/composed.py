"""Hydra's reading of `conf/`, done once in a process for each choice of files: it takes a tenth of a second.

Most commands of tests differ in values alone, such as a folder of results, and those are applied each time. A folder of
the test's own (`--config-dir`) is read each time as well.
"""

import copy
import sys
from collections.abc import Callable, Collection
from typing import Any

import pytest
from hydra._internal import config_loader_impl as hydra_loader
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import (
    ImportlibResourcesConfigSource as PackageSource,
)
from hydra._internal.defaults_list import DefaultsList
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override

from evalkit.config.resources import shipped

BY_HYDRA = hydra_loader.create_defaults_list, hydra_loader.ConfigLoaderImpl._compose_config_from_defaults_list
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
        files = _Chosen(kept.defaults)
        files.key = key
        applied = [one for one in overrides_list if not one.is_sweep_override()]
        values = [one for one in applied if _is_value(one) or one.input_line in no_files]
        return DefaultsList(files, kept.defaults_tree, values, kept.overrides)

    def joined(self: Any, defaults: list[Any], repo: Any) -> Any:
        key = getattr(defaults, "key", None)
        if key is None:
            return join(self, defaults, repo)
        if key not in composed:
            composed[key] = join(self, defaults, repo)
        return copy.deepcopy(composed[key])

    patch.setattr(FileConfigSource, "load_config", _parsed_once(FileConfigSource.load_config, fixed))
    patch.setattr(PackageSource, "load_config", _parsed_once(PackageSource.load_config, fixed))
    patch.setattr(hydra_loader, "create_defaults_list", chosen)
    patch.setattr(hydra_loader.ConfigLoaderImpl, "_compose_config_from_defaults_list", joined)


def _parsed_once(load: Callable[[Any, str], Any], fixed: Collection[str]) -> Callable[[Any, str], Any]:
    """A source's reading of its files, of those that stay the same."""
    parsed: dict[tuple[str, str], Any] = {}

    def loaded(source: Any, config_path: str) -> Any:
        place = f"{source.scheme()}://{source.path}"
        if place not in fixed:
            return load(source, config_path)
        if (place, config_path) not in parsed:
            parsed[place, config_path] = load(source, config_path)
        return copy.deepcopy(parsed[place, config_path])

    return loaded


def _is_value(override: Override) -> bool:
    """Whether it sets a value and chooses no file."""
    line, key = str(override.input_line), override.key_or_group
    return line[0] not in "+~" and (key in _VALUES or ("." in key and not key.startswith("hydra")))
