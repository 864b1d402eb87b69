"""A mail as it goes over the wire: headers that machines read, bodies that people read, and one recipient's own lines."""

import re
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from runbell.channels.email import EmailChannel
from runbell.channels.mime import encode_body, fill_slots, quoted, slot, text_header
from runbell.core.because import Because
from runbell.core.fields import BadField
from runbell.messages.compose import compose_run
from runbell.messages.example_runs import FAILED_RUN, LOST_RUN, SUCCEEDED_RUN
from runbell.messages.examples import EXAMPLES
from tests.hostile import HOSTILE
from tests.mails import RECIPIENT, TRANSPORT, body, parsed, reader, recipient

EMAIL = EmailChannel()


def mail(name: str = "failed", language: str = "en", key: str = "12.0", **changes: object) -> bytes:
    rendered = EMAIL.render(EXAMPLES[name](language), reader(language), TRANSPORT)
    return EMAIL.address(rendered, recipient(**changes), key)


def header_lines(raw: bytes) -> list[str]:
    return raw.partition(b"\r\n\r\n")[0].decode("ascii").split("\r\n")


# Headers


def test_headers_off_the_wire() -> None:
    """Long tokens stay whole and on one line: clients read neither encoded words nor folded URLs there."""
    lines = header_lines(mail(unsubscribe_url="https://" + "a" * 120 + ".example/u/" + "b" * 60, thread="1" * 60 + ".2"))
    assert f"List-Unsubscribe: <https://{'a' * 120}.example/u/{'b' * 60}>" in lines
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines
    assert f"References: <j.{'1' * 60}.2@acme.example>" in lines
    assert f"In-Reply-To: <j.{'1' * 60}.2@acme.example>" in lines
    assert max(map(len, lines)) < 998


def test_headers_for_machines() -> None:
    headers = parsed(mail())
    assert headers["From"] == "Runbell <runbell@acme.example>"
    assert headers["To"] == "ada@acme.example"
    assert headers["Subject"] == "FAILED · nightly build · Production"
    assert headers["Message-ID"] == "<d.12.0@acme.example>"
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers["X-Auto-Response-Suppress"] == "All"
    assert headers["List-Id"] == "Runbell job notifications <jobs.1.acme.example>"
    assert headers["X-Runbell-Run"] == "4711"
    assert headers["X-Runbell-Outcome"] == "failed"
    assert headers["Content-Language"] == "en"
    assert parsedate_to_datetime(headers["Date"]) == RECIPIENT.sent_at
    assert {"Reply-To", "Precedence", "Cc", "Bcc", "Sender"} & set(headers.keys()) == set()
    assert len(headers.keys()) == len(set(headers.keys()))


def test_the_same_try_has_the_same_name_and_another_send_another() -> None:
    assert mail(key="7.0") == mail(key="7.0")
    assert parsed(mail(key="7.1"))["Message-ID"] == "<d.7.1@acme.example>"


def test_job_and_recipient_make_a_thread() -> None:
    assert parsed(mail(key="1.0"))["References"] == parsed(mail("succeeded", key="2.0"))["References"] == "<j.17.23@acme.example>"


def test_a_notice_is_about_no_run() -> None:
    raw = mail("delivery-died", unsubscribe_url="", thread="", because=Because("is_admin"))
    headers = parsed(raw)
    assert headers["X-Runbell-Run"] is None
    assert headers["List-Unsubscribe"] is None
    assert headers["References"] is None
    assert "Unsubscribe" not in body(raw, "plain") + body(raw, "html")
    assert "You get this because ada@acme.example belongs to an admin of this account." in " ".join(body(raw, "plain").split())


@pytest.mark.parametrize("text", ["short", "a" * 67, "a" * 68, "a" * 300, "ø" * 200, "é€😀" * 60, "a\tb", "=?utf-8?q?no?=", ""])
def test_a_header_of_free_text_is_folded_into_whole_letters(text: str) -> None:
    line = text_header("Subject", text)
    assert all(len(part) <= 76 for part in line.split("\r\n"))
    for word in re.findall(r"=\?utf-8\?b\?(.*?)\?=", line):
        b64decode(word, validate=True).decode("utf-8")
    assert parsed(f"{line}\r\n".encode("ascii"))["Subject"] == text


def test_a_long_subject_is_folded_and_comes_back_whole() -> None:
    job = "Ночная сборка витрины 🔥 " * 20
    message = compose_run(replace(FAILED_RUN, job=job), "ru")
    raw = EMAIL.address(EMAIL.render(message, reader("ru"), TRANSPORT), RECIPIENT, "1.0")
    assert parsed(raw)["Subject"] == message.subject
    assert all(len(line) <= 78 for line in header_lines(raw) if "=?utf-8?" in line)


def test_what_looks_encoded_is_shown_as_it_is() -> None:
    message = replace(EXAMPLES["failed"]("en"), subject="=?utf-8?q?Hello?=")
    raw = EMAIL.address(EMAIL.render(message, reader(), TRANSPORT), RECIPIENT, "1.0")
    assert parsed(raw)["Subject"] == "=?utf-8?q?Hello?="


