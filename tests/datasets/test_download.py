"""Files from the web and from the hub, through real clients and a server on 127.0.0.1 that fails as servers do."""

import hashlib
import json
import os
import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from huggingface_hub import constants
from local_files import ALWAYS, Answer, Delivery
from local_hub import LocalHub, ask, ask_process

from evalkit.datasets import download
from evalkit.datasets.download import downloaded, url_file, url_size
from evalkit.datasets.hub_files import check_blob
from evalkit.errors import DataError
from evalkit.store import Store
from evalkit.system import network

CONTENT = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
ADDRESS = "files/scifact.zip"


def md5_of(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


MD5 = md5_of(CONTENT)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A server of one plain file; this process may use the network, which conftest forbids."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with LocalHub({}, files={"scifact.zip": CONTENT}) as running:
        # The mirror is the same server; it lacks every file unless a test gives it one.
        monkeypatch.setattr(download, "_MIRROR", f"{running.endpoint}/files/mirror")
        yield running


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been waited between attempts."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


def get(hub: LocalHub, store: Store, md5: str = MD5) -> Path:
    return url_file(store, f"{hub.endpoint}/{ADDRESS}", md5)


def refused(hub: LocalHub, store: Store, md5: str = MD5) -> str:
    """The one line with which a download is refused."""
    with pytest.raises(DataError) as caught:
        get(hub, store, md5)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{hub.endpoint}/{ADDRESS}")
    return str(caught.value)


def answers(hub: LocalHub) -> list[str]:
    """Status and Range header of every answer."""
    return [line.partition(" -> ")[2] for line in hub.asked(ADDRESS)]


def left_in(store: Store) -> dict[str, int]:
    """Bytes of every file in the store but locks, by path."""
    files = [path for path in store.root.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {path.relative_to(store.root).as_posix(): path.stat().st_size for path in files}


def leave_part(store: Store, content: bytes) -> None:
    part = store.root / "downloads" / MD5 / "scifact.zip.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content)


def test_a_file_is_downloaded_once_and_found_again(hub: LocalHub, store: Store):
    url = f"{hub.endpoint}/{ADDRESS}"
    assert downloaded(store, url, MD5) is None
    path = get(hub, store)
    assert CONTENT == path.read_bytes()
    assert {f"downloads/{MD5}/scifact.zip": len(CONTENT)} == left_in(store)
    assert (path, path) == (get(hub, store), downloaded(store, url, MD5))
    assert ["200"] == answers(hub)


def test_after_a_cut_only_the_rest_is_asked_for(hub: LocalHub, store: Store, pauses: list[float]):
    hub.deliveries[ADDRESS] = Delivery(cut_after=100_000, cuts=2)
    assert CONTENT == get(hub, store).read_bytes()
    assert ["200", "206 bytes=100000-", "206 bytes=200000-"] == answers(hub)
    assert [1, 2] == pauses


def test_a_later_run_resumes_an_earlier_one(hub: LocalHub, store: Store):
    leave_part(store, CONTENT[:250_000])
    assert CONTENT == get(hub, store).read_bytes()
    assert ["206 bytes=250000-"] == answers(hub)


def test_a_run_resumes_after_another_was_killed(hub: LocalHub, store: Store, tmp_path: Path):
    """The first process ends without a word at its first pause, with the lock in its hands."""
    program = """
import os, sys, time
from pathlib import Path
from evalkit.datasets.download import url_file
from evalkit.store import Store

def die(seconds):
    print("null", flush=True)
    os._exit(0)

time.sleep = die
url_file(Store(Path(sys.argv[1])), *sys.argv[2:])
"""
    hub.deliveries[ADDRESS] = Delivery(cut_after=100_000)
    ask_process(hub.endpoint, program, store.root, f"{hub.endpoint}/{ADDRESS}", MD5, home=tmp_path / "home")
    assert {f"downloads/{MD5}/scifact.zip.part": 100_000} == left_in(store)
    assert CONTENT == get(hub, store).read_bytes()
    assert ["200", "206 bytes=100000-"] == answers(hub)


@pytest.mark.usefixtures("pauses")
def test_a_server_that_cannot_go_on_is_asked_for_the_whole_again(hub: LocalHub, store: Store):
    hub.deliveries[ADDRESS] = Delivery(ranges=False, cut_after=100_000)
    assert CONTENT == get(hub, store).read_bytes()
    assert ["200", "200 bytes=100000-"] == answers(hub)


def test_a_part_that_is_whole_already_is_not_downloaded_again(hub: LocalHub, store: Store):
    leave_part(store, CONTENT)
    assert CONTENT == get(hub, store).read_bytes()
    assert ["416 bytes=300000-"] == answers(hub)


@pytest.mark.parametrize("part", [OTHER[:1000], OTHER, OTHER + b"more"])
def test_a_part_of_another_file_is_refused_and_removed(hub: LocalHub, store: Store, part: bytes):
    leave_part(store, part)
    assert f"and {MD5} was published. It is removed; the mirror" in refused(hub, store)
    assert {} == left_in(store)
    assert CONTENT == get(hub, store).read_bytes()


def test_a_damaged_file_is_refused_and_the_next_run_downloads_it(hub: LocalHub, store: Store):
    hub.deliveries[ADDRESS] = Delivery(damaged=1)
    damaged = md5_of(bytes(byte ^ 0xFF for byte in CONTENT))
    assert f": md5 is {damaged}, and {MD5} was published." in refused(hub, store)
    assert {} == left_in(store)
    assert CONTENT == get(hub, store).read_bytes()
    assert ["200", "200"] == answers(hub)


def test_an_absent_file_is_refused_at_once(hub: LocalHub, store: Store, pauses: list[float]):
    hub.files.clear()
    found = f"the mirror {hub.endpoint}/files/mirror/{MD5}: the server answers 404 Not Found."
    assert f"{ADDRESS}: the server answers 404 Not Found; {found}" in refused(hub, store)
    assert ["404"] == answers(hub)
    assert [] == pauses


def test_a_server_that_is_busy_is_asked_again(hub: LocalHub, store: Store, pauses: list[float]):
    hub.deliveries[ADDRESS] = Delivery(busy=2)
    assert CONTENT == get(hub, store).read_bytes()
    assert ["503", "503", "200"] == answers(hub)
    assert [1, 2] == pauses


@pytest.mark.usefixtures("pauses")
def test_a_server_that_stays_busy_ends_in_one_line(hub: LocalHub, store: Store):
    hub.deliveries[ADDRESS] = Delivery(busy=ALWAYS)
    message = refused(hub, store)
    assert "503" in message
    assert "Run again" in message
    assert "Check the address" not in message


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize(("ranges", "kept"), [(True, 250_000), (False, 50_000)])
def test_a_server_that_always_disconnects_gives_one_line_and_leaves_the_partial_file(
    hub: LocalHub, store: Store, ranges: bool, kept: int
):
    hub.deliveries[ADDRESS] = Delivery(ranges=ranges, cut_after=50_000, cuts=ALWAYS)
    assert "Run again to go on." in refused(hub, store)
    assert {f"downloads/{MD5}/scifact.zip.part": kept} == left_in(store)
    assert 5 == len(answers(hub))
    hub.deliveries.clear()
    assert CONTENT == get(hub, store).read_bytes()
    assert f"206 bytes={kept}-" == answers(hub)[-1]


MIRRORED = f"files/mirror/{MD5}"


@pytest.mark.parametrize("fault", ["absent", "damaged", "busy", "silent"])
def test_the_mirror_gives_a_file_that_the_publisher_lacks(
    hub: LocalHub, store: Store, pauses: list[float], caplog: pytest.LogCaptureFixture, fault: str
):
    hub.files[f"mirror/{MD5}"] = CONTENT
    url = f"{hub.endpoint}/{ADDRESS}"
    match fault:
        case "absent":
            del hub.files["scifact.zip"]
        case "damaged":
            hub.deliveries[ADDRESS] = Delivery(damaged=1)
        case "busy":
            hub.deliveries[ADDRESS] = Delivery(busy=ALWAYS)
        case "silent":
            url = f"http://127.0.0.1:9/{ADDRESS}"
    assert CONTENT == url_file(store, url, MD5).read_bytes()
    assert 1 == len(hub.asked(MIRRORED, "GET"))
    (line,) = [line for line in caplog.messages if "going on" not in line]
    assert line.startswith(f"{url}: ")
    assert line.endswith(f"{hub.endpoint}/{MIRRORED} gave the same file, by its MD5.")
    assert {f"downloads/{MD5}/scifact.zip": len(CONTENT)} == left_in(store)
    assert len(pauses) == (4 if fault == "busy" else 0)


@pytest.mark.usefixtures("pauses")
def test_the_mirror_resumes_the_partial_file_of_the_publisher(hub: LocalHub, store: Store):
    hub.files[f"mirror/{MD5}"] = CONTENT
    hub.deliveries[ADDRESS] = Delivery(cut_after=50_000, cuts=ALWAYS)
    assert CONTENT == get(hub, store).read_bytes()
    assert [f"GET /{MIRRORED} -> 206 bytes=250000-"] == hub.asked(MIRRORED)


def test_a_mirror_with_another_file_is_refused(hub: LocalHub, store: Store):
    hub.files = {f"mirror/{MD5}": OTHER}
    assert f"md5 is {md5_of(OTHER)}, and {MD5} was published. It is removed. Run again" in refused(hub, store)
    assert {} == left_in(store)


def test_a_publisher_that_gives_the_file_is_enough(hub: LocalHub, store: Store):
    hub.files[f"mirror/{MD5}"] = CONTENT
    get(hub, store)
    assert [] == hub.asked(MIRRORED)


def test_a_server_that_does_not_tell_the_length_is_read_to_its_end(hub: LocalHub, store: Store):
    hub.deliveries[ADDRESS] = Delivery(length=False)
    assert CONTENT == get(hub, store).read_bytes()


def test_a_cut_that_no_length_tells_is_found_by_the_checksum(hub: LocalHub, store: Store):
    hub.deliveries[ADDRESS] = Delivery(length=False, cut_after=100_000)
    assert f"md5 is {md5_of(CONTENT[:100_000])}, and {MD5} was published." in refused(hub, store)
    assert {} == left_in(store)


def test_offline_nothing_is_asked_for(hub: LocalHub, store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids the network. Unset it once." in refused(hub, store)
    assert [] == hub.requests
    assert not store.root.exists()


def test_offline_a_file_that_was_downloaded_is_there(hub: LocalHub, store: Store, monkeypatch: pytest.MonkeyPatch):
    path = get(hub, store)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert path == get(hub, store)


def test_a_server_that_is_not_there_ends_in_one_line(
    hub: LocalHub, store: Store, pauses: list[float], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(network, "_probes", {})  # an earlier server may have answered at the same port
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and never listening: every connection is refused
        hub.endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        message = refused(hub, store)
    assert "refused" in message
    assert "Run again" in message
    assert [] == pauses  # no second attempt at a server that is not there


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("file://{file}", id="file"),
        pytest.param("{file}", id="path"),
        pytest.param("ftp://127.0.0.1/a.zip", id="ftp"),
        pytest.param("data:application/zip;base64,UEsFBg==", id="data"),
        pytest.param("https:///a.zip", id="no-host"),
        pytest.param("https://[::1/a.zip", id="half-an-address"),
        pytest.param("{server}x/a.zip", id="no-port"),
        pytest.param("{server}", id="no-file"),
        pytest.param("{server}/files/..", id="folder-above"),
        pytest.param("{server}/files/sci fact.zip", id="blank"),
        pytest.param("{server}/files/sci\nfact.zip", id="line-break"),
        pytest.param("{server}/files/数据.zip", id="not-quoted"),
    ],
)
def test_an_address_that_is_not_of_a_file_on_the_web_is_refused(
    hub: LocalHub, store: Store, tmp_path: Path, pauses: list[float], url: str
):
    local = tmp_path / "local.zip"
    local.write_bytes(CONTENT)
    url = url.format(file=local, server=hub.endpoint)
    for call in (lambda: url_file(store, url, MD5), lambda: downloaded(store, url, MD5), lambda: url_size(url)):
        with pytest.raises(DataError) as caught:
            call()
        assert "http" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert [] == hub.requests
    assert [] == pauses
    assert not store.root.exists()


@pytest.mark.parametrize(
    "name",
    [
        "%2e%2e%2f%2e%2e%2fscifact.zip",
        "..%2f..%2fscifact.zip",
        "..%5c..%5cscifact.zip",
        "../../scifact.zip",
        "%2fsrv%2fscifact.zip",
        "scifact.zip?name=../../scifact.zip",
        "scifact.zip#/../../x",
    ],
)
def test_no_address_leads_out_of_the_folder_of_its_checksum(hub: LocalHub, store: Store, name: str):
    for served in ("../../scifact.zip", "..\\..\\scifact.zip", "/srv/scifact.zip"):
        hub.files[served] = CONTENT
    path = url_file(store, f"{hub.endpoint}/files/{name}", MD5)
    assert CONTENT == path.read_bytes()
    assert path.resolve().parent == (store.root / "downloads" / MD5).resolve()
    assert 1 == len(left_in(store))


class Slow(Delivery):
    """Gives everybody the time to ask."""

    def answer(self, data: bytes, asked: str | None, *, head: bool = False) -> Answer:
        time.sleep(0.3)
        return super().answer(data, asked, head=head)


def test_threads_that_want_the_same_file_at_once_get_one(hub: LocalHub, store: Store):
    hub.deliveries[ADDRESS] = Slow()
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: get(hub, store), range(4)))
    assert [CONTENT] == [path.read_bytes() for path in paths]
    assert ["200"] == answers(hub)


