"""The way out by SMTP, against a real server that misbehaves as told."""

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from socket import create_server, socket

import pytest
import trustme

from runbell.channels.base import Transport
from runbell.channels.smtp import SmtpConnection, read_relay
from runbell.core.deliveries import Dead, Retry, Sent
from runbell.core.fields import BadField
from tests.fakes.smtp_server import DROP, SILENCE, SmtpServer

PAYLOAD = (
    b"From: runbell@acme.test\r\nSubject: FAILED\r\nX-Runbell-Run: 17\r\n\r\nFirst line\r\n.a line with a dot\r\n..two\r\n.\r\nlast\r\n"
)
ADA = {"address": "ada@acme.test"}
SECRET = "pass word:/@%"
ENCODED = "pass%20word%3A%2F%40%25"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=[False, True], ids=["one_by_one", "pipelined"])
def server(request: pytest.FixtureRequest) -> Iterator[SmtpServer]:
    with SmtpServer(pipelines=request.param) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connection(server: SmtpServer, clock: Clock) -> Iterator[SmtpConnection]:
    connection = SmtpConnection(transport(server.url), clock=clock)
    yield connection
    connection.close()


def transport(url: str, timeout: float = 20) -> Transport:
    return Transport(url=url, sender="Runbell <runbell@acme.test>", public_url="https://runbell.acme.test", timeout=timeout)


def impatient(server: SmtpServer) -> SmtpConnection:
    return SmtpConnection(transport(server.url, timeout=0.2), clock=Clock())


def test_sends_the_bytes_as_they_are(server: SmtpServer, connection: SmtpConnection) -> None:
    verdict = connection.send(ADA, PAYLOAD, "1.0")
    assert verdict == Sent("SINK1")
    [mail] = server.wait_for(1)
    assert (mail.sender, mail.recipients, mail.content) == ("runbell@acme.test", ("ada@acme.test",), PAYLOAD)
    assert server.commands[0] == "ehlo runbell.acme.test"


def test_one_connection_carries_many(server: SmtpServer, connection: SmtpConnection) -> None:
    for number in range(20):
        assert isinstance(connection.send({"address": f"m{number}@acme.test"}, PAYLOAD, f"{number}.0"), Sent)
    assert [mail.session for mail in server.wait_for(20)] == [1] * 20
    assert server.commands.count("ehlo runbell.acme.test") == 1


def test_a_relay_that_pipelines_gets_the_commands_at_once() -> None:
    """It says nothing before it has all three: commands sent one by one would wait for ever."""
    with create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        heard = pool.submit(_hear_three, listener)
        connection = SmtpConnection(transport(f"smtp://127.0.0.1:{listener.getsockname()[1]}"), clock=Clock())
        assert connection.send(ADA, PAYLOAD, "1.0") == Sent("SINK1")
        connection.close()
        assert [line.split()[0] for line in heard.result().splitlines()] == [b"MAIL", b"RCPT", b"DATA"]


def _hear_three(listener: socket) -> bytes:
    with listener.accept()[0] as client:
        client.sendall(b"220 relay\r\n")
        client.recv(4096)
        client.sendall(b"250-relay\r\n250 PIPELINING\r\n")
        heard = b""
        while heard.count(b"\r\n") < 3:
            heard += client.recv(4096)
        client.sendall(b"250 ok\r\n250 ok\r\n354 go on\r\n")
        content = b""
        while not content.endswith(b"\r\n.\r\n"):
            content += client.recv(4096)
        client.sendall(b"250 queued as SINK1\r\n")
        return heard


@pytest.mark.parametrize("data", ["354 go on", "503 5.5.1 nobody"])
def test_a_refused_recipient_leaves_a_pipelined_connection_usable(data: str) -> None:
    with SmtpServer(pipelines=True) as server:
        connection = SmtpConnection(transport(server.url), clock=Clock())
        server.refuse("ada@acme.test", "550 5.1.1 no such user")
        server.say("data", data)
        verdict = connection.send(ADA, PAYLOAD, "1.0")
        assert isinstance(verdict, Dead)
        assert verdict.is_refusal
        assert isinstance(connection.send({"address": "bob@acme.test"}, PAYLOAD, "2.0"), Sent)
        assert [mail.recipients for mail in server.wait_for(1)] == [("bob@acme.test",)]
        assert server.sessions == 1
        connection.close()


