"""One WebSocket: requests come in, a tab answers them in order, in a thread.

A request is checked when its turn comes; whatever is wrong with it, the answer says so and the conversation goes on. An
answer in several parts ends early when the page has asked for the same again: nobody waits for the older one.
"""

import json
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import anyio
from anyio import from_thread, to_thread
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.request import Request
from app.tab import Answer, Superseded, Tab

MOST_WAITING = 100  # requests that wait for their turn
STOP = "stop"  # the request that ends whatever is being answered
NOT_A_REQUEST = ""


class Conversation:
    """With one visitor of a tab.

    Args:
        websocket: not yet accepted.
        make: makes the tab, in a thread.
        limiter: how many threads answer at once.
    """

    def __init__(self, websocket: WebSocket, make: Callable[[], Tab], limiter: anyio.CapacityLimiter):
        self._websocket, self._make, self._limiter = websocket, make, limiter
        self._waiting: deque[Request | ValueError] = deque()
        self._arrived = anyio.Event()
        self._gone = False
        self._answering = NOT_A_REQUEST

    async def run(self) -> None:
        """Until the page is closed."""
        await self._websocket.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(self._answer_all)
            await self._receive_all()
            self._gone = True
            self._arrived.set()

    async def _receive_all(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if len(self._waiting) >= MOST_WAITING:
                continue  # a page that asks faster than it is answered
            try:
                self._waiting.append(Request(message.get("text")))
            except ValueError as error:
                self._waiting.append(error)
            self._arrived.set()

    async def _answer_all(self) -> None:
        try:
            await self._send({"kind": "loading", "model": "what this tab needs"})
            tab = await to_thread.run_sync(self._make, limiter=self._limiter)
            await self._send({"kind": "hello", **await to_thread.run_sync(tab.hello, limiter=self._limiter)})
            while True:
                while not self._waiting and not self._gone:
                    self._arrived = anyio.Event()
                    await self._arrived.wait()
                if self._gone:
                    return
                request = self._waiting.popleft()
                if isinstance(request, ValueError):
                    await self._send({"kind": "error", "text": str(request)})
                elif request.do != STOP:
                    await self._answer(tab, request)
        except Superseded:
            return

    async def _answer(self, tab: Tab, request: Request) -> None:
        self._answering = request.do
        try:
            await to_thread.run_sync(tab.answer, request, self._say, limiter=self._limiter)
            return
        except Superseded:
            return
        except (ValueError, OSError) as error:
            words = " ".join(str(error).split())
        except Exception as error:  # a mistake of ours must not end the visitor's conversation
            logging.getLogger("app").exception("a request could not be answered")
            words = f"this went wrong: {type(error).__name__}"
        finally:
            self._answering = NOT_A_REQUEST
        await self._send({"kind": "error", "do": request.do, "text": words[:500]})

    def _say(self, answer: Answer) -> None:
        """From the thread that answers."""
        same = (self._answering, STOP)
        if self._gone or any(isinstance(next_, Request) and next_.do in same for next_ in list(self._waiting)):
            raise Superseded
        from_thread.run(self._send, answer)

    async def _send(self, answer: Answer) -> None:
        try:
            await self._websocket.send_text(json.dumps(answer, allow_nan=False, default=_plain))
        except (WebSocketDisconnect, RuntimeError) as error:  # the page is gone
            raise Superseded from error


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item()
