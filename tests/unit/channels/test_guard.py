"""Where requests to hosts that members name may go, and that they go to no other address than the one that was checked."""

import ssl
from collections.abc import Callable

import pytest
import trustme

from runbell.channels.guard import Forbidden, Guard, addresses
from runbell.channels.http import IDLE, Http, Unreached
from tests.fakes.http_server import Reply, ScriptedHttp

PUBLIC = "93.184.215.14"


def resolver(*answers: list[str]) -> tuple[Callable[[str], list[str]], list[str]]:
    """Answers each question with the next, and what it was asked."""
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


def verdict(guard: Guard, host: str) -> str:
    try:
        guard.checked(host)
    except Forbidden:
        return "forbidden"
    return "good"


@pytest.mark.parametrize(
    ("address", "when_private_is_allowed"),
    [
        ("127.0.0.1", "good"),
        ("10.1.2.3", "good"),
        ("172.16.0.1", "good"),
        ("192.168.1.1", "good"),
        ("100.64.0.1", "good"),
        ("::1", "good"),
        ("fd12:3456::1", "good"),
        ("::ffff:10.0.0.1", "good"),
        ("64:ff9b::10.0.0.1", "good"),
        ("2002:a00:1::", "good"),
        ("0.0.0.0", "forbidden"),
        ("0.1.2.3", "forbidden"),
        ("::", "forbidden"),
        ("169.254.169.254", "forbidden"),
        ("169.254.1.1", "forbidden"),
        ("fe80::1%eth0", "forbidden"),
        ("::ffff:169.254.169.254", "forbidden"),
        ("64:ff9b::169.254.169.254", "forbidden"),
        ("fd00:ec2::254", "forbidden"),
        ("100.100.100.200", "forbidden"),
        ("168.63.129.16", "forbidden"),
        ("224.0.0.1", "forbidden"),
        ("ff02::1", "forbidden"),
    ],
)
def test_no_way_into_the_own_network(address: str, when_private_is_allowed: str) -> None:
    resolve, _ = resolver([address])
    assert verdict(Guard(resolve=resolve), "dbt.acme.example") == "forbidden"
    assert verdict(Guard(allows_private=True, resolve=resolve), "dbt.acme.example") == when_private_is_allowed


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::6810:84e5", f"::ffff:{PUBLIC}", f"64:ff9b::{PUBLIC}"])
def test_the_world_is_open(address: str) -> None:
    assert verdict(Guard(resolve=lambda _: [address]), "dbt.acme.example") == "good"


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "017700000001", "[::1]".strip("[]"), "localhost"])
def test_other_ways_to_write_loopback(host: str) -> None:
    """This machine's own resolver reads them."""
    assert set(addresses(host)) <= {"127.0.0.1", "::1"}
    assert verdict(Guard(), host) == "forbidden"


def test_one_bad_address_among_good_ones_is_enough() -> None:
    assert verdict(Guard(resolve=lambda _: [PUBLIC, "10.0.0.1"]), "dbt.acme.example") == "forbidden"


def test_a_name_is_asked_for_once_and_a_changed_answer_changes_nothing() -> None:
    """The name leads to a good address while it is checked, and to the metadata service right after."""
    now = [0.0]
    resolve, asked = resolver(["127.0.0.1"], ["169.254.169.254"])
    with ScriptedHttp() as server:
        http = Http(timeout=5, clock=lambda: now[0], guard=Guard(allows_private=True, resolve=resolve))
        url = f"http://dbt.acme.example:{server.port}/"
        assert http.post(url, b"1", {}).status == 200
        assert http.post(url, b"2", {}).status == 200  # on the kept connection
        assert asked == ["dbt.acme.example"]
        now[0] = IDLE + 1
        with pytest.raises(Unreached) as refused:
            http.post(url, b"3", {})
    assert refused.value.word == "private"
    assert (len(asked), server.connections) == (2, 1)
    assert [request.headers["host"] for request in server.asked] == [f"dbt.acme.example:{server.port}"] * 2


def test_nothing_is_sent_where_nothing_may_go() -> None:
    with ScriptedHttp() as server:
        http = Http(timeout=5, guard=Guard())
        with pytest.raises(Unreached) as refused:
            http.post(server.url, b"", {"Authorization": "hush"})
    assert (refused.value.word, server.connections) == ("private", 0)
    assert refused.value.__context__ is None


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    with ScriptedHttp() as inner, ScriptedHttp(Reply(302, headers={"Location": inner.url})) as outer:
        http = Http(timeout=5, guard=Guard(allows_private=True))
        assert http.post(outer.url, b"", {}).status == 302
        http.close()
    assert not inner.asked


def test_the_next_address_of_a_host_is_tried() -> None:
    with ScriptedHttp() as server:
        http = Http(timeout=5, guard=Guard(allows_private=True, resolve=lambda _: ["127.0.0.2", "::1", "127.0.0.1"]))
        assert http.post(f"http://dbt.acme.example:{server.port}/", b"", {}).status == 200
        http.close()


def test_over_tls_the_certificate_is_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    authority, context, trust = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("dbt.acme.example").configure_cert(context)
    authority.configure_trust(trust)
    monkeypatch.setattr("runbell.channels.http.trust", lambda: trust)
    with ScriptedHttp(tls=context) as server:
        http = Http(timeout=5, guard=Guard(allows_private=True, resolve=lambda _: ["127.0.0.1"]))
        assert http.post(f"https://dbt.acme.example:{server.port}/", b"", {}).status == 200
        with pytest.raises(Unreached) as refused:
            http.post(f"https://elsewhere.example:{server.port}/", b"", {})
    assert refused.value.word == "tls"


@pytest.mark.parametrize(("host", "reached"), [("unknown.invalid", True), ("127.0.0.1", False), ("2130706433", False)])
def test_through_a_proxy_what_this_machine_can_look_up_is_checked(monkeypatch: pytest.MonkeyPatch, host: str, reached: bool) -> None:
    monkeypatch.setenv("no_proxy", "")
    with ScriptedHttp() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        http = Http(timeout=5, guard=Guard())
        if reached:
            assert http.post(f"http://{host}/", b"", {}).status == 200
        else:
            with pytest.raises(Unreached):
                http.post(f"http://{host}/", b"", {})
        http.close()
    assert bool(proxy.asked) is reached
