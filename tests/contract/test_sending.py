"""What sending promises, for every channel, against a real server that plays the other side."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest

from runbell.channels.base import Connection, Transport
from runbell.channels.registry import KINDS, channel
from runbell.core.deliveries import Dead, Retry, Sent, Verdict
from runbell.messages.examples import EXAMPLES
from tests.fakes.slack import FakeSlack
from tests.fakes.smtp_server import DROP, SmtpServer
from tests.mails import RECIPIENT, TRANSPORT, reader

ADDRESS = "ada@acme.test"


@dataclass
class Peer:
    """The other side of one kind of channel, and what a test may do to it."""

    kind: str
    transport: Transport
    settings: dict[str, Any]
    arrived: Callable[[], int]
    refuse: Callable[[], None]  # this destination, for good
    lose: Callable[[], object]  # the next answer
    stop: Callable[[], None]

    def connect(self) -> Connection:
        return channel(self.kind).connect(self.transport)

    def send(self, connection: Connection, key: str = "1.0") -> Verdict:
        it = channel(self.kind)
        payload = it.address(it.render(EXAMPLES["failed"]("en"), reader(), self.transport), RECIPIENT, key)
        return connection.send(self.settings, payload, key)


def mail_peer(stack: ExitStack) -> Peer:
    server = stack.enter_context(SmtpServer())
    return Peer(
        kind="email",
        transport=replace(TRANSPORT, url=server.url),
        settings={"address": ADDRESS},
        arrived=lambda: len(server.mails),
        refuse=lambda: server.refuse(ADDRESS, "550 5.1.1 no such user"),
        lose=lambda: server.say("message", DROP),
        stop=server.stop,
    )


def slack_peer(stack: ExitStack) -> Peer:
    slack = stack.enter_context(FakeSlack(scale=1e6))
    here = slack.acme.channel("data-alerts")
    return Peer(
        kind="slack",
        transport=replace(TRANSPORT, slack_api_url=slack.api_url),
        settings={"token": slack.install(), "channel_id": here.id},
        arrived=lambda: len(slack.posts),
        refuse=lambda: slack.archive(here),
        lose=slack.lose,
        stop=slack.stop,
    )


def webhook_peer(stack: ExitStack) -> Peer:
    slack = stack.enter_context(FakeSlack(scale=1e6))
    here = slack.acme.channel("data-alerts")
    return Peer(
        kind="slack_webhook",
        transport=TRANSPORT,
        settings={"address": "#data-alerts", "secret": slack.url_of(slack.add_hook(slack.acme, here))},
        arrived=lambda: len(slack.posts),
        refuse=lambda: slack.archive(here),
        lose=lambda: slack.lose(method="webhook"),
        stop=slack.stop,
    )


PEERS = {"email": mail_peer, "slack": slack_peer, "slack_webhook": webhook_peer}


@pytest.fixture(params=KINDS)
def peer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ExitStack() as stack:
        yield PEERS[request.param](stack)


@pytest.fixture
def connection(peer: Peer) -> Iterator[Connection]:
    connection = peer.connect()
    yield connection
    connection.close()


def test_messages_arrive(peer: Peer, connection: Connection) -> None:
    assert [type(peer.send(connection, key)) for key in ("1.0", "2.0", "3.0")] == [Sent] * 3
    assert peer.arrived() == 3


def test_a_connection_that_was_closed_opens_again(peer: Peer, connection: Connection) -> None:
    peer.send(connection)
    connection.close()
    assert isinstance(peer.send(connection), Sent)
    assert peer.arrived() == 2


def test_a_destination_that_is_refused_is_at_fault(peer: Peer, connection: Connection) -> None:
    peer.refuse()
    verdict = peer.send(connection)
    assert isinstance(verdict, Dead)
    assert verdict.is_refusal
    assert peer.arrived() == 0


@pytest.mark.parametrize("is_kept", [True, False])
def test_when_nobody_is_there_no_message_is_at_fault(peer: Peer, connection: Connection, is_kept: bool) -> None:
    if is_kept:
        peer.send(connection)
    peer.stop()
    verdict = peer.send(connection)
    assert isinstance(verdict, Retry)
    assert (verdict.is_transport, verdict.is_lost) == (True, False)


def test_a_lost_answer_is_told_from_a_way_that_is_down(peer: Peer, connection: Connection) -> None:
    peer.lose()
    verdict = peer.send(connection)
    assert isinstance(verdict, Retry)
    assert not verdict.is_transport
    assert peer.arrived() == 1
    assert isinstance(peer.send(connection), Sent)  # the next answer is its own