def test_nothing_is_opened_before_the_first_send(server: SmtpServer) -> None:
    SmtpConnection(transport(server.url), clock=Clock()).close()
    assert server.sessions == 0


def test_a_payload_without_a_last_line_break_still_ends(server: SmtpServer, connection: SmtpConnection) -> None:
    assert isinstance(connection.send(ADA, b"Subject: x\r\n\r\nend", "1.0"), Sent)
    assert server.wait_for(1)[0].content == b"Subject: x\r\n\r\nend\r\n"


def test_an_international_domain_goes_out_in_ascii(server: SmtpServer, connection: SmtpConnection) -> None:
    connection.send({"address": "ada@bücher.test"}, PAYLOAD, "1.0")
    assert server.wait_for(1)[0].recipients == ("ada@xn--bcher-kva.test",)


@pytest.mark.parametrize("address", ["ada@acme.test>\r\nRSET\r\n", "a da@acme.test", "åda@acme.test", "ada@-é-.test", "ada", ""])
def test_what_is_no_address_is_refused_and_never_mended(server: SmtpServer, connection: SmtpConnection, address: str) -> None:
    verdict = connection.send({"address": address}, PAYLOAD, "1.0")
    assert isinstance(verdict, Dead)
    assert verdict.is_refusal
    assert server.commands == []


GREYLISTED = ("451 4.7.1 greylisted, try again in 300 seconds", "smtp_later")

ANSWERS = [
    # point, answer, kind of verdict, code, is the destination at fault, is the way down
    ("rcpt", "550 5.1.1 <ada@acme.test>: no such user", Dead, "smtp_address_unknown", True),
    ("rcpt", "550 5.1.10 null MX", Dead, "smtp_address_unknown", True),
    ("rcpt", "551 user not local", Dead, "smtp_address_unknown", True),
    ("rcpt", "553 mailbox name not allowed", Dead, "smtp_address_unknown", True),
    ("rcpt", "553 5.7.1 sender not permitted", Dead, "smtp_recipient_refused", False),
    ("rcpt", "550 no", Dead, "smtp_recipient_refused", True),
    ("rcpt", "550 5.7.1 policy", Dead, "smtp_recipient_refused", False),
    ("rcpt", "554 5.7.1 relay access denied", Dead, "smtp_recipient_refused", False),
    ("rcpt", "552 5.2.2 mailbox full", Retry, "smtp_mailbox_full", False),
    ("rcpt", "552 over quota", Retry, "smtp_mailbox_full", False),
    ("rcpt", "452 4.2.2 mailbox full", Retry, "smtp_mailbox_full", False),
    ("rcpt", "450 4.2.0 greylisted", Retry, "smtp_later", False),
    ("rcpt", GREYLISTED[0], Retry, "smtp_later", False),
    ("rcpt", "421 4.3.2 not accepting network messages", Retry, "smtp_later", False),
    ("data", "451 4.3.0 try later", Retry, "smtp_later", False),
    ("data", "554 5.5.1 no valid recipients", Dead, "smtp_message_refused", False),
    ("message", "554 5.7.1 looks like spam", Dead, "smtp_message_refused", False),
    ("message", "552 5.3.4 message too big", Dead, "smtp_message_refused", False),
    ("message", "552 5.2.2 mailbox full", Retry, "smtp_mailbox_full", False),
    ("message", "550 5.1.1 no such user", Dead, "smtp_address_unknown", True),
    ("message", "451 4.3.0 try later", Retry, "smtp_later", False),
    ("message", "421 4.3.0 going down", Retry, "smtp_later", False),
]


@pytest.mark.parametrize(("point", "answer", "kind", "code", "is_refusal"), ANSWERS)
def test_an_answer_about_one_message_leaves_the_lane_open(
    server: SmtpServer, connection: SmtpConnection, point: str, answer: str, kind: type, code: str, is_refusal: bool
) -> None:
    server.say(point, answer)
    verdict = connection.send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, kind)
    assert isinstance(verdict, Retry | Dead)
    assert verdict.because.code == code
    assert verdict.because.params["code"] == int(answer[:3])
    assert getattr(verdict, "is_refusal", False) is is_refusal
    assert not getattr(verdict, "is_transport", False)
    assert connection.send({"address": "bob@acme.test"}, PAYLOAD, "2.0") == Sent("SINK1")
    assert [mail.recipients for mail in server.wait_for(1)] == [("bob@acme.test",)]


