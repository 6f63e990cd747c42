"""Who may talk to the page's server: the page itself, and nobody else's page.

Another site in the same browser can send requests to 127.0.0.1, and by DNS rebinding even under a name of its own. The
first are told apart by their `Origin`, the second by the `Host` that they ask for. Where other machines are let in, a
token in the address lets a browser in; it is kept in a cookie that no other site's request carries.
"""

import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "firstlight"
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class OwnPageOnly:
    """ASGI middleware: refuses requests and WebSockets that do not come from this server's own page.

    Args:
        app: what it protects.
        hosts: names with ports that the server answers to; None for any, which needs a token.
        token: that a browser must have shown once, in the address; None where only this machine is let in.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] | None, token: str | None):
        if hosts is None and token is None:
            raise ValueError("a server that answers to any name needs a token")
        self.app, self.token = app, token
        self.hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        why = self._objection(scope)
        if scope["type"] == "websocket":
            if why:
                await send({"type": "websocket.close", "code": 1008, "reason": why})
            else:
                await self.app(scope, receive, send)
            return
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if why and not (why == NO_TOKEN and self._is_token(given)):
            await PlainTextResponse(why, 403)(scope, receive, _with_headers(send))
            return
        if self.token is not None and self._is_token(given):
            response = RedirectResponse("/", 303)  # so that the token does not stay in the address
            response.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
            await response(scope, receive, _with_headers(send))
            return
        await self.app(scope, receive, _with_headers(send))

    def _objection(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if self.hosts is not None and host not in self.hosts:
            return f"this is {min(self.hosts)}"
        if len(headers.getlist("host")) != 1 or len(headers.getlist("origin")) > 1:
            return "one Host and one Origin"
        if origin is not None and origin.lower() != f"http://{host}":
            return "another site's page may not do this"
        if origin is None and scope["type"] == "websocket":  # every browser sends one
            return "only the page itself may do this"
        if self.token is not None and not self._is_token(_cookie(headers)):
            return NO_TOKEN
        return None

    def _is_token(self, given: str) -> bool:
        return self.token is not None and secrets.compare_digest(given.encode(), self.token.encode())


NO_TOKEN = "open the address with the token that the server printed"


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return sending
