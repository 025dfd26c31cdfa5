"""The port and the lines that say where the page is."""

import socket

import pytest

from sagan.studio.serve import HOST, address, listening, where


def test_a_free_port_is_one_of_this_machine_alone():
    with listening(0) as door:
        host, port = door.getsockname()
        assert host == HOST == "127.0.0.1"
        assert port > 0
        with socket.create_connection((host, port)):
            pass  # who comes before the server is ready waits for it
        with pytest.raises(OSError, match=f"--port {port} cannot be used"):
            listening(port)


def test_the_address_and_the_line_for_a_tunnel():
    first, second = where(8123, browser=True)
    assert "http://127.0.0.1:8123/ (opening a browser)" in first
    assert "ssh -N -L 8123:127.0.0.1:8123 " in second
    assert "opening" not in where(8123, browser=False)[0]
    assert address(1) == "http://127.0.0.1:1/"
