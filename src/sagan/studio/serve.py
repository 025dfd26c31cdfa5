"""Opening the studio: a port, the lines that say where it is, a browser."""

import platform
import socket
import threading
import time
import webbrowser
from collections.abc import Callable

import uvicorn

from sagan.studio.app import Studio, make_app
from sagan.studio.config import StudioConfig

HOST = "127.0.0.1"
MAX_CONNECTIONS = 128


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
        settings = uvicorn.Config(
            app,
            log_level="warning",
            limit_concurrency=MAX_CONNECTIONS,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(settings)
        if config.browser:
            threading.Thread(target=_open_page, args=(server, address(port)), daemon=True).start()
        server.run(sockets=[door])


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
