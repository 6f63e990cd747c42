"""Open the page in the browser: `python -m app`. Everything runs on this machine; nothing is fetched from elsewhere."""

import argparse
import secrets
import socket
import sys
import webbrowser
from pathlib import Path

import uvicorn

from app.models import Models
from app.recorder import Recorder
from app.request import LONGEST
from app.server import make_app
from app.tab import FIRST_SEED, AppState
from checkpoints.runs import RUNS
from envs.arguments import recording, start_seed, whole_number

LOCAL = "127.0.0.1"
SHORTEST_TOKEN = 16  # characters


def main(args: list[str] | None = None) -> None:
    """`python -m app`."""
    parser = argparse.ArgumentParser(prog="python -m app", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--out", type=recording, help="the folder, or .parquet file, for the Push-T episodes that you keep"
    )
    parser.add_argument("--runs", type=Path, default=RUNS, help="your own runs, offered beside the shipped models")
    parser.add_argument("--seed", type=start_seed, default=FIRST_SEED, help=f"Push-T's first (default {FIRST_SEED})")
    parser.add_argument("--port", type=whole_number(0, 65535), default=8000, help="default 8000; 0 takes a free one")
    parser.add_argument("--host", default=LOCAL, help="let other machines in, by this address of yours; needs --token")
    parser.add_argument("--token", help=f"what they must show, at least {SHORTEST_TOKEN} characters; 'new' draws one")
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open nothing")
    options = parser.parse_args(args)
    if options.out and options.out.exists():
        parser.error(f"--out {options.out} exists already; name a new one, so that nothing is lost")
    token = secrets.token_urlsafe(24) if options.token == "new" else options.token
    if options.host != LOCAL and token is None:
        parser.error(f"--host {options.host} lets other machines in: say by --token what they must show, or 'new'")
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.replace("-", "").replace("_", "").isalnum()):
        parser.error(f"--token must have at least {SHORTEST_TOKEN} letters, digits, - and _; 'new' draws one")
    try:
        opened = socket.create_server((options.host, options.port))
    except OSError as error:
        parser.error(
            f"{options.host}, port {options.port}, cannot be used ({error.strerror or error}); name another by --port"
        )
    port = opened.getsockname()[1]
    names = ["127.0.0.1", "localhost"]
    hosts = None if options.host != LOCAL else [name if port == 80 else f"{name}:{port}" for name in names]
    address = f"http://{options.host}:{port}/" + (f"?token={token}" if token else "")
    app = make_app(AppState(Models(options.runs), Recorder(options.out), options.seed), hosts, token)
    # A message longer than ws_max_size ends the connection; one longer than LONGEST is answered by an error.
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            ws_max_size=8 * LONGEST,
            timeout_graceful_shutdown=1,
            proxy_headers=False,
            server_header=False,
        )
    )
    print(f"Firstlight is at {address} (Ctrl-C ends)", flush=True)
    if not options.no_browser:
        webbrowser.open(address)
    try:
        server.run(sockets=[opened])
    except KeyboardInterrupt:
        print(file=sys.stderr)


if __name__ == "__main__":
    main()
