"""The page of Email notifications with 5,000 jobs × 4 boxes, and saving 2,000 of them.

A signed-in browser's requests over a kept connection: the last byte of the page, its bytes on the wire, the answer to a save.
"""

import gzip
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

from bench.bell import PASSWORD, PATIENCE, Bell, standing
from bench.processes import BIN, ROOT
from bench.table import Row

JOBS, BOXES = 5_000, 2_000
LOOKS, SAVES = 15, 8
FILL = """
import django
django.setup()
from django.utils import timezone
from runbell.server.db.models import Account, Environment, Job, Project, Run
made = {"account": Account.objects.get(), "created_at": timezone.now()}
place = Environment.objects.create(name="Huge", project=Project.objects.first(), **made)
jobs = Job.objects.bulk_create(Job(name=f"mart_{n % 37}_model_{n:05}", environment=place, **made) for n in range(JOBS))
Run.objects.bulk_create(
    Run(account=job.account, job=job, state="finished", outcome="failed", started_at=job.created_at, received_at=job.created_at)
    for job in jobs for _ in range(3)
)
print(place.account_id, place.pk)
"""


@dataclass(frozen=True)
class Costs:
    page_ms: float  # the middle one
    page_bytes: int
    save_ms: float


class Browser:
    """Signed in as the admin whom `Bell.fill` made."""

    def __init__(self, port: int) -> None:
        self._http, self._cookies = HTTPConnection("127.0.0.1", port, timeout=PATIENCE), SimpleCookie()
        self.page("/account/login/")
        self.post("/account/login/", login="ada@acme.test", password=PASSWORD)

    def page(self, path: str) -> bytes:
        """As it came over the wire."""
        return self._ask("GET", path, None, 200)

    def post(self, path: str, **fields: str) -> None:
        token = self._cookies["runbell_csrf"].value
        self._ask("POST", path, urlencode({"csrfmiddlewaretoken": token, **fields}), 302)

    def rest(self) -> None:
        """The next request connects anew: the server ends a connection on which nothing has been asked for some seconds."""
        self._http.close()

    def _ask(self, method: str, path: str, body: str | None, expected: int) -> bytes:
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self._cookies.items())
        headers = {"Cookie": cookies, "Accept-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}
        self._http.request(method, path, body, headers)
        answer = self._http.getresponse()
        content = answer.read()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            self._cookies.load(cookie)
        if answer.status != expected:
            raise RuntimeError(f"{method} {path}: {answer.status}")
        return content


def page(place: Path) -> Iterator[Row]:
    """The page of Email notifications."""
    with standing(place) as bell, bell.serve():
        bell.wait_for_web()
        bell.fill()
        yield from rows(measure(bell))


def rows(costs: Costs) -> Iterator[Row]:
    page = f"page of {JOBS:,} jobs × 4 boxes"
    yield Row(f"{page}, last byte", f"{costs.page_ms:.0f} ms", f"middle of {LOOKS}", "< 600 ms", costs.page_ms < 600)
    yield Row(f"{page}, compressed", f"{costs.page_bytes / 1000:.0f} KB", "", "≤ 250 KB", costs.page_bytes <= 250_000)
    yield Row(f"saving {BOXES:,} boxes", f"{costs.save_ms:.0f} ms", f"middle of {SAVES}", "< 300 ms", costs.save_ms < 300)


def measure(bell: Bell) -> Costs:
    """Needs a web server and `Bell.fill`."""
    filled = subprocess.run(
        [BIN / "python", "-c", FILL.replace("JOBS", str(JOBS))], env=bell.env, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()
    path = f"/a/{filled[0]}/settings/notifications/email?env={filled[1]}"
    browser = Browser(bell.port)
    looks = [_timed(browser.page, f"{path}&edit=1") for _ in range(LOOKS)]
    ids = _job_ids(browser.page(path))[:BOXES]
    saves = [_save(browser, path, ids, is_on=n % 2 == 0) for n in range(SAVES)]
    return Costs(_middle([ms for ms, _ in looks]), max(len(content) for _, content in looks), _middle(saves))


def _timed(ask: Callable[[str], bytes], path: str) -> tuple[float, bytes]:
    start = time.perf_counter()
    content = ask(path)
    return (time.perf_counter() - start) * 1000, content


def _save(browser: Browser, path: str, ids: list[int], *, is_on: bool) -> float:
    was, to = ("off", "on") if is_on else ("on", "off")
    cells = json.dumps([[pk, "failed", was, to] for pk in ids])
    start = time.perf_counter()
    browser.post(path, revision="0", cells=cells)
    return (time.perf_counter() - start) * 1000


def _job_ids(content: bytes) -> list[int]:
    found = re.search(rb'<script id="facts" type="application/json">(.*?)</script>', gzip.decompress(content), re.DOTALL)
    assert found
    return [line[0] for line in json.loads(found[1])["lines"]]


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
