"""A Hub on this machine: the calls that making, filling, listing and reading a model's repository takes."""

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from huggingface_hub import constants, file_download

TOKEN = "hf_of_the_test"


class HubServer(ThreadingHTTPServer):
    """Repositories in memory, of one branch each.

    Attributes:
        repositories: {"owner/name": {path: content}}, as they are now; a commit that was told of stays what it was.
        asked: (method, path) of every request.
        private: repositories that were made private.
        read_only: whether it lets nobody write.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.commits: dict[tuple[str, str], dict[str, bytes]] = {}  # by name and commit
        self.asked: list[tuple[str, str]] = []
        self.private: set[str] = set()
        self.read_only = False

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def commit_of(self, name: str) -> str:
        files = sorted((path, hashlib.sha1(content).hexdigest()) for path, content in self.repositories[name].items())
        commit = hashlib.sha1(repr(files).encode()).hexdigest()
        self.commits[name, commit] = dict(self.repositories[name])
        return commit


class _Handler(BaseHTTPRequestHandler):
    server: HubServer

    def log_message(self, *_):
        pass

    def answer(self, content: object, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, code: str) -> None:
        self.answer({"error": code}, 404, X_Error_Code=code)

    def do_GET(self):
        path = urlsplit(self.path).path
        self.server.asked.append((self.command, path))
        about = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/]+)", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        name = (about or file or ["", ""])[1]
        if name not in self.server.repositories:
            return self.missing("RepoNotFound")
        newest, revision = self.server.commit_of(name), about[3] if about else file[2]
        commit = newest if revision == "main" else revision
        if (name, commit) not in self.server.commits:
            return self.missing("RevisionNotFound")
        files = self.server.commits[name, commit]
        if file:
            if file[3] not in files:
                return self.missing("EntryNotFound")
            content = files[file[3]]
            return self.answer(content, X_Repo_Commit=commit, ETag=f'"{hashlib.sha1(content).hexdigest()}"')
        if about[2] == "revision":
            return self.answer({"id": name, "sha": commit, "siblings": []})
        return self.answer(
            [
                {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for path, content in files.items()
            ]
        )

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        self.server.asked.append((self.command, path))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer({"error": "who are you?"}, 401)
        if self.server.read_only:
            return self.answer({"error": "not yours"}, 403)
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.server.repositories.setdefault(name, {})
            self.server.private |= {name} if "private" in (asked.get("visibility"), *asked) else set()
            return self.answer({"url": f"{self.server.endpoint}/{name}", "name": name})
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        name, call = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", path).groups()
        if call == "preupload":
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self.answer({"files": files})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.server.repositories[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        commit = self.server.commit_of(name)
        return self.answer({"commitUrl": f"{self.server.endpoint}/{name}/commit/{commit}", "commitOid": commit})


@contextlib.contextmanager
def hub_server(cache: str) -> Iterator[HubServer]:
    """A Hub for huggingface_hub within this process, which keeps what it fetches in a folder, and is logged in."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", server.endpoint)
        template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)  # huggingface_hub 0.34
        patch.setattr(constants, "HF_HUB_CACHE", cache)
        patch.setenv("HF_TOKEN", TOKEN)
        try:
            yield server
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