@pytest.mark.parametrize(
    ("sender", "header", "domain"),
    [
        ("runbell@acme.example", "runbell@acme.example", "acme.example"),
        ("Колокол <runbell@bücher.example>", "Колокол <runbell@xn--bcher-kva.example>", "xn--bcher-kva.example"),
        ('"Bell, Run" <runbell@acme.example>', '"Bell, Run" <runbell@acme.example>', "acme.example"),
        ("Run\r\nBell <runbell@acme.example>", "Run Bell <runbell@acme.example>", "acme.example"),
        ("root@mail", "root@mail", "mail"),
    ],
)
def test_senders(sender: str, header: str, domain: str) -> None:
    raw = EMAIL.address(EMAIL.render(EXAMPLES["failed"]("en"), reader(), replace(TRANSPORT, sender=sender)), RECIPIENT, "1.0")
    assert parsed(raw)["Message-ID"] == f"<d.1.0@{domain}>"
    assert parsed(raw)["Bcc"] is None
    assert parsed(raw)["From"] == header


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_of_a_recipient_adds_a_header(text: str) -> None:
    raw = mail(
        address=text, thread=text, why_url=text, settings_url=text, unsubscribe_url=text, key=text, because=Because(text, {"outcome": text})
    )
    headers = parsed(raw)
    assert {"Bcc", "Cc"} & set(headers.keys()) == set()
    assert [part.get_content_type() for part in headers.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert "<script" not in body(raw, "html")


# Bodies


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_bytes_are_fit_for_every_relay(name: str, language: str) -> None:
    raw = mail(name, language, address="ада@пример.рф")
    raw.decode("ascii")
    assert b"\0" not in raw
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", raw)
    content = raw.partition(b"\r\n\r\n")[2]
    assert max(map(len, content.split(b"\r\n"))) <= 76
    assert parsed(raw).defects == []
    assert [part.defects for part in parsed(raw).walk()] == [[], [], []]


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_text_and_html_tell_the_same(name: str, language: str) -> None:
    message, raw = EXAMPLES[name](language), mail(name, language)
    text, html = (_flat(body(raw, kind)) for kind in ("plain", "html"))
    said = [message.title, message.word, message.steps_title, *message.remarks, message.account, *(step.command for step in message.steps)]
    said += [f"{node.word} {node.name}" for node in message.troubles] + [fact.label for fact in message.facts if not fact.is_place]
    said += [step.detail for step in message.steps] + [RECIPIENT.address]
    for words in filter(None, said):
        assert _flat(words) in html
        assert _flat(words).upper() in text.upper()
    for url in (
        RECIPIENT.why_url,
        RECIPIENT.settings_url,
        RECIPIENT.unsubscribe_url,
        *([reader().links.run] if message.open_label else []),
    ):
        assert url in body(raw, "plain")
        assert f'href="{url}"' in body(raw, "html")


def _flat(text: str) -> str:
    """Words alone, so that layout does not matter."""
    return " ".join(re.sub(r"<[^>]*>|&nbsp;|[:()]", " ", text).split())


def test_the_text_is_wrapped_where_that_breaks_nothing() -> None:
    for language in ("en", "ru"):
        lines = body(mail(language=language), "plain").splitlines()
        assert all(len(line) <= 72 or line.startswith("  ") or "https://" in line for line in lines)
        assert "    Binder Error: Referenced column" in "\n".join(lines)


def test_one_recipients_own_lines() -> None:
    raw = mail(because=Because("chose_job", {"outcome": "warned"}), address="bob@acme.example")
    text, html = body(raw, "plain"), body(raw, "html")
    assert "You get this because Warns is set for this job for bob@acme.example.\nWhy:         https://" in text
    assert "You get this because Warns is set for this job for bob@acme.example.<br>" in html
    assert "ada@" not in text + html


def test_the_environments_name_is_in_the_reason() -> None:
    assert "all jobs of Production for" in body(mail(), "html")
    assert "всех заданий среды Production" in body(mail(language="ru"), "html")


def test_a_member_gets_links_that_an_outsider_does_not() -> None:
    outside = body(mail(why_url="", settings_url=""), "plain")
    assert "\nWhy:" not in outside
    assert "\nUnsubscribe: https://" in outside
    assert body(mail(why_url="", settings_url="", unsubscribe_url=""), "html").count("<a ") == 1


def test_a_late_message_says_when_the_run_ended() -> None:
    line = "This message is late: the run ended at Tue 24 Nov, 02:12:04."
    late = mail(is_late=True)
    assert f"Production\n\n{line}\n\n1 model" in body(late, "plain")
    assert f">{line}</p>" in body(late, "html")
    assert line not in body(mail(), "plain")
    assert "Это сообщение опоздало: запуск завершился вт, 24 нояб., 02:12:04." in body(mail(language="ru", is_late=True), "plain")


def test_a_late_message_about_an_unknown_end_says_nothing_of_it() -> None:
    raw = EMAIL.address(EMAIL.render(compose_run(LOST_RUN, "en"), reader(), TRANSPORT), recipient(is_late=True), "1.0")
    assert "late" not in body(raw, "plain")


def test_a_test_is_marked_in_the_readers_language() -> None:
    assert parsed(mail(is_test=True))["Subject"] == "[Test] FAILED · nightly build · Production"
    assert parsed(mail(language="ru", is_test=True))["Subject"] == "[Пробное] СБОЙ · nightly build · Production"
    assert "This is a test. Nothing has happened." in body(mail(is_test=True), "plain")
    assert parsed(mail("test", is_test=True))["Subject"].startswith("TEST · ")
    assert "This is a test" not in body(mail("test", is_test=True), "plain")


def test_the_readers_zone() -> None:
    message = EXAMPLES["failed"]("en")
    text = body(EMAIL.address(EMAIL.render(message, reader(zone="America/New_York"), TRANSPORT), RECIPIENT, "1.0"), "plain")
    assert "Started      Mon 23 Nov, 20:00:00\nEnded        20:12:04\n" in text
    assert "Times are in America/New_York." in text


def test_without_a_link_there_is_no_button() -> None:
    message = EXAMPLES["failed"]("en")
    raw = EMAIL.address(EMAIL.render(message, replace(reader(), links=type(reader().links)()), TRANSPORT), RECIPIENT, "1.0")
    assert "Open the run" not in body(raw, "html")


def test_errors_keep_their_shape_in_html() -> None:
    message = compose_run(FAILED_RUN, "en")
    html = body(EMAIL.address(EMAIL.render(message, reader(), TRANSPORT), RECIPIENT, "1.0"), "html")
    assert "<br>&nbsp;&nbsp;Binder Error: Referenced column &quot;amount_minor&quot; not found" in html


def test_bars_differ_by_shape() -> None:
    html = body(mail(), "html")
    assert html.count('class="bar r-track"') == 3
    assert html.count('class="bar r-warn"') == 4
    assert html.count('class="bar-stop"') == 1
    assert html.count('class="bar r-ok"') == 24
    assert body(mail("canceled"), "html").count('class="bar r-none"') == 11
    full = compose_run(replace(FAILED_RUN, usual_seconds=10, history=FAILED_RUN.history[-2:]), "en")
    assert "r-track" not in body(EMAIL.address(EMAIL.render(full, reader(), TRANSPORT), RECIPIENT, "1.0"), "html").partition("</style>")[2]


def test_a_first_run_has_no_picture_of_the_last() -> None:
    message = compose_run(replace(SUCCEEDED_RUN, history=SUCCEEDED_RUN.history[-1:]), "en")
    html = body(EMAIL.address(EMAIL.render(message, reader(), TRANSPORT), RECIPIENT, "1.0"), "html")
    assert "This is its first run." in html
    assert 'class="bar ' not in html


# Slots


def test_a_slot_survives_the_encoding_beside_anything() -> None:
    for text in HOSTILE.values():
        clean = text.replace("\0", "").replace("\ud800", "").replace("\udfff", "")
        before, name, after = encode_body(f"{clean}\n{slot('mine')}{clean}\n")
        assert name == "mine"
        assert before == after == quoted(f"{clean}\n")
        assert fill_slots((before, name, after), {"mine": quoted("ø = 1\n")}) == before + b"=C3=B8 =3D 1\r\n" + before


# Settings


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("Ada.Lindqvist@Acme.Example", "ada.lindqvist@acme.example"),
        ("  ada+dbt@acme.example ", "ada+dbt@acme.example"),
        ("ada@BÜCHER.example", "ada@xn--bcher-kva.example"),
        ("ops@mail.local", "ops@mail.local"),
        ("9f2c41.data-team@emea.teams.ms", "9f2c41.data-team@emea.teams.ms"),
    ],
)
def test_an_address_is_kept_as_typed_beside_its_key(typed: str, key: str) -> None:
    assert EMAIL.clean({"address": typed}) == {"address": typed.strip(), "address_key": key}


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        (None, "is required"),
        ("", "must not be empty"),
        (5, "must be text"),
        ("ada", "is not an email address"),
        ("ada@", "is not an email address"),
        ("Ada <ada@acme.example>", "is not an email address"),
        ("ada@acme.example, bob@acme.example", "is not an email address"),
        ("ada@acme.example\nBcc: eve@evil.test", "must not contain line breaks"),
        ("åda@acme.example", "before the @"),
        ("a" * 300 + "@acme.example", "at most 254 characters"),
        ("a" * 70 + "@acme.example", "is not an email address"),
    ],
)
def test_a_bad_address_is_refused_by_name(address: object, complaint: str) -> None:
    with pytest.raises(BadField, match=r"^address: ") as caught:
        EMAIL.clean({"address": address})
    assert complaint in caught.value.message


def test_a_date_in_another_zone_is_the_same_moment() -> None:
    later = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert parsedate_to_datetime(parsed(mail(sent_at=later))["Date"]) == later
