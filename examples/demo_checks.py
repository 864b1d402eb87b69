"""What the demo asks of the server and of the mails: the API, a browser that signs in, and the mailbox read from the database."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener, urlopen

from demo_jobs import Job

TIMEOUT = 20
BAD = ("error", "fail", "warn", "runtime error")  # dbt's words, of every version
PREAMBLE = re.compile(r"^\w+ Error in ")


def api(method: str, url: str, token: str, body: object = None) -> Any:
    """The `data` of an answer of the dbt Admin API. Raises HTTPError with the server's own words."""
    headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
    request = Request(url, json.dumps(body).encode() if body else None, headers, method=method)
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:
            return json.load(answer)["data"]
    except HTTPError as error:
        error.msg = f"{error.msg}: {error.read().decode(errors='replace')[:500]}"
        raise


@dataclass(frozen=True)
class Mail:
    recipient: str
    subject: str
    text: str


def words_of_dbt(run_results: Path) -> tuple[str, ...]:
    """What dbt said of each node that broke or warned: the first line that is more than where it was."""
    results = json.loads(run_results.read_bytes())["results"]
    said = [result["message"] for result in results if result["status"] in BAD]
    return tuple(next(line.strip() for line in text.splitlines() if not PREAMBLE.match(line)) for text in said)


def read_database_of(environ: Mapping[str, str]) -> None:
    """From now on this process reads the database of the server that has these settings."""
    import django

    os.environ.update(environ, DJANGO_SETTINGS_MODULE="runbell.server.settings")
    django.setup()


def mails() -> list[Mail]:
    """The demo's mailbox, oldest first. There is no API for it: it is for the eyes of admins."""
    from runbell.server.db.models import MailboxItem

    return [_mail(item.recipient, bytes(item.content)) for item in MailboxItem.objects.order_by("pk")]


def has_pending() -> bool:
    """Whether anything waits in the outbox. What is to be told of a run is there before `runbell run` ends."""
    from runbell.core.deliveries import PENDING
    from runbell.server.db.models import Delivery

    return Delivery.objects.filter(state__in=PENDING).exists()


def _mail(recipient: str, content: bytes) -> Mail:
    message = message_from_bytes(content, policy=default)
    part = message.get_body(("plain",))
    return Mail(recipient, str(message["Subject"]), part.get_content() if part else "")


def problems(mail: Mail, job: Job, said_by_dbt: Sequence[str], browser: "Browser", url: str) -> Iterator[str]:
    """What the mail about this job lacks."""
    if not mail.subject.startswith(job.word):
        yield f"the subject does not begin with {job.word}: {mail.subject}"
    if job.name not in mail.subject:
        yield f"the subject does not name the job: {mail.subject}"
    text = " ".join(mail.text.split())
    yield from (f"the text lacks “{words}”" for words in (*job.says, *said_by_dbt) if words not in text)
    links = re.findall(rf"{re.escape(url)}/a/\d+/runs/\d+", mail.text)
    if not links:
        yield "there is no link to the run"
    yield from (f"{link}: {trouble}" for link in set(links) if (trouble := browser.trouble_with(link, job.name)))


class Browser:
    """Opens pages as a signed-in person; meets the sign-in page on the way as a person would."""

    def __init__(self, email: str, password: str) -> None:
        self._person = {"login": email, "password": password}
        self._opener: OpenerDirector = build_opener(HTTPCookieProcessor(CookieJar()))

    def trouble_with(self, url: str, expected: str) -> str:
        """Empty when the page opens and speaks of what it should."""
        try:
            where, page = self._open(url)
            if where != url and (token := re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)):
                where, page = self._open(where, {**self._person, "csrfmiddlewaretoken": token[1]})
        except URLError as error:
            return str(error)
        if where != url:
            return f"leads to {where}"
        return "" if expected in page else f"does not speak of {expected}"

    def _open(self, url: str, form: dict[str, str] | None = None) -> tuple[str, str]:
        with self._opener.open(url, urlencode(form).encode() if form else None, timeout=TIMEOUT) as answer:
            return answer.url, answer.read().decode()

    @staticmethod
    def answers(url: str) -> bool:
        """Whether a server is there, whatever it says."""
        try:
            urlopen(url, timeout=TIMEOUT).close()
        except HTTPError as error:
            error.close()
        except OSError:
            return False
        return True