def test_the_reason_carries_what_the_relay_said(server: SmtpServer, connection: SmtpConnection) -> None:
    server.say("rcpt", "550-5.1.1 The email account does not exist.\r\n550 5.1.1 Check the address.")
    verdict = connection.send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, Dead)
    assert verdict.because.params == {"code": 550, "enhanced": "5.1.1", "text": "The email account does not exist. Check the address."}


def test_the_relays_words_are_masked_and_cut(server: SmtpServer, connection: SmtpConnection) -> None:
    server.say("rcpt", "550 see https://hooks.slack.com/services/T0/B0/abcdef token=abcdef123 " + "x" * 500)
    verdict = connection.send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, Dead)
    text = verdict.because.params["text"]
    assert "abcdef" not in text
    assert len(text) <= 200


@pytest.mark.parametrize(
    ("point", "answer", "code"),
    [
        ("connect", "554 5.3.2 no service here", "smtp_not_ready"),
        ("connect", "421 4.3.2 too many connections", "smtp_not_ready"),
        ("connect", DROP, "smtp_disconnected"),
        ("ehlo", DROP, "smtp_disconnected"),
        ("mail", "550 5.7.1 sender not allowed", "smtp_sender_refused"),
        ("mail", "530 5.7.0 sign in first", "smtp_auth"),
        ("mail", "451 4.3.0 no space", "smtp_not_ready"),
        ("mail", "421 4.3.2 going down", "smtp_not_ready"),
        ("mail", DROP, "smtp_disconnected"),
        ("rcpt", "535 5.7.8 bad credentials", "smtp_auth"),
        ("rcpt", DROP, "smtp_disconnected"),
        ("data", DROP, "smtp_disconnected"),
    ],
)
def test_trouble_with_the_way_pauses_the_lane(server: SmtpServer, connection: SmtpConnection, point: str, answer: str, code: str) -> None:
    server.say(point, answer)
    verdict = connection.send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, Retry)
    assert verdict.is_transport
    assert verdict.because.code == code
    assert isinstance(connection.send(ADA, PAYLOAD, "1.0"), Sent)


def test_a_server_that_only_knows_helo(server: SmtpServer, connection: SmtpConnection) -> None:
    server.say("ehlo", "502 5.5.1 what")
    assert isinstance(connection.send(ADA, PAYLOAD, "1.0"), Sent)
    assert server.commands[1].startswith("helo")


def test_no_server_at_all() -> None:
    with SmtpServer() as server:
        url = server.url
    verdict = SmtpConnection(transport(url), clock=Clock()).send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, Retry)
    assert verdict.is_transport
    assert (verdict.because.code, verdict.because.params) == ("smtp_unreachable", {"text": "Connection refused"})


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 70 + ".test"])
def test_a_name_that_leads_nowhere(host: str) -> None:
    verdict = SmtpConnection(transport(f"smtp://{host}:25"), clock=Clock()).send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, Retry)
    assert (verdict.is_transport, verdict.because.code) == (True, "smtp_unreachable")


@pytest.mark.parametrize("point", ["connect", "ehlo", "mail", "rcpt", "data"])
def test_silence_before_the_message_is_safe_to_try_again(server: SmtpServer, point: str) -> None:
    server.say(point, SILENCE)
    verdict = impatient(server).send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, Retry)
    assert (verdict.is_transport, verdict.because.code) == (True, "smtp_no_answer")


@pytest.mark.parametrize("answer", [SILENCE, DROP])
def test_silence_after_the_message_may_repeat_it(server: SmtpServer, answer: str) -> None:
    server.say("message", answer)
    connection = impatient(server)
    verdict = connection.send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, Retry)
    assert (verdict.is_transport, verdict.because.code) == (False, "smtp_no_answer_after_data")
    assert isinstance(connection.send(ADA, PAYLOAD, "1.0"), Sent)
    first, second = server.wait_for(2)
    assert first.content == second.content
    assert second.session == first.session + 1
    connection.close()


def test_a_kept_connection_that_went_away_is_reopened(server: SmtpServer, connection: SmtpConnection) -> None:
    connection.send(ADA, PAYLOAD, "1.0")
    server.drop_connections()
    assert isinstance(connection.send(ADA, PAYLOAD, "2.0"), Sent)
    assert [mail.session for mail in server.wait_for(2)] == [1, 2]


