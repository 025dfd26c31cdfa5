"""Nothing reaches beyond this machine unless a verb says so: no import, no help, no verb without a download."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
UNSHARE = (["unshare", "--net"], ["unshare", "--map-root-user", "--net"])


@pytest.fixture
def child(tmp_path):
    """Run Python in a process, with or without the hook that refuses other machines; gives it and who was asked for."""

    def run(*words, prefix=(), hook=False):
        reached = tmp_path / "reached.txt"
        paths = [str(HERE.parent / "src"), *([str(HERE / "offline")] if hook else [])]
        environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        environment |= {"PYTHONPATH": os.pathsep.join(paths), "SAGAN_CACHE": str(tmp_path / "cache")}
        environment |= {"HOME": str(tmp_path)} | ({"SAGAN_REACHED": str(reached)} if hook else {})
        command = [*prefix, sys.executable, *map(str, words)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done, reached.read_text() if reached.exists() else ""

    return run


@pytest.fixture
def namespace():
    """Give the command that makes a network namespace without routes."""
    for command in UNSHARE:
        if (
            shutil.which(command[0])
            and not subprocess.run([*command, "true"], capture_output=True, check=False).returncode
        ):
            return command
    pytest.skip("this system lets nobody make a network namespace")


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.getaddrinfo('example.org', 443)",
        "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)",
        "import urllib.request; urllib.request.urlopen('http://192.0.2.1/', timeout=1)",
    ],
)
def test_the_hook_notices_and_refuses(child, code):
    done, reached = child("-c", f"try:\n    {code}\nexcept OSError: pass", hook=True)
    assert done.returncode == 0, done.stderr
    assert "example.org" in reached or "192.0.2.1" in reached


def test_the_hook_lets_this_machine_be_reached(child):
    code = "import socket; door = socket.create_server(('127.0.0.1', 0)); socket.create_connection(door.getsockname())"
    done, reached = child("-c", code, hook=True)
    assert (done.returncode, reached) == (0, ""), done.stderr


@pytest.mark.slow("calls every verb, in a process that imports everything")
def test_no_verb_asks_for_another_machine(child):
    done, reached = child(HERE / "offline" / "verbs.py", hook=True)
    assert reached == ""
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "all verbs were called"


@pytest.mark.slow("calls every verb, in a process that imports everything")
def test_all_verbs_work_without_a_network(child, namespace):
    done, _ = child(HERE / "offline" / "verbs.py", "alone", prefix=namespace)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "all verbs were called"


def test_a_namespace_reaches_nothing(child, namespace):
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"
    done, _ = child("-c", code, prefix=namespace)
    assert "Network is unreachable" in done.stderr