def test_processes_that_want_the_same_file_at_once_get_one(hub: LocalHub, store: Store, tmp_path: Path):
    program = """
import json, sys
from pathlib import Path
from evalkit.datasets.download import url_file
from evalkit.store import Store
print(json.dumps(url_file(Store(Path(sys.argv[1])), *sys.argv[2:]).stat().st_size))
"""
    hub.deliveries[ADDRESS] = Slow()
    wanted = (store.root, f"{hub.endpoint}/{ADDRESS}", MD5)
    with ThreadPoolExecutor(2) as pool:
        sizes = list(pool.map(lambda _: ask_process(hub.endpoint, program, *wanted, home=tmp_path / "home"), range(2)))
    assert [len(CONTENT), len(CONTENT)] == sizes
    assert CONTENT == get(hub, store).read_bytes()
    assert ["200"] == answers(hub)


def test_the_size_is_what_the_server_says(hub: LocalHub):
    url = f"{hub.endpoint}/{ADDRESS}"
    assert len(CONTENT) == url_size(url)
    hub.deliveries[ADDRESS] = Delivery(length=False)
    assert url_size(url) is None
    assert url_size(f"{hub.endpoint}/files/absent.zip") is None


# Each call is [hub id, revision, name] and perhaps an MD5; the answer is path and MD5 of the file, or the error.
HUB_PROGRAM = """
import hashlib, json, os, sys, time
from huggingface_hub import constants
from evalkit.datasets.hub_files import hub_file
from evalkit.errors import DataError

def die(seconds):
    print("null", flush=True)
    os._exit(0)

constants.DOWNLOAD_CHUNK_SIZE = 50_000  # what the client holds back before it writes; 10 MB by default
pauses = []
time.sleep = die if sys.argv[1] == "die" else pauses.append
answers = []
for hub_id, revision, name, *md5 in json.loads(sys.argv[2]):
    try:
        path = hub_file(hub_id, revision, name, md5=md5[0] if md5 else None)
        answers.append({"path": str(path), "md5": hashlib.md5(path.read_bytes()).hexdigest()})
    except DataError as error:
        answers.append(str(error))
    except Exception as error:
        answers.append({"crash": f"{type(error).__name__}: {error}"})
print(json.dumps(answers))
"""
COMMIT, MOVED = "1" * 40, "2" * 40
SMALL = b'{"small": true}\n'
GIVEN = {"docs.jsonl.gz": CONTENT, "topics.jsonl": SMALL}
ON_DISK = "If you have the collection on disk, set dataset.path=FOLDER."


