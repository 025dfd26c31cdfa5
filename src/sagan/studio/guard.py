"""The door: lets in a browser of this machine that shows this very page, with what is not too long.

A page of another origin may send requests here, or point a name of its own at 127.0.0.1 (DNS rebinding). The Host
header must therefore be a loopback name, a request that a page made must come from this origin, and what is sent must
be of a type that other origins cannot send without asking first.
"""

from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TYPES = ("application/json", "application/octet-stream")
MAX_JSON = 64 * 1024
MAX_PICTURE = 32 * 1024 * 1024
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
    if method == "POST":
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in TYPES:
            return 415, f"send {' or '.join(TYPES)}, not {kind[:80] or 'nothing'}"
        if headers.get("content-length", "0").isdecimal() and int(headers.get("content-length", "0")) > limit_of(kind):
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = refusal(scope["method"], headers)
        if refused is not None:
            status, sentence = refused
            await JSONResponse({"error": sentence}, status, HEADERS)(scope, receive, send)
            return
        kind = headers.get("content-type", TYPES[0]).partition(";")[0].strip().lower()
        body = await _body(receive, limit_of(kind))
        if body is None:
            await JSONResponse({"error": too_large(kind)}, 413, HEADERS)(scope, receive, send)
            return
        await self.app(scope, _given(body, receive), _with_headers(send))


async def _body(receive: Receive, limit: int) -> bytes | None:
    """Read what is sent; None as soon as it is longer than it may be, whatever its header said."""
    pieces, length = [], 0
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        length += len(pieces[-1])
        if length > limit:
            return None
        if not message.get("more_body", False):
            return b"".join(pieces)


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
