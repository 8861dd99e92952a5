"""The operator page over HTTP: one static page, a stream of views, and the few acts.

    GET  /  /page.js  /page.css  /floor     the page, and the floor that it draws
    GET  /events                            server-sent events: the newest view, again and again
    GET  /session                           whether this browser may act, and the word for it
    POST /login                             redeem the link's token
    POST /stop  /reset  /kill  /acknowledge

The page asks nothing of any other host, and its Content-Security-Policy lets no browser do so. Requests are small
(`BODY`), streams are at most `STREAMS`, a browser that does not read for `STUCK` is let go. Without an operator every
POST is refused.
"""

from __future__ import annotations

import asyncio
import importlib.resources
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.ops.access import Access, is_own_host, is_same_origin
from fleet.ops.acts import Acts
from fleet.ops.live import Live
from sim.errors import MusterError

STREAMS = 32
"""Browsers that watch at once: a control room, and some phones."""
STUCK = 10.0
"""s that a view may wait for a browser to read."""
QUIET = 5.0
"""s after which something is sent even without a new view, so that both ends notice a dead link."""
BODY = 4096
"""Bytes of a request's body."""
COOKIE = "muster_page"

FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, nothing inline, in no other page's frame."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass
class Board:
    """What the page serves; owns the streams' count and the bell that rings for a new view."""

    live: Live
    floor: dict[str, Any]  # JSON
    title: str
    acts: Acts | None = None
    """None: read-only"""
    access: Access | None = None
    watched: Callable[[bool], None] = lambda _: None
    """Told whether somebody watches"""
    said: Callable[[str], None] = lambda _: None
    """Told what the one who started the page should know"""
    ending: Callable[[], bool] = lambda: False
    streams: int = 0
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and another one put in its place, for every view"""

    def ring(self) -> None:
        """A new view is there; in the server's thread."""
        self.bell.set()
        self.bell = asyncio.Event()


def application(board: Board, host: str) -> ASGIApp:
    """The page of a board, served at `host`."""

    async def page(request: Request) -> Response:
        name, kind = FILES[request.url.path]
        return Response(_file(name), media_type=kind)

    async def floor(_: Request) -> Response:
        return JSONResponse({"title": board.title, "floor": board.floor, "acts": board.acts is not None})

    async def session(request: Request) -> Response:
        found = board.access.session(_cookie(request)) if board.access is not None else None
        operator = board.acts.operator.name if found is not None and board.acts is not None else ""
        return JSONResponse({"operator": operator, "word": found.word if found is not None else ""})

    async def login(request: Request) -> Response:
        words = await _words(request)
        assert board.access is not None
        found = board.access.redeem(str(words.get("token", "")))
        if found is None:
            return _refused(
                403, "this link was used before, or is none; take the newest one that the page's process printed"
            )
        board.said(request.client.host if request.client else "?")
        answer = JSONResponse({"operator": board.acts.operator.name if board.acts else "", "word": found.word})
        answer.set_cookie(_cookie_name(request), found.id, httponly=True, samesite="strict", path="/")
        return answer

    async def stop(request: Request) -> Response:
        words = await _words(request)
        return await _done(lambda acts: acts.raise_stop(str(words.get("reason", ""))))

    async def reset(request: Request) -> Response:
        epoch = (await _words(request)).get("epoch")
        if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 < epoch < 2**53:
            return _refused(400, "expected the number of the stop that the reset ends")
        return await _signed(request, lambda acts: acts.reset_stop(epoch))

    async def kill(request: Request) -> Response:
        words = await _words(request)
        return await _signed(request, lambda acts: acts.kill(str(words.get("reason", ""))))

    async def acknowledge(request: Request) -> Response:
        key = str((await _words(request)).get("key", ""))

        def act(acts: Acts) -> str:
            if not board.live.acknowledge(key, acts.operator.name):
                return "no such alarm stands"
            return acts.acknowledge(key)

        return await _signed(request, act)

    async def _signed(request: Request, act: Callable[[Acts], str]) -> Response:
        assert board.access is not None
        if not board.access.may_act(_cookie(request), request.headers.get("x-muster", "")):
            return _refused(403, "this browser is not the operator's; open the link that the page's process printed")
        return await _done(act)

    async def _done(act: Callable[[Acts], str]) -> Response:
        assert board.acts is not None
        try:
            return JSONResponse({"answer": await run_in_threadpool(act, board.acts)})
        except MusterError as error:
            return _refused(409, str(error))

    routes = [
        *(Route(path, page) for path in FILES),
        Route("/floor", floor),
        Route("/session", session),
        Route("/events", Stream(board)),
        *(Route(path, end, methods=["POST"]) for path, end in (
            ("/login", login), ("/stop", stop), ("/reset", reset), ("/kill", kill), ("/acknowledge", acknowledge),
        )),
    ]  # fmt: skip
    return Guard(Starlette(routes=routes), host, read_only=board.acts is None or board.access is None)