def ask_for(hub: LocalHub, home: Path, *calls: tuple[str, ...], offline: bool = False, die: bool = False) -> Any:
    if die:
        return ask_process(hub.endpoint, HUB_PROGRAM, "die", json.dumps(calls), home=home, offline=offline)
    with patch.object(constants, "DOWNLOAD_CHUNK_SIZE", constants.DOWNLOAD_CHUNK_SIZE):
        return ask(hub.endpoint, HUB_PROGRAM, "live", json.dumps(calls), home=home, offline=offline)


def repositories(folder: Path, *names: str, commit: str = COMMIT, content: bytes = CONTENT) -> dict[str, Path]:
    served = {f"datasets/{name}@{commit}": folder / name for name in names}
    for place in served.values():
        place.mkdir(parents=True)
        for name, data in (GIVEN | {"docs.jsonl.gz": content}).items():
            (place / name).write_bytes(data)
    return served


def one_line(message: object, *parts: str) -> None:
    assert isinstance(message, str), f"not a DataError: {message}"
    assert "\n" not in message
    assert [] == [part for part in parts if part not in message]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the hub gave, call by call, then what its cache gave without a network."""
    folder = tmp_path_factory.mktemp("hub")
    served = repositories(folder / "served", "org/sound", "org/damaged", "org/cut", "org/md5", "org/gated")
    both = {name: [("org/" + name, COMMIT, file) for file in GIVEN] for name in ("sound", "damaged", "cut")}
    right, wrong = ("org/md5", COMMIT, "docs.jsonl.gz", MD5), ("org/md5", COMMIT, "docs.jsonl.gz", "0" * 32)
    calls = {
        "sound": both["sound"],
        "sound again": both["sound"],
        "damaged": both["damaged"],
        "damaged again": both["damaged"],
        "cut": both["cut"][:1],
        "md5": [wrong, right],
        "refused": [
            ("org/gated", COMMIT, "docs.jsonl.gz"),
            ("org/absent", COMMIT, "docs.jsonl.gz"),
            ("org/sound", COMMIT, "absent.gz"),
            ("org/sound", MOVED, "docs.jsonl.gz"),
        ],
    }
    with LocalHub(served, gated=["datasets/org/gated"]) as hub:
        for file in GIVEN:
            hub.deliveries[f"datasets/org/damaged/{file}"] = Delivery(damaged=1)
        hub.deliveries["datasets/org/cut/docs.jsonl.gz"] = Delivery(cut_after=100_000)
        answered = iter(ask_for(hub, folder / "home", *(call for group in calls.values() for call in group)))
        online = {key: [next(answered) for _ in group] for key, group in calls.items()}
        asked = {name: [line.partition(" -> ")[2] for line in hub.asked(f"org/{name}/")] for name in (*both, "md5")}
        before = len(hub.requests)
        offline = ask_for(hub, folder / "home", *both["sound"], ("org/gated", COMMIT, "docs.jsonl.gz"), offline=True)
        assert before == len(hub.requests)
    return {**online, "asked": asked, "offline": offline}


def test_a_file_of_the_hub_is_downloaded_once(found: dict[str, Any]):
    assert [MD5, md5_of(SMALL)] == [answer["md5"] for answer in found["sound"]]
    assert found["sound"] == found["sound again"]
    assert ["200", "200"] == found["asked"]["sound"]


def test_the_cache_names_files_as_the_hub_does(found: dict[str, Any]):
    """Large ones by their SHA-256, small ones by their id in git: what `check_blob` compares with."""
    blobs = [Path(os.path.realpath(answer["path"])).name for answer in found["sound"]]
    assert [hashlib.sha256(CONTENT).hexdigest(), hashlib.sha1(b"blob 16\0" + SMALL).hexdigest()] == blobs


@pytest.mark.parametrize(("place", "algorithm"), [(0, "sha256"), (1, "sha1")])
def test_a_hub_file_with_a_wrong_checksum_is_refused_then_downloaded_again(
    found: dict[str, Any], place: int, algorithm: str
):
    name, content = list(GIVEN.items())[place]
    header = b"blob %d\0" % len(content) if algorithm == "sha1" else b""
    damaged = bytes(byte ^ 0xFF for byte in content)
    published, came = (hashlib.new(algorithm, header + data).hexdigest() for data in (content, damaged))
    one_line(
        found["damaged"][place],
        f"org/damaged@11111111: {name}: {algorithm} is {came}, and {published} was published.",
        "run again",
    )
    assert md5_of(content) == found["damaged again"][place]["md5"]
    assert ["200"] * 4 == found["asked"]["damaged"]


def test_an_interrupted_download_from_the_hub_resumes(found: dict[str, Any]):
    assert [MD5] == [answer["md5"] for answer in found["cut"]]
    assert ["200", "206 bytes=100000-"] == found["asked"]["cut"]


def test_an_md5_published_outside_the_hub_is_compared_too(found: dict[str, Any]):
    refusal, answer = found["md5"]
    one_line(
        refusal, "org/md5", "docs.jsonl.gz", f"md5 is {MD5}, and the card is of {'0' * 32}.", "publisher changed it"
    )
    assert MD5 == answer["md5"]
    assert ["200"] == found["asked"]["md5"]  # it came whole the first time


def test_what_the_hub_does_not_give_is_refused_with_what_to_do(found: dict[str, Any]):
    gated, no_repository, no_file, no_commit = found["refused"]
    one_line(gated, "org/gated@11111111: docs.jsonl.gz", "restricted", "authenticated", ON_DISK)
    one_line(no_repository, "org/absent@11111111: docs.jsonl.gz", "Repository Not Found", ON_DISK)
    one_line(no_file, "org/sound@11111111: absent.gz", "Entry Not Found", ON_DISK)
    one_line(no_commit, "org/sound@22222222: docs.jsonl.gz", "Revision Not Found", ON_DISK)


def test_offline_the_cache_of_the_hub_is_used(found: dict[str, Any]):
    assert found["sound"] == found["offline"][:2]
    one_line(found["offline"][2], "org/gated@11111111: docs.jsonl.gz", "HF_HUB_OFFLINE", ON_DISK)


def test_a_download_of_the_hub_that_was_killed_is_made_again(tmp_path: Path):
    """Whether it goes on or begins anew is up to the version of huggingface_hub; the leftover does no harm."""
    with LocalHub(repositories(tmp_path / "served", "org/killed")) as hub:
        hub.deliveries["datasets/org/killed/docs.jsonl.gz"] = Delivery(cut_after=100_000)
        call = ("org/killed", COMMIT, "docs.jsonl.gz")
        assert ask_for(hub, tmp_path / "home", call, die=True) is None
        assert 1 == len(list((tmp_path / "home").rglob("*.incomplete")))
        (answer,) = ask_for(hub, tmp_path / "home", call)
        assert MD5 == answer["md5"]
        assert 2 == len(hub.asked("/docs.jsonl.gz"))


def test_a_moved_branch_is_compared_with_the_md5_too(tmp_path: Path):
    call = ("org/moves", "main", "docs.jsonl.gz", MD5)
    with LocalHub(repositories(tmp_path / "first", "org/moves")) as hub:
        (first,) = ask_for(hub, tmp_path / "home", call)
    with LocalHub(repositories(tmp_path / "second", "org/moves", commit=MOVED, content=OTHER)) as hub:
        second = ask_for(hub, tmp_path / "home", call, call)
    assert MD5 == first["md5"]
    for message in second:
        one_line(message, "org/moves", f"md5 is {md5_of(OTHER)}, and the card is of {MD5}.", "publisher changed it")


ANY_PROGRAM = """
import json, sys
from evalkit.datasets import hub_files
from evalkit.errors import DataError

