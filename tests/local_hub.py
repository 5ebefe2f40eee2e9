"""A small Hugging Face hub on 127.0.0.1: it serves folders to the real `huggingface_hub` and `datasets` clients.

    with LocalHub({"datasets/mteb/scifact": folder, "org/model": other}) as hub:
        answer = ask(hub.endpoint, "import huggingface_hub; ...; print(json.dumps(answer))", home=tmp_path / "hf")

The clients read HF_ENDPOINT when they are imported, so `hub_clients` sets what they made of it. What they ask for is in
`hub.requests`. Each repository has one commit and the branch `main`; nothing can be uploaded. As on the hub,
large files go by their SHA-256 and small ones by their id in git. Plain files are at `<endpoint>/files/<name>`.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch
from urllib.parse import parse_qs, unquote, urlsplit

from local_files import Answer, Delivery

_API = re.compile(r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)(?:/(?P<verb>[a-z-]+)/(?P<rest>.*))?")
_FILE = re.compile(r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_LARGE = (".gz", ".parquet", ".safetensors", ".zip")


@dataclass(frozen=True)
class Repository:
    """A folder that is served, and the commit it is served as."""

    key: str
    folder: Path
    commit: str
    gated: bool

    def paths(self) -> list[str]:
        return sorted(file.relative_to(self.folder).as_posix() for file in self.folder.rglob("*") if file.is_file())

    def entry(self, path: str) -> dict[str, Any] | None:
        """What the hub tells of a file or a folder, or None where there is neither."""
        if path in self.paths():
            return _file_entry(path, (self.folder / path).read_bytes())
        if any(file.startswith(f"{path}/") for file in self.paths()):
            return {"type": "directory", "path": path, "size": 0, "oid": blob_id(path.encode())}
        return None

    def tree(self, top: str, *, recursive: bool) -> list[dict[str, Any]]:
        """Entries below a folder (`""` is the whole repository)."""
        prefix = f"{top}/" if top else ""
        below = [path.removeprefix(prefix) for path in self.paths() if path.startswith(prefix)]
        names = {"/".join(path.split("/")[:depth]) for path in below for depth in range(1, path.count("/") + 2)}
        entries = [self.entry(prefix + name) for name in sorted(names) if recursive or "/" not in name]
        return [entry for entry in entries if entry]


def _file_entry(path: str, data: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(data), "oid": blob_id(data)}
    if not path.endswith(_LARGE):
        return entry
    sha256 = hashlib.sha256(data).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(data)}\n".encode()
    return {
        **entry,
        "oid": blob_id(pointer),
        "lfs": {"oid": sha256, "size": len(data), "pointerSize": len(pointer)},
    }


def blob_id(data: bytes) -> str:
    """The id that git gives a file with this content."""
    return hashlib.sha1(b"blob %d\0%s" % (len(data), data), usedforsecurity=False).hexdigest()


class LocalHub:
    """A hub that lives as long as the `with` block.

    Args:
        repositories: folder of each repository by `owner/name`, or `datasets/owner/name`. `...@<40 hex digits>` fixes
            its commit; without one the commit is made from the name.
        gated: names, without commit, of repositories whose files need a token.
        files: content of plain files by name.

    Attributes:
        endpoint: what to set HF_ENDPOINT to.
        requests: `METHOD path -> status` of every request so far, and its Range header where it had one.
        deliveries: how a file is sent, where something is amiss with it. By its address without revision, such as
            `datasets/mteb/scifact/README.md` or `files/scifact.zip`.
    """

    def __init__(
        self,
        repositories: Mapping[str, Path],
        *,
        gated: Collection[str] = (),
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        self.requests: list[str] = []
        self.deliveries: dict[str, Delivery] = {}
        self.files = dict(files or {})
        self.repositories: dict[str, Repository] = {}
        for key, folder in repositories.items():
            name, _, commit = key.partition("@")
            self.repositories[name] = Repository(name, folder, commit or blob_id(name.encode()), name in gated)
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def commit(self, name: str) -> str:
        """The commit of a repository."""
        return self.repositories[name].commit

    def asked(self, part: str, method: str = "GET") -> list[str]:
        """The requests by this method with this part in their address."""
        return [line for line in self.requests if line.startswith(f"{method} ") and part in line.split(" ")[1]]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are written apart; a delayed acknowledgement costs 40 ms each

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        path, query = unquote(address.path), parse_qs(address.query)
        if match := _API.fullmatch(path):
            prefix = "datasets/" if match["kind"] == "datasets" else ""
            self._api(prefix + match["name"], match["verb"] or "", match["rest"] or "", query, body)
        elif match := _FILE.fullmatch(path):
            self._file((match["kind"] or "") + match["name"], match["revision"], match["path"])
        elif (data := self.hub.files.get(path.removeprefix("/files/"))) is not None:
            self._deliver(path.removeprefix("/"), data, {})
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "", "there is no such route")

    def _api(self, name: str, verb: str, rest: str, query: Mapping[str, list[str]], body: bytes) -> None:
        revision, _, path = rest.partition("/")
        repository = self._repository(name, revision or "main")
        if repository is None:
            return
        match verb:
            case "" | "revision":
                self._json(_information(repository))
            case "tree":
                recursive = query.get("recursive", ["false"])[0].lower() in {"true", "1"}
                self._json(repository.tree(path, recursive=recursive))
            case "paths-info":
                entries = [repository.entry(wanted.strip("/")) for wanted in _wanted_paths(body)]
                self._json([entry for entry in entries if entry])
            case _:
                self._refuse(HTTPStatus.NOT_FOUND, "", "there is no such route")

    def _file(self, name: str, revision: str, path: str) -> None:
        repository = self._repository(name, revision)
        if repository is None:
            return
        if repository.gated:
            advice = "You must have access to it and be authenticated to access it. Please log in."
            self._refuse(HTTPStatus.UNAUTHORIZED, "GatedRepo", f"Access to {name} is restricted. {advice}")
        elif path not in repository.paths():
            self._refuse(HTTPStatus.NOT_FOUND, "EntryNotFound", "Entry not found", commit=repository.commit)
        else:
            self._send_file(repository, path)

    def _send_file(self, repository: Repository, path: str) -> None:
        data = (repository.folder / path).read_bytes()
        entry = _file_entry(path, data)
        headers = {"X-Repo-Commit": repository.commit, "ETag": f'"{entry["oid"]}"'}
        if large := entry.get("lfs"):
            headers |= {"X-Linked-Etag": f'"{large["oid"]}"', "X-Linked-Size": str(large["size"])}
        self._deliver(f"{repository.key}/{path}", data, headers)

    def _deliver(self, address: str, data: bytes, headers: Mapping[str, str]) -> None:
        delivery = self.hub.deliveries.get(address, Delivery())
        answer = delivery.answer(data, self.headers.get("Range"), head=self.command == "HEAD")
        headers = {"Content-Type": "application/octet-stream", **headers, **answer.headers}
        self._send(answer._replace(headers=headers), length=delivery.length)

    def _repository(self, name: str, revision: str) -> Repository | None:
        """The repository at this revision; where there is none, the request is answered and None comes back."""
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._refuse(HTTPStatus.NOT_FOUND, "RepoNotFound", "Repository not found")
        elif revision not in {"main", repository.commit}:
            self._refuse(HTTPStatus.NOT_FOUND, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return repository
        return None

    def _json(self, content: Any) -> None:
        self._send(Answer(HTTPStatus.OK, json.dumps(content).encode(), {"Content-Type": "application/json"}))

    def _refuse(self, status: HTTPStatus, code: str, message: str, *, commit: str = "") -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message, "X-Repo-Commit": commit}
        body = json.dumps({"error": message}).encode()
        self._send(Answer(status, body, {key: value for key, value in headers.items() if value}))

    def _send(self, answer: Answer, *, length: bool = True) -> None:
        asked = self.headers.get("Range")
        self.hub.requests.append(
            f"{self.command} {self.path} -> {answer.status.value}" + (f" {asked}" if asked else "")
        )
        self.send_response(answer.status)
        for key, value in answer.headers.items():
            self.send_header(key, value)
        if length:
            self.send_header("Content-Length", str(len(answer.body)))
        if answer.sent is not None or not length:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: answer.sent])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives it
        """Nothing on stderr; `LocalHub.requests` has it."""


def _information(repository: Repository) -> dict[str, Any]:
    return {
        "id": repository.key.removeprefix("datasets/"),
        "sha": repository.commit,
        "private": False,
        "gated": "manual" if repository.gated else False,
        "disabled": False,
        "tags": [],
        "siblings": [{"rfilename": path} for path in repository.paths()],
    }


def _wanted_paths(body: bytes) -> list[str]:
    """The paths of a `paths-info` request, which the client sends as a form."""
    if body.startswith(b"{"):
        return list(json.loads(body)["paths"])
    return parse_qs(body.decode()).get("paths", [])


@contextlib.contextmanager
def hub_clients(endpoint: str, home: Path, *, offline: bool = False) -> Iterator[None]:
    """Set the clients of the hub in this process as HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE would at their import.

    Args:
        endpoint: of a `LocalHub`, or anything else for a hub that cannot be reached.
        home: HF_HOME, where the clients cache.
        offline: whether the clients are told not to use a network.
    """
    import datasets
    from huggingface_hub import constants

    of_hub = {
        "ENDPOINT": endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_XET_CACHE": str(home / "xet"),
        "HF_HUB_OFFLINE": offline,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_PROGRESS_BARS": True,
    }
    of_datasets = {
        "HF_ENDPOINT": endpoint,
        "HUB_DATASETS_URL": f"{endpoint}/datasets/{{repo_id}}/resolve/{{revision}}/{{path}}",
        "HF_CACHE_HOME": str(home),
        "HF_DATASETS_CACHE": home / "datasets",
        "HF_MODULES_CACHE": home / "modules",
        "DOWNLOADED_DATASETS_PATH": home / "datasets" / "downloads",
        "EXTRACTED_DATASETS_PATH": home / "datasets" / "downloads" / "extracted",
        "HF_HUB_OFFLINE": offline,
        "HF_DATASETS_OFFLINE": offline,
    }
    with patch.multiple(constants, **of_hub), patch.multiple(datasets.config, **of_datasets):
        yield


def ask(endpoint: str, program: str, *arguments: object, home: Path, offline: bool = False) -> Any:
    """What a Python program prints as JSON on its last line, with the hub clients of this process set to an endpoint.

    Args:
        endpoint: see `hub_clients`.
        program: source text; its arguments are in `sys.argv[1:]`.
        arguments: given to the program as strings.
        home: see `hub_clients`.
        offline: see `hub_clients`.
    """
    out = io.StringIO()
    with (
        hub_clients(endpoint, home, offline=offline),
        patch.object(sys, "argv", ["program", *map(str, arguments)]),
        patch.object(time, "sleep", time.sleep),  # a program may wait for nothing
        contextlib.redirect_stdout(out),
    ):
        exec(compile(program, "program", "exec"), {"__name__": "__main__"})
    return json.loads(out.getvalue().splitlines()[-1])


def ask_process(endpoint: str, program: str, *arguments: object, home: Path, offline: bool = False) -> Any:
    """As `ask`, by a process of its own: for tests of locks and of processes that die.

    Args:
        endpoint: of a `LocalHub`, or anything else for a hub that cannot be reached.
        program: source text; its arguments are in `sys.argv[1:]`.
        arguments: given to the program as strings.
        home: HF_HOME, where the clients cache.
        offline: whether the clients are told not to use a network.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and "proxy" not in key.lower()}
    flag = str(int(offline))
    clients = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": flag, "HF_DATASETS_OFFLINE": flag}
    quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**kept, **clients, **quiet, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"the program failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
