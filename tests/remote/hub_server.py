"""A server on this machine that speaks the Hugging Face Hub's file protocol, as far as models need it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_a-token-that-nobody-may-see"


@dataclass
class Repository:
    """commits : their files, by the commit's number, oldest first. refs : commits by branch or tag."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        number = hashlib.sha1(repr((len(self.commits), sorted(files.items()))).encode()).hexdigest()
        self.commits[number] = files
        self.refs["main"] = number
        return number

    def at(self, revision: str) -> str | None:
        return self.refs.get(revision, revision if revision in self.commits else None)


@dataclass
class Hub:
    """repositories by name; blobs, of which commits speak by their digest; requests as they came."""

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    tampered: dict[str, bytes] = field(default_factory=dict)  # files that the server alters on their way, by name


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A hub without repositories."""
    hub = Hub()

    class Answer(_Answer):
        pass

    Answer.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


class _Answer(BaseHTTPRequestHandler):
    """One request; each method below answers what its pattern matches."""

    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else self._chunks()
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        for pattern, answer in (
            (r"POST /api/repos/create", self.create),
            (r"POST /api/validate-yaml", lambda: self.send({"errors": [], "warnings": []})),
            (r"POST /api/models/(\w+/[\w.-]+)/preupload/(\w+)", self.preupload),
            (r"POST /api/models/(\w+/[\w.-]+)/commit/(\w+)", self.commit),
            (r"POST /(\w+/[\w.-]+)\.git/info/lfs/objects/batch", self.batch),
            (r"PUT /blobs/(\w+)", self.put),
            (r"GET /api/models/(\w+/[\w.-]+?)(?:/revision/(.+))?", self.info),
            (r"GET /api/models/(\w+/[\w.-]+)/tree/([^/]+)(?:/(.*))?", self.tree),
            (r"(?:GET|HEAD) /(\w+/[\w.-]+)/resolve/([^/]+)/(.+)", self.resolve),
        ):
            found = re.fullmatch(pattern, f"{self.command} {path}")
            if found:
                return answer(*found.groups())
        self.send({"error": "no such page"}, 404)

    def _chunks(self) -> bytes:
        parts = []
        while self.headers.get("Transfer-Encoding") == "chunked" and (size := int(self.rfile.readline(), 16)):
            parts.append(self.rfile.read(size + 2)[:-2])
        return b"".join(parts)

    def send(self, answer: Any, status: int = 200, **headers: str) -> None:
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def may_write(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self.send({"error": "Invalid credentials"}, 401)
        return False

    def create(self) -> None:
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        if self.may_write():
            known = name in self.hub.repositories
            private = asked.get("visibility") == "private" or asked.get("private") is True
            self.hub.repositories.setdefault(name, Repository(private)).refs or self.hub.repositories[name].commit({})
            self.send({"url": f"{self.hub.address}/{name}"}, 409 if known else 200)

    def files(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and self.headers.get("Authorization") != f"Bearer {TOKEN}"):
            self.send({"error": "Repository not found"}, 401, X_Error_Code="RepoNotFound")
            return None
        commit = repository.at(revision)
        if commit is None:
            self.send({"error": "Revision not found"}, 404, X_Error_Code="RevisionNotFound")
            return None
        return commit, repository.commits[commit]

    def info(self, name: str, revision: str | None) -> None:
        if found := self.files(name, revision or "main"):
            files = [{"rfilename": file} for file in found[1]]
            private = self.hub.repositories[name].private
            self.send({"id": name, "sha": found[0], "private": private, "siblings": files, "tags": []})

    def tree(self, name: str, revision: str, folder: str | None) -> None:
        if found := self.files(name, revision):
            entries: list[dict[str, Any]] = [
                {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for path, content in found[1].items()
            ]
            self.send([entry for entry in entries if not folder or entry["path"].startswith(f"{folder}/")])

    def resolve(self, name: str, revision: str, path: str) -> None:
        if found := self.files(name, revision):
            if path not in found[1]:
                return self.send({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
            content = self.hub.tampered.get(path, found[1][path])
            self.send(content, X_Repo_Commit=found[0], ETag=f'"{hashlib.sha1(content).hexdigest()}"')

    def preupload(self, name: str, _: str) -> None:
        if self.may_write():
            large = [file["path"].endswith(".safetensors") for file in json.loads(self.body)["files"]]
            files = [
                {"path": file["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
                for file, lfs in zip(json.loads(self.body)["files"], large, strict=True)
            ]
            self.send({"files": files})

    def batch(self, name: str) -> None:
        if self.may_write():
            objects = [
                {**asked, "actions": {"upload": {"href": f"{self.hub.address}/blobs/{asked['oid']}"}}}
                for asked in json.loads(self.body)["objects"]
            ]
            self.send({"transfer": "basic", "objects": objects})

    def put(self, digest: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == digest
        self.hub.blobs[digest] = self.body
        self.send({})

    def commit(self, name: str, revision: str) -> None:
        if not self.may_write():
            return
        files = dict(self.hub.repositories[name].commits[self.hub.repositories[name].refs[revision]])
        for line in self.body.splitlines():
            match json.loads(line):
                case {"key": "file", "value": {"path": path, "content": content}}:
                    files[path] = base64.b64decode(content)
                case {"key": "lfsFile", "value": {"path": path, "oid": digest}}:
                    files[path] = self.hub.blobs[digest]
                case {"key": "deletedFile", "value": {"path": path}}:
                    del files[path]
        number = self.hub.repositories[name].commit(files)
        self.send({"commitUrl": f"{self.hub.address}/{name}/commit/{number}", "commitOid": number})
