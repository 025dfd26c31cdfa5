"""Hostile and unlucky clients at the real server; folders that are damaged or go away; names that are markup."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import shutil
import socket
import threading
from urllib.parse import urlsplit

import numpy as np
import pytest

from browser import pixels, settled, tiles
from sagan.generators.config import SampleConfig
from sagan.generators.pretrained import load
from sagan.sampling import generate
from sagan.studio import guard, serve
from sagan.studio.app import page_files
from sagan.studio.live import log_lines, run_told
from sagan.studio.report import write_report

ASK = json.dumps({"source": "0"}).encode()
JSON_POST = b"POST /api/pictures HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
MARKUP = '<img src=x onerror="window.owned=1">\'"&'
long = pytest.mark.long("a real browser draws the page")


def dial(address):
    place = urlsplit(address)
    return socket.create_connection((place.hostname, place.port), timeout=60)


def raw(address, request):
    """Send bytes as they are; give the status and all of the answer until the server hangs up."""
    with dial(address) as line:
        line.sendall(request)
        answer = b""
        while piece := line.recv(65536):
            answer += piece
            head, _, body = answer.partition(b"\r\n\r\n")
            if body and f"content-length: {len(body)}".encode() in head.lower():
                break
    return int(answer.split()[1]) if answer else None, answer


def alive(address, times=1):
    """Check that samples are still answered."""
    place = urlsplit(address)
    line = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    for _ in range(times):
        line.request("POST", "/api/pictures", ASK, {"content-type": "application/json"})
        answer = line.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    line.close()
    return True


@pytest.mark.parametrize("length", [b"1" * 5000, b"99999999999999", b"65537"])
def test_a_length_beyond_all_bounds_is_too_large(length, served, weights):
    address = served(weights())
    status, answer = raw(address, JSON_POST + b"Content-Length: " + length + b"\r\n\r\n{}")
    assert status == (413 if len(length) < 20 else status) and status in (400, 413)
    assert b"Traceback" not in answer
    assert alive(address)


def test_digits_by_the_thousand_are_too_large_and_no_crash(client, weights):
    headers = {"content-type": "application/json", "content-length": "9" * 5000}
    answer = client(weights()).http.post("/api/pictures", content=ASK, headers=headers)
    assert (answer.status_code, "larger than 64 kB" in answer.json()["error"]) == (413, True)


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"0x10", b"", b"5, 6"])
def test_a_length_that_is_no_number_is_refused(length, served, weights):
    address = served(weights())
    status, _ = raw(address, JSON_POST + b"Content-Length: " + length + b"\r\n\r\n")
    assert status in (400, 422)
    assert alive(address)


def test_a_body_that_does_not_come_is_given_up(served, weights, monkeypatch):
    monkeypatch.setattr(guard, "ARRIVAL_S", 0.2)
    address = served(weights())
    status, answer = raw(address, JSON_POST + b"Content-Length: 100\r\n\r\n{")
    assert (status, b"did not come within" in answer) == (408, True)
    assert alive(address)


def test_slow_clients_are_hung_up_on(served, weights, monkeypatch):
    monkeypatch.setattr(serve, "PATIENCE_S", 0.3)
    address = served(weights())
    silent = [dial(address) for _ in range(20)]
    trickling = dial(address)
    trickling.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
    assert alive(address)
    for line in (*silent, trickling):
        with contextlib.suppress(ConnectionResetError):
            assert line.recv(1) == b""
        line.close()
    assert alive(address)


def test_a_client_that_asks_on_and_never_reads_is_hung_up_on(served, weights, monkeypatch):
    monkeypatch.setattr(serve, "PATIENCE_S", 0.3)
    address = served(weights())
    name = max((files := page_files()), key=lambda name: len(files[name]))
    request = f"GET /page/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    place = urlsplit(address)
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(60)
        line.connect((place.hostname, place.port))
        line.sendall(request * (32 * 2**20 // len(files[name])))  # far more than systems keep for a reader
        waiting = threading.Event()
        with pytest.raises(OSError):
            for _ in range(600):
                waiting.wait(0.1)
                line.send(b"G")
            pytest.fail("it was never hung up on")
    assert alive(address)


def test_a_length_that_is_said_in_two_ways_is_refused(served, weights):
    address = served(weights())
    hidden = b"GET /api/state HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    both = b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(hidden))
    with dial(address) as line:
        line.sendall(JSON_POST + both + hidden)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := line.recv(65536):
                answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1  # the hidden one is not answered
    assert alive(address)


def test_connections_are_bounded_and_free_again(served, weights, monkeypatch):
    monkeypatch.setattr(serve, "MAX_CONNECTIONS", 8)
    address = served(weights())
    held = [dial(address) for _ in range(8)]
    with pytest.raises(OSError), dial(address) as refused:
        refused.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        if not refused.recv(1):
            raise ConnectionResetError
    for line in held:
        line.close()
    deadline = threading.Event()
    for _ in range(200):
        try:
            assert alive(address)
            return
        except OSError:
            deadline.wait(0.05)
    pytest.fail("the places of those who left were not given to others")


def test_two_hundred_at_once_are_answered_or_told_to_wait(served, weights):
    address = served(weights())
    place = urlsplit(address)
    ready = threading.Barrier(200)

    def ask(i):
        line = http.client.HTTPConnection(place.hostname, place.port, timeout=120)
        line.connect()
        ready.wait(120)
        line.request("POST", "/api/pictures", json.dumps({"source": "0", "page": f"p{i}"}), JSON_TYPE)
        answer = line.getresponse()
        body = answer.read()
        line.close()
        return answer.status, body

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        found = list(pool.map(ask, range(200)))
    assert {status for status, _ in found} <= {200, 503}
    assert sum(status == 200 for status, _ in found) >= 1
    for status, body in found:
        if status == 503:
            assert "try again in a moment" in json.loads(body)["error"]
    assert alive(address, 3)


JSON_TYPE = {"content-type": "application/json"}


def test_all_that_is_sent_at_once_is_bounded(client, weights, monkeypatch):
    monkeypatch.setattr(guard, "MAX_HELD", 1000)
    studio = client(weights())
    answer = studio.http.post("/api/own/0", content=b"x" * 1001, headers={"content-type": "application/octet-stream"})
    assert (answer.status_code, "too much is being sent" in answer.json()["error"]) == (503, True)
    for _ in range(50):  # what was held is free again
        assert studio.post("pictures", {"source": "0"}).status_code == 200


def test_web_sockets_and_nonsense_do_not_get_in(served, weights):
    address = served(weights())
    upgrade = (
        b"GET /api/state HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    status, _ = raw(address, upgrade.replace(b"HOST", b"evil.example"))
    assert status == 421
    status, _ = raw(address, upgrade.replace(b"HOST", b"127.0.0.1"))
    assert status != 101
    for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        status, _ = raw(address, nonsense)
        assert status in (400, 421, 505, None)
    chunks = JSON_POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nnonsense\r\n"
    assert raw(address, chunks)[0] in (400, None)
    assert alive(address)


def test_a_web_socket_is_closed_by_the_door(client, weights):
    from starlette.websockets import WebSocketDisconnect

    http = client(weights()).http
    with pytest.raises(WebSocketDisconnect), http.websocket_connect("/api/state"):
        pass


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py", "/page/..%2f..%2fapp.py", "/page/%2e%2e%2fapp.py", "/page/..%5capp.py", "//etc/passwd",
        "/page/%252e%252e%252fapp.py", "/page//etc/passwd", "/page/main.js%00", "/page/..;/app.py",
        "/api/runs/..%2f..%2fetc", "/api/runs/0/samples/..%2f..%2fetc",
    ],
)  # fmt: skip
def test_no_path_leads_out(path, served, weights):
    address = served(weights())
    status, answer = raw(address, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    assert status in (400, 404, 422)
    assert b"import" not in answer and b"root:" not in answer


def test_links_that_lead_out_of_a_run_are_not_followed(client, run_folder, tmp_path):
    studio = client(run_folder)
    secret = tmp_path / "secret.npy"
    np.save(secret, np.full((3, 16, 16, 3), 123, np.uint8))
    linked = run_folder / "samples" / "step-00000002.npy"
    linked.unlink()
    linked.symlink_to(secret)
    answer = studio.http.get("/api/runs/0/samples/2")
    assert (answer.status_code, "leads out of the folder" in answer.json()["error"]) == (400, True)
    (run_folder / "classes.txt").symlink_to("/etc/hostname")
    assert "leads out of the folder" in studio.http.get("/api/runs/0").json()["error"]
    (run_folder / "classes.txt").unlink()
    inner = run_folder / "samples" / "step-00000003.npy"
    inner.symlink_to(run_folder / "samples" / "step-00000004.npy")
    assert studio.http.get("/api/runs/0/samples/3").status_code == 200
    write_report(run_folder, tmp_path / "r.html")


def test_a_pipe_in_place_of_a_log_does_not_hang(client, run_folder):
    studio = client(run_folder)
    (run_folder / "log.jsonl").unlink()
    os.mkfifo(run_folder / "log.jsonl")
    assert "is no file" in studio.http.get("/api/runs/0").json()["error"]


def test_names_of_rows_that_are_too_long_are_a_sentence(client, run_folder, monkeypatch):
    studio = client(run_folder)
    monkeypatch.setattr("sagan.reading.MAX_BYTES", 2**20)
    (run_folder / "classes.txt").touch()
    os.truncate(run_folder / "classes.txt", 2**40)
    answer = studio.http.get("/api/runs/0")
    assert (answer.status_code, "classes.txt cannot be read: it has more" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize("damaged", [b"", b"\x93NUMPY\x01\x00\x76\x00{'descr'(((", b"no", "shape", "huge"])
def test_damaged_samples_are_a_sentence(damaged, client, run_folder, monkeypatch, tmp_path):
    file = run_folder / "samples" / "step-00000002.npy"
    if damaged == "shape":
        np.save(file, np.zeros((3, 16), np.uint8))
    elif damaged == "huge":
        monkeypatch.setattr("sagan.studio.live.MOST_BYTES", 100)
    else:
        file.write_bytes(damaged)
    answer = client(run_folder).http.get("/api/runs/0/samples/2")
    assert (answer.status_code, "step-00000002.npy" in answer.json()["error"]) == (400, True)
    write_report(run_folder, tmp_path / "r.html")


LINES = [
    '{"step": 1, "loss_d": NaN, "loss_g": Infinity, "images_per_s": NaN, "elapsed_s": "x"}',
    '{"step": 2, "loss_d": 0.5, "loss_g": "half", "images_per_s": true, "gamma/8": "x"}',
    '{"step": 3, "health": "losses diverge", "over": false, "quantity": "loss", "value": NaN, "limit": -Infinity}',
    '{"step": ' + "9" * 400 + ', "loss_d": 1.0}',
    '{"step": true, "loss_d": 1.0}',
    "[" * 100_000,
    '{"step": 4, "x": ' + "[" * 900 + "]" * 900 + "}",
    '{"step": 5, "loss_d": 1.0, "loss_g"',
    "\x00\x01",
]


def test_what_is_no_line_of_a_log_is_left_out(client, run_folder, tmp_path):
    (run_folder / "log.jsonl").write_text("\n".join(LINES))
    assert [line["step"] for line in log_lines(run_folder)] == [1, 2, 3]
    told = run_told(run_folder)
    json.dumps(told, allow_nan=False)
    assert told["images_per_s"] is None
    assert (told["health"][0]["value"], told["health"][0]["limit"]) == ("NaN", "-Infinity")
    losses = next(panel for panel in told["panels"] if panel["title"] == "Losses")
    assert losses["series"]["D"][1] == [None, 0.5]
    assert client(run_folder).http.get("/api/runs/0").status_code == 200


@long
def test_logs_that_are_not_finite_are_shown(studio_page, open_page, run_folder, tmp_path):
    (run_folder / "log.jsonl").write_text("\n".join(LINES))
    page = studio_page(run_folder)
    settled(page, lambda: page.click("#tab-run"), "run")
    assert "losses diverge at step 3: loss NaN" in page.text_content("#run")
    assert page.locator("#run .chart svg").count() >= 1
    write_report(run_folder, tmp_path / "r.html")
    report = open_page(tmp_path / "r.html")
    assert "losses diverge at step 3: loss NaN" in report.text_content("#health")
    assert report.locator(".chart svg").count() >= 1
    assert report.said == page.said == []


@long
def test_names_are_never_markup(studio_page, open_page, run_folder, weights, tmp_path):
    file = weights(f"{MARKUP.replace('/', '')}.safetensors", classes=[MARKUP, "x" * 300, "2"])
    run = tmp_path / "run '\"><b>"
    shutil.copytree(run_folder, run)
    (run / "classes.txt").write_text(f"{MARKUP}\n</script><script>window.owned=1</script>\n3\n")
    page = studio_page(file, run)
    assert MARKUP in page.text_content("#classes")
    assert page.locator(".tile .caption").first.text_content() == MARKUP
    settled(page, lambda: page.check("#beside"), "looks")
    assert MARKUP in page.text_content(".grid-title")
    settled(page, lambda: page.click("#tab-walk"), "walk")
    settled(page, lambda: page.click("#tab-run"), "run")
    page.wait_for_selector("#run .tile canvas")
    assert "window.owned=1" in page.text_content("#run")
    write_report(run, tmp_path / "r.html")
    report = open_page(tmp_path / "r.html", bypass_csp=False)
    assert report.text_content("#name") == run.name
    for shown in (page, report):
        assert shown.evaluate("window.owned") is None
        assert shown.locator("img, b b").count() == 0
        assert shown.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert report.said == []


@long
def test_a_run_that_is_deleted_underneath_is_said_and_the_page_goes_on(studio_page, run_folder, tmp_path):
    page = studio_page(run_folder)
    before = tiles(page)
    settled(page, lambda: page.click("#tab-run"), "run")
    run_folder.rename(tmp_path / "elsewhere")
    page.wait_for_selector("#error:not([hidden])")
    assert "the folder of run is gone" in page.text_content("#error")
    page.click("#tab-samples")
    page.wait_for_function("document.querySelector('#facts').textContent.includes('its folder is gone')")
    settled(page, lambda: page.fill("#seed", "9"), "looks")
    assert (tiles(page) != before).any()
    page.click("#tab-run")
    (tmp_path / "elsewhere").rename(run_folder)
    page.wait_for_function("document.querySelector('#error').hidden")


@long
def test_weights_that_are_replaced_while_they_are_open(studio_page, weights, tmp_path):
    file = weights()
    page = studio_page(file)
    before = tiles(page)
    good = weights("other.safetensors", seed=5)
    half = tmp_path / "half"
    half.write_bytes(good.read_bytes()[:1000])
    half.replace(file)
    page.wait_for_function("document.querySelector('#facts').textContent.includes('shown is what was loaded before')")
    assert np.array_equal(tiles(page), before)
    expected = generate(*load(good).inputs(SampleConfig(num=6)))
    good.replace(file)
    page.wait_for_function("!document.querySelector('#facts').textContent.includes('loaded before')")
    page.wait_for_function(
        "value => document.querySelector('.tile canvas').getContext('2d').getImageData(0, 0, 1, 1).data[0] === value",
        arg=int(expected[0, 0, 0, 0]),
    )
    assert np.array_equal(pixels(page, "#grids .tile canvas"), expected[0])
