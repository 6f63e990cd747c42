"""Push the T yourself: `python -m envs.play` opens a page in the browser; `--out FILE` keeps your demonstrations.

The page sends the mouse's position ten times a second and draws what comes back; the world itself runs here, the same
one in which policies act. Episodes that you keep are written in the columns of the human data, so a policy can be
trained on them: `python train.py fit --config configs/pusht.yaml --data.source FILE`.
"""

import argparse
import json
import threading
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from envs import tee
from envs.arguments import parquet_file
from envs.pusht import PushT
from envs.recording import Take, record

PAGE = Path(__file__).with_name("play.html")


class Game:
    """One world, the episode being played, and the episodes kept so far."""

    def __init__(self, out: Path | None, first_seed: int = 0):
        self.env = PushT("keypoints", legacy_resets=True)
        self.out, self.seed = out, first_seed - 1
        self.kept: list[Take] = []

    def reset(self) -> dict:
        """The next seed's start."""
        self.seed += 1
        observation, info = self.env.reset(seed=self.seed)
        self.actions: list[np.ndarray] = []
        return self._view(observation, info)

    def step(self, target: list[float]) -> dict:
        """Drive the pointer towards `target` (2,) pixels for a tenth of a second."""
        action = np.clip(np.asarray(target, dtype=np.float32), 0, tee.WORLD)
        observation, _, _, _, info = self.env.step(action)
        self.actions.append(action)
        return self._view(observation, info)

    def keep(self) -> dict:
        """Write this episode, with those kept before, to the file, and start the next one."""
        if self.out and self.actions:
            self.kept.append(Take({"seed": self.seed}, np.stack(self.actions)))
            record(self.kept, self.out, {"made_by": "python -m envs.play"})
        return self.reset()

    def _view(self, observation: np.ndarray, info: dict) -> dict:
        return {
            "pointer": observation[:2].tolist(),
            "block": observation[2:].reshape(8, 2)[tee.OUTLINE].tolist(),
            "target": tee.corners(tee.TARGET_POSE)[tee.OUTLINE].tolist(),
            "coverage": info["coverage"],
            "success": info["is_success"],
            "steps": len(self.actions),
            "kept": len(self.kept) if self.out else None,
        }


def make_server(game: Game, port: int) -> ThreadingHTTPServer:
    """Serves the page and the game on this machine only."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/":
                self._answer(200, "text/html; charset=utf-8", PAGE.read_bytes())
            else:
                self._answer(404, "text/plain", b"nothing here")

        def do_POST(self):
            moves = {"/reset": game.reset, "/keep": game.keep, "/step": lambda: game.step(self._body())}
            if self.path not in moves:
                return self._answer(404, "text/plain", b"nothing here")
            try:
                with lock:
                    view = moves[self.path]()
            except (ValueError, TypeError, IndexError) as error:
                return self._answer(400, "text/plain", str(error).encode())
            return self._answer(200, "application/json", json.dumps(view).encode())

        def _body(self) -> list[float]:
            return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _answer(self, status: int, kind: str, content: bytes):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            """Ten requests a second need no log."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m envs.play", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=parquet_file, help="a Parquet file for the episodes that you keep")
    parser.add_argument("--seed", type=int, default=0, help="the first start state (default 0)")
    parser.add_argument("--port", type=int, default=8000)
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
