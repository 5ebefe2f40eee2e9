"""Files of dataset repositories on the Hugging Face hub: in the hub's own cache, compared with its checksums."""

import re
from collections.abc import Sequence
from pathlib import Path

from evalkit.datasets.download import ON_DISK, Lacking, checksum, remove
from evalkit.datasets.loader import RemoteFile
from evalkit.errors import DataError, Unreachable
from evalkit.system.network import forbidden, hub_fault
from evalkit.system.reporting import reason

_COMMIT = re.compile("[0-9a-f]{40}")


def hub_file(hub_id: str, revision: str, name: str, *, md5: str | None = None) -> Path:
    """A file of a dataset repository, from the hub's cache or downloaded and checked."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError

    label = f"{hub_id}@{revision[:8]}: {name}"
    cached = in_hub_cache(hub_id, revision, name)
    # The client asks no server for a file of a commit that it has, but it does for one of a branch.
    fault = None if cached and _COMMIT.fullmatch(revision) else hub_fault()
    if fault and not cached:
        kind = DataError if forbidden() else Unreachable
        raise kind(f"{label} was not downloaded yet, and {fault}. {ON_DISK}")
    try:
        found = hf_hub_download(
            hub_id, name, revision=revision, repo_type="dataset", local_files_only=fault is not None
        )
        path = Path(found)
    # Network, authentication, absent file: the client raises a dozen unrelated classes for these.
    except Exception as error:
        absent = isinstance(error, EntryNotFoundError | RevisionNotFoundError)
        kind = Lacking if absent else DataError
        raise kind(f"{label} cannot be downloaded from the hub ({reason(error)}). {ON_DISK}") from error
    # Also one that was in the cache: whoever put it there may not have lived to check it.
    check_blob(path, label)
    if md5 and (other := checksum(path, "md5", b"")) != md5:
        # It came whole, so downloading it again would not help.
        raise Lacking(f"{label}: md5 is {other}, and the card is of {md5}. Its publisher changed it. {ON_DISK}")
    return path


def hub_file_of_any(hub_id: str, revisions: Sequence[str], name: str, *, md5: str) -> Path:
    """`hub_file` at the first of these revisions that has the file with this MD5; one in the cache comes first."""
    ordered = sorted(revisions, key=lambda revision: not in_hub_cache(hub_id, revision, name))
    faults: list[Lacking] = []
    for revision in ordered:
        try:
            return hub_file(hub_id, revision, name, md5=md5)
        except Lacking as fault:
            faults.append(fault)
    tried = ", ".join(revision[:8] for revision in ordered)
    raise DataError(f"{hub_id}: no {name} with md5 {md5} at any of {tried}. First: {faults[0]}") from faults[0]


def revision_in_hub(hub_id: str, revisions: Sequence[str], name: str) -> str:
    """The revision from which `hub_file_of_any` would try first to get a file that is there, else the last one."""
    for revision in revisions:
        if in_hub_cache(hub_id, revision, name):
            return revision
    return next((one for one in revisions[:-1] if hub_file_size(hub_id, one, name) is not None), revisions[-1])


def in_hub_cache(hub_id: str, revision: str, name: str) -> bool:
    """Whether a file of a dataset repository is in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(hub_id, name, revision=revision, repo_type="dataset"), str)


def hub_file_size(hub_id: str, revision: str, name: str) -> int | None:
    """Bytes of a file of a dataset repository; None where the hub does not say."""
    from huggingface_hub import HfApi

    if hub_fault():
        return None
    try:
        found = HfApi().get_paths_info(hub_id, [name], revision=revision, repo_type="dataset")
    except Exception:  # noqa: BLE001 - a size is only for information; downloading says what is wrong
        return None
    return next((file.size for file in found if hasattr(file, "size")), None)


def remote_file(hub_id: str, revision: str, name: str) -> RemoteFile:
    """A file of a dataset repository, with its size and whether it was downloaded."""
    here = in_hub_cache(hub_id, revision, name)
    return RemoteFile(f"{hub_id}/{name}", hub_file_size(hub_id, revision, name), here)


def check_blob(path: Path, label: str) -> None:
    """Compare a file in the hub's cache with the checksum that the cache names it by."""
    if not path.is_symlink():
        return  # a disk without links: nothing tells the checksum
    # One link on; what repositories share lies behind another link, under a name that is not a checksum.
    name = path.readlink().name
    match len(name):
        case 64:  # a large file: its SHA-256
            _require(path, "sha256", name, label)
        case 40:  # a small one: its id in git
            _require(path, "sha1", name, label, header=b"blob %d\0" % path.stat().st_size)


def _require(path: Path, algorithm: str, expected: str, label: str, *, header: bytes = b"") -> None:
    found = checksum(path, algorithm, header)
    if found != expected:
        remove(path)
        raise DataError(
            f"{label}: {algorithm} is {found}, and {expected} was published. It is removed: run again, "
            "and if it comes back, its publisher changed it."
        )