def test_421_on_a_kept_connection_reopens_it(server: SmtpServer, connection: SmtpConnection) -> None:
    connection.send(ADA, PAYLOAD, "1.0")
    server.say("mail", "421 4.3.2 restarting")
    assert isinstance(connection.send(ADA, PAYLOAD, "2.0"), Sent)
    assert [mail.session for mail in server.wait_for(2)] == [1, 2]


def test_reopens_once_and_no_more(server: SmtpServer, connection: SmtpConnection) -> None:
    connection.send(ADA, PAYLOAD, "1.0")
    server.say("mail", "421 4.3.2 restarting", "421 4.3.2 still restarting")
    verdict = connection.send(ADA, PAYLOAD, "2.0")
    assert isinstance(verdict, Retry)
    assert verdict.because.params["text"] == "still restarting"
    assert server.sessions == 2


def test_a_connection_that_idled_is_not_trusted(server: SmtpServer, connection: SmtpConnection, clock: Clock) -> None:
    connection.send(ADA, PAYLOAD, "1.0")
    clock.now += 29
    connection.send(ADA, PAYLOAD, "2.0")
    clock.now += 31
    connection.send(ADA, PAYLOAD, "3.0")
    assert [mail.session for mail in server.wait_for(3)] == [1, 1, 2]


def test_a_refused_reset_costs_the_connection_alone(server: SmtpServer, connection: SmtpConnection) -> None:
    server.say("rcpt", "550 5.1.1 no")
    server.say("rset", DROP)
    assert isinstance(connection.send(ADA, PAYLOAD, "1.0"), Dead)
    assert isinstance(connection.send(ADA, PAYLOAD, "2.0"), Sent)


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ("250 2.0.0 Ok: queued as 4Wx9Yz1abc", "4Wx9Yz1abc"),
        ("250 OK id=1sXyzA-0001aB-2C", "1sXyzA-0001aB-2C"),
        ("250 Ok 0102018f3a4b5c6d-7e8f", "0102018f3a4b5c6d-7e8f"),
        ("250 2.0.0 Ok", ""),
    ],
)
def test_knows_what_the_relay_calls_it(server: SmtpServer, connection: SmtpConnection, answer: str, name: str) -> None:
    server.say("message", answer)
    assert connection.send(ADA, PAYLOAD, "1.0") == Sent(name)


# Encryption and sign-in


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def cafile(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


def server_tls(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def secure_url(scheme: str, server: SmtpServer, cafile: Path | None, who: str = "") -> str:
    return f"{scheme}://{who}127.0.0.1:{server.port}" + (f"?cafile={cafile}" if cafile else "")


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
def test_sends_encrypted_and_signed_in(authority: trustme.CA, cafile: Path, scheme: str) -> None:
    with SmtpServer(tls=server_tls(authority), is_implicit_tls=scheme == "smtps", credentials=("ada", SECRET)) as server:
        connection = SmtpConnection(transport(secure_url(scheme, server, cafile, f"ada:{ENCODED}@")), clock=Clock())
        assert isinstance(connection.send(ADA, PAYLOAD, "1.0"), Sent)
        connection.close()
        assert server.wait_for(1)[0].content == PAYLOAD


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
def test_a_certificate_nobody_vouches_for(authority: trustme.CA, scheme: str) -> None:
    with SmtpServer(tls=server_tls(authority), is_implicit_tls=scheme == "smtps") as server:
        verdict = SmtpConnection(transport(secure_url(scheme, server, None)), clock=Clock()).send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, Retry)
    assert (verdict.is_transport, verdict.because.code) == (True, "smtp_tls")
    assert "unable to get local issuer certificate" in verdict.because.params["text"]


def test_a_certificate_for_another_name(authority: trustme.CA, cafile: Path) -> None:
    with SmtpServer(tls=server_tls(authority, "mail.other.test")) as server:
        verdict = SmtpConnection(transport(secure_url("smtp+starttls", server, cafile)), clock=Clock()).send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, Retry)
    assert "not valid for '127.0.0.1'" in verdict.because.params["text"]


