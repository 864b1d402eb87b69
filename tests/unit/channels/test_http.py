"""One request over a kept connection: the bytes that go out, when the connection is kept, and what is said when no answer comes."""

import traceback
from functools import partial
from urllib.parse import urlsplit

import pytest

from runbell.channels.http import Http, Lost, Unreached
from runbell.channels.http_answer import MAX_BODY
from runbell.channels.http_request import host_of
from tests.fakes.http_server import Reply, ScriptedHttp
from tests.fakes.raw_server import RawServer, Said

OK = b"HTTP/1.1 200 OK\r\n"
FINE = Said(OK + b"Content-Length: 4\r\n\r\nfine")


@pytest.fixture(autouse=True)
def no_proxy_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_what_goes_out() -> None:
    with RawServer(FINE) as server:
        http = Http(timeout=5)
        http.post(f"{server.url}a/b?c=d#e", "ёж".encode(), {"Authorization": "Bearer x", "X-Caf": "é"})
        http.post(f"{server.url}a", b"", {"content-length": "0", "HOST": "slack.test", "Accept-Encoding": "br"})
        http.get(f"{server.url.rstrip('/')}?c=d", {})
        http.close()
    start, own = f" HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAccept-Encoding: identity\r\n".encode(), server.asked
    assert own[0] == b"POST /a/b?c=d" + start + b"Content-Length: 4\r\nAuthorization: Bearer x\r\nX-Caf: \xe9\r\n\r\n" + "ёж".encode()
    assert own[1] == b"POST /a HTTP/1.1\r\ncontent-length: 0\r\nHOST: slack.test\r\nAccept-Encoding: br\r\n\r\n"
    assert own[2] == b"GET /?c=d" + start + b"\r\n"
    assert server.connections == 1


def test_a_long_body_goes_out_whole() -> None:
    body = bytes(range(256)) * 8_000
    with RawServer(FINE) as server:
        http = Http(timeout=5)
        assert http.post(server.url, body, {}).body == b"fine"
        http.close()
    assert server.asked[0].partition(b"\r\n\r\n")[2] == body


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://slack.com/api/", "slack.com"),
        ("https://Slack.com:443/", "slack.com"),
        ("https://slack.com:8443/", "slack.com:8443"),
        ("https://ada:hush@slack.com/", "slack.com"),
        ("https://[::1]:8443/", "[::1]:8443"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
    ],
)
def test_how_the_host_is_written(url: str, host: str) -> None:
    assert host_of(urlsplit(url), 443) == host


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("", {"Authorization": "hush\r\nX: 1"}),
        ("", {"Authorization": "hush\r"}),
        ("", {"Authorization": "hush\n more"}),
        ("", {"Authorization": "hush\x00"}),
        ("", {"Authorization": "hush ключ"}),
        ("", {"hush: x\r\nY": "1"}),
        ("", {"hush ": "1"}),
        ("", {"hush:": "1"}),
        ("", {"": "hush"}),
        ("hush HTTP/1.1", {}),
        ("hush\r\nX:1", {}),
        ("hush\n", {}),
        ("hush\t", {}),
        ("hush\x00", {}),
        ("hush\x7f", {}),
        ("hush?ключ", {}),
    ],
)
def test_what_cannot_be_sent_is_not_sent_and_not_repeated(path: str, headers: dict[str, str]) -> None:
    with RawServer(FINE) as server:
        http = Http(timeout=5)
        for ask in (partial(http.post, body=b"{}"), http.get):
            with pytest.raises(Unreached) as refused:
                ask(server.url + path, headers=headers)
            assert (refused.value.word, refused.value.text, refused.value.__context__) == ("unreachable", "", None)
            assert "hush" not in repr(vars(refused.value)) + "".join(traceback.format_exception(refused.value))
        assert server.connections == 0
        assert http.post(server.url, b"{}", {}).status == 200  # what came before does not stand in the way
        http.close()


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:hush/", "http://127.0.0.1:99999/", "hush", "", "http:///hush"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(Unreached) as refused:
        Http(timeout=5).post(url, b"", {})
    assert refused.value.word == "unreachable"
    assert refused.value.__context__ is None


