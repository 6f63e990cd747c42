"""The server: whom it answers, what it shows, and that no request ends a conversation."""

import base64
import gc
import json
import math
import os
import re
import resource
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from app import __main__ as command
from app import server
from app.request import LONGEST
from app.security import COOKIE
from app.tabs.pusht import PushTTab
from benchmarks.page_server import PageServer
from envs.pusht import PushT
from tests.app.visitor import HOST, OWN, app_state, client, visit

ROOT = Path(server.ROOT)
TOKEN = "a-token-of-enough-signs"


@pytest.fixture
def page(tmp_path):
    return client(app_state(tmp_path))


def test_the_page_comes_with_a_policy_that_allows_nothing_from_elsewhere(page):
    answer = page.get("/")
    assert answer.status_code == 200
    policy = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_of_the_page_is_inline_or_from_elsewhere():
    page = (server.STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert not re.search(r"\son\w+=|\sstyle=|<style", page)
    for path in server.STATIC.rglob("*.*"):
        found = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", path.read_text())
        assert set(found) <= {"http://www.w3.org"}, path  # a name of SVG, which nobody fetches


@pytest.mark.parametrize("path", ["/style.css", "/js/main.js", "/js/line.js", "/icon.svg"])
def test_its_parts_are_served(page, path):
    assert page.get(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/nothing", "/../server.py", "/%2e%2e/server.py", "/js/../../server.py", "/source/../pyproject.toml"]
)
def test_nothing_else_is(page, path):
    assert page.get(path).status_code == 404


def test_every_source_that_the_page_names_is_shown_at_its_line(page):
    links = re.findall(r'href="/source/([^"#]+)#(\w+)"', (server.STATIC / "index.html").read_text())
    assert len(links) > 20
    for path, name in links:
        answer = page.get(f"/source/{path}")
        assert answer.status_code == 200
        (line,) = re.findall(rf'<li id="{name}"><code>(.*)</code>', answer.text)
        assert re.match(rf"(class|def) {name}\b", line), (path, name)
        assert answer.text.count("<li ") == len((ROOT / path).read_text().splitlines())


@pytest.mark.parametrize("path", ["limits.py", "pyproject.toml", "app/security.py", "/etc/passwd", "../../etc/passwd"])
def test_other_sources_are_not(page, path):
    assert page.get(f"/source/{path}").status_code == 404


FOREIGN = {
    "another site's page": {"origin": "http://evil.example"},
    "a page from a file": {"origin": "null"},
    "another port of this machine": {"origin": "http://127.0.0.1:1"},
    "the same name over https": {"origin": f"https://{HOST}"},
    "a name that is bound to this address": {"host": "evil.example:8000", "origin": "http://evil.example:8000"},
    "a name that begins like ours": {"host": f"{HOST}.evil.example", "origin": f"http://{HOST}.evil.example"},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_no_other_page_gets_at_it(page, headers):
    for path in ("/", "/js/main.js", "/source/envs/pusht.py"):
        assert page.get(path, headers=headers).status_code == 403
        assert page.post(path, headers=headers).status_code == 403
    for tab in server.TABS:
        with pytest.raises(WebSocketDisconnect) as refused, visit(page, tab, OWN | headers):
            pass
        assert refused.value.code == 1008


def test_a_websocket_without_an_origin_is_refused(page):
    with pytest.raises(WebSocketDisconnect), page.websocket_connect("/ws/pusht", headers={"host": HOST}):
        pass


def test_both_of_its_names_are_answered(page):
    for host in (HOST, "localhost:8000"):
        with visit(page, "pusht", {"host": host, "origin": f"http://{host}"}) as visitor:
            assert visitor.hello["kind"] == "hello"


def test_a_tab_that_is_not_there_is_refused(page):
    with pytest.raises(WebSocketDisconnect), page.websocket_connect("/ws/nothing", headers=OWN):
        pass


def test_with_a_token_only_who_has_shown_it_is_let_in(tmp_path):
    anywhere = {"host": "192.0.2.7:8000", "origin": "http://192.0.2.7:8000"}
    page = client(app_state(tmp_path), None, TOKEN, follow_redirects=False)
    for path in ("/", "/js/main.js", "/?token=", "/?token=wrong", f"/?token={TOKEN}x"):
        assert page.get(path, headers=anywhere).status_code == 403
    with pytest.raises(WebSocketDisconnect), visit(page, "pusht", anywhere):
        pass
    answer = page.get(f"/?token={TOKEN}", headers=anywhere)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    kept = answer.headers["set-cookie"]
    assert "HttpOnly" in kept
    assert "samesite=strict" in kept.lower()
    shown = anywhere | {"cookie": f"{COOKIE}={TOKEN}"}
    assert page.get("/", headers=shown).status_code == 200
    with visit(page, "pusht", shown) as visitor:
        assert visitor.hello["kind"] == "hello"
    with pytest.raises(WebSocketDisconnect), visit(page, "pusht", shown | {"origin": "http://evil.example"}):
        pass
    for wrong in (f"{COOKIE}=x", f"{COOKIE}=", "\x01", f"{COOKIE}=é".encode("latin-1")):
        assert page.get("/", headers=anywhere | {"cookie": wrong}).status_code == 403


def test_any_name_needs_a_token(tmp_path):
    with pytest.raises(ValueError, match="needs a token"):
        client(app_state(tmp_path), None, None).get("/")


WRONG = {
    "nothing": "",
    "null": "null",
    "a number": "7",
    "a list": '["step"]',
    "no request": "{}",
    "a number for a request": '{"do": 1}',
    "an unknown request": '{"do": "fly"}',
    "a field is missing": '{"do": "step"}',
    "no number": '{"do": "step", "driver": "you", "target": [NaN, 1]}',
    "infinite": '{"do": "step", "driver": "you", "target": [1e999, 1]}',
    "minus infinite": '{"do": "step", "driver": "you", "target": [-Infinity, 1]}',
    "beyond floats": '{"do": "step", "driver": "you", "target": [1' + "0" * 400 + ", 1]}",
    "beyond what Python reads": '{"do": "step", "driver": "you", "target": [1' + "0" * 5000 + ", 1]}",
    "words": '{"do": "step", "driver": "you", "target": ["a", "b"]}',
    "yes and no": '{"do": "step", "driver": "you", "target": [true, false]}',
    "three": '{"do": "step", "driver": "you", "target": [1, 2, 3]}',
    "an unknown driver": '{"do": "step", "driver": "nobody", "target": [1, 2]}',
    "a list for a driver": '{"do": "step", "driver": ["you"], "target": [1, 2]}',
    "a path for a policy": '{"do": "step", "driver": "policy", "policy": "../../etc"}',
    "a seed too large": '{"do": "reset", "seed": 4294967296}',
    "half a seed": '{"do": "reset", "seed": 0.5}',
    "a pose that is none": '{"do": "place", "pose": [1, 2]}',
    "nested deeply": "[" * 100_000,
    "torn": '{"do": "step", ',
    "too long": '{"do": "' + "x" * LONGEST + '"}',
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_wrong_request_is_answered_and_the_conversation_goes_on(page, text, caplog):
    with visit(page, "pusht") as visitor:
        answer = visitor.raw(text)
        assert answer["kind"] == "error"
        assert "\n" not in answer["text"]
        assert len(answer["text"]) <= 600
        assert visitor.ask("step", "state", driver="you", target=[10, 10])["steps"] == 1
    assert not caplog.records


CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "shutil.rmtree"}


@pytest.fixture
def written():
    """What this process writes to meanwhile, by Python's own audit events; a hook cannot be taken away again."""
    watching = True

    def watch(event, args):
        if not watching or not args or not isinstance(args[0], str | bytes | Path):
            return
        path = str(args[0])
        if event in ("os.remove", "os.rmdir") and args[-1] >= 0:  # a name in a folder that is open
            path = os.path.join(os.readlink(f"/proc/self/fd/{args[-1]}"), path)
        wrote = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (wrote or event in CHANGES) and "__pycache__" not in path and path != os.devnull:
            paths.append(path)

    paths: list[str] = []
    sys.addaudithook(watch)
    yield paths
    watching = False


LOADING = {"digits", "sequences", "gan", "photographs"}  # those whose models take a while


def half(*shape):
    return base64.b64encode(bytes(255 * (number % 2) for number in range(math.prod(shape)))).decode()


EVERYTHING = {  # requests of each tab, and the answer to each
    "pusht": [
        ("step", "state", {"driver": "policy", "policy": "pusht"}),
        ("step", "state", {"driver": "you", "target": [5, 5]}),
        ("replay", "replay", {}),
        ("demonstration", "state", {"source": "bundled"}),
        ("step", "state", {"driver": "you", "target": [5, 5]}),
        ("keep", "state", {"unsolved": True}),
        ("undo", "state", {}),
    ],
    "digits": [("read", "reading", {"drawing": half(112, 112)})],
    "sequences": [("answer", "attention", {"model": "sorting_encoder", "text": "3 1"})],
    "diffusion": [("walk", "paths", {"sampler": "DDIM", "steps": 2, "seed": 0})],
    "gan": [
        ("draw", "classifier", {"model": "svhn_gan", "label": 1, "start": 0, "end": 1, "share": 0, "truncation": 1})
    ],
    "photographs": [("classify", "classes", {"model": "cifar10_fast", "image": half(32, 32, 3)})],
}


@pytest.mark.parametrize(
    "tab", ["pusht", "diffusion", *(pytest.param(name, marks=pytest.mark.slow) for name in sorted(LOADING))]
)
def test_nothing_is_written_but_to_out(tmp_path, tab, written):
    assert EVERYTHING.keys() == server.TABS.keys() == LOADING | {"pusht", "diffusion"}
    out = tmp_path / "kept"
    with visit(client(app_state(tmp_path, out)), tab) as visitor:
        for do, kind, fields in EVERYTHING[tab]:
            visitor.ask(do, kind, **fields)
    own = {out, tmp_path / "kept.unfinished"}  # which takes the name of the first when it is whole
    assert not [path for path in map(Path, written) if own.isdisjoint([path, *path.parents])]
    assert bool(written) == (tab == "pusht")


def test_bytes_are_answered_too(page):
    with visit(page, "pusht") as visitor:
        visitor.socket.send_bytes(b"\xff\xfe")
        assert "got bytes" in visitor.next("error")["text"]
        assert visitor.ask("step", "state", driver="you", target=[10, 10])["steps"] == 1


def test_a_mistake_of_ours_is_told_and_the_conversation_goes_on(page, monkeypatch, caplog):
    with visit(page, "pusht") as visitor:
        with monkeypatch.context() as wrong:
            wrong.setattr(PushTTab, "_replay", lambda *_: 1 / 0)
            assert "ZeroDivisionError" in visitor.ask("replay", "error")["text"]
        assert visitor.ask("step", "state", driver="you", target=[10, 10])["steps"] == 1
    assert "ZeroDivisionError" in caplog.text


def test_twenty_visitors_at_once_do_not_mix_their_worlds(page):
    with ExitStack() as everybody:
        visitors = [everybody.enter_context(visit(page, "pusht")) for _ in range(20)]
        worlds = [PushT("state", legacy_resets=True) for _ in visitors]
        for seed, (visitor, world) in enumerate(zip(visitors, worlds, strict=True)):
            world.reset(seed=seed)
            visitor.ask("reset", "state", seed=seed)
        for step in range(3):
            for seed, (visitor, world) in enumerate(zip(visitors, worlds, strict=True)):
                target = [20.0 * seed, 100.0 * step]
                view = visitor.ask("step", "state", driver="you", target=target)
                state = world.step(np.array(target, np.float32))[0]
                assert (view["pointer"], view["steps"]) == (pytest.approx(state[:2], abs=0.01), step + 1)


@pytest.mark.slow
def test_five_hundred_visits_leave_nothing_behind(page):
    def memory():
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    for visits in range(550):
        if visits == 50:
            before = memory()
        with visit(page, "pusht") as visitor:
            visitor.ask("step", "state", driver="you", target=[10, 10])
    assert not [one for one in gc.get_objects() if type(one) is PushTTab]  # isinstance asks dead proxies, too
    assert memory() - before < 30e6


def test_only_so_many_at_once(page, monkeypatch):
    monkeypatch.setattr(server, "MOST_CONVERSATIONS", 1)
    with visit(page, "pusht"):
        with pytest.raises(WebSocketDisconnect) as refused, visit(page, "pusht"):
            pass
        assert refused.value.code == 1013
    with visit(page, "pusht") as again:  # a place that is free is given away again
        assert again.hello["kind"] == "hello"


@pytest.mark.slow
def test_the_command_answers_this_machine_alone_and_survives_a_message_too_long():
    with PageServer() as running:
        port = int(running.host.split(":")[1])
        for other in ("127.0.0.2", "::1"):
            with pytest.raises(OSError, match=r"refused|unreachable|assign"):
                socket.create_connection((other, port), timeout=5).close()
        options = {"origin": f"http://{running.host}", "max_size": None}
        with connect(f"ws://{running.host}/ws/pusht", **options) as visitor:
            visitor.send('{"do": "' + "x" * 8 * LONGEST + '"}')
            with pytest.raises(ConnectionClosed) as ended:
                [visitor.recv(timeout=60) for _ in range(3)]  # loading, hello, and then the end
            assert ended.value.rcvd.code == 1009  # message too big
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://{running.host}/ws/pusht", origin="http://evil"):
            pass
        assert refused.value.response.status_code == 403
        with connect(f"ws://{running.host}/ws/pusht", **options) as visitor:
            answers = [json.loads(visitor.recv(timeout=60)) for _ in range(2)]
        assert [answer["kind"] for answer in answers] == ["loading", "hello"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--port", "-1"], "65535"),
        (["--port", "70000"], "65535"),
        (["--seed", "-1"], "4294967295"),
        (["--seed", str(2**32)], "4294967295"),
        (["--out", "x.csv"], ".parquet"),
        (["--out", str(ROOT / "limits.py")], ".parquet"),
        (["--host", "0.0.0.0"], "--token"),
        (["--host", "0.0.0.0", "--token", "short"], "16"),
        (["--host", "0.0.0.0", "--token", "with a blank in the middle"], "letters"),
        (["--host", "no.such.name.invalid", "--token", "new"], "cannot be used"),
    ],
)
def test_the_command_refuses(args, words, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(args)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_the_command_keeps_what_is_there(tmp_path, capsys):
    kept = tmp_path / "mine.parquet"
    kept.write_text("mine")
    with pytest.raises(SystemExit):
        command.main(["--out", str(kept)])
    assert "exists already" in capsys.readouterr().err
    assert kept.read_text() == "mine"


def test_answers_are_json_that_browsers_read(page):
    with visit(page, "pusht") as visitor:
        json.dumps(visitor.hello, allow_nan=False)
