"""Who is let in: pages of other origins, names that point here, and what is too long are not."""

import pytest
from starlette.datastructures import Headers

from sagan.studio.guard import MAX_JSON, refusal


def test_answers_say_what_a_browser_may_do_with_them(client, weights):
    answer = client(weights()).http.get("/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "localhost:9", "[::1]:8000", "LOCALHOST:1"])
def test_loopback_names_are_let_in(host):
    assert refusal("GET", Headers({"host": host})) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "192.168.0.3:8000", "", "[::1"]
)
def test_other_names_that_point_here_are_refused(host, client, weights):
    refused = refusal("GET", Headers({"host": host}))
    assert refused is not None
    assert refused[0] == 421
    if host:
        answer = client(weights()).http.get("/api/state", headers={"host": host})
        assert (answer.status_code, "open it as http://127.0.0.1" in answer.json()["error"]) == (421, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:3000"},
        {"origin": "https://127.0.0.1:8000"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_pages_are_refused(headers, client, weights):
    studio = client(weights())
    answer = studio.post("pictures", {"source": "0"}, headers=headers)
    assert (answer.status_code, "another page" in answer.json()["error"]) == (403, True)
    own = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    assert studio.post("pictures", {"source": "0"}, headers=own).status_code == 200


def test_types_that_another_page_could_send_are_refused(client, weights):
    http = client(weights()).http
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = http.post("/api/pictures", content=b'{"source": "0"}', headers={"content-type": kind})
        assert answer.status_code == 415, kind
    assert http.delete("/api/state").status_code == 405


def test_long_requests_are_refused_whatever_they_say_of_their_length(client, weights, monkeypatch):
    http = client(weights()).http
    json = {"content-type": "application/json"}
    answer = http.post("/api/pictures", content=b" " * (MAX_JSON + 1), headers=json)
    assert (answer.status_code, "larger than 64 kB" in answer.json()["error"]) == (413, True)

    def pieces():
        for _ in range(80):
            yield b" " * 1024

    answer = http.post("/api/pictures", content=pieces(), headers=json)
    assert answer.status_code == 413, answer.text
    monkeypatch.setattr("sagan.studio.guard.MAX_PICTURE", 100)
    octets = {"content-type": "application/octet-stream"}
    assert http.post("/api/own/0", content=b"x" * 101, headers=octets).status_code == 413
