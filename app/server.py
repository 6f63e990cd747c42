"""The server of the page: static files, one WebSocket for each tab, and the source files that the page names."""

import ast
import html
import os
import re
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request as HTTPRequest
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from app.conversation import Conversation
from app.security import OwnPageOnly
from app.tab import AppState, Tab

STATIC = Path(__file__).with_name("static")
ROOT = Path(__file__).parent.parent
MOST_CONVERSATIONS = 64
TABS = {  # by their names in the page's address; imported when first opened
    "pusht": "app.tabs.pusht:PushTTab",
    "digits": "app.tabs.digits:DigitsTab",
    "sequences": "app.tabs.sequences:SequencesTab",
    "diffusion": "app.tabs.diffusion:DiffusionTab",
    "gan": "app.tabs.gan:GANTab",
    "photographs": "app.tabs.photographs:PhotographsTab",
}


def make_app(app_state: AppState, hosts: list[str] | None, token: str | None = None) -> Starlette:
    """The whole server as an ASGI application.

    Args:
        app_state: what all conversations share.
        hosts: names with ports that it answers to; None for any, with a token.
        token: that a browser must show, where other machines are let in.
    """
    open_now: set[Conversation] = set()
    limiters: dict[str, anyio.CapacityLimiter] = {}

    async def converse(websocket: WebSocket) -> None:
        name = websocket.path_params["tab"]
        if name not in TABS or len(open_now) >= MOST_CONVERSATIONS:
            await websocket.close(1008 if name not in TABS else 1013)
            return
        limiter = limiters.setdefault(name, anyio.CapacityLimiter(max(4, os.cpu_count() or 1)))
        conversation = Conversation(websocket, partial(_make, name, app_state), limiter)
        open_now.add(conversation)
        try:
            await conversation.run()
        finally:
            open_now.discard(conversation)

    async def index(request: HTTPRequest) -> Response:
        return FileResponse(STATIC / "index.html")

    routes = [
        Route("/", index),
        Route("/source/{path:path}", source),
        WebSocketRoute("/ws/{tab}", converse),
        Mount("/", StaticFiles(directory=STATIC)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(OwnPageOnly, hosts=hosts, token=token)])


def _make(name: str, app_state: AppState) -> Tab:
    module, _, kind = TABS[name].partition(":")
    make: Callable[[AppState], Tab] = getattr(import_module(module), kind)
    return make(app_state)


def sources() -> frozenset[str]:
    """The files that the page names: only these are shown."""
    return frozenset(re.findall(r'href="/source/([^"#]+)', (STATIC / "index.html").read_text("utf-8")))


def source(request: HTTPRequest) -> Response:
    """A file of the project with its lines numbered; `#Name` is where a class or a function of it begins."""
    path = request.path_params["path"]
    if path not in sources():
        raise HTTPException(404)
    text = (ROOT / path).read_text("utf-8")
    begins = {}
    if path.endswith(".py"):
        named = (ast.ClassDef, ast.FunctionDef)
        begins = {
            node.lineno: node.name for node in reversed(list(ast.walk(ast.parse(text)))) if isinstance(node, named)
        }
    lines = "\n".join(
        f'<li id="{begins.get(number, f"L{number}")}"><code>{html.escape(line) or " "}</code></li>'
        for number, line in enumerate(text.splitlines(), 1)
    )
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(path)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="/style.css"><body class="source"><h1>{html.escape(path)}</h1>'
        f"<ol>{lines}</ol></body></html>"
    )
