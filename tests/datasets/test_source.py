"""Where a collection's files are: folders, gzip, zips, and zips that are damaged or not to be trusted."""

import gzip
import io
import random
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stubs import DOCUMENTS, write_collection

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.datasets.opening import open_source
from evalkit.datasets.source import find
from evalkit.errors import DataError
from evalkit.store import Store

NAMES = ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")
ENCRYPTED = 0x1
LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


def digest(path: Path, store: Store) -> str:
    return load(FolderDatasetConfig(name="toy", path=str(path)), store).digest


def refusal(path: Path, store: Store, **changed: object) -> str:
    """The one-line message of a collection that is refused; nothing of it may stay in the store."""
    with pytest.raises(DataError) as caught:
        load(FolderDatasetConfig(name="toy", path=str(path), **changed), store)
    assert list(store.root.glob("[!l]*/*")) == [], "a failure left something in the store"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in NAMES}


def write_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


def below(prefix: str, members: Mapping[str, bytes]) -> dict[str, bytes]:
    return {prefix + name: data for name, data in members.items()}


def packed(members: Mapping[str, bytes], *names: str) -> dict[str, bytes]:
    """The members with some of them as gzip."""
    return {f"{n}.gz" if n in names else n: gzip.compress(d) if n in names else d for n, d in members.items()}