hub_id, md5, *revisions = sys.argv[1:]
name = "docs.jsonl.gz"
try:
    path = hub_files.hub_file_of_any(hub_id, revisions, name, md5=md5)
    print(json.dumps([path.parent.name, hub_files.revision_in_hub(hub_id, revisions, name)]))
except DataError as error:
    print(json.dumps(str(error)))
"""
LATER = "3" * 40


def test_of_several_commits_the_first_that_has_the_file_is_read(tmp_path: Path):
    """A server of this suite has one commit of a repository, so the others are those that it lacks."""
    call = ("org/moves", MD5, MOVED, COMMIT, "main")
    with LocalHub(repositories(tmp_path / "served", "org/moves")) as hub:
        assert ask(hub.endpoint, ANY_PROGRAM, *call, home=tmp_path / "home") == [COMMIT, COMMIT]
        assert [] == hub.asked("/resolve/main/")
        first = len(hub.requests)
        # Now it is in the cache, and comes before those that were not found.
        assert ask(hub.endpoint, ANY_PROGRAM, *call, home=tmp_path / "home") == [COMMIT, COMMIT]
        assert first == len(hub.requests)
    assert ask("http://127.0.0.1:9", ANY_PROGRAM, *call, home=tmp_path / "home") == [COMMIT, COMMIT]


def test_a_branch_is_tried_last_and_its_content_is_compared(tmp_path: Path):
    with LocalHub(repositories(tmp_path / "served", "org/moves")) as hub:
        found = ask(hub.endpoint, ANY_PROGRAM, "org/moves", MD5, MOVED, LATER, "main", home=tmp_path / "home")
        assert found == [COMMIT, "main"]
        refusal = ask(hub.endpoint, ANY_PROGRAM, "org/moves", "0" * 32, MOVED, COMMIT, "main", home=tmp_path / "home")
    tried = f"org/moves: no docs.jsonl.gz with md5 {'0' * 32} at any of {COMMIT[:8]}, main, {MOVED[:8]}. First: "
    one_line(refusal, f"{tried}org/moves@{COMMIT[:8]}: docs.jsonl.gz: md5 is {MD5}")


def test_a_hub_that_does_not_answer_is_asked_for_no_second_commit(tmp_path: Path):
    call = ("org/moves", MD5, MOVED, COMMIT, "main")
    refusal = ask("http://127.0.0.1:9", ANY_PROGRAM, *call, home=tmp_path / "home")
    one_line(
        refusal, "org/moves@22222222: docs.jsonl.gz was not downloaded yet, and http://127.0.0.1:9 does not answer"
    )


def shared_cache(folder: Path, content: bytes) -> Path:
    """A large file in the layout of caches that several repositories share: two links lead to it.

    The store's name is not the SHA-256 but another hash of the content, which only the hub can compute.
    """
    kept = folder / "blobs" / "ab" / ("ab" * 32)
    blob = folder / "datasets--org--x" / "blobs" / hashlib.sha256(CONTENT).hexdigest()
    named = folder / "datasets--org--x" / "snapshots" / COMMIT / "docs.jsonl.gz"
    for path in (kept, blob, named):
        path.parent.mkdir(parents=True)
    kept.write_bytes(content)
    blob.symlink_to("../../blobs/ab/" + kept.name)
    named.symlink_to("../../blobs/" + blob.name)
    return named


def test_a_file_that_repositories_share_is_compared_with_its_own_checksum(tmp_path: Path):
    path = shared_cache(tmp_path, CONTENT)
    check_blob(path, "org/x: docs.jsonl.gz")
    assert CONTENT == path.read_bytes()


def test_a_damaged_file_that_repositories_share_is_removed_with_its_links(tmp_path: Path):
    path = shared_cache(tmp_path, OTHER)
    with pytest.raises(DataError) as caught:
        check_blob(path, "org/x: docs.jsonl.gz")
    one_line(str(caught.value), "org/x: docs.jsonl.gz: sha256 is", hashlib.sha256(CONTENT).hexdigest(), "run again")
    assert [] == [place for place in tmp_path.rglob("*") if place.is_symlink() or place.is_file()]


def test_a_cache_without_links_has_no_checksums_to_compare_with(tmp_path: Path):
    path = tmp_path / f"{'corpus-00000-of-00001':x<32}.parquet"
    path.write_bytes(CONTENT)
    assert 40 == len(path.name)
    check_blob(path, "org/x: corpus")
    assert path.is_file()


def test_a_download_that_is_not_what_was_published_is_downloaded_again(hub: LocalHub, store: Store, caplog):
    path = get(hub, store)
    path.write_bytes(OTHER)
    assert CONTENT == get(hub, store).read_bytes()
    assert f"{path}: is not the file that was published" in caplog.text
    assert 2 == len(answers(hub))


@pytest.mark.parametrize("name", ["scifact.zip", "scifact.zip.part", "."])
def test_links_in_the_place_of_a_download_are_not_followed(hub: LocalHub, store: Store, tmp_path: Path, name: str):
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "folder").mkdir()
    folder = store.root / "downloads" / MD5
    if name == ".":
        folder.parent.mkdir(parents=True)
        folder.symlink_to(tmp_path / "folder")
    else:
        folder.mkdir(parents=True)
        (folder / name).symlink_to(tmp_path / "victim")
    assert downloaded(store, f"{hub.endpoint}/{ADDRESS}", MD5) is None
    assert CONTENT == get(hub, store).read_bytes()
    assert b"mine" == (tmp_path / "victim").read_bytes()
    assert [] == list((tmp_path / "folder").iterdir())


def test_a_download_under_way_is_not_pruned(hub: LocalHub, store: Store, monkeypatch):
    from evalkit.store import inventory

    asked = []

    def pruning(_url, _md5, part):
        part.write_bytes(CONTENT)
        for path in (part, part.parent):
            os.utime(path, (0, 0))
        chosen = inventory.prunable(inventory.artefacts(store), unused_for=0)
        asked.append((chosen[0].state, inventory.prune(store, chosen, unused_for=0) == chosen))

    monkeypatch.setattr(download, "_download", pruning)
    assert CONTENT == get(hub, store).read_bytes()
    assert [("unfinished", True)] == asked