class Guard:
    """Refuses what is not for this page, and puts the headers on every answer."""

    def __init__(self, inner: ASGIApp, host: str, *, read_only: bool) -> None:
        self._inner, self._host, self._read_only = inner, host, read_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._inner(scope, receive, send)
            return  # no web sockets here

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        refusal = self._refusal(scope)
        await (refusal if refusal is not None else self._inner)(scope, receive, headed)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not is_own_host(headers.get("host", ""), self._host):
            return _refused(421, "this page is not served under that name")
        if scope["method"] in ("GET", "HEAD"):
            return None
        if scope["method"] != "POST":
            return _refused(405, "expected GET or POST")
        if self._read_only:
            return _refused(403, "this page is read-only; start it with --key and an operator's key to act")
        if not is_same_origin(dict(headers.items())):
            return _refused(403, "this request comes from another page")
        if headers.get("content-type", "").partition(";")[0] != "application/json":
            return _refused(415, "expected JSON")
        return None


class Stream:
    """The endpoint of server-sent events; owns nothing but its board's count."""

    def __init__(self, board: Board) -> None:
        self._board = board

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        board = self._board
        if scope["method"] != "GET" or board.streams >= STREAMS:
            await _refused(503, f"{STREAMS} browsers watch already; close one")(scope, receive, send)
            return
        board.streams += 1
        board.watched(True)
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await _send(send, {"type": "http.response.start", "status": 200, "headers": [
                (b"content-type", b"text/event-stream"),
            ]})  # fmt: skip
            await _follow(board, gone, send)
        except (TimeoutError, OSError):
            pass  # it does not read, or is gone: it comes again by itself
        finally:
            gone.cancel()
            board.streams -= 1
            board.watched(board.streams > 0)


async def _follow(board: Board, gone: asyncio.Future[None], send: Send) -> None:
    sent, quiet = 0, time.monotonic()
    while not gone.done() and not board.ending():
        bell = board.bell
        number, text = board.live.newest
        now = time.monotonic()
        if number > sent:
            sent, quiet = number, now
            await _send(send, _part(b"data: " + text + b"\n\n"))
        elif now - quiet > QUIET:
            quiet = now
            await _send(send, _part(b": nothing new\n\n"))
        rung = asyncio.ensure_future(bell.wait())
        await asyncio.wait({rung, gone}, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)  # so that an end is seen
        rung.cancel()
    await _send(send, {"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    """Until the browser has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, message: Message) -> None:
    await asyncio.wait_for(send(message), STUCK)


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _words(request: Request) -> dict[str, Any]:  # JSON of a stranger
    """The JSON object of a request; empty for anything else, and for what is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY:
            return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _cookie_name(request: Request) -> str:
    return f"{COOKIE}_{request.url.port or 80}"  # browsers keep cookies by host, not by port


def _cookie(request: Request) -> str:
    return request.cookies.get(_cookie_name(request), "")


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)


def _file(name: str) -> bytes:
    return importlib.resources.files("fleet.ops").joinpath(name).read_bytes()
