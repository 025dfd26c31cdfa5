"""Opening the studio: a port, the lines that say where it is, a browser."""

import asyncio
import platform
import socket
import threading
import time
import webbrowser
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from sagan.studio.app import Studio, make_app
from sagan.studio.config import StudioConfig

HOST = "127.0.0.1"
MAX_CONNECTIONS = 256
# A connection that does not ask anything for so long, or does not take what it asked for, is closed.
PATIENCE_S = 30.0


def open_studio(config: StudioConfig, say: Callable[[str], None] = print) -> None:
    """Serve the page on this machine until Ctrl-C.

    Args:
        config: What is shown, and where.
        say: Gets the lines that tell the address.

    Raises:
        OSError: If the port is taken.
    """
    with listening(config.port) as door:
        port = door.getsockname()[1]
        for line in where(port, config.browser):
            say(line)
        app = make_app(Studio(config))
        server = uvicorn.Server(settings_of(app))
        if config.browser:
            threading.Thread(target=_open_page, args=(server, address(port)), daemon=True).start()
        server.run(sockets=[door])


def settings_of(app: FastAPI, log_level: str = "error") -> uvicorn.Config:
    """Give the server's settings."""
    return uvicorn.Config(
        app,
        http=Patient,
        ws="none",
        lifespan="off",
        log_level=log_level,
        server_header=False,
        timeout_graceful_shutdown=2,
    )


class Patient(H11Protocol):
    """A connection, one of a bounded number, that is closed where it would otherwise be held for nothing."""

    _deadline: asyncio.TimerHandle | None = None
    _unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, or hang up where there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End waiting."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a piece of a request; once it is being answered, nothing is waited for."""
        super().data_received(data)
        if self._answering and not self.flow.write_paused:
            self._stop()

    def on_response_complete(self) -> None:
        """Wait for the answer to be taken, and for the next request."""
        super().on_response_complete()
        if not self._answering or self.flow.write_paused:
            self._wait()

    def pause_writing(self) -> None:
        """Wait for answers to be taken, of which there are too many: whoever asks on must also read."""
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        """Go on with the answer that had to wait."""
        super().resume_writing()
        if self._answering:
            self._stop()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._stop()
        self._unsent = self.transport.get_write_buffer_size()
        self._deadline = self.loop.call_later(PATIENCE_S, self._give_up)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if 0 < self.transport.get_write_buffer_size() < self._unsent:  # slow, but it goes on
            self._wait()
        else:
            self.transport.abort()


def listening(port: int) -> socket.socket:
    """Take a port of this machine, 0 for a free one.

    Raises:
        OSError: If it is taken; the message says what to do.
    """
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if platform.system() != "Windows":  # there it would let two programs share a port
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((HOST, port))
        door.listen(MAX_CONNECTIONS)  # who comes before the server is ready waits for it
    except OSError as error:
        door.close()
        raise OSError(
            f"--port {port} cannot be used ({error.strerror}); choose another, or leave it away for a free one"
        ) from error
    return door


def address(port: int) -> str:
    """Give the address of the page."""
    return f"http://{HOST}:{port}/"


def where(port: int, browser: bool) -> list[str]:
    """Write the lines that say where the page is, from here and from elsewhere."""
    return [
        f"studio: {address(port)}{' (opening a browser)' if browser else ''}   Ctrl-C ends it",
        f"from another machine: ssh -N -L {port}:{HOST}:{port} {platform.node() or 'THIS_MACHINE'}   then open "
        f"{address(port)} there",
    ]


def _open_page(server: uvicorn.Server, page: str) -> None:
    while not server.started:
        time.sleep(0.05)
    webbrowser.open(page)
