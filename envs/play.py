"""Push the T yourself: `python -m envs.play` opens a page in the browser; `--out FILE` keeps your demonstrations.

The page sends the mouse's position ten times a second and draws what comes back; the world itself runs here, the same
one in which policies act. Episodes that you keep are written in the columns of the human data, so a policy can be
trained on them: `python train.py fit --config configs/pusht.yaml --config configs/with/own.yaml --data.source FILE`.
"""

import argparse
import json
import secrets
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

import limits
from envs import t_block
from envs.arguments import LARGEST_SEED, recording, start_seed, whole_number
from envs.pusht import PushT, pointer_target
from envs.recording import EpisodeActions, record

PAGE = Path(__file__).with_name("play.html")
FIRST_SEED = 10_000_000  # far from the seeds of validation (0 and up), test (100000), recordings (1000000)
LONGEST_BODY = 1000  # bytes
PATIENCE = 5.0  # seconds to wait for a request that stalls


class Game:
    """One world, the episode being played, and the episodes kept so far. An episode ends when it is solved."""

    def __init__(self, out: Path | None, first_seed: int = FIRST_SEED):
        limits.whole(0, LARGEST_SEED, first_seed=first_seed)
        self.env = PushT("keypoints", legacy_resets=True)
        self.out, self.seed = out, first_seed - 1
        self.kept: list[EpisodeActions] = []
        self.actions: list[np.ndarray] = []
        self._now: tuple[np.ndarray, dict[str, Any]]  # observation and info after the last step
        self.reset()

    def reset(self) -> dict[str, Any]:
        """The next seed's start."""
        self.seed += 1
        self._now = self.env.reset(seed=self.seed)
        self.actions = []
        return self.view()

    def step(self, target: list[float]) -> dict[str, Any]:
        """Drive the pointer towards `target` (2,) pixels for a tenth of a second; nothing moves once it is solved."""
        action = pointer_target(target, "target").astype(np.float32)
        if not self.solved:
            observation, _, _, _, info = self.env.step(action)
            self._now = observation, info
            self.actions.append(action)
        return self.view()

    def keep(self, unsolved: bool | None = None) -> dict[str, Any]:
        """Write this episode, with those kept before, to the file, and start the next one.

        One that is not solved is only kept where `unsolved` is True.
        """
        if not self.out:
            raise ValueError("nothing is kept; begin with --out FILE")
        if not self.actions:
            raise ValueError("nothing has been done yet: there is nothing to keep")
        if not self.solved and unsolved is not True:
            raise ValueError("not solved: it is only kept when you say so")
        kept = [*self.kept, EpisodeActions({"seed": self.seed}, np.stack(self.actions))]
        record(kept, self.out, {"made_by": "python -m envs.play"})
        self.kept = kept
        return self.reset()

    @property
    def solved(self) -> bool:
        """Whether this episode has ended in success."""
        return bool(self._now[1]["is_success"])

    def view(self) -> dict[str, Any]:
        """What the page draws."""
        observation, info = self._now
        return {
            "pointer": observation[:2].tolist(),
            "block": observation[2:].reshape(8, 2)[t_block.OUTLINE].tolist(),
            "target": t_block.corners(t_block.TARGET_POSE)[t_block.OUTLINE].tolist(),
            "coverage": info["coverage"],
            "success": info["is_success"],
            "steps": len(self.actions),
            "kept": len(self.kept) if self.out else None,
        }


class Refused(Exception):
    """A request that is refused, with its HTTP status."""

    def __init__(self, status: int, why: str):
        super().__init__(why)
        self.status = status


def make_server(game: Game, port: int) -> ThreadingHTTPServer:
    """Serves the page and the game on this machine only, and to this page only.

    Other pages in the same browser can send requests here, too. They are told apart by the `Host` that they ask for
    (another one under DNS rebinding), by their `Origin`, and by a token that only this page knows. A request is read,
    within `PATIENCE` seconds, before it takes the lock of the game.
    """
    lock, token = threading.Lock(), secrets.token_urlsafe()
    moves: dict[str, Callable[[Any], dict[str, Any]]] = {
        "/view": lambda _: game.view(),
        "/reset": lambda _: game.reset(),
        "/step": game.step,
        "/keep": game.keep,
    }

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def handle(self) -> None:
            with suppress(ConnectionError):  # the client has gone
                super().handle()

        def do_GET(self) -> None:
            self._answer_with(self._page)

        def do_POST(self) -> None:
            self._answer_with(self._move)

        def _page(self) -> tuple[str, bytes]:
            if self.path != "/":
                raise Refused(404, "nothing here")
            return "text/html; charset=utf-8", PAGE.read_text("utf-8").replace("TOKEN", token).encode()

        def _move(self) -> tuple[str, bytes]:
            if not secrets.compare_digest(self.headers.get("X-Token", "").encode(), token.encode()):
                raise Refused(403, "only the page itself may play; load it again")
            if self.path not in moves:
                raise Refused(404, "nothing here")
            try:
                body = json.loads(self._body() or b"null")
                with lock:
                    view = moves[self.path](body)
            except RecursionError:
                raise Refused(400, "too deeply nested") from None
            except ValueError as error:
                raise Refused(400, str(error)) from None
            except OSError as error:
                raise Refused(500, f"{game.out} cannot be written: {error.strerror}") from None
            return "application/json", json.dumps(view).encode()

        def _body(self) -> bytes:
            length = self.headers.get("Content-Length", "0")
            if not (length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= LONGEST_BODY):
                raise Refused(413, f"a body has at most {LONGEST_BODY} bytes")
            try:
                return self.rfile.read(int(length))
            except TimeoutError:
                raise Refused(408, f"the body did not come within {PATIENCE:.0f} s") from None

        def _answer_with(self, content: Callable[[], tuple[str, bytes]]) -> None:
            port = f":{server.server_port}".removesuffix(":80")
            hosts = [name + port for name in ("127.0.0.1", "localhost")]
            try:
                if self.headers.get("Host") not in hosts:
                    raise Refused(403, f"this is {hosts[0]}")
                if self.headers.get("Origin", f"http://{hosts[0]}") not in [f"http://{host}" for host in hosts]:
                    raise Refused(403, "another site's page may not play")
                status, (kind, words) = 200, content()
            except Refused as refused:
                status, kind, words = refused.status, "text/plain; charset=utf-8", str(refused).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(words)))
            self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
            self.end_headers()
            self.wfile.write(words)

        def log_message(self, *_: object) -> None:
            """Nothing: there are ten requests a second."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    return server


def main(args: list[str] | None = None) -> None:
    """`python -m envs.play`."""
    parser = argparse.ArgumentParser(prog="python -m envs.play", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", type=recording, help="the folder, or .parquet file, for the episodes that you keep")
    parser.add_argument(
        "--seed", type=start_seed, default=FIRST_SEED, help=f"the first start state (default {FIRST_SEED})"
    )
    parser.add_argument("--port", type=whole_number(0, 65535), default=8000, help="default 8000; 0 takes a free one")
    options = parser.parse_args(args)
    if options.out and options.out.exists():
        parser.error(f"--out {options.out} exists already; name a new file, so that nothing is lost")
    try:
        server = make_server(Game(options.out, options.seed), options.port)
    except OSError as error:
        parser.error(f"port {options.port} cannot be used ({error.strerror}); name another with --port")
    address = f"http://127.0.0.1:{server.server_port}"
    print(f"Push the T at {address} (Ctrl-C ends)")
    webbrowser.open(address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
