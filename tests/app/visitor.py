"""A visitor of the page without a browser: requests over the server's own WebSockets."""

import json
from contextlib import contextmanager

from starlette.testclient import TestClient

from app.models import Models
from app.recorder import Recorder
from app.server import make_app
from app.tab import AppState

HOST = "127.0.0.1:8000"
OWN = {"host": HOST, "origin": f"http://{HOST}"}


class Visitor:
    """A conversation with one tab."""

    def __init__(self, socket):
        self.socket = socket
        self.hello = self.next("hello")

    def next(self, *kinds):
        """The next answer of one of these kinds; others are passed over, but errors that nobody expects."""
        while True:
            answer = self.socket.receive_json()
            assert answer["kind"] != "error" or "error" in kinds, answer
            if answer["kind"] in kinds:
                return answer

    def ask(self, do, *kinds, **fields):
        self.socket.send_text(json.dumps({"do": do, **fields}))
        return self.next(*kinds)

    def raw(self, text):
        """The answer to any text."""
        self.socket.send_text(text)
        return self.socket.receive_json()


def app_state(tmp_path, out=None, first_seed=10_000_000):
    return AppState(Models(tmp_path / "runs"), Recorder(out), first_seed)


def client(own_house, hosts=(HOST, "localhost:8000"), token=None, **options):
    return TestClient(make_app(own_house, hosts and list(hosts), token), base_url=f"http://{HOST}", **options)


@contextmanager
def visit(own_client, tab, headers=OWN):
    with own_client.websocket_connect(f"/ws/{tab}", headers=headers) as socket:
        yield Visitor(socket)