def test_a_server_that_speaks_no_tls_where_it_should(server: SmtpServer) -> None:
    verdict = SmtpConnection(transport(server.url.replace("smtp", "smtps"), timeout=0.5), clock=Clock()).send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, Retry)
    assert (verdict.is_transport, verdict.because.code) == (True, "smtp_tls")


def test_nothing_is_sent_in_the_clear_when_starttls_is_not_offered(server: SmtpServer) -> None:
    verdict = SmtpConnection(transport(secure_url("smtp+starttls", server, None, "ada:x@")), clock=Clock()).send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, Retry)
    assert verdict.because.code == "smtp_no_starttls"
    assert not any(command.lower().startswith(("auth", "mail")) for command in server.commands)


def test_starttls_offered_and_refused(authority: trustme.CA, cafile: Path) -> None:
    with SmtpServer(tls=server_tls(authority)) as server:
        server.say("starttls", "454 4.7.0 TLS not available")
        verdict = SmtpConnection(transport(secure_url("smtp+starttls", server, cafile)), clock=Clock()).send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, Retry)
    assert (verdict.because.code, verdict.because.params["code"]) == ("smtp_tls", 454)


def test_a_wrong_password_is_nowhere_in_the_reason() -> None:
    with SmtpServer(credentials=("ada", "right")) as server:
        server.always("auth", f"535 5.7.8 no: {SECRET}")
        connection = SmtpConnection(transport(server.url.replace("//", f"//ada:{ENCODED}@")), clock=Clock())
        verdict = connection.send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, Retry)
    assert (verdict.is_transport, verdict.because.code) == (True, "smtp_auth")
    assert SECRET not in repr(verdict)
    assert "hidden" in verdict.because.params["text"]


def test_a_password_for_a_server_without_sign_in(server: SmtpServer) -> None:
    verdict = SmtpConnection(transport(server.url.replace("//", "//ada:x@")), clock=Clock()).send(ADA, PAYLOAD, "1.0")
    assert isinstance(verdict, Retry)
    assert (verdict.is_transport, verdict.because.code) == (True, "smtp_auth")


def test_a_server_that_wants_a_sign_in_we_do_not_have() -> None:
    with SmtpServer(credentials=("ada", "right")) as server:
        connection = SmtpConnection(transport(server.url), clock=Clock())
        verdict = connection.send(ADA, PAYLOAD, "1.0")
        connection.close()
    assert isinstance(verdict, Retry)
    assert (verdict.is_transport, verdict.because.code) == (True, "smtp_auth")


# The URL


def test_reads_every_form_of_url() -> None:
    relay = read_relay(f"smtp+starttls://us%40er:{ENCODED}@mail.acme.test")
    assert (relay.host, relay.port, relay.user, relay.password) == ("mail.acme.test", 587, "us@er", SECRET)
    assert read_relay("smtps://mail.acme.test").port == 465
    assert read_relay("smtp://[::1]").port == 25
    assert read_relay("smtp://mail.acme.test:2525/").port == 2525


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.acme.test:25",
        "http://mail.acme.test",
        "smtp://",
        "smtp://ada:hunter2/x@mail.acme.test",
        "smtp://ada:hunter2@mail.acme.test:x",
    ],
)
def test_a_bad_url_is_named_and_not_repeated(url: str) -> None:
    with pytest.raises(BadField) as caught:
        read_relay(url)
    assert caught.value.field == "RUNBELL_SMTP_URL"
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_secrets_are_in_no_repr() -> None:
    url = f"smtp://ada:{ENCODED}@mail.acme.test"
    shown = repr(transport(url)) + repr(read_relay(url)) + repr(SmtpConnection(transport(url), clock=Clock()))
    assert SECRET not in shown
    assert ENCODED not in shown


@pytest.mark.parametrize(
    ("public_url", "name"),
    [
        ("http://10.0.0.7:8484", "[10.0.0.7]"),
        ("http://[::1]:8484", "[IPv6:::1]"),
        ("http://localhost:8484", "localhost"),
        ("", "localhost"),
    ],
)
def test_says_its_own_name_without_asking_dns(server: SmtpServer, public_url: str, name: str) -> None:
    connection = SmtpConnection(replace(transport(server.url), public_url=public_url), clock=Clock())
    connection.send(ADA, PAYLOAD, "1.0")
    connection.close()
    assert server.commands[0] == f"ehlo {name}"