def data_range(path: Path, member: str) -> range:
    """Where the compressed data of a member lie in a zip."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
    raw = path.read_bytes()
    lengths = raw[info.header_offset + 26 : info.header_offset + 30]
    start = info.header_offset + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
    return range(start, start + info.compress_size)


def flip(path: Path, position: int, bits: int = 0xFF) -> None:
    raw = bytearray(path.read_bytes())
    raw[position] ^= bits
    path.write_bytes(raw)


def set_flags(path: Path, bits: int) -> None:
    """Set bits of the general purpose flags of every member, in both headers."""
    raw = bytearray(path.read_bytes())
    for signature, offset in ((LOCAL, 6), (CENTRAL, 8)):
        start = raw.find(signature)
        while start >= 0:
            raw[start + offset] |= bits
            start = raw.find(signature, start + 1)
    path.write_bytes(raw)


# Packaging


PACKAGINGS: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "zip": lambda members: members,
    "zip below a folder": lambda members: below("toy/", members),
    "zip below a folder whose name is not ASCII": lambda members: below("\u6570\u636e/", members),
    "zip with its folders listed": lambda members: {"toy/": b"", "toy/qrels/": b"", **below("toy/", members)},
    "zip of gzip": lambda members: packed(members, *NAMES),
    "zip of gzip below a folder": lambda members: below("toy/", packed(members, *NAMES)),
    "zip of one gzip": lambda members: packed(members, "corpus.jsonl"),
    "zip with a Mac's leftovers": lambda members: {"__MACOSX/toy/._corpus.jsonl": b"\0", **below("toy/", members)},
    "zip with a stranger at the top": lambda members: {"LICENSE": b"free", **below("toy/", members)},
}


@pytest.mark.parametrize("packaging", PACKAGINGS)
def test_a_zip_has_the_digest_of_the_folder_it_was_made_from(
    collection: Path, tmp_path: Path, store: Store, packaging: str
):
    path = write_zip(tmp_path / "toy.zip", PACKAGINGS[packaging](contents(collection)))
    assert digest(path, Store(tmp_path / "other")) == digest(collection, store)


@pytest.mark.parametrize("names", [*((name,) for name in NAMES), NAMES], ids="+".join)
def test_a_gzip_file_in_a_folder_has_the_digest_of_the_plain_one(
    collection: Path, tmp_path: Path, store: Store, names: tuple[str, ...]
):
    expected = digest(collection, store)
    for name in names:
        (collection / f"{name}.gz").write_bytes(gzip.compress((collection / name).read_bytes()))
        (collection / name).unlink()
    assert digest(collection, Store(tmp_path / "other")) == expected


def test_a_gzip_file_of_several_parts_is_read_whole(collection: Path, store: Store):
    expected = digest(collection, store)
    raw = (collection / "corpus.jsonl").read_bytes()
    (collection / "corpus.jsonl.gz").write_bytes(gzip.compress(raw[:70]) + gzip.compress(raw[70:]))
    (collection / "corpus.jsonl").unlink()
    assert digest(collection, store) == expected


def test_a_zip_is_read_in_place_and_nothing_is_extracted(collection: Path, tmp_path: Path, store: Store):
    folder = tmp_path / "alone"
    folder.mkdir()
    write_zip(folder / "toy.zip", below("toy/", contents(collection)))
    digest(folder / "toy.zip", store)
    assert [path.name for path in folder.iterdir()] == ["toy.zip"]


def test_a_dataset_is_named_after_its_zip(collection: Path, tmp_path: Path, store: Store):
    path = write_zip(tmp_path / "scifact.zip", contents(collection))
    assert load(FolderDatasetConfig(path=str(path)), store).name == "scifact"


def test_a_source_lists_labels_and_opens_its_files(collection: Path, tmp_path: Path):
    path = write_zip(tmp_path / "toy.zip", below("toy/", packed(contents(collection), "corpus.jsonl")))
    folder, archive = open_source(collection), open_source(path)
    assert folder.files() == ["corpus.jsonl", "qrels/test.tsv", "queries.jsonl"]
    assert folder.label("corpus.jsonl") == str(collection / "corpus.jsonl")
    assert archive.label("corpus.jsonl.gz") == f"{path}!toy/corpus.jsonl.gz"
    assert find(archive, "corpus.jsonl", "") == "corpus.jsonl.gz"
    with archive.open("corpus.jsonl.gz") as stream:
        assert stream.read() == (collection / "corpus.jsonl").read_bytes()
    size = (collection / "queries.jsonl").stat().st_size / 1e6
    assert (folder.megabytes("queries.jsonl"), archive.megabytes("queries.jsonl")) == (size, size)
    assert archive.megabytes("corpus.jsonl.gz") is None


def test_the_plain_file_is_taken_where_there_is_a_gzip_too(collection: Path):
    (collection / "corpus.jsonl.gz").write_bytes(gzip.compress(b"other"))
    assert find(open_source(collection), "corpus.jsonl", "") == "corpus.jsonl"


def test_a_zip_with_a_plain_and_a_gzip_corpus_holds_one_collection(collection: Path, tmp_path: Path, store: Store):
    members = contents(collection)
    path = write_zip(tmp_path / "toy.zip", {**members, "corpus.jsonl.gz": gzip.compress(members["corpus.jsonl"])})
    assert digest(path, Store(tmp_path / "other")) == digest(collection, store)


# Malformed files in a zip


def test_a_malformed_line_in_a_zip_names_archive_member_and_line(collection: Path, tmp_path: Path, store: Store):
    for change in (lambda members: members, lambda members: packed(members, "corpus.jsonl")):
        members = change({**contents(collection), "corpus.jsonl": b'{"_id": "d1", "text": ""}\nmoon\n'})
        path = write_zip(tmp_path / "toy.zip", below("toy/", members))
        name = next(name for name in members if name.startswith("corpus"))
        assert refusal(path, store).startswith(f"{path}!toy/{name}:2: not JSON")


def test_a_zip_lacks_what_a_folder_may_not_lack(collection: Path, tmp_path: Path, store: Store):
    for name, part in (
        ("corpus.jsonl", "no corpus.jsonl in the zip"),
        ("queries.jsonl", "recognised as BEIR layout (corpus.jsonl, qrels/test.tsv); no queries (queries.jsonl)."),
        ("qrels/test.tsv", "; no judgments (qrels/test.tsv)."),
    ):
        members = {key: data for key, data in contents(collection).items() if key != name}
        path = write_zip(tmp_path / "toy.zip", below("toy/", members))
        message = refusal(path, store)
        assert message.startswith(str(path))
        assert part in message


def test_a_wrong_split_lists_the_ones_in_the_zip(collection: Path, tmp_path: Path, store: Store):
    path = write_zip(tmp_path / "toy.zip", below("toy/", {**contents(collection), "qrels/dev.tsv.gz": b""}))
    assert "splits dev, test: set dataset.split" in refusal(path, store, split="train")


# Zips that are not to be trusted


@pytest.mark.parametrize(
    "member",
    [
        "../evil",
        "toy/../../evil",
        "/etc/evil",
        "..\\evil",
        "C:\\evil",
        "\\evil",
        "toy/..",
        "C:evil",
        "../evil/",
        "/evil/",
    ],
)
def test_a_member_that_points_outside_is_refused(collection: Path, tmp_path: Path, store: Store, member: str):
    path = write_zip(tmp_path / "toy.zip", {**contents(collection), member: b"x"})
    assert refusal(path, store) == f"{path}: member {member!r} points outside of the archive. Do not use this file."


@pytest.mark.parametrize("member", ["toy/link", "toy/link/"])
def test_a_link_is_refused(collection: Path, tmp_path: Path, store: Store, member: str):
    path = write_zip(tmp_path / "toy.zip", contents(collection))
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo(member)
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "../elsewhere")
    assert refusal(path, store) == f"{path}: member {member!r} is a link. Do not use this file."


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_occurs_twice_is_refused(collection: Path, tmp_path: Path, store: Store):
    path = write_zip(tmp_path / "toy.zip", contents(collection))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("queries.jsonl", '{"_id": "q1", "text": "another"}')
    assert refusal(path, store) == f"{path}: member 'queries.jsonl' occurs twice. Create the archive again."


def test_a_member_without_a_name_does_not_crash(collection: Path, tmp_path: Path, store: Store):
    path = write_zip(tmp_path / "toy.zip", {**contents(collection), ".": b"x"})
    try:
        assert digest(path, Store(tmp_path / "other")) == digest(collection, store)
    except DataError as error:
        assert "'.'" in str(error)  # noqa: PT017 - reading past it or refusing it are both right


def test_several_collections_in_a_zip_are_listed(collection: Path, tmp_path: Path, store: Store):
    members = {**below("cqa/unix/", contents(collection)), **below("cqa/tex/", packed(contents(collection), *NAMES))}
    path = write_zip(tmp_path / "toy.zip", members)
    message = refusal(path, store)
    assert message.startswith(f"{path}: holds 2 collections (cqa/tex, cqa/unix).")


def test_an_encrypted_zip_is_refused(collection: Path, tmp_path: Path, store: Store):
    path = write_zip(tmp_path / "toy.zip", contents(collection))
    set_flags(path, ENCRYPTED)
    message = refusal(path, store)
    assert message.startswith(f"{path}!qrels/test.tsv: cannot be read from the zip")
    assert "encrypted" in message


# Damage


@pytest.mark.parametrize("content", [b"", b"PK", b"moon and tides\n" * 100, gzip.compress(b"tar", mtime=0)])
def test_a_file_that_is_not_a_zip_is_refused(tmp_path: Path, store: Store, content: bytes):
    (tmp_path / "toy.zip").write_bytes(content)
    assert refusal(tmp_path / "toy.zip", store).startswith(f"{tmp_path / 'toy.zip'}: ")


def test_a_truncated_zip_is_refused_wherever_it_is_cut(collection: Path, tmp_path: Path, store: Store):
    path = write_zip(tmp_path / "toy.zip", below("toy/", contents(collection)))
    raw = path.read_bytes()
    for length in range(0, len(raw), 7):
        path.write_bytes(raw[:length])
        assert "damaged or cut short" in refusal(path, store), length


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("packing", ["deflate", "gzip"])
def test_a_zip_with_a_damaged_member_names_the_member(
    collection: Path, tmp_path: Path, store: Store, name: str, packing: str
):
    members = contents(collection)
    if packing == "gzip":
        members, name = packed(members, name), f"{name}.gz"
    path = write_zip(tmp_path / "toy.zip", members)
    where = data_range(path, name)
    flip(path, where[len(where) // 2])
    assert refusal(path, store).startswith(f"{path}!{name}:")


def test_damage_far_into_a_large_member_is_found(tmp_path: Path, store: Store):
    text = random.Random(7)
    documents = {f"d{number}": ("", f"{text.getrandbits(2000):x}") for number in range(2000)}
    folder = write_collection(tmp_path / "large", documents=documents, qrels={"q1": {"d1": 1}})
    path = write_zip(tmp_path / "toy.zip", contents(folder))
    flip(path, data_range(path, "corpus.jsonl")[-20_000])
    assert refusal(path, store).startswith(f"{path}!corpus.jsonl:")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_gzip_file_is_named(collection: Path, store: Store, name: str, damage: str):
    raw = bytearray(gzip.compress((collection / name).read_bytes(), mtime=0))
    if damage == "flipped":
        raw[len(raw) // 2] ^= 0xFF
    else:
        raw = raw[: len(raw) // 2]
    (collection / name).unlink()
    (collection / f"{name}.gz").write_bytes(raw)
    assert refusal(collection, store).startswith(f"{collection / name}.gz:")


def test_a_zip_that_says_it_needs_a_newer_unzip_is_refused(collection: Path, tmp_path: Path, store: Store):
    """One flipped bit in the directory; zipfile answers with NotImplementedError."""
    path = write_zip(tmp_path / "toy.zip", contents(collection))
    flip(path, path.read_bytes().index(CENTRAL) + 6, 0x80)
    assert refusal(path, store).startswith(f"{path}: ")


@pytest.mark.parametrize("signature", [LOCAL, CENTRAL], ids=["local", "central"])
def test_a_zip_with_a_name_that_is_not_utf8_is_refused(
    collection: Path, tmp_path: Path, store: Store, signature: bytes
):
    """One flipped bit in a name; zipfile answers with UnicodeDecodeError."""
    path = write_zip(tmp_path / "toy.zip", below("\u6570/", contents(collection)))
    raw = path.read_bytes()
    flip(path, raw.index("\u6570".encode(), raw.rindex(signature)), 0x40)
    assert refusal(path, store).startswith(str(path))


@given(data=st.data())
def test_one_wrong_byte_anywhere_in_a_zip_is_refused_or_changes_nothing(tmp_path_factory, data: st.DataObject):
    folder = tmp_path_factory.mktemp("damaged")
    path = write_zip(folder / "toy.zip", below("toy/", contents(write_collection(folder / "c"))))
    expected = digest(path, Store(folder / "sound"))
    position = data.draw(st.integers(0, path.stat().st_size - 1), label="position")
    flip(path, position, data.draw(st.integers(1, 255), label="bits"))
    try:
        assert digest(path, Store(folder / "cache")) == expected
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
        assert list((folder / "cache").glob("[!l]*/*")) == []


@given(st.binary(max_size=200))
def test_any_bytes_as_a_zip_are_refused(tmp_path_factory, raw: bytes):
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "toy.zip").write_bytes(raw)
    assert refusal(folder / "toy.zip", Store(folder / "cache")).startswith(f"{folder / 'toy.zip'}:")


def open_files(path: Path) -> int:
    """How many of this process's open files are this one."""
    descriptors = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum(entry.readlink() == path for entry in descriptors)