@pytest.mark.parametrize(
    ("said", "connections"),
    [
        (FINE, 1),
        (Said(OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n"), 1),
        (Said(b"HTTP/1.1 100 Continue\r\n\r\n" + FINE.data), 1),
        (Said(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nfine"), 1),
        (Said(b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nfine"), 2),
        (Said(OK + b"Connection: close\r\nContent-Length: 4\r\n\r\nfine"), 2),
        (Said(OK + b"\r\nfine", hangs_up=True), 2),
        (Said(FINE.data + b"HTTP/1.1 500 Not asked for\r\nContent-Length: 0\r\n\r\n"), 2),
    ],
)
def test_when_a_connection_is_kept(said: Said, connections: int) -> None:
    with RawServer(said) as server:
        http = Http(timeout=5)
        for _ in range(2):
            answer = http.post(server.url, b"{}", {})
            assert (answer.status, answer.body) == (200, b"fine")
        http.close()
    assert server.connections == connections


LONG = b"x" * (MAX_BODY + 1_000)


@pytest.mark.parametrize(
    ("said", "connections"),
    [
        (Said(b"Content-Length: %d\r\n\r\n" % len(LONG) + LONG), 2),
        (Said(b"Content-Length: %d\r\n\r\n" % MAX_BODY + LONG[:MAX_BODY]), 1),
        (Said(b"Transfer-Encoding: chunked\r\n\r\n4\r\nxxxx\r\n%x\r\n" % len(LONG) + LONG + b"\r\n0\r\n\r\n"), 2),
        (Said(b"\r\n" + LONG, hangs_up=True), 2),
    ],
    ids=["announced", "just so long", "chunked", "to the end"],
)
def test_a_body_is_cut_off_and_what_is_left_of_it_is_no_answer(said: Said, connections: int) -> None:
    with RawServer(Said(OK + said.data, said.hangs_up), FINE) as server:
        http = Http(timeout=5)
        assert http.get(server.url, {}).body == LONG[:MAX_BODY]
        assert http.get(server.url, {}).body == b"fine"
        http.close()
    assert server.connections == connections


@pytest.mark.parametrize(
    "said",
    [
        Said(b"", hangs_up=True),
        Said(b"HTTP/1.1 200", hangs_up=True),
        Said(OK + b"Content-Length: 5\r\n\r\nfine", hangs_up=True),
        Said(OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n", hangs_up=True),
        Said(b"\x00garbage\r\n\r\n"),
        Said(OK + b"X: y\r\n" * 500_000),
    ],
)
def test_after_a_lost_answer_comes_another_connection(said: Said) -> None:
    with RawServer(said, FINE) as server:
        http = Http(timeout=5)
        with pytest.raises(Lost) as lost:
            http.post(server.url, b"{}", {})
        assert (lost.value.__context__, lost.value.args) == (None, ())
        assert http.post(server.url, b"{}", {}).body == b"fine"
        http.close()
    assert server.connections == 2
    assert len(server.asked) == 2  # the lost one went out once


def test_a_proxy_is_told_where_to_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedHttp(Reply()) as proxy:
        monkeypatch.setenv("http_proxy", f"http://ada:p%40ss@127.0.0.1:{proxy.port}")
        http = Http(timeout=5)
        for url in ("http://dbt.test/a?b=c#d", "http://other.test:8080"):
            assert http.post(url, b"{}", {}).status == 200
        http.close()
    assert [(asked.path, asked.headers["host"]) for asked in proxy.asked] == [
        ("http://dbt.test/a?b=c", "dbt.test"),
        ("http://other.test:8080/", "other.test:8080"),
    ]
    assert {asked.headers["proxy-authorization"] for asked in proxy.asked} == {"Basic YWRhOnBAc3M="}
