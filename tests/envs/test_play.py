"""Playing in the browser: what is kept, and that no other page, name or odd request gets at the game."""

import http.client
import json
import re
import socket
import threading

import pyarrow.parquet as pq
import pytest

from callbacks.rollouts import FIRST_TEST_SEED, VAL_SEEDS
from datamodules.pusht import read_keypoints
from envs import play, t_block
from envs.arguments import FIRST_RECORDING_SEED
from envs.physics import get_state, set_state
from envs.pusht import PushT
from envs.recording import EpisodeActions
from planning.planner import plan


class Page:
    """A browser's page over a real socket: its requests, with any header changed."""

    def __init__(self, server, game):
        self.port, self.game = server.server_port, game
        status, page = self.ask("GET", "/", token=None)
        assert status == 200
        self.token = re.search(r'"X-Token": "([^"]+)"', page)[1]

    def ask(self, method, path, body=b"", token="own", timeout=10, **headers):
        """Status and text of the answer; `own` is the page's token."""
        token = self.token if token == "own" else token
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, headers | ({"X-Token": token} if token else {}))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def __call__(self, path, body=None):
        status, text = self.ask("POST", path, json.dumps(body))
        assert status == 200, text
        return json.loads(text)


@pytest.fixture
def page(tmp_path, monkeypatch, request):
    monkeypatch.setattr(play, "PATIENCE", getattr(request, "param", 0.5))
    game = play.Game(tmp_path / "played.parquet")
    server = play.make_server(game, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Page(server, game)
    server.shutdown()
    server.server_close()


@pytest.fixture
def solution():
    """A start from which a plan of a few steps solves the episode."""
    env = PushT("keypoints")
    env.reset(options={"reset_to_state": [256, 100, 262, 262, t_block.TARGET_POSE[2] + 0.05]})
    return get_state(env), plan(get_state(env)).actions.tolist()


def test_playing_and_keeping(page):
    start = page("/view")
    for _ in range(5):
        view = page("/step", [300.0, 310.0])
    assert view["steps"] == 5
    assert view["pointer"] != start["pointer"]
    assert len(view["block"]) == 8
    assert page("/view") == view  # a page that is loaded again goes on
    view = page("/keep", True)
    assert (view["kept"], view["steps"]) == (1, 0)
    demos = read_keypoints(str(page.game.out))
    assert demos.lengths.tolist() == [5]
    assert demos.actions[0].tolist() == [300, 310]


def test_starts_are_far_from_all_others(page):
    assert page.game.seed == play.FIRST_SEED
    assert page.game.seed > max(*VAL_SEEDS, FIRST_TEST_SEED + 10**6, FIRST_RECORDING_SEED + 10**6)
    page("/reset")
    assert page.game.seed == play.FIRST_SEED + 1


def test_an_episode_ends_where_it_is_solved(page, solution):
    state, actions = solution
    set_state(page.game.env, state)
    for action in actions:
        view = page("/step", action)
    assert view["success"]
    pushed_away = [page("/step", [256, 256]) for _ in range(20)]
    assert all(after == view for after in pushed_away)
    assert len(page.game.actions) == len(actions)


def test_a_solved_episode_is_solved_in_the_file(page, solution, monkeypatch):
    state, actions = solution
    set_state(page.game.env, state)
    for action in [*actions, [256, 256], [100, 100]]:
        page("/step", action)
    start = {"options": {"reset_to_state": state[[0, 1, 4, 5, 6]].tolist()}}
    monkeypatch.setattr(play, "EpisodeActions", lambda reset, actions: EpisodeActions(start, actions))
    assert page("/keep")["kept"] == 1
    success = pq.read_table(page.game.out)["next.success"].to_pylist()
    assert success == [False] * (len(actions) - 1) + [True]


def test_an_unsolved_episode_is_kept_only_when_asked_for(page):
    status, why = page.ask("POST", "/keep", b"true")
    assert (status, "nothing has been done" in why) == (400, True)
    page("/step", [300, 310])
    for body in (b"", b"null", b"false", b"1"):
        status, why = page.ask("POST", "/keep", body)
        assert (status, "not solved" in why) == (400, True)
    assert not page.game.out.exists()
    assert page("/keep", True)["kept"] == 1


def test_an_episode_is_kept_once_although_the_disk_was_full(page, monkeypatch):
    page("/step", [300, 310])
    with monkeypatch.context() as full:
        full.setattr(play, "record", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        status, why = page.ask("POST", "/keep", b"true")
        assert (status, "No space left" in why) == (500, True)
    assert page("/keep", True)["kept"] == 1


BAD_MOVES = {
    "nothing": b"",
    "null": b"null",
    "one number": b"[1]",
    "three numbers": b"[1, 2, 3]",
    "a number": b"7",
    "words": b'["a", "b"]',
    "numbers in words": b'["1", "2"]',
    "yes and no": b"[true, false]",
    "no number": b"[NaN, 1]",
    "infinite": b"[1e999, 1]",
    "beyond floats": b"[1" + b"0" * 400 + b", 1]",
    "a dictionary": b'{"x": 1, "y": 2}',
    "nested": b"[[1, 2]]",
    "nested deeply": b"[" * 1000,
    "nested deeply and closed": b"[" * 400 + b"]" * 400,
    "torn": b"[1, ",
    "not utf-8": b"\xff\xfe[1",
}


@pytest.mark.parametrize("body", BAD_MOVES.values(), ids=BAD_MOVES)
def test_a_bad_move_is_refused_and_the_game_goes_on(page, body, capfd):
    status, why = page.ask("POST", "/step", body)
    assert status == 400
    assert "\n" not in why
    assert page("/step", [10, 10])["steps"] == 1
    assert page("/keep", True)["kept"] == 1
    assert "Traceback" not in capfd.readouterr().err


def test_a_position_far_outside_is_the_edge(page):
    for _ in range(40):
        view = page("/step", [10**12, -1e300])
    assert view["pointer"] == pytest.approx([512, 0], abs=0.1)


FOREIGN = {
    "another site's page": {"Origin": "http://evil.example", "token": None},
    "another site's page that knows the token": {"Origin": "http://evil.example"},
    "a page from a file": {"Origin": "null"},
    "another port of this machine": {"Origin": "http://127.0.0.1:1"},
    "the same name over https": {"Origin": "https://127.0.0.1:{port}"},
    "a name bound to this address": {"Host": "evil.example:{port}"},
    "a name that begins like ours": {"Host": "127.0.0.1:{port}.evil.example"},
    "no token": {"token": None},
    "a wrong token": {"token": "x"},
    "a token outside of ASCII": {"token": "\xe9"},
}


@pytest.mark.parametrize("request_", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("path", ["/view", "/step", "/reset", "/keep"])
def test_no_other_page_can_play(page, path, request_):
    page("/step", [300, 310])
    before, seed = page("/view"), page.game.seed
    headers = {name: value and value.format(port=page.port) for name, value in request_.items()}
    status, text = page.ask("POST", path, b"true" if path == "/keep" else b"[1, 1]", **headers)
    assert status == 403
    assert "pointer" not in text
    assert (page("/view"), page.game.seed) == (before, seed)


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_no_other_name_can_read_the_page_with_its_token(page, headers):
    status, text = page.ask("GET", "/", token=None, **headers)
    assert status == 403
    assert page.token not in text


def test_this_page_can_play_by_both_of_its_names(page):
    for name in ("127.0.0.1", "localhost"):
        host = f"{name}:{page.port}"
        assert page.ask("POST", "/view", Host=host, Origin=f"http://{host}")[0] == 200


def raw(page, words):
    connection = socket.create_connection(("127.0.0.1", page.port), timeout=10)
    connection.sendall(words.format(port=page.port, token=page.token).encode())
    return connection


POST = "POST /step HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Token: {token}\r\n"
STALLED = {
    "the body": POST + "Content-Length: 10\r\n\r\n[1",
    "the headers": POST,
    "the first line": "POST /st",
    "everything": "",
}


@pytest.mark.parametrize("page", [60.0], indirect=True)
@pytest.mark.parametrize("words", STALLED.values(), ids=STALLED)
def test_a_request_that_stalls_blocks_nobody(page, words):
    connections = [raw(page, words) for _ in range(5)]
    assert page("/step", [10, 10])["steps"] == 1
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("words", STALLED.values(), ids=STALLED)
def test_a_request_that_stalls_is_given_up(page, words):
    connection = raw(page, words)
    answer = connection.recv(1000)  # b"" where it is closed without a word
    assert b" 408 " in answer if "Content-Length" in words else answer == b""
    assert page("/step", [10, 10])["steps"] == 1


@pytest.mark.parametrize("length", ["-1", "1001", "1000000000000", "1e3", "ten", "", "\xb2", "0x10"])
def test_a_body_of_an_impossible_length_is_refused_at_once(page, length):
    connection = raw(page, POST)
    connection.sendall(f"Content-Length: {length}\r\n\r\n[1, 2]".encode("latin-1"))
    assert b" 413 " in connection.recv(1000)
    assert page("/step", [10, 10])["steps"] == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--port", "-1"], "65535"),
        (["--port", "70000"], "65535"),
        (["--seed", "-1"], "4294967295"),
        (["--seed", str(2**32)], "4294967295"),
        (["--out", "x.csv"], ".parquet"),
    ],
)
def test_the_command_refuses(args, words, capsys):
    with pytest.raises(SystemExit):
        play.main(args)
    assert words in capsys.readouterr().err.splitlines()[-1]
