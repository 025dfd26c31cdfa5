"""Found by every Python process of a test: whom it wants to reach beyond this machine is written down, and refused."""

import os
import sys

LOG = os.environ.get("SAGAN_REACHED")
HERE = ("", "localhost", "127.0.0.1", "::1", "0.0.0.0")


def refuse(event, arguments):
    """Refuse to look up or call another machine; sockets of files and those of this machine stay."""
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        host = arguments[1][0] if isinstance(arguments[1], tuple) else None
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host is None or host in HERE:
        return
    with open(LOG, "a", encoding="utf-8") as log:  # noqa: PTH123 - at the start of every process, which need not know pathlib
        log.write(f"{event} {host} {sys.argv}\n")
    raise OSError(f"{event} {host}: this machine is to be alone")


if LOG:
    sys.addaudithook(refuse)
