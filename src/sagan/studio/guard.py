"""The door: lets in a browser of this machine that shows this very page, with what is not too long.

A page of another origin may send requests here, or point a name of its own at 127.0.0.1 (DNS rebinding). The Host
header must therefore be a loopback name, a request that a page made must come from this origin, and what is sent must
be of a type that other origins cannot send without asking first. What is sent must arrive in time, and all that is held
at once is bounded.
"""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TYPES = ("application/json", "application/octet-stream")
MAX_JSON = 64 * 1024
MAX_PICTURE = 32 * 1024 * 1024
MOST_DIGITS = 12
# All requests together, while they are answered.
MAX_HELD = 256 * 1024 * 1024
# A request that has begun must have arrived after so long.
ARRIVAL_S = 60.0
# What answers may do in a browser: nothing but what this page itself brings.
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


def refusal(method: str, headers: Headers) -> tuple[int, str] | None:
    """Say why a request is not let in: status and sentence; None if it is."""
    host = headers.get("host", "")
    if host_name(host) not in LOOPBACK:
        return 421, f"the studio answers on this machine alone: open it as http://127.0.0.1, not as {host[:80]!r}"
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return 403, "this request came from another page; open the studio's own"
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return 403, "this request came from another page; open the studio's own"
    if method not in ("GET", "HEAD", "POST"):
        return 405, f"the studio takes GET and POST, not {method[:20]}"
    if "content-length" in headers and "transfer-encoding" in headers:  # two readers could see two requests
        return 400, "say how long this is in one way: by Content-Length or in chunks"
    if method == "POST":
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in TYPES:
            return 415, f"send {' or '.join(TYPES)}, not {kind[:80] or 'nothing'}"
        length = headers.get("content-length", "0").lstrip("0")
        # A number of thousands of digits is not even read.
        if len(length) > MOST_DIGITS or (length.isdecimal() and int(length) > limit_of(kind)):
            return 413, too_large(kind)
    return None


def host_name(host: str) -> str | None:
    """Read the name from a Host header; None if it is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def limit_of(kind: str) -> int:
    """Give the most bytes that are taken."""
    return MAX_JSON if kind == TYPES[0] else MAX_PICTURE


def too_large(kind: str) -> str:
    """Say that something is too large."""
    what = "this request" if kind == TYPES[0] else "this picture"
    return f"{what} is larger than {limit_of(kind) // 1024:,} kB; send a smaller one"


class Guard:
    """Lets in what :func:`refusal` does not refuse, counts what is sent, and adds the headers of answers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._free = MAX_HELD

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "websocket":  # there are none here
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, taken = Headers(scope=scope), 0

        def take(count: int) -> None:
            nonlocal taken
            if count > self._free:
                raise RefusedError(503, "too much is being sent at once; try again in a moment")
            self._free -= count
            taken += count

        try:
            refused = refusal(scope["method"], headers)
            if refused is not None:
                raise RefusedError(*refused)
            kind = headers.get("content-type", TYPES[0]).partition(";")[0].strip().lower()
            body = await _body(receive, kind, take)
            if body is not None:
                await self.app(scope, _given(body, receive), _with_headers(send))
        except RefusedError as error:
            # What may still come of the request is not waited for.
            answer = JSONResponse({"error": error.sentence}, error.status, HEADERS | {"connection": "close"})
            await answer(scope, receive, send)
        finally:
            self._free += taken


class RefusedError(Exception):
    """A request that is not answered otherwise.

    Args:
        status: Of HTTP.
        sentence: Why.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


async def _body(receive: Receive, kind: str, take: Callable[[int], None]) -> bytes | None:
    """Read what is sent; None if whoever sent it has gone.

    Raises:
        RefusedError: As soon as it is longer than it may be, whatever its header said, or takes too long.
    """
    pieces, length = [], 0
    try:
        async with asyncio.timeout(ARRIVAL_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                pieces.append(message.get("body", b""))
                length += len(pieces[-1])
                if length > limit_of(kind):
                    raise RefusedError(413, too_large(kind))
                take(len(pieces[-1]))
                if not message.get("more_body", False):
                    return b"".join(pieces)
    except TimeoutError:
        raise RefusedError(408, f"the rest of this request did not come within {ARRIVAL_S:.0f} s") from None


def _given(body: bytes, receive: Receive) -> Receive:
    """Give what was read, then whatever comes after it."""
    given = False

    async def giving() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return giving


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            had: list[Any] = list(message.get("headers", []))
            message["headers"] = had + [(key.encode(), value.encode()) for key, value in HEADERS.items()]
        await send(message)

    return sending