def test_the_files_of_a_collection_are_closed_after_reading_it(collection: Path, tmp_path: Path, store: Store):
    path = write_zip(tmp_path / "toy.zip", contents(collection))
    dataset = load(FolderDatasetConfig(name="toy", path=str(path)), store)
    assert open_files(path) == 0
    assert len(dataset.documents) == len(DOCUMENTS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("packaging", ["zip", "zip of gzip", "folder of gzip"])
def test_the_files_of_a_collection_are_closed_after_a_failure(
    collection: Path, tmp_path: Path, store: Store, packaging: str, name: str
):
    """Left to the garbage collector they would be closed late, with a ResourceWarning."""
    cut = gzip.compress((collection / name).read_bytes())[:-9]
    if packaging == "folder of gzip":
        (collection / name).write_bytes(cut)
        path, opened = collection, collection / name
    else:
        path = opened = write_zip(tmp_path / "toy.zip", contents(collection))
        if packaging == "zip of gzip":
            write_zip(path, {**contents(collection), name: cut})
        else:
            flip(path, data_range(path, name)[5])
    with pytest.raises(DataError) as caught:
        load(FolderDatasetConfig(name="toy", path=str(path)), store)
    assert open_files(opened) == 0, f"still open while the error is handled: {caught.value}"


def test_an_opened_member_is_buffered_and_can_be_read_by_lines(collection: Path, tmp_path: Path):
    source = open_source(write_zip(tmp_path / "toy.zip", contents(collection)))
    with source.open("corpus.jsonl") as stream:
        assert isinstance(stream, io.BufferedReader)
        assert len(list(stream)) == len(DOCUMENTS)
