"""Where in a folder, a zip or a tar a collection is."""

import logging
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from stubs import write_collection

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import DataError
from evalkit.store import Store

NAMES = ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")


def digest(path: Path, store: Store, **changed: object) -> str:
    return load(FolderDatasetConfig(name="toy", path=str(path), **changed), store).digest


def refusal(path: Path, store: Store, **changed: object) -> str:
    with pytest.raises(DataError) as caught:
        digest(path, store, **changed)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write_tar(path: Path, folder: Path, mode: str, prefix: str) -> Path:
    with tarfile.open(path, mode) as archive:
        archive.add(folder, arcname=prefix or ".")
    return path


@pytest.mark.parametrize("below", ["plain", "a/b", "a/b/c"])
def test_the_only_collection_below_a_folder_is_read_and_named(collection, tmp_path, store, caplog, below):
    expected = digest(collection, store)
    outer = tmp_path / "outer"
    shutil.copytree(collection, outer / below)
    (outer / "__MACOSX").mkdir()
    (outer / "__MACOSX" / "corpus.jsonl").write_text("")
    with caplog.at_level(logging.WARNING):
        assert digest(outer, store) == expected
    assert caplog.messages == [f"{outer}: the collection is in its folder {below}, which is read."]


def test_several_collections_below_a_folder_are_named_and_one_can_be_chosen(collection, tmp_path, store):
    for name in ("unix", "tex"):
        shutil.copytree(collection, tmp_path / "cqa" / name)
    assert refusal(tmp_path / "cqa", store).startswith(f"{tmp_path / 'cqa'}: holds 2 collections (tex, unix). Set data")
    assert digest(tmp_path / "cqa", store, folder="tex") == digest(collection, store)
    assert "It holds collections in tex, unix." in refusal(tmp_path / "cqa", store, folder="gis")


def test_a_folder_without_a_collection_names_its_files(tmp_path, store):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "passages.docx").write_text("")
    (tmp_path / "odd" / "scifact.zip").write_text("")
    message = refusal(tmp_path / "odd", store)
    assert message.startswith(f"{tmp_path / 'odd'}: no documents (corpus.jsonl). Found passages.docx, scifact.zip.")
    assert message.endswith(f"Set dataset.path to {tmp_path / 'odd' / 'scifact.zip'} to read that archive.")


@pytest.mark.parametrize("prefix", ["", "toy", "a/b"])
@pytest.mark.parametrize(
    ("name", "mode"), [("c.tar", "w"), ("c.tar.gz", "w:gz"), ("c.tar.bz2", "w:bz2"), ("c", "w:xz")]
)
def test_a_tar_has_the_digest_of_the_folder_it_was_made_from(collection, tmp_path, store, name, mode, prefix):
    path = write_tar(tmp_path / name, collection, mode, prefix)
    assert digest(path, Store(tmp_path / "other")) == digest(collection, store)


def test_a_malformed_line_in_a_tar_names_archive_member_and_line(collection, tmp_path, store):
    (collection / "corpus.jsonl").write_text('{"_id": "d1", "text": ""}\nmoon\n')
    path = write_tar(tmp_path / "c.tgz", collection, "w:gz", "toy")
    assert refusal(path, store).startswith(f"{path}!toy/corpus.jsonl:2: not JSON")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_that_is_cut_short_is_refused_wherever_it_is_cut(collection, tmp_path, store, mode):
    raw = write_tar(tmp_path / "c.tar", collection, mode, "toy").read_bytes()
    last = raw.rfind(b"}") if mode == "w" else len(raw) - 1  # what follows in a plain tar is padding
    for length in range(0, last, max(last // 25, 1)):
        (tmp_path / "c.tar").write_bytes(raw[:length])
        assert refusal(tmp_path / "c.tar", store).startswith(str(tmp_path / "c.tar")), length


def test_a_changed_byte_behind_the_last_member_of_a_tar_is_seen(collection, tmp_path, store):
    path = write_tar(tmp_path / "c.tgz", collection, "w:gz", "toy")
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 1
    path.write_bytes(raw)
    assert refusal(path, store).startswith(f"{path}: is a tar that is damaged or cut short (CRC")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda info: setattr(info, "name", "../evil"), "points outside of the archive"),
        (lambda info: setattr(info, "name", "/evil"), "points outside of the archive"),
        (lambda info: (setattr(info, "type", tarfile.SYMTYPE), setattr(info, "linkname", "x")), "is a link"),
        (lambda info: setattr(info, "type", tarfile.FIFOTYPE), "is neither a file nor a folder"),
        (lambda info: setattr(info, "name", "corpus.jsonl"), "occurs twice"),
    ],
)
def test_a_tar_that_is_not_to_be_trusted_is_refused(collection, tmp_path, store, change, part):
    path = tmp_path / "c.tar"
    with tarfile.open(path, "w") as archive:
        for name in NAMES:
            archive.add(collection / name, arcname=name)
        odd = tarfile.TarInfo("odd")
        change(odd)
        archive.addfile(odd)
    assert part in refusal(path, store)


def test_a_zip_made_on_windows_is_read(collection, tmp_path, store):
    path = tmp_path / "win.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in NAMES:
            archive.writestr(zipfile.ZipInfo("toy\\" + name.replace("/", "\\")), (collection / name).read_bytes())
    assert digest(path, Store(tmp_path / "other")) == digest(collection, store)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"7z\xbc\xaf\x27\x1c\0\0", "is a 7z archive"),
        (b"PAR1\0\0\0\xff", "is not parquet, or is damaged"),
        (b"PK\x03\x04\0\0\0\xff", "is a zip archive that is damaged or cut short"),
        (b"", "is a single file of text"),
    ],
)
def test_the_error_names_the_kind_of_a_file_that_is_not_an_archive(tmp_path, store, content, part):
    (tmp_path / "thing").write_bytes(content)
    assert part in refusal(tmp_path / "thing", store)


def test_an_archive_without_a_collection_names_what_it_holds(tmp_path, store):
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    assert refusal(tmp_path / "c.zip", store).startswith(
        f"{tmp_path / 'c.zip'}: no corpus.jsonl in the zip. It holds r"
    )
    write_collection(tmp_path / "none")
    (tmp_path / "none" / "corpus.jsonl").unlink()
    path = write_tar(tmp_path / "c.tar", tmp_path / "none", "w", "x")
    assert refusal(path, store).startswith(f"{path}: no corpus.jsonl in the tar. It holds x/")
